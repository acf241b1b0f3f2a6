//! How long what was registered and allowed lasts, who ends it before, and how it is counted.

use std::time::Duration;

use serde_json::{Value, json};

use super::bed::{Bed, asking, pair};
use super::world::value;
use crate::metrics::access;
use crate::support::{Answer, Setup, until};

/// Longest wait for a line of the log.
const PATIENCE: Duration = Duration::from_secs(10);

fn error(answer: &Answer) -> (u16, String) {
    (answer.status, value(answer)["error"].as_str().unwrap_or_default().to_owned())
}

fn good(word: &str, status: u16) -> (u16, String) {
    (status, word.to_owned())
}

#[test]
fn what_nobody_uses_is_collected_and_what_is_used_stays() {
    let bed = Bed::new();
    let callback = ["http://127.0.0.1:1/callback"];
    let (unused, fresh, used) =
        (bed.register(&callback), bed.register(&callback), bed.register(&callback));
    let late = bed.code(&used, &bed.boss);
    let (holder, key) = bed.key("long ago");
    let (old_access, old) = bed.tokens(&used, &key);
    let (_, young) = bed.tokens(&used, &bed.boss);
    // A day passes for one that nobody allowed anything, a minute for a code, and a quarter of a
    // year for what was allowed first.
    let bed = bed.later(&format!(
        "UPDATE oauth_client SET created_at = created_at - 86401 WHERE id IN ('{unused}', '{used}');
         UPDATE oauth_grant SET code_until = code_until - 61, created_at = created_at - 61 WHERE generation = 0;
         UPDATE oauth_grant SET used_at = used_at - 90 * 86400 - 1 WHERE key_id = '{holder}';"
    ));
    let unknown = |client: &str| error(&bed.refresh(client, "junk"));
    until("the unused registration is collected", Duration::from_secs(10), || {
        (unknown(&unused) == good("invalid_client", 401)).then_some(())
    });
    assert_eq!(bed.get(&asking(&unused, &[])).status, 400, "a person is told");
    assert_eq!(unknown(&fresh), good("invalid_grant", 400), "a young one is known");
    assert_eq!(error(&bed.redeem(&used, &late, &[])), good("invalid_grant", 400), "a late code");
    assert_eq!(error(&bed.refresh(&used, &old)), good("invalid_grant", 400), "90 days unused");
    assert_eq!(bed.knock(&old_access), 401, "what is over opens nothing");
    let (access, young) = pair(&bed.refresh(&used, &young));
    assert_eq!(bed.knock(&access), 200);
    // When nothing is left of what was allowed to a client, it goes after the same time.
    let bed = bed.later(
        "UPDATE oauth_grant SET used_at = used_at - 90 * 86400 - 1;
         UPDATE oauth_client SET used_at = used_at - 90 * 86400 - 1 WHERE used_at IS NOT NULL;",
    );
    until("the client that nobody uses is collected", Duration::from_secs(10), || {
        (error(&bed.refresh(&used, &young)) == good("invalid_client", 401)).then_some(())
    });
    assert_eq!(bed.knock(&access), 401);
}

fn command(setup: &Setup, words: &[&str]) -> (Option<i32>, String, String) {
    let (status, out, errors) = setup.run(words, b"");
    (status.code(), out, errors)
}

fn grants(setup: &Setup) -> Vec<Value> {
    let (code, out, errors) = command(setup, &["grant", "list", "--tenant", "acme", "--json"]);
    assert_eq!(code, Some(0), "{errors}");
    serde_json::from_str(&out).expect("a list")
}

