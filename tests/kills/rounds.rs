//! The rounds.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    book::{Fate, Fates},
    flight::{Ask, Cut, Flight, Tool, Way},
    idle::Idle,
    storm::Storm,
    support::{Era, Peers, say, until},
    world::{PATIENCE, UPSTREAMS, Victim, World},
};

/// Rounds of a test that everybody runs.
const FEW: usize = 3;
/// Rounds for the record.
const MANY: usize = 50;
/// Long enough to be under way when somebody else is killed.
const WHILE: u64 = 300;
/// Longest time until a call after a kill has its answer.
const BACK: Duration = Duration::from_secs(15);

#[test]
fn kills_cost_the_calls_in_flight_and_nothing_runs_twice() {
    kill_each(FEW);
}

#[test]
#[ignore = "takes some minutes"]
fn fifty_kills_of_each_cost_the_calls_in_flight_and_nothing_runs_twice() {
    kill_each(MANY);
}

/// What is measured for each victim.
#[derive(Debug, Default, Clone)]
struct Times {
    /// Longest time from the kill until all calls in flight were told.
    told: Duration,
    /// Longest time from when it was there again until the next calls of the idle clients had
    /// worked.
    back: Duration,
}

fn kill_each(rounds: usize) {
    let Some(peers) = Peers::installed() else { return };
    let began = Instant::now();
    let mut world = World::new();
    let (fates, storm) = (Fates::default(), Storm::default());
    let way = Way {
        address: world.proxy().address(),
        key: world.proxy().key(),
        session: world.session.clone(),
    };
    let mut idle = Idle::connect_all(peers, world.proxy());
    for (upstream, ..) in UPSTREAMS {
        all_call(&mut idle, upstream, &fates);
    }
    let mut times = vec![Times::default(); Victim::ALL.len()];
    thread::scope(|scope| {
        let _guard = storm.guard();
        storm.start(scope, &way, &fates);
        for round in 0..rounds {
            // With nobody else there, and with others who find out first, by turns.
            storm.blow(round % 2 == 1);
            for (turn, victim) in Victim::ALL.into_iter().enumerate() {
                let turn = round * Victim::ALL.len() + turn;
                let took = strike(&mut world, &way, &fates, &mut idle, victim, turn);
                let times = &mut times[turn % Victim::ALL.len()];
                times.told = times.told.max(took.told);
                times.back = times.back.max(took.back);
            }
        }
    });
    let (table, wrong) = fates.judge(&mut world.book);
    let mut lines = vec![format!(
        "{rounds} kills of each in {:.1?}, {} idle clients, {} calls",
        began.elapsed(),
        idle.len(),
        fates.count()
    )];
    for (victim, times) in Victim::ALL.into_iter().zip(&times) {
        lines.push(format!(
            "{}: told after {:.2?}, next call after {:.2?}",
            victim.name(),
            times.told,
            times.back
        ));
    }
    lines.extend(table.iter().map(|(what, count)| format!("{count:7} {what}")));
    say(&lines.join("\n"));
    assert_eq!(wrong, Vec::<String>::new());
}

/// Each idle client that waits for nothing calls this upstream, and gets a right answer.
fn all_call(idle: &mut [Idle], upstream: &'static str, fates: &Fates) {
    let mut callers: Vec<_> = idle.iter_mut().filter(|client| !client.waits()).collect();
    for client in &mut callers {
        let call = fates.call("idle");
        client.begin(Ask { upstream, call, tool: Tool::Echo, progress: false });
    }
    for client in callers {
        let (ask, fate) = client.finish();
        assert_eq!(fate, Fate::Right, "{} at {upstream}", client.name);
        fates.note(ask.call, fate);
    }
}

