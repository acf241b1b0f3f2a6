//! The table: whose sessions there are, and when they end.

use std::sync::Arc;

use super::sessions::*;
use crate::base::{Clock, KeyId, TenantId, unix_seconds};
use crate::seal::{Ring, RootKey};
use crate::store::SessionRecord;
use crate::wire::{CapSet, Revision};

fn table(clock: &Arc<Clock>, idle: u32) -> Sessions {
    Sessions::new(clock.clone(), Arc::new(Ring::new(&RootKey::for_test(1))), idle)
}

fn opening() -> Opening {
    Opening {
        tenant: TenantId::from_bytes([1; 16]),
        key: "aaaaaaaaaa".parse().unwrap(),
        door: Arc::from("/mcp"),
        revision: Revision::V2025_11_25,
        capabilities: CapSet::NONE,
        client_info: "{}".into(),
        address: None,
    }
}

#[test]
fn a_session_exists_only_for_who_opened_it() {
    let sessions = table(&Arc::default(), 60);
    let opening = opening();
    let session = sessions.open(opening.clone()).unwrap();
    let text = session.pointer().to_string();
    let (tenant, key) = (opening.tenant, opening.key);
    assert!(sessions.find(&text, &tenant, &key, "/mcp").is_some());
    let other: KeyId = "bbbbbbbbbb".parse().unwrap();
    assert!(sessions.find(&text, &tenant, &other, "/mcp").is_none());
    assert!(sessions.find(&text, &TenantId::from_bytes([2; 16]), &key, "/mcp").is_none());
    assert!(sessions.find(&text, &tenant, &key, "/mcp/gh").is_none());
    assert!(sessions.find(&text.to_uppercase(), &tenant, &key, "/mcp").is_none());
    assert!(sessions.find(&text[1..], &tenant, &key, "/mcp").is_none());
    assert!(sessions.find("", &tenant, &key, "/mcp").is_none());
    assert_eq!(sessions.count_of(tenant, key), 1);
    assert!(sessions.end(&session) && !sessions.end(&session));
    assert!(sessions.find(&text, &tenant, &key, "/mcp").is_none());
    assert!(session.ended().is_cancelled());
    assert_eq!((sessions.count(), sessions.count_of(tenant, key)), (0, 0));
}

#[test]
fn another_process_takes_a_session_up_once() {
    let session = table(&Arc::default(), 60).open(opening()).unwrap();
    let sessions = table(&Arc::default(), 60);
    let own = opening();
    let read = || sessions.read(session.pointer(), own.tenant, own.key, &own.door).unwrap();
    let (first, new) = sessions.restore(session.pointer(), read(), None).unwrap().unwrap();
    assert!(new && first.id() == session.id());
    let (second, new) = sessions.restore(session.pointer(), read(), None).unwrap().unwrap();
    assert!(!new && Arc::ptr_eq(&first, &second));
    assert_eq!(sessions.count(), 1);
    assert!(sessions.find(session.pointer(), &own.tenant, &own.key, "/mcp").is_some());
}

#[test]
fn a_session_that_was_idle_for_too_long_is_not_taken_up() {
    let session = table(&Arc::default(), 60).open(opening()).unwrap();
    let sessions = table(&Arc::default(), 60);
    let own = opening();
    let used = |ago: u64| {
        let mut pointed = sessions.read(session.pointer(), own.tenant, own.key, &own.door).unwrap();
        pointed.birth.made_at -= 10_000;
        let used_at = unix_seconds() - ago;
        let record = SessionRecord {
            id: *session.id().as_bytes(),
            used_at,
            state: String::new(),
            ended: false,
            keep_until: u64::MAX,
        };
        let found = sessions.restore(session.pointer(), pointed, Some(&record)).unwrap();
        found
            .inspect(|(session, _)| {
                sessions.end(session);
            })
            .is_some()
    };
    assert!(used(0) && used(60));
    assert!(!used(60 + 20) && !used(9_000));
}

#[test]
fn a_key_has_a_most_of_sessions() {
    let sessions = table(&Arc::default(), 60);
    let own = opening();
    sessions.of_keys().insert((own.tenant, own.key), MOST_OF_KEY);
    assert_eq!(sessions.open(opening()).unwrap_err(), Refused::TooManyOfKey);
    let other = Opening { key: "bbbbbbbbbb".parse().unwrap(), ..opening() };
    let session = sessions.open(other.clone()).unwrap();
    let ended = sessions.end_of_key(other.tenant, other.key);
    assert!(ended.len() == 1 && session.ended().is_cancelled());
    assert_eq!(sessions.count(), 0);
}

#[test]
fn calls_are_cancelled_by_the_clients_own_id() {
    let session = table(&Arc::default(), 60).open(opening()).unwrap();
    let running = session.begin("\"a\"");
    assert!(!session.cancel("1"));
    assert!(session.cancel("\"a\""));
    assert!(running.cancelled().is_cancelled());
    drop(running);
    assert!(!session.cancel("\"a\""));
}

#[tokio::test(start_paused = true)]
async fn idle_sessions_end_and_used_ones_stay() {
    let clock = Arc::new(Clock::default());
    let sessions = table(&clock, 60);
    let idle = sessions.open(opening()).unwrap().pointer().to_string();
    let used = sessions.open(opening()).unwrap().pointer().to_string();
    tokio::time::advance(std::time::Duration::from_secs(50)).await;
    clock.tick();
    let find = |text: &str| sessions.find(text, &opening().tenant, &opening().key, "/mcp");
    assert!(find(&used).is_some());
    tokio::time::advance(std::time::Duration::from_secs(20)).await;
    clock.tick();
    assert_eq!(sessions.sweep().0.len(), 1);
    assert!(find(&idle).is_none());
    let held = find(&used).unwrap();
    tokio::time::advance(std::time::Duration::from_secs(100)).await;
    clock.tick();
    assert!(sessions.sweep().0.is_empty(), "a stream holds it");
    drop(held);
    tokio::time::advance(std::time::Duration::from_secs(59)).await;
    clock.tick();
    assert!(sessions.sweep().0.is_empty(), "the stream has ended a moment ago");
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    clock.tick();
    assert_eq!(sessions.sweep().0.len(), 1);
    assert_eq!(sessions.count(), 0);
}
