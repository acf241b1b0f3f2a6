//! `mcp-proxy explain`.

use serde_json::Value;

use crate::support::{Setup, serve_everything};

fn explain(setup: &Setup, args: &[&str]) -> Value {
    let mut all = vec!["explain", "--json"];
    all.extend(args);
    let (status, out, words) = setup.run(&all, b"");
    assert!(status.success(), "{words}");
    serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}"))
}

#[test]
fn every_step_of_the_chain_is_told() {
    let (_server, address) = serve_everything(&["--tools", "2"]);
    let setup = Setup::new().env("TOKEN", "a-value-that-is-never-told").config(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n\
         [upstreams.web]\nurl = \"http://{address}/mcp\"\nheaders = {{ X-Token = \"{{secret.token}}\" }}\n\
         tools = {{ deny = [\"whoami\"] }}\nrename = {{ echo = \"say\" }}\npin = {{ limit = 3 }}\nhide = [\"debug\"]\n\
         [upstreams.bare]\nurl = \"http://{address}/mcp\"\nheaders = {{ X-Token = \"{{secret.other}}\" }}\n\
         [profiles.desk]\nupstreams = [\"web\"]\ntools = {{ allow = [\"synthetic_*\"] }}\n\
         [tenants.acme]\nkeys = [{{ name = \"laptop\", env = \"TEST_KEY\" }}]\n\
         secrets = {{ web = {{ token = {{ env = \"TOKEN\" }} }} }}\n"
    ));
    let (_, keys, _) = setup.run(&["key", "list", "--json"], b"");
    let keys: Value = serde_json::from_str(&keys).unwrap();
    let id = keys[0]["id"].as_str().unwrap();

    let told = explain(&setup, &[id, "web__synthetic_0001"]);
    let chain = &told["chain"];
    assert_eq!((&told["key"]["name"], &told["key"]["state"]), (&"laptop".into(), &"live".into()));
    assert_eq!((&chain["tenant"], &chain["door"]), (&"acme".into(), &"/mcp".into()));
    assert_eq!((&chain["upstream"], &chain["original"]), (&"web".into(), &"synthetic_0001".into()));
    assert_eq!((&chain["visible"], &chain["callable"]), (&true.into(), &true.into()), "{chain}");
    assert_eq!(chain["slots"], serde_json::json!([{"slot": "token", "set": true}]));
    assert_eq!((&chain["filled_in"][0], &chain["refused"][0]), (&"limit".into(), &"debug".into()));
    assert!(!told.to_string().contains("never-told"));

    let told = explain(&setup, &[id, "web__whoami"]);
    let chain = &told["chain"];
    assert_eq!((&chain["visible"], &chain["callable"]), (&false.into(), &false.into()));
    assert_eq!(chain["rule"], "upstreams.web.tools.deny \"whoami\" fits it");
    assert_eq!(chain["line"], 6);

    let chain = &explain(&setup, &[id, "web__echo"])["chain"];
    assert_eq!(chain["because"], "it is called `web__say` here");
    let chain = &explain(&setup, &[id, "say", "--upstream", "web"])["chain"];
    assert_eq!((&chain["original"], &chain["callable"]), (&"echo".into(), &true.into()));
    let chain = &explain(&setup, &[id, "web__say", "--profile", "desk"])["chain"];
    assert_eq!(chain["rule"], "nothing in profiles.desk.tools.allow fits it");
    let chain = &explain(&setup, &[id, "bare__echo"])["chain"];
    assert_eq!(chain["slots"], serde_json::json!([{"slot": "other", "set": false}]));
    assert!(chain["upstream_state"].as_str().unwrap().contains("secret set"), "{chain}");
    let chain = &explain(&setup, &[id, "web__echo", "--no-ask"])["chain"];
    assert_eq!(chain["upstream_state"], "not asked");

    // The key itself, from standard input; and one that is nobody's.
    let key = "the-key-of-the-tenant-test-in-the-tests-1";
    let (_, out, _) = setup.run(&["explain", "-", "web__whoami"], key.as_bytes());
    assert!(out.contains("mcp-proxy.toml:6") && out.contains("laptop"), "{out}");
    let told = explain(&setup, &["another-key-of-nobody-0123456789abcdef", "web__say"]);
    assert_eq!(
        (&told["key"]["state"], &told["chain"]),
        (&"the key is unknown".into(), &Value::Null)
    );
}
