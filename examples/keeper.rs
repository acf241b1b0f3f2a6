//! Opens a child as the proxy does and then waits for ever: `keeper LAUNCHER MARK COMMAND…`.
//! Tests kill it to see that nothing of the child is left.

#![expect(clippy::print_stdout, reason = "its reader waits for this line")]

use std::sync::Arc;
use std::time::Duration;

use mcp_proxy::base::{Name, Secret, Tasks};
use mcp_proxy::config::{EraSetting, ProcessLimits};
use mcp_proxy::upstream::stdio::{ChildSpec, EraMemory, Launcher, open};
use mcp_proxy::wire::CapSet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let launcher = arguments.next().ok_or("no launcher")?;
    let mark = arguments.next().ok_or("no mark")?;
    let spec = ChildSpec {
        upstream: Name::new("kept")?,
        command: arguments.collect(),
        env: vec![("TEST_MARK".to_owned(), Secret::new(mark))],
        cwd: None,
        limits: ProcessLimits::default(),
        era: EraSetting::Auto,
        memory: Arc::new(EraMemory::default()),
        start: Duration::from_secs(30),
        capabilities: CapSet::NONE,
        shared: false,
        cancels: false,
        exclusive: false,
        launcher: Launcher::new(launcher, std::env::vars_os()),
        log: None,
        redact: Arc::new(str::to_owned),
    };
    let tasks = Tasks::default();
    let link = open(spec, Arc::new(|_| ()), &tasks).await?;
    println!("ready");
    tasks.stop().cancelled().await;
    drop(link);
    Ok(())
}
