//! Whose a question is, and that each gets one answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::{Asker, Ledger, Question, Seat, need};
use crate::upstream::link::Message;
use crate::wire::{CapSet, Inbound};

fn message(id: &str) -> Message {
    let text = format!("{{\"id\":{id},\"method\":\"roots/list\"}}");
    Message { inbound: Inbound::read(&text).unwrap(), bytes: Bytes::from(text) }
}

#[test]
fn a_question_says_what_it_needs() {
    for (method, params, expected) in [
        ("elicitation/create", "{}", Some(CapSet::ELICIT_FORM)),
        ("elicitation/create", "{\"mode\":\"form\"}", Some(CapSet::ELICIT_FORM)),
        ("elicitation/create", "{\"mode\":\"\\u0075rl\"}", Some(CapSet::ELICIT_URL)),
        ("sampling/createMessage", "{\"includeContext\":\"allServers\"}", Some(CapSet::SAMPLING)),
        (
            "sampling/createMessage",
            "{\"tools\":[]}",
            Some(CapSet::SAMPLING.with(CapSet::SAMPLING_TOOLS)),
        ),
        ("roots/list", "{}", Some(CapSet::ROOTS)),
        ("roots/list", "null", Some(CapSet::ROOTS)),
        ("ping", "{}", None),
        ("tools/call", "{}", None),
    ] {
        assert_eq!(need(method, params), expected, "{method} {params}");
    }
}

#[test]
fn an_id_is_open_once_and_a_call_has_a_bound() {
    let mut ledger = Ledger::default();
    let texts: Vec<_> = (0..20).map(|id| message(&id.to_string())).collect();
    let questions: Vec<_> = texts.iter().map(|text| Question::read(text).unwrap()).collect();
    assert!(ledger.open(&questions[0], 1) && !ledger.open(&questions[0], 2));
    let opened = questions.iter().filter(|question| ledger.open(question, 1)).count();
    assert_eq!(opened, 15);
    assert!(ledger.open(&questions[19], 2));
    assert_eq!(ledger.close(1).len(), 16);
    assert!(!ledger.is_asked(1) && ledger.is_asked(2));
}

#[test]
fn with_too_many_left_behind_nobody_is_asked_for_a_while() {
    let mut ledger = Ledger::default();
    let start = crate::base::now();
    let asker = Some(Asker::new(&1));
    let minute = Duration::from_secs(60);
    for call in 0..300 {
        ledger.leave(call, asker, start + minute, start);
    }
    let seat = Seat { number: 999, asker, takes: CapSet::QUESTIONS };
    assert_eq!(ledger.owner([seat].into_iter(), CapSet::ROOTS, start), None);
    assert_eq!(ledger.owner([seat].into_iter(), CapSet::ROOTS, start + minute), Some(999));
}

#[derive(Debug, Clone)]
enum Step {
    Begin { asker: Option<u8>, takes: bool },
    End { call: usize },
    GiveUp { call: usize, seconds: u64 },
    EndLate { call: usize },
    Ask,
    Settle { question: usize },
    Pass { seconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (proptest::option::weighted(0.8, 0..3_u8), any::<bool>())
            .prop_map(|(asker, takes)| Step::Begin { asker, takes }),
        2 => (0..9_usize).prop_map(|call| Step::End { call }),
        1 => (0..9_usize, 0..20_u64).prop_map(|(call, seconds)| Step::GiveUp { call, seconds }),
        1 => (0..9_usize).prop_map(|call| Step::EndLate { call }),
        4 => Just(Step::Ask),
        2 => (0..9_usize).prop_map(|question| Step::Settle { question }),
        1 => (0..10_u64).prop_map(|seconds| Step::Pass { seconds }),
    ]
}

proptest! {
    /// Against a model that knows everything: a question goes to a call only when every call that
    /// may have asked it is of that call's caller, and each question that was handed over is
    /// settled or refused exactly once.
    #[test]
    fn questions_never_cross_and_never_hang(steps in prop::collection::vec(step(), 1..120)) {
        let mut ledger = Ledger::default();
        let mut now = crate::base::now();
        let mut calls: BTreeMap<u64, Seat> = BTreeMap::new();
        let mut left: BTreeMap<u64, (Asker, tokio::time::Instant)> = BTreeMap::new();
        let mut open: BTreeMap<String, u64> = BTreeMap::new();
        let (mut next, mut fates) = (0, BTreeSet::new());
        for step in steps {
            let nth = |index: usize| calls.keys().nth(index).copied();
            match step {
                Step::Begin { asker, takes } => {
                    next += 1;
                    let takes = if takes { CapSet::ROOTS } else { CapSet::NONE };
                    let asker = asker.map(|asker| Asker::new(&asker));
                    calls.insert(next, Seat { number: next, asker, takes });
                }
                Step::End { call } | Step::GiveUp { call, .. } => {
                    let Some(call) = nth(call) else { continue };
                    let seat = calls.remove(&call).unwrap();
                    if let Step::GiveUp { seconds, .. } = step {
                        let until = now + Duration::from_secs(seconds);
                        ledger.leave(call, seat.asker, until, now);
                        if let Some(asker) = seat.asker {
                            left.insert(call, (asker, until));
                        }
                    }
                    let refused = ledger.close(call);
                    let hanging = open.values().filter(|owner| **owner == call).count();
                    prop_assert_eq!(refused.len(), hanging);
                    for refusal in refused {
                        let text: serde_json::Value = serde_json::from_slice(&refusal).unwrap();
                        let id = text["id"].to_string();
                        prop_assert_eq!(open.remove(&id), Some(call));
                        prop_assert!(fates.insert(id));
                    }
                }
                Step::EndLate { call } => {
                    let Some(call) = left.keys().nth(call).copied() else { continue };
                    left.remove(&call);
                    ledger.ended_late(call);
                }
                Step::Ask => {
                    next += 1;
                    let text = message(&next.to_string());
                    let question = Question::read(&text).unwrap();
                    left.retain(|_, (_, until)| *until > now);
                    let may: BTreeSet<_> = calls
                        .values()
                        .filter_map(|seat| seat.asker)
                        .chain(left.values().map(|(asker, _)| *asker))
                        .map(|asker| format!("{asker:?}"))
                        .collect();
                    let takers = calls
                        .values()
                        .filter(|seat| seat.asker.is_some() && seat.takes.has(CapSet::ROOTS));
                    let newest = takers.map(|seat| seat.number).max();
                    let owner = ledger.owner(calls.values().copied(), CapSet::ROOTS, now);
                    prop_assert_eq!(owner, newest.filter(|_| may.len() == 1));
                    if let Some(owner) = owner && ledger.open(&question, owner) {
                        prop_assert!(ledger.is_asked(owner));
                        open.insert(next.to_string(), owner);
                    }
                }
                Step::Settle { question } => {
                    let Some(id) = open.keys().nth(question).cloned() else {
                        prop_assert_eq!(ledger.settle("\"none\""), None);
                        continue;
                    };
                    prop_assert_eq!(ledger.settle(&id), open.remove(&id));
                    prop_assert!(fates.insert(id.clone()));
                    prop_assert_eq!(ledger.settle(&id), None);
                }
                Step::Pass { seconds } => now += Duration::from_secs(seconds),
            }
        }
    }
}
