//! Files of clients, read and written by the built program.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::Setup;

const CANARY: &str = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";

#[test]
fn a_file_is_shown_before_it_is_changed() {
    let old = "{\r\n\t// mine\r\n\t\"mcpServers\": {\r\n\t\t\"a\": { \"command\": \"x\" }, // ü\r\n\t},\r\n}\r\n";
    let setup = Setup::new().config("").file("mcp.json", old.as_bytes());
    let path = setup.folder().join("mcp.json");
    let words =
        ["connect", "cursor", "--write", "--file", "mcp.json", "--url", "https://p.example/mcp"];
    let (status, out, errors) = setup.run(&words, b"");
    assert_eq!(status.code(), Some(64), "nobody to ask: {errors}");
    assert!(out.contains("+\t\t\"mcp-proxy\": {") && out.contains("${env:MCP_PROXY_KEY}"), "{out}");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), old);
    let (status, _, errors) = setup.run(&[&words[..], &["--yes"]].concat(), b"");
    assert!(status.success(), "{errors}");
    let new = fs::read_to_string(&path).expect("it is there");
    assert!(new.starts_with(old.split("\t},").next().expect("a part")), "{new}");
    assert!(!new.replace("\r\n", "").contains('\n'));
    assert_eq!(fs::read_to_string(setup.folder().join("mcp.json.bak")).expect("kept"), old);
    let (status, out, _) = setup.run(&[&words[..], &["--yes"]].concat(), b"");
    assert!(status.success() && out.contains("already"), "{out}");
    // What is no JSON is left alone, with its place.
    let setup = setup.file("bad.json", b"{\n  \"a\": nope\n}");
    let words =
        ["connect", "zed", "--write", "--file", "bad.json", "--yes", "--key-env", "TEST_KEY"];
    let (status, _, errors) = setup.run(&words, b"");
    assert_eq!(status.code(), Some(64));
    assert!(
        errors.contains("line 2, column 8") && errors.contains("nothing was written"),
        "{errors}"
    );
}

#[test]
fn a_key_goes_into_a_file_only_where_it_must_and_is_not_shown() {
    let setup = Setup::new().config("");
    let words = ["connect", "zed", "--write", "--file", "zed/settings.json", "--yes"];
    let (status, _, errors) = setup.run(&words, b"");
    assert_eq!(status.code(), Some(64), "{errors}");
    assert!(errors.contains("reads no variables"), "{errors}");
    let words = [&words[..], &["--key-env", "TEST_KEY"]].concat();
    let (status, out, errors) = setup.run(&words, b"");
    assert!(status.success(), "{errors}");
    let path = setup.folder().join("zed/settings.json");
    let text = fs::read_to_string(&path).expect("it is made");
    let key = "the-key-of-the-tenant-test-in-the-tests-1";
    assert!(text.contains(key) && !out.contains(key) && !errors.contains(key), "{out}");
    assert_eq!(fs::metadata(&path).expect("it is made").permissions().mode() & 0o777, 0o600);
    fs::create_dir(setup.folder().join(".git")).expect("ours");
    let words = [
        "connect",
        "claude-desktop",
        "--write",
        "--file",
        "c.json",
        "--yes",
        "--key-env",
        "TEST_KEY",
    ];
    let (status, _, errors) = setup.run(&words, b"");
    assert!(status.code() == Some(64) && errors.contains("repository"), "{errors}");
    let words = ["connect", "claude-desktop", "--write", "--file", "c.json", "--yes", "--stdio"];
    let (status, _, errors) = setup.run(&words, b"");
    assert!(status.success(), "{errors}");
    let text = fs::read_to_string(setup.folder().join("c.json")).expect("it is made");
    assert!(text.contains("\"stdio\", \"--config\""), "{text}");
}

#[test]
fn servers_are_taken_over_and_their_credentials_sealed() {
    let text = format!(
        "{{ \"mcpServers\": {{\n\"gh\": {{ \"url\": \"https://gh.example/mcp\", \"headers\": {{ \"Authorization\": \"Bearer {CANARY}\" }} }},\n\
         \"Env Ref\": {{ \"command\": \"npx\", \"args\": [\"-y\", \"x\"], \"env\": {{ \"A\": \"${{env:SET}}\", \"B\": \"${{env:UNSET}}\", \"C\": \"{CANARY}\" }} }},\n\
         \"off\": {{ \"command\": \"x\", \"disabled\": true }},\n\
         \"me\": {{ \"url\": \"https://p.example/connect/mcp\" }} }} }}"
    );
    let file = "# keep me\n[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"https://p.example\"\n\n[upstreams.gh]\ncommand = [\"x\"] # mine\n";
    let setup =
        Setup::new().file("mcp-proxy.toml", file.as_bytes()).file("mcp.json", text.as_bytes());
    let setup = setup.env("SET", "value-of-set");
    let own = setup.folder().join("mcp-proxy.toml");
    let words = ["import", "cursor", "--file", "mcp.json"];
    let (status, out, errors) = setup.run(&[&words[..], &["--dry-run"]].concat(), b"");
    assert!(status.success(), "{errors}");
    assert!(out.contains("+ mcpServers.gh: upstream `gh-2`"), "{out}");
    assert_eq!(fs::read_to_string(&own).expect("ours"), file);
    assert!(!setup.folder().join("mcp-proxy.db").exists());
    let (status, out, errors) = setup.run(&words, b"");
    assert!(status.success(), "{errors}");
    for words in [
        "- mcpServers.off: left out; it is switched off",
        "- mcpServers.me: left out; it is this proxy itself",
        "sealed for default: authorization",
        "mcp-proxy secret set --tenant default env-ref b",
        "a: sealed from the variable SET",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
    let new = fs::read_to_string(&own).expect("ours");
    assert!(new.starts_with(file) && new.contains("\"Bearer {secret.authorization}\""), "{new}");
    for secret in [CANARY, "value-of-set"] {
        assert!(![&new, &out, &errors].iter().any(|text| text.contains(secret)));
        for entry in fs::read_dir(setup.folder()).expect("ours").flatten() {
            let name = entry.file_name().into_string().expect("UTF-8");
            let bytes = fs::read(entry.path()).unwrap_or_default();
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found || name == "mcp.json", "{secret} is in {name}");
        }
    }
    assert!(setup.run(&["check"], b"").0.success());
    let (_, list, _) = setup.run(&["secret", "list"], b"");
    for slot in ["gh-2", "authorization", "env-ref"] {
        assert!(list.contains(slot), "{list}");
    }
    assert_eq!(list.lines().count(), 4, "{list}");
    // What is there is not taken a second time.
    let (_, out, _) = setup.run(&words, b"");
    assert!(out.contains("it is the upstream `gh-2` already"), "{out}");
    assert!(out.contains("it is the upstream `env-ref` already"), "{out}");
}

#[test]
fn a_tenant_of_the_file_keeps_its_variables() {
    let text = "[mcp_servers.figma]\nurl = \"https://figma.example/mcp\"\nbearer_token_env_var = \"FIGMA\"\n";
    let setup = Setup::new().config("").file("config.toml", text.as_bytes());
    let (status, out, errors) = setup.run(&["import", "codex", "--file", "config.toml"], b"");
    assert!(status.success(), "{errors}");
    assert!(out.contains("stays in the variable FIGMA"), "{out}");
    let new = fs::read_to_string(setup.folder().join("mcp-proxy.toml")).expect("ours");
    assert!(new.contains("secrets = { figma = { authorization = { env = \"FIGMA\" } } }"), "{new}");
    assert!(setup.run(&["check"], b"").0.success());
}
