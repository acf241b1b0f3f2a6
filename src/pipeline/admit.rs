//! Whether there is room for a request: the limits of the file, and a place among the calls under
//! way.

use std::sync::Arc;
use std::time::Duration;

use super::line::Line;
use crate::auth::Principal;
use crate::base::{Fault, Kind};
use crate::limit::{Exceeded, Measure, Permit, Scope, Turn, Whose};
use crate::namespace::Plan;
use crate::wire::{Method, NameKind, Route};

/// What a call that was let in holds until it has ended.
#[derive(Debug)]
pub(super) struct Admitted {
    permit: Permit,
    _turn: Turn,
}

impl Admitted {
    /// Bytes that the call has moved, both ways.
    pub(super) fn spend(&self, bytes: u64) {
        self.permit.spend(bytes);
    }
}

impl Line {
    /// Any request: within the rates of its key and its tenant.
    ///
    /// # Errors
    /// With the limit that is reached, and when to come back.
    pub fn admit(&self, principal: &Principal) -> Result<(), Fault> {
        self.limiter.request(whose(principal)).map_err(|reached| limited(reached, None))
    }

    /// A call that is about to go to an upstream. When the proxy is full it waits for its
    /// tenant's turn.
    pub(super) async fn admit_call(
        self: &Arc<Self>,
        principal: &Principal,
        method: &Method,
        plan: &Plan,
    ) -> Result<Admitted, Fault> {
        let upstream = &plan.upstream().name;
        let tool = (method.route == Route::Name(NameKind::Tool)).then(|| plan.original());
        let permit = self
            .limiter
            .call(whose(principal), upstream, tool)
            .map_err(|reached| limited(reached, Some(upstream.as_str())))?;
        let turn = match self.turns.try_enter() {
            Some(turn) => turn,
            None => {
                // Boxed: only a full proxy comes here.
                let turn = Box::pin(self.turns.enter(principal.tenant().id())).await;
                turn.map_err(|_| {
                    let sentence = "mcp-proxy is full (`calls` in [limits]); it was not executed, try again later";
                    Fault::client(Kind::Busy, sentence)
                })?
            }
        };
        Ok(Admitted { permit, _turn: turn })
    }
}

fn whose(principal: &Principal) -> Whose<'_> {
    let tenant = principal.tenant();
    Whose { tenant: tenant.id(), name: tenant.name(), key: principal.key() }
}

/// The refusal: which limit, and when to come back. Whole seconds, never too early.
fn limited((scope, exceeded): (Scope, Exceeded), upstream: Option<&str>) -> Fault {
    let wait = exceeded.wait.as_secs() + u64::from(exceeded.wait.subsec_nanos() > 0);
    let wait = wait.max(1);
    let whose = match (scope, upstream) {
        (Scope::Key, _) => "this key".to_owned(),
        (Scope::Tenant, _) => "this tenant".to_owned(),
        (Scope::Upstream, Some(upstream)) => format!("upstream `{upstream}`"),
        (Scope::Tool, Some(upstream)) => format!("this tool of `{upstream}`"),
        (Scope::Upstream | Scope::Tool, None) => "it".to_owned(),
    };
    let what = match exceeded.measure {
        Measure::Rate => "Too many requests",
        Measure::Concurrent => "Too many calls at a time",
        Measure::Day => "The calls of this day are used up",
        Measure::Month => "The calls of this month are used up",
        Measure::Bytes => "The bytes of this day are used up",
    };
    let sentence = format!("{what} for {whose}; it was not executed, try again in {}", words(wait));
    Fault::client(Kind::Limited { limit: limit_word(scope, exceeded.measure), wait }, sentence)
}

fn words(seconds: u64) -> String {
    match seconds {
        1 => "1 second".to_owned(),
        2..120 => format!("{seconds} seconds"),
        120..7_200 => format!("{} minutes", seconds.div_ceil(60)),
        _ => format!("{} hours", Duration::from_secs(seconds).as_secs().div_ceil(3_600)),
    }
}

/// The scope and the key of the file, as one word that needs no memory of its own.
fn limit_word(scope: Scope, measure: Measure) -> &'static str {
    macro_rules! all {
        ($($scope:ident $word:literal),*) => {
            match (scope, measure) {
                $(
                    (Scope::$scope, Measure::Rate) => concat!($word, ".rate"),
                    (Scope::$scope, Measure::Concurrent) => concat!($word, ".concurrent"),
                    (Scope::$scope, Measure::Day) => concat!($word, ".per_day"),
                    (Scope::$scope, Measure::Month) => concat!($word, ".per_month"),
                    (Scope::$scope, Measure::Bytes) => concat!($word, ".bytes_per_day"),
                )*
            }
        };
    }
    all!(Key "key", Tenant "tenant", Upstream "upstream", Tool "tool")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_never_says_too_early() {
        for (wait, seconds) in [(1, 1), (999, 1), (1_000, 1), (1_001, 2), (0, 1)] {
            let exceeded = Exceeded { measure: Measure::Rate, wait: Duration::from_millis(wait) };
            let fault = limited((Scope::Tool, exceeded), Some("crm"));
            assert_eq!(fault.kind, Kind::Limited { limit: "tool.rate", wait: seconds });
            assert!(fault.public.contains("`crm`"));
        }
    }
}
