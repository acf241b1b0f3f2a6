//! The confused deputy (security.md T21): somebody wants a code for what another person may do. Each
//! attack has a name; none of them gets a code, which the proxy's own count says as well.

use serde_json::json;

use super::bed::{
    Bed, Browser, CLAUDE, LOCAL, OTHER, VERIFIER, asking, challenge, field, has_code, hidden, led,
};
use super::world::Ask;
use crate::metrics::access;
use crate::support::Answer;

/// What an attacker has to do with: a person at a page that asks, and others.
struct Stage {
    bed: Bed,
    client: String,
    /// Another client, to which the person has allowed something in this browser.
    friend: String,
    /// Where the person was led for that.
    back: String,
    browser: Browser,
    /// The page that asks the person; nobody has answered it.
    page: Answer,
    /// Pages that the person has answered.
    allowed: Answer,
    denied: Answer,
    /// The same person elsewhere, and another one, both at pages of their own.
    second: Browser,
    other: Browser,
    others: Answer,
}

const ALLOW: (&str, &str) = ("answer", "allow");

impl Stage {
    fn new() -> Self {
        let bed = Bed::new();
        let client = bed.register(&["http://127.0.0.1:1/callback"]);
        let friend = bed.register(&["http://127.0.0.1:1/callback"]);
        let mut browser = Browser::default();
        let allowed = browser.consent(&bed, &friend, &bed.boss);
        let back = browser.answer(&bed, &allowed, "allow");
        assert!(has_code(&back), "{back}");
        let denied = browser.open(&bed, &asking(&friend, &[]));
        let no = browser.answer(&bed, &denied, "deny");
        assert_eq!(field(&no, "error").as_deref(), Some("access_denied"));
        assert_eq!(field(&no, "state").as_deref(), Some("the-state"));
        let page = browser.open(&bed, &asking(&client, &[]));
        assert!(page.text().contains("value=\"allow\""), "{}", page.text());
        let (mut second, mut other) = (Browser::default(), Browser::default());
        second.consent(&bed, &client, &bed.boss);
        let others = other.consent(&bed, &client, OTHER);
        Self { bed, client, friend, back, browser, page, allowed, denied, second, other, others }
    }

    /// The person's browser is led to a request for access.
    fn ask(&self, client: &str, more: &[(&str, &str)]) -> Answer {
        self.browser.clone().open(&self.bed, &asking(client, more))
    }

    fn callback(&self, callback: &str) -> Answer {
        self.ask(&self.client, &[("redirect_uri", callback)])
    }

    /// A browser sends the person's page.
    fn send(&self, browser: &Browser, more: &[(&str, &str)]) -> Answer {
        browser.clone().submit(&self.bed, &self.page, &[&[ALLOW], more].concat())
    }

