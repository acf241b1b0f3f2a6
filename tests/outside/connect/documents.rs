//! Clients whose id is the URL of a document: it is fetched where the operator allows it, believed
//! only about itself, and asked for as seldom as its server says.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::bed::{Bed, Browser, CONFIG, LOCAL, asking, field};

/// A server of documents on this machine, and of more by their paths (with its own URL); counts who
/// asks.
pub(crate) fn documents(
    more: impl Fn(&str, &str) -> Option<String> + Send + 'static,
) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let base = format!("http://127.0.0.1:{}", listener.local_addr().expect("an address").port());
    let (asked, own) = (Arc::new(AtomicUsize::new(0)), base.clone());
    let counter = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            counter.fetch_add(1, Ordering::SeqCst);
            let mut buffer = [0; 4096];
            let length = stream.read(&mut buffer).unwrap_or(0);
            let head = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let about = |id: &str, more: &str| {
                format!(
                    "{{\"client_id\":\"{id}\",\"client_name\":\"Doc\",\"redirect_uris\":[\"http://127.0.0.1/callback\"]{more}}}"
                )
            };
            let (status, body) = match path.as_str() {
                "/good.json" => ("200 OK", about(&format!("{own}/good.json"), "")),
                "/other.json" => ("200 OK", about(&format!("{own}/good.json"), "")),
                "/long.json" => {
                    let filler = format!(",\"x\":\"{}\"", "x".repeat(70 << 10));
                    ("200 OK", about(&format!("{own}/long.json"), &filler))
                }
                "/moved.json" => ("302 Found\r\nLocation: /good.json", String::new()),
                _ => match more(&path, &own) {
                    Some(body) => ("200 OK", body),
                    None => ("404 Not Found", String::new()),
                },
            };
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nCache-Control: max-age=300\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    (base, asked)
}

#[test]
fn a_client_is_what_the_document_at_its_id_says() {
    let (base, asked) = documents(|_, _| None);
    let bed = Bed::with(&format!("{CONFIG}[connect]\nallow_private = true\n"));
    let id = format!("{base}/good.json");
    let mut browser = Browser::default();
    let page = browser.open(&bed, &asking(&id, &[]));
    assert!(page.text().contains("by its own document"), "{}", page.text());
    let page = browser.submit(&bed, &page, &[("answer", "key"), ("key", &bed.boss)]);
    let back = browser.answer(&bed, &page, "allow");
    assert!(back.starts_with(LOCAL), "{back}");
    let answer = bed.redeem(&id, &field(&back, "code").expect("a code"), &[]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(asked.load(Ordering::SeqCst), 1, "it is kept as long as its server says");
    for wrong in ["other", "long", "moved", "none"] {
        let page = browser.open(&bed, &asking(&format!("{base}/{wrong}.json"), &[]));
        assert_eq!(page.status, 400, "{wrong}: {}", page.text());
        assert!(super::bed::led(&page).is_none() && !page.text().contains("<form"), "{wrong}");
    }
}

#[test]
fn no_document_is_fetched_from_our_own_network() {
    let (base, asked) = documents(|_, _| None);
    let bed = Bed::new();
    let port = base.rsplit(':').next().expect("a port");
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "127.1",
        "2130706433",
        "0x7f.1",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ] {
        for scheme in ["http", "https"] {
            let id = format!("{scheme}://{host}:{port}/good.json");
            let page = Browser::default().open(&bed, &asking(&id, &[]));
            assert_eq!(page.status, 400, "{id}: {}", page.text());
        }
    }
    for id in [
        "https://169.254.169.254/latest",
        "https://10.0.0.1/c",
        "https://[fd00::1]/c",
        "https://metadata.google.internal./c",
    ] {
        assert_eq!(Browser::default().open(&bed, &asking(id, &[])).status, 400, "{id}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0, "nobody was asked");
}
