//! A client that is cut at any moment and comes back sees each event once and in order.

use std::sync::Arc;

use proptest::prelude::*;
use tokio::sync::mpsc;

use super::reel::*;
use crate::base::{Fault, Kind};

fn tapes() -> Tapes {
    Tapes::new(0xab, Arc::default())
}

fn call() -> (String, bool) {
    ("7".to_owned(), true)
}

fn back(tapes: &mut Tapes, id: &str, now: u32) -> Option<Continued> {
    match tapes.resume(id, 8, now) {
        Found::Stream(found) => Some(found),
        Found::Ended | Found::Unknown => None,
    }
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
    let (general, mut news) = (GENERAL, tapes.open_general(true, 8, 0).events);
    let (one, mut answer) = tapes.open(call(), true, 8, 0);
    let primed = drain(&mut answer);
    assert_eq!((primed.len(), primed[0].1.as_str()), (1, ""));
    say(&mut tapes, general, "news", false);
    say(&mut tapes, one, "progress", false);
    drop(answer);
    say(&mut tapes, one, "result", true);
    assert_eq!(drain(&mut news).last().unwrap().1, "news");
    let mut again = back(&mut tapes, &primed[0].0, 1).unwrap();
    assert_eq!(again.request, Some(call()));
    let texts: Vec<String> = drain(&mut again.events).into_iter().map(|(_, data)| data).collect();
    assert_eq!(texts, ["progress", "result"]);
    assert!(again.events.is_closed() && again.events.try_recv().is_err(), "it has ended");
}

#[test]
fn ids_of_others_are_unknown() {
    let mut tapes = tapes();
    let (_, mut events) = tapes.open(call(), true, 8, 0);
    let id = drain(&mut events)[0].0.clone();
    assert!(back(&mut tapes, &id, 0).is_some());
    let others = [
        "",
        "ab",
        "ab-1",
        "ab-1-0-0",
        "ac-1-0",
        "ab-9-0",
        "ab-1-ffff",
        "x-y-z",
        "-1-1",
        "ab-1-0",
        "ab-1-0-t38",
    ];
    for other in others {
        assert!(back(&mut tapes, other, 0).is_none(), "{other}");
    }
}

#[test]
fn an_ended_call_takes_nobodys_place() {
    let mut tapes = tapes();
    let mut news = tapes.open_general(true, 8, 0).events;
    let (one, mut answer) = tapes.open(call(), true, 8, 0);
    let id = drain(&mut answer)[0].0.clone();
    tapes.end(one);
    assert!(matches!(tapes.resume(&id, 8, 0), Found::Ended));
    // That of an earlier process, and one that never was.
    assert!(matches!(tapes.resume("ac-3-1", 8, 0), Found::Ended));
    assert!(matches!(tapes.resume("ac-0-1", 8, 0), Found::Unknown));
    say(&mut tapes, GENERAL, "news", false);
    assert_eq!(drain(&mut news).last().unwrap().1, "news");
}

#[test]
fn a_stream_whose_place_was_taken_gives_nothing_twice() {
    let mut tapes = tapes();
    let mut old = tapes.open_general(true, 8, 0).events;
    let first = drain(&mut old)[0].0.clone();
    say(&mut tapes, GENERAL, "one", false);
    let second = drain(&mut old)[0].0.clone();
    let mut new = tapes.open_general(true, 8, 0).events;
    assert!(old.try_recv().is_err() && old.is_closed());
    say(&mut tapes, GENERAL, "two", false);
    assert_eq!(drain(&mut new).last().unwrap().1, "two");
    let mut again = back(&mut tapes, &second, 0).unwrap();
    assert!(!again.gap && drain(&mut again.events).is_empty());
    say(&mut tapes, GENERAL, "three", false);
    assert_eq!(drain(&mut again.events)[0].1, "three");
    assert!(back(&mut tapes, &first, 0).unwrap().gap, "what it has not seen is not kept");
}

