//! Ten set-ups that are broken, and a few of their kin: each is named, and nothing else is.

use serde_json::Value;

use super::front::{Fault, Front};
use crate::login;
use crate::support::{Proxy, Setup};

/// A proxy behind a front of another name.
pub(crate) struct World {
    pub(crate) front: Front,
    pub(crate) proxy: Proxy,
}

impl World {
    pub(crate) fn new() -> Self {
        let front = Front::listen();
        let url = front.url();
        // One that doctor knows from the file.
        let address = {
            let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
            socket.local_addr().expect("it is bound")
        };
        let setup = Setup::new().config(&format!(
            "[server]\nlisten = \"{address}\"\npublic_url = \"{url}\"\n\
             [upstreams.demo]\ncommand = [\"mcp-proxy\", \"demo\"]\n"
        ));
        let setup = setup.file("authority.pem", front.authority.as_bytes());
        let proxy = setup.serve();
        front.lead_to(proxy.address());
        Self { front, proxy }
    }

    /// Runs `doctor`: its exit code and findings.
    pub(crate) fn doctor(&self, more: &[&str]) -> (Option<i32>, Vec<Value>) {
        self.keyless(&[&["--key-env", "TEST_KEY"], more].concat())
    }

    /// The same without a key.
    pub(crate) fn keyless(&self, more: &[&str]) -> (Option<i32>, Vec<Value>) {
        let address = self.front.address.to_string();
        let words = ["doctor", "--json", "--cacert", "authority.pem", "--address", &address];
        findings(self.proxy.setup(), &[&words, more].concat())
    }
}

/// Exit code and findings of a run.
pub(crate) fn findings(setup: &Setup, words: &[&str]) -> (Option<i32>, Vec<Value>) {
    let (status, out, errors) = setup.run(words, b"");
    let said: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{errors}"));
    let list = said["findings"].as_array().expect("a list").clone();
    (status.code(), list)
}

/// The codes of what is wrong, each once.
pub(crate) fn wrong(findings: &[Value]) -> Vec<&str> {
    let bad = findings.iter().filter(|finding| finding["grade"] == "problem");
    let mut codes: Vec<_> = bad.filter_map(|finding| finding["code"].as_str()).collect();
    codes.dedup();
    codes
}

#[test]
fn what_is_broken_on_the_way_is_named() {
    let world = World::new();
    let (code, found) = world.doctor(&[]);
    assert_eq!((code, wrong(&found)), (Some(0), vec![]), "{found:#?}");
    for good in
        ["key-file", "store", "upstream", "clock", "public-url", "door", "well-known", "stream"]
    {
        let there = found.iter().any(|f| f["code"] == good && f["grade"] == "ok");
        assert!(there, "{good}: {found:#?}");
    }
    for (fault, codes, exit, words) in [
        (Fault::Slash, &["trailing-slash"][..], 1, "without a redirect"),
        (Fault::OtherHost, &["host-missing"], 1, "Host"),
        (Fault::NoHost, &["host-missing"], 1, "Host"),
        (Fault::Buffer, &["buffered"], 1, "proxy_buffering off"),
        (Fault::Metadata, &["metadata-at-root"], 1, "ignore the key"),
        (Fault::Expired, &["certificate-expired"], 69, "renew"),
        (Fault::OtherName, &["certificate-name"], 69, "get one for"),
        (Fault::Clock, &["clock"], 1, "NTP"),
        (Fault::Elsewhere, &["public-url-wrong"], 1, "a login in front"),
        (Fault::Gzip, &["compressed"], 1, "gzip_types"),
        (Fault::NoKey, &["authorization-lost"], 1, "taken by the listener itself"),
        (Fault::Guard, &["blocked"], 1, "guard against robots"),
        (Fault::GuardOfAll, &["blocked"], 1, "let requests to this name through"),
    ] {
        world.front.suffer(fault);
        let (code, found) = world.doctor(&[]);
        assert_eq!(wrong(&found), codes, "{fault:?}: {found:#?}");
        assert_eq!(code, Some(exit), "{fault:?}");
        let bad = found.iter().find(|finding| finding["grade"] == "problem").expect("one");
        assert!(bad.to_string().contains(words), "{fault:?}: {bad}");
    }
    // Two in a row, the second of an old kind: that works.
    world.front.suffer(Fault::Old);
    let (code, found) = world.doctor(&[]);
    assert_eq!((code, wrong(&found)), (Some(0), vec![]), "{found:#?}");
    world.front.suffer(Fault::Secure);
    let (_, found) = world.doctor(&["--url", &world.front.url().replace("https", "http")]);
    let text = serde_json::to_string(&found).expect("it is JSON");
    let next = format!("write public_url = \\\"{}\\\"", world.front.url());
    assert!(wrong(&found).contains(&"public-url-wrong") && text.contains(&next), "{text}");
    world.front.suffer(Fault::None);
    // Clients were given another URL than the file says.
    let other = world.front.url().replace("mcp.example.test", "localhost");
    let (_, found) = world.doctor(&["--url", &other]);
    assert!(wrong(&found).contains(&"public-url-wrong"), "{found:#?}");
    // Nobody listens there.
    let closed = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        socket.local_addr().expect("it is bound").to_string()
    };
    let words = ["doctor", "--json", "--address", &closed, "--cacert", "authority.pem"];
    let (code, found) = findings(world.proxy.setup(), &words);
    assert_eq!((code, wrong(&found)), (Some(69), vec!["port-closed"]), "{found:#?}");
    let (status, out, _) = world.proxy.setup().run(&words[..1], b"");
    assert!(!status.success() && out.contains("next: "), "for people, too: {out}");
    assert!(!out.contains(world.proxy.key()));
}