/// One kill.
fn strike(
    world: &mut World,
    way: &Way,
    fates: &Fates,
    idle: &mut [Idle],
    victim: Victim,
    turn: usize,
) -> Times {
    let ask =
        |upstream, kind, tool, progress| Ask { upstream, call: fates.call(kind), tool, progress };
    // A call of one of the idle clients is in flight. A call whose answer has not begun when the
    // proxy falls ends with its connection; what an SDK makes of that is its own affair.
    let first = match victim {
        Victim::Proxy => UPSTREAMS[turn % UPSTREAMS.len()].0,
        Victim::Upstream(_) => victim.name(),
    };
    let able = |client: &&mut Idle| client.comes_back || victim != Victim::Proxy;
    let able: Vec<_> = idle.iter_mut().filter(able).collect();
    let count = able.len();
    let caller = able.into_iter().nth(turn % count).expect("one of them");
    let asked = ask(first, "sdk", Tool::Forever, false);
    let mut in_flight = vec![asked.call.clone()];
    caller.begin(asked);
    running(world, &in_flight);
    // And others at each upstream: in both eras, with an answer that has begun and without.
    let doomed = |upstream: &str| victim == Victim::Proxy || victim.name() == upstream;
    let (mut flights, mut cut) = (Vec::new(), Vec::new());
    for (upstream, ..) in UPSTREAMS {
        let tool = if doomed(upstream) { Tool::Forever } else { Tool::Sleep(WHILE) };
        for (era, progress) in Era::BOTH.into_iter().flat_map(|era| [(era, false), (era, true)]) {
            let flight = Flight::begin(way, era, ask(upstream, "flight", tool, progress));
            flights.push(flight.unwrap_or_else(|(ask, fate)| panic!("{ask:?}: {fate:?}")));
        }
        if victim == Victim::Proxy {
            // Begins later than the call of the SDK: when this has its first event, that has, too.
            cut.push(Cut::begin(way, ask(upstream, "cut", tool, false)));
        }
    }
    in_flight.extend(flights.iter().map(|flight| flight.ask.call.clone()));
    in_flight.extend(cut.iter().map(|cut| cut.ask.call.clone()));
    running(world, &in_flight);
    let process = world.book.runs_in(&in_flight[0]).expect("seen above");

    let killed = Instant::now();
    let fallen = world.kill(victim, process);
    // At once, as a supervisor does it.
    world.bring_back(fallen);
    let mut ready = Instant::now();
    let mut times = Times::default();
    let mut next_calls = |idle: &mut [Idle], ready: Instant| {
        all_call(idle, first, fates);
        times.back = ready.elapsed();
        assert!(times.back < BACK, "{victim:?}: the next calls took {:?}", times.back);
    };
    if !victim.is_pipe() {
        next_calls(idle, ready);
    }
    let (fallen_too, others): (Vec<_>, Vec<_>) =
        flights.into_iter().partition(|flight| doomed(flight.ask.upstream));
    for flight in fallen_too {
        let (ask, fate, _) = flight.finish();
        let right = match victim {
            Victim::Proxy => fate == Fate::Ended,
            Victim::Upstream(_) => matches!(fate, Fate::MayHaveRun(_)),
        };
        assert!(right, "{victim:?}, {ask:?}: {fate:?}");
        fates.note(ask.call, fate);
    }
    if victim.is_pipe() {
        // Now that the proxy knows: what is written to a program before that may still reach it.
        ready = Instant::now();
        next_calls(idle, ready);
    }
    // Whoever comes back for an answer that has begun is told, too.
    cut.iter_mut().for_each(Cut::ends);
    for cut in cut {
        let (ask, fate) = cut.finish(way);
        assert!(matches!(fate, Fate::MayHaveRun(_)), "{ask:?}: {fate:?}");
        fates.note(ask.call, fate);
    }
    let caller = idle.iter_mut().find(|client| client.waits()).expect("it was begun above");
    let (asked, fate) = caller.finish();
    assert!(
        matches!(fate, Fate::MayHaveRun(_)),
        "{victim:?}, {}, {asked:?}: {fate:?}",
        caller.name
    );
    fates.note(asked.call, fate);
    times.told = killed.elapsed();

    all_call(idle, first, fates);
    for (other, ..) in UPSTREAMS.into_iter().filter(|(other, ..)| *other != first) {
        all_call(idle, other, fates);
    }
    for flight in others {
        let (ask, fate, _) = flight.finish();
        assert_eq!(fate, Fate::Right, "{victim:?}, {ask:?}");
        fates.note(ask.call, fate);
    }
    world.nothing_is_left();
    times
}

/// Waits until all of these have begun to run.
fn running(world: &mut World, calls: &[String]) {
    until("all calls before a kill run", PATIENCE, || {
        world.book.look();
        calls.iter().all(|call| world.book.runs_in(call).is_some()).then_some(())
    });
}
