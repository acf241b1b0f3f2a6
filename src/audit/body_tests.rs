//! Bodies on their way to the disk, and off it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::tests::{ACME, GLOBEX, LIMIT, event, ring, stubborn};
use super::{Audit, BodyFilter, Event, Mask};
use crate::base::{Glob, Tasks, unix_millis};
use crate::config::{self, Bodies, Durable, WhenFull};
use crate::store::AuditFile;
use crate::telemetry::meters;

struct Nothing;

impl Mask for Nothing {
    fn mask<'t>(&self, text: &'t str, _: bool) -> Cow<'t, str> {
        Cow::Borrowed(text)
    }
}

/// A call of acme of just now whose answer has so many bytes.
fn heard(audit: &Audit, bytes: usize) -> Box<Event> {
    let mut event = event(ACME, bytes as u64);
    event.at = unix_millis();
    event.bytes_out = bytes as u64;
    event.heard = audit.hears(&event);
    let heard = event.heard.as_mut().expect("it is one of those that are kept");
    heard.mask_with(Arc::new(Nothing));
    heard.hear(&vec![b'x'; bytes]);
    event
}

#[tokio::test]
async fn bodies_are_bounded_expire_and_go_with_their_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::default();
    let file = AuditFile::open(&folder.path().join("x.audit.db"), &tasks).unwrap();
    let settings = config::Audit { durable: Durable::Call, ..Default::default() };
    let audit = Audit::start(file, &ring(), settings, &tasks);
    assert!(audit.hears(&event(ACME, 1)).is_none(), "nobody wants any");
    let rules = |retention| {
        let tenants = vec![Glob::new("acme")];
        Some(Arc::new(Bodies { tenants, retention, max_total: 4_000, ..Bodies::default() }))
    };
    audit.keep_bodies(rules(Duration::from_secs(3_600)));
    assert!(audit.hears(&event(GLOBEX, 1)).is_none(), "not of this tenant");
    for _ in 0..20 {
        audit.record(heard(&audit, 1_000)).unwrap().wait().await.unwrap();
    }
    let reader = audit.reader();
    let kept = || async {
        let found = reader.bodies(BodyFilter::default(), None, 99).await.unwrap();
        found.iter().map(|row| row.seq).collect::<Vec<_>>()
    };
    assert_eq!(kept().await, [20, 19, 18], "the oldest make room");
    let body = reader.body(ACME, 19).await.unwrap().unwrap();
    assert_eq!(body.answer["text"], "x".repeat(1_000));
    assert!(reader.body(ACME, 1).await.unwrap().is_none());
    assert!(reader.body(GLOBEX, 19).await.unwrap().is_none());
    audit.forget_bodies(ACME).await.unwrap();
    assert_eq!(kept().await, Vec::<u64>::new());
    audit.record(heard(&audit, 1_000)).unwrap().wait().await.unwrap();
    assert_eq!(kept().await, [21]);
    // A shorter time holds for what is there, too.
    audit.keep_bodies(rules(Duration::from_millis(1)));
    while !kept().await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(audit.close(LIMIT).await, 0);
}

#[tokio::test]
async fn bodies_that_find_no_place_are_dropped_and_counted_and_no_record_is() {
    let (_store, audit) = stubborn(WhenFull::Wait, Durable::Batch, 50);
    audit.keep_bodies(Some(Arc::new(Bodies { max_body: 1 << 20, ..Bodies::default() })));
    let before = meters().bodies_dropped.get();
    for _ in 0..10 {
        assert!(audit.record(heard(&audit, 1 << 20)).is_none());
    }
    assert!(meters().bodies_dropped.get() > before, "8 MiB may wait");
    assert_eq!(audit.waiting(), 10);
}
