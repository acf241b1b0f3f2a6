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
    ] {
        world.front.suffer(fault);
        let (_, found) = world.doctor(&["--as", client]);
        assert_eq!(wrong(&found), [code], "{client} {fault:?}: {found:#?}");
        let text = serde_json::to_string(&found).expect("it is JSON");
        assert!(text.contains(words), "{client} {fault:?}: {text}");
        assert!(!text.contains(world.proxy.key()), "a key is not shown");
    }
}
