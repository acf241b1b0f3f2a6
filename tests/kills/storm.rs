//! Callers that never stop calling, so that kills meet calls at every point of their way.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    thread::Scope,
    time::Duration,
};

use crate::{
    book::{Fate, Fates},
    flight::{Ask, Flight, Tool, Way},
    support::Era,
    world::UPSTREAMS,
};

/// How often those who have nobody to call look again.
const LOOK: Duration = Duration::from_millis(5);

const CALM: u8 = 0;
const BLOWS: u8 = 1;
const OVER: u8 = 2;

/// Whether it blows.
#[derive(Default)]
pub(crate) struct Storm(AtomicU8);

/// Ends it also when the test fails.
pub(crate) struct Guard<'a>(&'a Storm);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.0.store(OVER, Ordering::Relaxed);
    }
}

impl Storm {
    pub(crate) fn guard(&self) -> Guard<'_> {
        Guard(self)
    }

    pub(crate) fn blow(&self, blows: bool) {
        self.0.store(if blows { BLOWS } else { CALM }, Ordering::Relaxed);
    }

    /// Starts callers of both eras for each upstream.
    pub(crate) fn start<'s>(&'s self, scope: &'s Scope<'s, '_>, way: &'s Way, fates: &'s Fates) {
        for (upstream, ..) in UPSTREAMS {
            for era in Era::BOTH {
                scope.spawn(move || self.call(way, era, upstream, fates));
            }
        }
    }

    fn call(&self, way: &Way, era: Era, upstream: &'static str, fates: &Fates) {
        for turn in 0_u64.. {
            while self.0.load(Ordering::Relaxed) == CALM {
                std::thread::park_timeout(LOOK);
            }
            if self.0.load(Ordering::Relaxed) == OVER {
                return;
            }
            let tool = if turn % 2 == 0 { Tool::Echo } else { Tool::Sleep(turn % 20) };
            let ask = Ask { upstream, call: fates.call("storm"), tool, progress: turn % 4 == 3 };
            let (ask, fate) = match Flight::begin(way, era, ask) {
                Ok(flight) => {
                    let (ask, fate, _) = flight.finish();
                    (ask, fate)
                }
                Err(end) => end,
            };
            let pause = matches!(fate, Fate::Unreached);
            fates.note(ask.call, fate);
            if pause {
                std::thread::park_timeout(LOOK);
            }
        }
    }
}
