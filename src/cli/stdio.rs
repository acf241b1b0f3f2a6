//! `mcp-proxy stdio`

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;

use super::command::read_config;
use super::open::listed;
use super::serve::harden;
use crate::app::{self, Foundation, Identity};
use crate::base::{Name, Secret, Tasks};
use crate::config::{self, Config, SecretSource};
use crate::telemetry::{self, CallLog, Format};
use crate::upstream::stdio::Launcher;

/// Where a key is looked for.
const KEY: &str = "MCP_PROXY_KEY";

/// Speak MCP over standard input and output, for clients that can only start a process.
#[derive(Debug, Args)]
#[command(after_help = "Example: mcp-proxy stdio --config /etc/mcp-proxy.toml --tenant acme\n\n\
                  Without --tenant, the key in MCP_PROXY_KEY says who asks; without that, the only \
                  tenant there is.")]
pub(super) struct StdioCommand {
    /// Act as this tenant. Needs no key: the key file opens everything anyway.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Offer this upstream alone, with its own names.
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// Offer what this profile shows.
    #[arg(long, value_name = "NAME", conflicts_with = "upstream")]
    profile: Option<String>,
    /// What is logged to standard error: a level, or directives by module.
    #[arg(long, value_name = "FILTER", env = "MCP_PROXY_LOG", default_value = "warn")]
    log: String,
}

impl StdioCommand {
    /// Speaks until the client closes its end.
    pub(super) fn run(self, given: Option<&Path>) -> anyhow::Result<()> {
        let (config, warnings, _) = read_config(given)?;
        harden();
        let (writer, calls) = telemetry::start(&self.log, Format::Text)?;
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("the runtime cannot start")?;
        let tasks = Tasks::default();
        let done = runtime.block_on(async {
            writer.tend(&tasks);
            self.speak(config, calls, &tasks).await
        });
        // A blocked read of standard input must not keep the process alive.
        runtime.shutdown_timeout(Duration::from_millis(100));
        writer.flush();
        done
    }

    async fn speak(
        &self,
        config: Config,
        calls: Option<CallLog>,
        tasks: &Tasks,
    ) -> anyhow::Result<()> {
        let resolve =
            |source: &SecretSource| config::resolve(source).map_err(|error| error.to_string());
        let foundation = Foundation::open(&config, tasks).await?;
        let identity = self.identity(&config, &foundation).await?;
        let own = super::serve::own_program()?;
        let launcher = Launcher::new(own, std::env::vars_os());
        app::run_pipe(
            Arc::new(config),
            &foundation,
            &resolve,
            launcher,
            calls,
            tasks,
            identity,
            &self.door(),
        )
        .await?;
        Ok(())
    }

    /// The path of the door that the pipe takes the place of.
    fn door(&self) -> String {
        match (&self.profile, &self.upstream) {
            (Some(name), _) => format!("/p/{name}/mcp"),
            (None, Some(name)) => format!("/mcp/{name}"),
            (None, None) => "/mcp".to_owned(),
        }
    }

    async fn identity(&self, config: &Config, foundation: &Foundation) -> anyhow::Result<Identity> {
        if let Some(name) = &self.tenant {
            return Ok(Identity::Tenant(Name::new(name)?));
        }
        if let Some(key) = std::env::var(KEY).ok().filter(|key| !key.is_empty()) {
            return Ok(Identity::Key(Secret::new(key)));
        }
        app::first_tenant(config, foundation).await?;
        let all = foundation.stores.tenants.list().await?;
        match &all[..] {
            [only] => Ok(Identity::Tenant(only.name.clone())),
            all => Err(anyhow!(
                "which tenant is meant? ({}); name it with --tenant, or put a key into {KEY}",
                listed(all.iter().map(|tenant| tenant.name.as_str()))
            )),
        }
    }
}
