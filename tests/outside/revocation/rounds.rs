//! The rounds.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use crate::{
    revocation::bed::{Bed, By},
    revocation::callers::{Caller, Told},
    revocation::streams::{Held, all_ended},
    support::{raise_open_files, say, until},
};

const PATIENCE: Duration = Duration::from_secs(60);
/// By when everything of a revoked key has to have ended.
const SOON: Duration = Duration::from_secs(1);

/// How much there is of everything.
struct Size {
    streams: usize,
    callers: usize,
    rounds: usize,
}

/// How long it took from the acknowledgement.
#[derive(Debug, Default, Clone, Copy)]
struct Times {
    /// Until the last stream had ended.
    streams: Duration,
    /// Until the last call was sent that still began.
    calls: Duration,
}

#[test]
fn what_a_revoked_key_has_open_ends_and_nothing_begins() {
    revoked(&Size { streams: 40, callers: 8, rounds: 4 });
}

#[test]
#[ignore = "a hundred rounds of five hundred streams take some minutes"]
fn a_hundred_revocations_among_five_hundred_streams_hold_within_a_second() {
    for (by, times) in revoked(&Size { streams: 500, callers: 64, rounds: 100 }) {
        let longest = |of: fn(&Times) -> Duration| times.iter().map(of).max().expect("a round");
        let streams = longest(|times| times.streams);
        let calls = longest(|times| times.calls);
        assert!(streams < SOON && calls < SOON, "{by:?}: streams {streams:?}, calls {calls:?}");
    }
}

fn revoked(size: &Size) -> BTreeMap<By, Vec<Times>> {
    raise_open_files();
    let bed = Bed::new();
    let mut all: BTreeMap<By, Vec<Times>> = BTreeMap::new();
    let mut begun = Vec::new();
    for number in 0..size.rounds {
        let by = By::BOTH[number % 2];
        let (times, count) = round(&bed, size, number, by);
        all.entry(by).or_default().push(times);
        begun.push(count);
        if number % 10 == 9 {
            tell(&all, size);
        }
    }
    // Nor has anything begun later.
    for (number, count) in begun.into_iter().enumerate() {
        assert_eq!(doomed_calls(&bed, number), count, "calls of round {number} began after it");
    }
    let log = bed.proxy.log();
    assert!(!log.contains("panicked"), "{log}");
    tell(&all, size);
    all
}

fn tell(all: &BTreeMap<By, Vec<Times>>, size: &Size) {
    for (by, times) in all {
        let mut streams: Vec<_> = times.iter().map(|times| times.streams).collect();
        streams.sort();
        let calls = times.iter().map(|times| times.calls).max().unwrap_or_default();
        say(&format!(
            "{} rounds by {by:?}: {} streams ended after {:?} (median), {:?} (longest); \
             the last call that began was sent {calls:?} after",
            times.len(),
            size.streams * 4 / 5,
            streams[streams.len() / 2],
            streams[streams.len() - 1]
        ));
    }
}

fn doomed_calls(bed: &Bed, round: usize) -> usize {
    let prefix = format!("doomed-{round}-");
    bed.begun().iter().filter(|(call, _)| call.starts_with(&prefix)).map(|(_, count)| count).sum()
}

/// One key ends; gives how long it took, and how many of its calls had begun.
fn round(bed: &Bed, size: &Size, number: usize, by: By) -> (Times, usize) {
    let tenant = (number / 2) % 2;
    let doomed = bed.key(tenant);
    // One of the same tenant, and one of the other.
    let others = [bed.key(tenant), bed.key(1 - tenant)];
    let mut ending = Held::open_many(bed, &doomed, size.streams * 4 / 5);
    let mut staying: Vec<Held> =
        others.iter().flat_map(|key| Held::open_many(bed, key, size.streams / 10)).collect();

    let (calls, other_calls, stop) =
        (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let (acknowledged, ended, told, others_told) = thread::scope(|scope| {
        let (calls, other_calls, stop) = (&calls, &other_calls, &stop);
        let (mut ended_callers, mut other_callers) = (Vec::new(), Vec::new());
        for place in 0..size.callers {
            if place % 4 == 3 {
                let caller = Caller::new(bed, &others[place / 4 % 2], place / 4);
                other_callers.push(scope.spawn(move || {
                    caller.until_stopped(&format!("other-{number}-{place}"), other_calls, stop)
                }));
            } else {
                let caller = Caller::new(bed, &doomed, place);
                ended_callers.push(scope.spawn(move || {
                    caller.until_refused(&format!("doomed-{number}-{place}"), calls)
                }));
            }
        }
        let work = || {
            let more = |count: &AtomicUsize, most: usize| {
                let before = count.load(Ordering::Relaxed);
                until("calls go on", PATIENCE, || {
                    (count.load(Ordering::Relaxed) >= before + most).then_some(())
                });
            };
            more(calls, 2 * size.callers);
            let acknowledged = bed.revoke(tenant, &doomed, by);
            let ended = all_ended(&mut ending);
            more(other_calls, size.callers);
            (acknowledged, ended)
        };
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        stop.store(true, Ordering::Relaxed);
        let (acknowledged, ended) = worked.unwrap_or_else(|panic| {
            // Callers that were not refused would call for ever.
            let _ = std::panic::catch_unwind(|| bed.revoke(tenant, &doomed, By::Rest));
            std::panic::resume_unwind(panic)
        });
        let join = |threads: Vec<thread::ScopedJoinHandle<'_, Vec<Told>>>| -> Vec<Told> {
            threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
        };
        (acknowledged, ended, join(ended_callers), join(other_callers))
    });

    let begun = bed.begun();
    let wrong: Vec<&Told> = others_told
        .iter()
        .filter(|told| !told.right || begun.get(&told.call) != Some(&1))
        .collect();
    assert!(wrong.is_empty(), "round {number}: others' calls suffered: {wrong:?}");
    let cut = staying.iter_mut().filter_map(|held| held.has_ended().then_some(held.kind));
    assert_eq!(cut.collect::<Vec<_>>(), [], "round {number}: others' streams ended");

    // What this process revoked holds at once. What another one wrote holds as soon as anybody was
    // refused.
    let refused = told.iter().filter(|told| told.status == 401).map(|told| told.answered).min();
    let since = match by {
        By::Rest => acknowledged,
        By::Store => refused.expect("they end by being refused"),
    };
    for one in &told {
        let count = begun.get(&one.call).copied().unwrap_or_default();
        assert!(count <= 1 && (!one.right || count == 1), "{one:?} began {count} times");
        let late = one.sent > since && (count > 0 || one.status != 401);
        assert!(!late, "round {number}, {by:?}: {:?} after: {one:?}", one.sent - since);
    }
    let last =
        told.iter().filter(|told| begun.contains_key(&told.call)).map(|told| told.sent).max();
    let calls = last.map_or(Duration::ZERO, |last| last.saturating_duration_since(acknowledged));
    let streams = ended.saturating_duration_since(acknowledged);
    (Times { streams, calls }, doomed_calls(bed, number))
}