    /// The person's browser sends what stands on a page of somebody else.
    fn forged(&self, headers: &[(&'static str, &str)]) -> Answer {
        let body = format!("transaction={}&answer=allow", hidden(&self.page.text())[0].1);
        let mut ask = Ask::new("POST", "/connect/authorize").text(&body);
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        self.browser.clone().send(&self.bed, ask)
    }

    fn part(&self, name: &str) -> String {
        let fields = hidden(&self.page.text());
        fields.into_iter().find(|(found, _)| found == name).expect("the field").1
    }
}

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

type Attack = (&'static str, fn(&Stage) -> Answer);

/// Where the code would go: a callback that is not exactly one of the client's.
const CALLBACKS: [Attack; 9] = [
    ("another path", |stage| stage.callback("http://127.0.0.1:33418/callback2")),
    ("a query added", |stage| stage.callback("http://127.0.0.1:33418/callback?x=1")),
    ("a host behind an @", |stage| stage.callback("http://127.0.0.1:33418@evil.example/callback")),
    ("another name of loopback", |stage| stage.callback("http://localhost:33418/callback")),
    ("another host", |stage| stage.callback("https://evil.example/callback")),
    ("the place of a known client", |stage| stage.callback(CLAUDE)),
    ("a script", |stage| stage.callback("javascript:alert(1)")),
    ("two callbacks", |stage| {
        let path = asking(&stage.client, &[]);
        let path = format!("{path}&redirect_uri=https%3A%2F%2Fevil.example%2Fcb");
        stage.browser.clone().open(&stage.bed, &path)
    }),
    ("no callback", |stage| stage.callback("")),
];

/// In whose name it is asked.
const CLIENTS: [Attack; 5] = [
    ("an unknown client", |stage| stage.ask("mcpc_unknown", &[])),
    ("a client of a document in our own network", |stage| {
        stage.ask("https://127.0.0.1/client.json", &[])
    }),
    ("a client of the file, led elsewhere", |stage| stage.ask("filed", &[])),
    ("a client that registers a foreign place", |stage| {
        let body = json!({ "redirect_uris": ["https://evil.example/cb"], "client_name": "Claude" });
        Ask::new("POST", "/connect/register").json(&body).at(stage.bed.address())
    }),
    ("a client by the name of a known one", |stage| {
        let body = json!({ "redirect_uris": [LOCAL], "client_name": "Claude" });
        let made = Ask::new("POST", "/connect/register").json(&body).at(stage.bed.address());
        let made = super::world::value(&made);
        let page = stage.ask(made["client_id"].as_str().expect("an id"), &[]);
        assert!(page.text().contains("its own choice") && page.text().contains("class=\"warn\""));
        page
    }),
];

/// Consent that was not given: to this client, to what the page showed, by this person.
const CONSENTS: [Attack; 6] = [
    ("without asking", |stage| stage.ask(&stage.friend, &[("prompt", "none")])),
    ("by what was allowed to another client", |stage| stage.ask(&stage.client, &[])),
    ("by what was allowed to this client before", |stage| stage.ask(&stage.friend, &[])),
    ("of what was not shown", |stage| stage.send(&stage.browser, &[("shown", "")])),
    ("of what was shown for another purpose", |stage| {
        stage.send(&stage.browser, &[("shown", &stage.part("transaction"))])
    }),
    ("with a key that has signed in since", |stage| {
        let mut browser = stage.browser.clone();
        browser.submit(&stage.bed, &stage.page, &[("answer", "key"), ("key", OTHER)]);
        stage.send(&browser, &[])
    }),
];

/// A page or an address that was caught and opened elsewhere.
const BROWSERS: [Attack; 8] = [
    ("the page in a second browser", |stage| stage.send(&Browser::default(), &[])),
    ("the page in another browser of the same person", |stage| stage.send(&stage.second, &[])),
    ("the page in the browser of another person", |stage| stage.send(&stage.other, &[])),
    ("the page with the session of the person in another browser", |stage| {
        let mut mixed = stage.other.clone();
        let own = stage.browser.cookies.iter().filter(|(name, _)| name.contains("session"));
        mixed.cookies.extend(own.map(|(name, value)| (name.clone(), value.clone())));
        stage.send(&mixed, &[])
    }),
    ("the page of somebody else in the person's browser", |stage| {
        stage.browser.clone().submit(&stage.bed, &stage.others, &[ALLOW])
    }),
    ("the page with a second cookie of the browser's name", |stage| {
        let pairs = stage.browser.cookies.iter().chain(&stage.other.cookies);
        let pairs: Vec<_> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
        stage.forged(&[FORM, ("Cookie", &pairs.join("; "))])
    }),
    ("the address after the consent in a second browser", |stage| {
        let path = asking(&stage.friend, &[]);
        Browser::default().open(&stage.bed, &path)
    }),
    ("the way back to the client, used by another", |stage| {
        let code = field(&stage.back, "code").expect("a code");
        let own = "the-verifier-of-somebody-else-that-is-long-01";
        assert_ne!(challenge(own), challenge(VERIFIER));
        let answer = stage.bed.redeem(&stage.friend, &code, &[("code_verifier", own)]);
        assert!(!answer.text().contains("access_token"), "{}", answer.text());
        answer
    }),
];

/// A page that was answered, changed, or made by another site.
const PAGES: [Attack; 9] = [
    ("a page that was allowed", |stage| {
        stage.browser.clone().submit(&stage.bed, &stage.allowed, &[ALLOW])
    }),
    ("a page that was denied", |stage| {
        stage.browser.clone().submit(&stage.bed, &stage.denied, &[ALLOW])
    }),
    ("a changed page", |stage| {
        let mut changed = stage.part("transaction").into_bytes();
        changed[40] ^= 1;
        let changed = String::from_utf8(changed).expect("base64url");
        stage.send(&stage.browser, &[("transaction", &changed)])
    }),
    ("no page", |stage| stage.send(&stage.browser, &[("transaction", "")])),
    ("a form of another site", |stage| {
        stage.forged(&[FORM, ("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")])
    }),
    ("a form of a frame without an origin", |stage| {
        stage.forged(&[FORM, ("Origin", "null"), ("Sec-Fetch-Site", "cross-site")])
    }),
    ("a form of a site below the same name", |stage| {
        let origin = "https://mcp.example.test.evil.example";
        stage.forged(&[FORM, ("Origin", origin), ("Sec-Fetch-Site", "same-site")])
    }),
    ("an answer by GET", |stage| {
        let fields = format!("transaction={}&answer=allow", stage.part("transaction"));
        stage.browser.clone().open(&stage.bed, &format!("/connect/authorize?{fields}"))
    }),
    ("an answer in JSON", |stage| {
        let body = json!({ "answer": "allow", "transaction": stage.part("transaction") });
        stage.browser.clone().send(&stage.bed, Ask::new("POST", "/connect/authorize").json(&body))
    }),
];

#[test]
fn nobody_gets_a_code_for_what_another_person_may_do() {
    let stage = Stage::new();
    let mut count = 0;
    for (kind, attacks) in [
        ("callback", &CALLBACKS[..]),
        ("client", &CLIENTS),
        ("consent", &CONSENTS),
        ("browser", &BROWSERS),
        ("page", &PAGES),
    ] {
        for (name, attack) in attacks {
            let answer = attack(&stage);
            let to = led(&answer).unwrap_or_default();
            assert!(!has_code(&to), "{kind}: {name}: {to}");
            assert!(to.is_empty(), "{kind}: {name}: {to}");
            // Either it is refused, or the person is asked.
            let asks = answer.status == 200 && answer.text().contains("<form method=\"post\"");
            assert!(asks || answer.status >= 400, "{kind}: {name}: {}", answer.status);
            if answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
                let policy = answer.header("content-security-policy").expect("a policy");
                assert!(policy.contains("frame-ancestors 'none'"), "{kind}: {name}: {policy}");
            }
            count += 1;
        }
    }
    assert!(count >= 25, "{count} attacks");
    // A key that ends between page and answer gives nothing.
    let (id, key) = stage.bed.key("ending");
    let mut browser = Browser::default();
    let page = browser.consent(&stage.bed, &stage.client, &key);
    stage.bed.revoke(&id);
    let answer = browser.submit(&stage.bed, &page, &[ALLOW]);
    assert!(led(&answer).is_none(), "{}", answer.text());

    let page = access::page(stage.bed.address());
    let consents = |result| page.get("mcp_proxy_connector_consents_total", &[("result", result)]);
    assert!((consents("allowed") - 1.0).abs() < 0.5, "codes: {}", consents("allowed"));
    assert!((consents("denied") - 1.0).abs() < 0.5 && consents("shown") > 5.0);
    // What nobody has spoilt still works.
    let mut browser = stage.browser.clone();
    let back = browser.answer(&stage.bed, &stage.page, "allow");
    let code = field(&back, "code").expect("a code");
    assert_eq!(stage.bed.redeem(&stage.client, &code, &[]).status, 200);
}
