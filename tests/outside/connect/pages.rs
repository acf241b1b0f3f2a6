//! What people see: framed by nobody, kept by nobody, told to nobody, readable by a screen reader.

use super::bed::{Bed, Browser, asking};

#[test]
fn every_page_keeps_to_itself() {
    let bed = Bed::new();
    let client = bed.register(&["http://127.0.0.1:1/callback"]);
    let mut browser = Browser::default();
    let key = browser.open(&bed, &asking(&client, &[]));
    let wrong = browser.submit(&bed, &key, &[("answer", "key"), ("key", "wrong")]);
    let consent = browser.submit(&bed, &key, &[("answer", "key"), ("key", &bed.boss)]);
    let lost = Browser::default().submit(&bed, &consent, &[("answer", "allow")]);
    let unknown = browser.open(&bed, &asking("mcpc_unknown", &[]));
    for (name, page) in [
        ("key", &key),
        ("wrong", &wrong),
        ("consent", &consent),
        ("lost", &lost),
        ("unknown", &unknown),
    ] {
        let text = page.text();
        let policy = page.header("content-security-policy").expect("a policy");
        for part in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "style-src 'sha256-",
        ] {
            assert!(policy.contains(part), "{name}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{name}: {policy}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{name}");
        assert_eq!(page.header("x-frame-options"), Some("DENY"), "{name}");
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"), "{name}");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{name}");
        assert!(text.starts_with("<!doctype html><html lang=\"en\">"), "{name}");
        assert!(
            !text.contains("<script") && !text.contains(" style=") && !text.contains("src="),
            "{name}"
        );
        assert!(text.contains("name=\"viewport\"") && text.contains("<h1>"), "{name}");
        assert!(!text.contains("<app>"), "{name}: foreign text is no text any more");
    }
    for (_, cookie) in
        key.headers.iter().chain(&consent.headers).filter(|(name, _)| name == "set-cookie")
    {
        for part in ["__Host-", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!cookie.contains(&bed.boss), "the key is in a cookie");
    }
    let text = wrong.text();
    assert!(text.contains("<label for=\"key\">") && text.contains("autocomplete=\"off\""));
    assert!(
        text.contains("aria-invalid=\"true\"") && text.contains("aria-describedby=\"key-problem")
    );
    assert!(text.contains("role=\"alert\"") && text.contains("type=\"password\""));
}
