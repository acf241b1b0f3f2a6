//! Keys and tenants of the file that come and go.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::reload::world::{hang_up, process, report, start, stream, write};
use crate::support::{Client, Era, Setup};

const SECOND: &str = "the-second-key-of-the-tenant-in-the-tests-2";
const THIRD: &str = "the-third-key-in-the-tests-of-reloads-3";

fn file(tenants: &str) -> String {
    format!("[server]\nlisten = \"127.0.0.1:0\"\n{}{tenants}", process("a", "one"))
}

#[test]
fn keys_that_left_the_file_have_ended_and_others_go_on() {
    let first = "{ name = \"one\", env = \"TEST_KEY\" }";
    let second = "{ name = \"two\", env = \"SECOND\" }";
    let third = "[tenants.other]\nkeys = [{ name = \"three\", env = \"THIRD\" }]\n";
    let both = file(&format!("[tenants.test]\nkeys = [{first}, {second}]\n"));
    let setup = Setup::new().env("SECOND", SECOND).env("THIRD", THIRD);
    let proxy = start(setup, &both);
    let mut stays = proxy.client(Era::Legacy, "/mcp");
    let mut goes = Client::connect(Era::Legacy, proxy.address(), "/mcp", Some(SECOND));
    let mut kept = stream(&proxy, proxy.key(), "/mcp", &stays);
    let mut lost = stream(&proxy, SECOND, "/mcp", &goes);
    let (pid, _) = report(&mut stays, "a");
    assert_eq!(report(&mut goes, "a").0, pid);

    let one = format!("[tenants.test]\nkeys = [{first}]\n");
    write(&proxy, &file(&format!("{one}{third}")));
    let told = hang_up(&proxy);
    assert!(
        told.contains("tenants: other, test") || told.contains("tenants: test, other"),
        "{told}"
    );
    let ended = Instant::now();
    while lost.line().is_some() {}
    let took = ended.elapsed();
    assert!(took < Duration::from_secs(1), "the stream ended {took:?} after the reload");
    assert_eq!(goes.send("ping", json!({})).status, 401);
    // The other key's session, stream and process are as they were.
    assert_eq!(report(&mut stays, "a").0, pid);
    stays.call("a__change", json!({}));
    kept.hears("notifications/tools/list_changed");
    // A tenant that came is served, by a process of its own.
    let mut came = Client::connect(Era::Modern, proxy.address(), "/mcp", Some(THIRD));
    assert_ne!(report(&mut came, "a").0, pid);

    // And a tenant that goes takes its keys along; one that the store made, too.
    write(&proxy, &file(&one));
    hang_up(&proxy);
    assert_eq!(came.send("tools/list", json!({})).status, 401);
    assert_eq!(report(&mut stays, "a").0, pid);
}
