//! A client that is cut at any moment and comes back sees each event once and in order.

use std::sync::Arc;

use proptest::prelude::*;
use tokio::sync::mpsc;

use super::reel::*;
use crate::base::{Fault, Kind};

fn tapes() -> Tapes {
    Tapes::new(0xab, Arc::default())
}

fn call() -> Option<(String, bool)> {
    Some(("7".to_owned(), true))
}

/// The id and the data of an event.
fn parts(item: &Item) -> (String, String) {
    let text = String::from_utf8(item.as_ref().unwrap().to_vec()).unwrap();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    (field("id:"), field("data:"))
}

fn say(tapes: &mut Tapes, stream: u32, text: &str, last: bool) {
    if let Some((queue, item)) = tapes.say(stream, Ok(text.as_bytes()), last, 0)
        && queue.try_send(item).is_err()
    {
        tapes.leave(stream, &queue, 0);
    }
}

fn drain(events: &mut mpsc::Receiver<Item>) -> Vec<(String, String)> {
    std::iter::from_fn(|| events.try_recv().ok()).map(|item| parts(&item)).collect()
}

#[test]
fn a_stream_is_resumed_with_its_own_events_alone() {
    let mut tapes = tapes();
    let (general, mut news) = tapes.open(None, true, 8, 0);
    let (one, mut answer) = tapes.open(call(), true, 8, 0);
    let primed = drain(&mut answer);
    assert_eq!((primed.len(), primed[0].1.as_str()), (1, ""));
    say(&mut tapes, general, "news", false);
    say(&mut tapes, one, "progress", false);
    drop(answer);
    say(&mut tapes, one, "result", true);
    assert_eq!(drain(&mut news).last().unwrap().1, "news");
    let mut back = tapes.resume(&primed[0].0, 8, 1).unwrap();
    assert_eq!(back.request, call());
    let texts: Vec<String> = drain(&mut back.events).into_iter().map(|(_, data)| data).collect();
    assert_eq!(texts, ["progress", "result"]);
    assert!(back.events.is_closed() && back.events.try_recv().is_err(), "it has ended");
}

#[test]
fn ids_of_others_are_unknown() {
    let mut tapes = tapes();
    let (_, mut events) = tapes.open(call(), true, 8, 0);
    let id = drain(&mut events)[0].0.clone();
    assert!(tapes.resume(&id, 8, 0).is_some());
    for other in ["", "ab", "ab-1", "ab-1-0-0", "ac-1-0", "ab-9-0", "ab-1-ffff", "x-y-z", "-1-1"] {
        assert!(tapes.resume(other, 8, 0).is_none(), "{other}");
    }
}

#[test]
fn what_is_kept_has_bounds_and_answers_go_last() {
    let mut tapes = tapes();
    let (one, mut answer) = tapes.open(call(), true, 8, 0);
    let id = drain(&mut answer)[0].0.clone();
    say(&mut tapes, one, "result", true);
    let (two, _gone) = tapes.open(call(), false, 8, 0);
    for _ in 0..EVENTS * 2 {
        say(&mut tapes, two, "progress", false);
    }
    assert_eq!(tapes.kept.len(), EVENTS);
    assert_eq!(drain(&mut tapes.resume(&id, 8, 0).unwrap().events)[0].1, "result");
    say(&mut tapes, two, &"x".repeat(BYTES / 2), false);
    say(&mut tapes, two, &"x".repeat(BYTES / 2), false);
    say(&mut tapes, two, &"x".repeat(BYTES * 2), false);
    assert!(tapes.bytes <= BYTES && tapes.budget.used() == tapes.bytes);
    tapes.expire(KEEP);
    assert!(tapes.resume(&id, 8, KEEP).is_none(), "too late");
    assert_eq!(tapes.budget.used(), 0);
}

#[test]
fn a_gap_is_told() {
    let mut tapes = tapes();
    let (general, mut news) = tapes.open(None, true, 8, 0);
    let id = drain(&mut news)[0].0.clone();
    say(&mut tapes, general, "one", false);
    assert!(!tapes.resume(&id, 8, 0).unwrap().gap);
    for _ in 0..EVENTS {
        say(&mut tapes, general, "more", false);
    }
    assert!(tapes.resume(&id, 8, 0).unwrap().gap);
}

#[test]
fn the_general_stream_is_heard_a_while_longer() {
    let mut tapes = tapes();
    assert!(!tapes.is_heard(KEEP, 0));
    let (_, news) = tapes.open(None, true, 8, 0);
    assert!(tapes.is_heard(KEEP, 1_000));
    drop(news);
    assert!(tapes.is_heard(KEEP, 1_000) && tapes.is_heard(KEEP, 1_000 + KEEP - 1));
    assert!(!tapes.is_heard(KEEP, 1_000 + KEEP));
}

#[test]
fn a_fault_is_kept_for_whoever_comes_back() {
    let mut tapes = tapes();
    let (one, mut answer) = tapes.open(call(), true, 8, 0);
    let id = drain(&mut answer)[0].0.clone();
    drop(answer);
    tapes.say(one, Err(Fault::client(Kind::Busy, "busy")), true, 0);
    let mut back = tapes.resume(&id, 8, 0).unwrap();
    assert!(back.events.try_recv().unwrap().is_err());
}

proptest! {
    #[test]
    fn cuts_lose_and_double_nothing(steps in proptest::collection::vec(0_u8..6, 1..200)) {
        let mut tapes = tapes();
        let (stream, mut events) = tapes.open(call(), true, 64, 0);
        let (mut said, mut seen, mut last) = (0, Vec::new(), String::new());
        for step in steps {
            match step {
                // The client reads a little, and is cut with the rest on its way.
                0 => {
                    if let Ok(item) = events.try_recv() {
                        let (id, data) = parts(&item);
                        last = id;
                        seen.extend((!data.is_empty()).then_some(data));
                    }
                    if !last.is_empty() {
                        events = tapes.resume(&last, 64, 0).unwrap().events;
                    }
                }
                1 | 2 => {
                    for (id, data) in drain(&mut events) {
                        last = id;
                        seen.extend((!data.is_empty()).then_some(data));
                    }
                }
                _ => {
                    said += 1;
                    say(&mut tapes, stream, &said.to_string(), false);
                }
            }
        }
        for (id, data) in drain(&mut events) {
            last = id;
            seen.extend((!data.is_empty()).then_some(data));
        }
        if !last.is_empty() {
            let mut rest = tapes.resume(&last, 64, 0).unwrap().events;
            seen.extend(drain(&mut rest).into_iter().map(|(_, data)| data));
        }
        let all: Vec<String> = (1..=said).map(|number: i32| number.to_string()).collect();
        prop_assert_eq!(seen, all);
    }
}