#[test]
fn after_a_restart_an_event_still_names_its_request() {
    let next = || Tapes::new(0xcd, Arc::default());
    let first = |request| {
        let mut tapes = tapes();
        let (_, mut events) = tapes.open(request, true, 8, 0);
        drain(&mut events)[0].0.clone()
    };
    for request in [("7", true), ("\"ä-1\"", false)].map(|(id, tool)| (id.to_owned(), tool)) {
        let id = first(request.clone());
        assert_eq!(next().broken_off(&id), Some(request));
        assert_eq!(tapes().broken_off(&id), None, "its own process has the stream, or had it");
    }
    let long = format!("\"{}\"", "x".repeat(100));
    assert_eq!(next().broken_off(&first((long, true))), None);
    for other in
        ["ab-1-0-", "ab-1-0-x37", "ab-1-0-t3", "ab-1-0-tzz", "ab-1-0-t7b7d", "ab-1-0-t37-1"]
    {
        assert_eq!(next().broken_off(other), None, "{other}");
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
    assert_eq!(drain(&mut back(&mut tapes, &id, 0).unwrap().events)[0].1, "result");
    say(&mut tapes, two, &"x".repeat(BYTES / 2), false);
    say(&mut tapes, two, &"x".repeat(BYTES / 2), false);
    say(&mut tapes, two, &"x".repeat(BYTES * 2), false);
    assert!(tapes.bytes <= BYTES && tapes.budget.used() == tapes.bytes);
    tapes.expire(KEEP);
    assert!(back(&mut tapes, &id, KEEP).is_none(), "too late");
    assert_eq!(tapes.budget.used(), 0);
}

#[test]
fn a_gap_is_told() {
    let mut tapes = tapes();
    let (general, mut news) = (GENERAL, tapes.open_general(true, 8, 0).events);
    let id = drain(&mut news)[0].0.clone();
    say(&mut tapes, general, "one", false);
    assert!(!back(&mut tapes, &id, 0).unwrap().gap);
    for _ in 0..EVENTS {
        say(&mut tapes, general, "more", false);
    }
    assert!(back(&mut tapes, &id, 0).unwrap().gap);
}

#[test]
fn the_general_stream_is_heard_a_while_longer() {
    let mut tapes = tapes();
    assert!(!tapes.is_heard(KEEP, 0));
    let news = tapes.open_general(true, 8, 0).events;
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
    let mut again = back(&mut tapes, &id, 0).unwrap();
    assert!(again.events.try_recv().unwrap().is_err());
}

proptest! {
    /// A client that comes back with or without the last event's id, or opens a second stream.
    #[test]
    fn news_come_once_whoever_listens(
        primes in any::<bool>(),
        steps in proptest::collection::vec(0_u8..8, 1..200),
    ) {
        let mut tapes = tapes();
        let mut events = Some(tapes.open_general(primes, 256, 0).events);
        let (mut said, mut seen, mut last) = (0, Vec::new(), String::new());
        for step in steps.into_iter().chain([0, 2]) {
            let mut take = |events: &mut mpsc::Receiver<Item>| {
                for (id, data) in drain(events) {
                    last = id;
                    seen.extend((!data.is_empty()).then_some(data));
                }
            };
            match step {
                0 => events.iter_mut().for_each(&mut take),
                // It reads what has come, and is cut.
                1 => drop(events.take().as_mut().map(&mut take)),
                2 | 3 => {
                    let older = events.take();
                    let opened = tapes.open_general(primes, 256, 0);
                    prop_assert!(!opened.gap);
                    older.into_iter().for_each(|mut older| take(&mut older));
                    let mut opened = opened.events;
                    take(&mut opened);
                    events = Some(opened);
                }
                4 if primes => {
                    events.take().iter_mut().for_each(&mut take);
                    if !last.is_empty() {
                        let back = back(&mut tapes, &last, 0).unwrap();
                        prop_assert!(!back.gap);
                        events = Some(back.events);
                    }
                }
                4 => {}
                _ => {
                    said += 1;
                    say(&mut tapes, GENERAL, &said.to_string(), false);
                }
            }
        }
        let all: Vec<String> = (1..=said).map(|number: i32| number.to_string()).collect();
        prop_assert_eq!(seen, all);
    }

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
                        events = back(&mut tapes, &last, 0).unwrap().events;
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
            let mut rest = back(&mut tapes, &last, 0).unwrap().events;
            seen.extend(drain(&mut rest).into_iter().map(|(_, data)| data));
        }
        let all: Vec<String> = (1..=said).map(|number: i32| number.to_string()).collect();
        prop_assert_eq!(seen, all);
    }
}