#[test]
fn addresses_that_clients_elsewhere_cannot_reach_are_named() {
    let proxy = Proxy::start("");
    let note = |url: &str, code: &str| {
        let (exit, found) = findings(proxy.setup(), &["doctor", "--json", "--url", url]);
        let note = found.iter().find(|f| f["code"] == code && f["grade"] == "note").cloned();
        (exit, note.unwrap_or_else(|| panic!("{code}: {found:#?}")), found)
    };
    let (exit, inner, found) = note(&proxy.url(""), "name-inner");
    assert_eq!((exit, wrong(&found)), (Some(0), vec![]), "{found:#?}");
    assert!(inner.to_string().contains("127.0.0.1 here, an address of this machine"), "{inner}");
    // An address of a link leads nowhere without the name of the link, on every machine.
    let (exit, six, found) = note("https://[fe80::1]", "name-six");
    assert!(six.to_string().contains("A record"), "{six}");
    assert_eq!((exit, wrong(&found)), (Some(69), vec!["name-six"]), "{found:#?}");
}

#[test]
fn an_upstream_that_a_tenant_has_not_logged_in_to_is_named() {
    let upstream = login::server::World::start();
    let proxy = login::bed::proxy(&upstream);
    let look = || findings(proxy.setup(), &["doctor", "--json", "--tenant", "test"]);
    let (code, found) = look();
    assert_eq!((code, wrong(&found)), (Some(1), vec!["login-missing"]), "{found:#?}");
    let missing = found.iter().find(|finding| finding["code"] == "login-missing").expect("one");
    let text = missing.to_string();
    for words in ["upstream up of test", "nobody has logged in", "/connect/upstreams/up"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    login::bed::push(&proxy, &upstream, 3_600);
    let (code, found) = look();
    assert_eq!((code, wrong(&found)), (Some(0), vec![]), "{found:#?}");
    let there = |f: &Value| f["what"].as_str().is_some_and(|what| what.contains("logged in"));
    assert!(found.iter().any(there), "{found:#?}");
}

#[test]
fn what_is_broken_on_the_machine_is_named() {
    let setup = Setup::new().config(
        "[upstreams.gone]\ncommand = [\"no-such-program-anywhere\", \"x\"]\n\
         [upstreams.crm]\nurl = \"http://127.0.0.1:9/mcp\"\nheaders = { A = \"{secret.token}\", B = \"{secret.other}\" }\n\
         [tenants.test]\nkeys = [{ name = \"test\", env = \"TEST_KEY\" }]\n\
         secrets = { crm = { token = { env = \"NO_SUCH_VARIABLE\" } } }\n",
    );
    let (code, found) = findings(&setup, &["doctor", "--json"]);
    assert_eq!(code, Some(1));
    assert_eq!(wrong(&found), ["program-missing", "secret-unresolved"], "{found:#?}");
    let text = serde_json::to_string(&found).expect("it is JSON");
    for words in ["no-such-program-anywhere", "NO_SUCH_VARIABLE", "[upstreams.gone]"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!setup.folder().join("mcp-proxy.db").exists(), "looking makes nothing");
    // With a store, what each tenant has not set is told as well.
    let (status, ..) = setup.run(&["tenant", "list"], b"");
    assert!(status.success());
    let (_, found) = findings(&setup, &["doctor", "--json"]);
    assert!(wrong(&found).contains(&"secret-missing"), "{found:#?}");
    let missing = found.iter().find(|finding| finding["code"] == "secret-missing").expect("one");
    assert!(
        missing["next"].as_str().is_some_and(|next| next.contains("secret set --tenant test crm"))
    );
    // Others may read the key file.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(setup.folder().join("mcp-proxy.key"), open).expect("it is ours");
    let (_, found) = findings(&setup, &["doctor", "--json"]);
    assert!(wrong(&found).contains(&"key-file"), "{found:#?}");
    let setup = setup.config("[upstreams.x]\ncomand = [\"x\"]\n");
    let (code, found) = findings(&setup, &["doctor", "--json"]);
    assert_eq!(code, Some(64), "{found:#?}");
    assert!(wrong(&found).contains(&"file"));
}
