//! What each client does, played from outside.

use super::broken::{World, wrong};
use super::front::Fault;

#[test]
fn clients_come_in() {
    let world = World::new();
    let connector = format!("{}/connect/mcp", world.front.url());
    for (client, more) in [
        ("cursor", &[][..]),
        ("codex", &[]),
        ("vscode", &[]),
        ("gemini", &[]),
        ("claude-ai", &[]),
        ("chatgpt", &[]),
        // With a login instead of the key in a header.
        ("codex", &["--url", &connector]),
        ("gemini", &["--url", &connector]),
        ("cursor", &["--url", &connector]),
        ("vscode", &["--url", &connector]),
    ] {
        let (code, found) = world.doctor(&[&["--as", client], more].concat());
        assert_eq!((code, wrong(&found)), (Some(0), vec![]), "{client}: {found:#?}");
        let listed = found.iter().any(|finding| {
            finding["what"].as_str().is_some_and(|what| what.starts_with("tools/list: "))
        });
        assert!(listed, "{client}: {found:#?}");
    }
    world.front.suffer(Fault::Old);
    for client in ["chatgpt", "vscode"] {
        let (code, found) = world.doctor(&["--as", client]);
        assert_eq!((code, wrong(&found)), (Some(0), vec![]), "{client}: {found:#?}");
    }
    for (client, fault, code, words) in [
        ("cursor", Fault::Metadata, "client-stops", "status line, byte 9: 404 is due and 200 came"),
        ("codex", Fault::OtherHost, "client-stops", "403 came"),
        ("vscode", Fault::Slash, "client-stops", "301 came, on to /mcp/"),
        ("gemini", Fault::Buffer, "client-stops", "within 3 seconds"),
        ("cursor", Fault::Expired, "certificate-expired", "expired"),
        ("claude-ai", Fault::Elsewhere, "client-stops", "401 is due and 200 came"),
        ("chatgpt", Fault::Elsewhere, "client-stops", "a login in front"),
        ("vscode", Fault::Gzip, "client-stops", "Content-Encoding: a stream comes as `gzip`"),
        ("gemini", Fault::NoKey, "client-stops", "take the header Authorization out"),
        (
            "claude-ai",
            Fault::Guard,
            "client-stops",
            "refuses this client, perhaps by its User-Agent",
        ),
        (
            "codex",
            Fault::GuardOfAll,
            "client-stops",
            "refuses this client, perhaps by its User-Agent",
        ),
    ] {
        world.front.suffer(fault);
        let (_, found) = world.doctor(&["--as", client]);
        assert_eq!(wrong(&found), [code], "{client} {fault:?}: {found:#?}");
        let text = serde_json::to_string(&found).expect("it is JSON");
        assert!(text.contains(words), "{client} {fault:?}: {text}");
        assert!(!text.contains(world.proxy.key()), "a key is not shown");
    }
}

#[test]
fn without_a_key_everything_is_done_that_needs_none() {
    let world = World::new();
    let connector = format!("{}/connect/mcp", world.front.url());
    let key_door = ["404: nothing leads it to a login", "401: it wants a key"];
    let login = [
        "401, with the way to the login",
        "says who gives the tokens",
        "says how to log in",
        "is registered",
        "the page is shown, and asks a person",
    ];
    for (client, more, steps) in [
        ("cursor", &[][..], &key_door[..]),
        ("codex", &[], &key_door),
        ("vscode", &[], &key_door),
        ("gemini", &[], &key_door),
        ("claude-ai", &[], &login),
        ("chatgpt", &[], &login),
        ("cursor", &["--url", &connector], &login),
    ] {
        let (code, found) = world.keyless(&[&["--as", client], more].concat());
        assert_eq!((code, wrong(&found)), (Some(0), vec![]), "{client}: {found:#?}");
        let mut said: Vec<_> = found.iter().filter(|f| f["code"] == "step").collect();
        said.dedup_by_key(|finding| finding["what"].clone());
        let said: Vec<_> = said.iter().filter_map(|finding| finding["what"].as_str()).collect();
        assert_eq!(said, steps, "{client}: {found:#?}");
        let last = found.last().expect("there are some");
        assert_eq!((&last["code"], &last["grade"]), (&"key-missing".into(), &"note".into()));
        let next = last["next"].as_str().unwrap_or_default();
        assert!(next.contains("MCP_PROXY_KEY") && next.contains("--key-file"), "{last}");
    }
    for (client, fault, words) in [
        ("chatgpt", Fault::OtherHost, "403 came"),
        ("cursor", Fault::Metadata, "404 is due and 200 came"),
        ("vscode", Fault::Slash, "301 came, on to /mcp/"),
    ] {
        world.front.suffer(fault);
        let (code, found) = world.keyless(&["--as", client]);
        assert_eq!((code, wrong(&found)), (Some(1), vec!["client-stops"]), "{client}: {found:#?}");
        let text = serde_json::to_string(&found).expect("it is JSON");
        assert!(text.contains(words), "{client} {fault:?}: {text}");
    }
}