#[test]
fn commands_list_what_was_allowed_and_take_it_back() {
    let bed = Bed::new();
    let none = command(bed.proxy.setup(), &["grant", "list"]);
    assert_eq!(none.0, Some(0), "{}", none.2);
    assert!(format!("{}{}", none.1, none.2).contains("Nobody has allowed a client anything"));
    let client = bed.register(&["http://127.0.0.1:1/callback"]);
    let (_, key) = bed.key("laptop");
    let (access, refresh) = bed.tokens(&client, &key);
    let (other, _) = bed.tokens(&client, &bed.boss);
    let (code, out, _) = command(bed.proxy.setup(), &["grant", "list", "--tenant", "acme"]);
    assert_eq!(code, Some(0));
    for part in ["ID", "CLIENT", "DOOR", "Test <app>", "https://mcp.example.test/connect/mcp"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let listed = grants(bed.proxy.setup());
    assert_eq!(listed.len(), 2, "{listed:?}");
    let own = listed.iter().find(|grant| key.contains(grant["key"].as_str().expect("a key")));
    let id = own.expect("the laptop's")["id"].as_str().expect("an id").to_owned();
    let revoke =
        |setup: &Setup, words: &[&str]| command(setup, &[&["grant", "revoke"], words].concat());
    let (code, _, errors) = revoke(bed.proxy.setup(), &["no-id", "--tenant", "acme"]);
    assert!(code == Some(1) && errors.contains("is no id of a grant"), "{errors}");
    let (code, _, errors) =
        revoke(bed.proxy.setup(), &["0123456789abcdef0123456789abcdef", "--tenant", "acme"]);
    assert!(code == Some(1) && errors.contains("has no grant"), "{errors}");
    let (code, _, errors) = revoke(bed.proxy.setup(), &[&id, "--tenant", "other"]);
    assert!(code == Some(1) && errors.contains("has no grant"), "another tenant's: {errors}");
    assert_eq!(bed.knock(&access), 200);
    let (code, out, errors) = revoke(bed.proxy.setup(), &[&id, "--tenant", "acme"]);
    assert_eq!(
        (code, out.as_str()),
        (Some(0), &*format!("grant {id} of acme revoked\n")),
        "{errors}"
    );
    assert_eq!((bed.knock(&access), bed.knock(&other)), (401, 200), "at once, and this one only");
    assert_eq!(error(&bed.refresh(&client, &refresh)), good("invalid_grant", 400));
    // The same on the store, beside no running proxy.
    let Bed { proxy, boss } = bed;
    let setup = proxy.stop();
    let rest: Vec<_> =
        grants(&setup).into_iter().filter(|grant| grant["ended_by"].is_null()).collect();
    assert_eq!(rest.len(), 1, "{rest:?}");
    let id = rest[0]["id"].as_str().expect("an id");
    let (code, out, errors) = revoke(&setup, &[id, "--tenant", "acme", "--json"]);
    assert_eq!(code, Some(0), "{errors}");
    let said: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(said, json!({ "id": id, "revoked": true, "tenant": "acme" }));
    let bed = Bed { proxy: setup.serve(), boss };
    assert_eq!(bed.knock(&other), 401, "it holds after a start");
}

#[test]
fn what_clients_ask_is_counted_by_what_they_were_told() {
    let bed = Bed::new();
    let client = bed.register(&["http://127.0.0.1:1/callback"]);
    let (_, refresh) = bed.tokens(&client, &bed.boss);
    bed.refresh(&client, &refresh);
    bed.refresh(&client, &refresh);
    bed.refresh("mcpc_unknown", &refresh);
    bed.form("/connect/token", &[("grant_type", "password"), ("client_id", &client)]);
    bed.form("/connect/revoke", &[("token", &refresh), ("client_id", &client)]);
    let mut limited = 0;
    for _ in 0..25 {
        let body = json!({ "redirect_uris": ["https://evil.example/cb"] });
        let ask = super::world::Ask::new("POST", "/connect/register").json(&body);
        limited += u32::from(ask.at(bed.address()).status == 429);
    }
    assert!(limited > 0);
    let page = access::page(bed.address());
    for (kind, result, count) in [
        ("register", "ok", 1),
        ("register", "refused", 25 - limited),
        ("register", "limited", limited),
        ("code", "ok", 1),
        ("refresh", "ok", 1),
        ("refresh", "invalid_grant", 1),
        ("refresh", "invalid_client", 1),
        ("token", "refused", 1),
        ("revoke", "ok", 1),
    ] {
        let labels = [("kind", kind), ("result", result)];
        let found = page.get("mcp_proxy_connector_requests_total", &labels);
        assert!((found - f64::from(count)).abs() < 0.5, "{kind} {result}: {found}, not {count}");
    }
    // The log is written behind the answers.
    for said in [
        "a client has registered itself",
        "a client was let in",
        "a client has got its tokens",
        "invalid_client",
        "refused by the OAuth server",
    ] {
        until(said, PATIENCE, || bed.proxy.log().contains(said).then_some(()));
    }
}
