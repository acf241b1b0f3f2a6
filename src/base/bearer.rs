//! The access token of one tenant at one upstream, as links send it: it is replaced while they are
//! open.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use http::HeaderValue;

use super::Secret;

/// What an upstream has said when it refused a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// 401 or 403.
    pub status: u16,
    /// Its `WWW-Authenticate` headers.
    pub challenges: Vec<String>,
}

struct Held {
    header: HeaderValue,
    token: Secret,
    /// The one before, which may still come back in a message.
    before: Option<Secret>,
}

/// A token that many hold and one replaces.
#[derive(Default)]
pub struct Bearer {
    held: ArcSwapOption<Held>,
    /// In seconds since the Unix epoch; 0 without a token that is good.
    fresh_until: AtomicU64,
    refusal: Mutex<Option<Refusal>>,
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bearer").field("held", &self.held.load().is_some()).finish_non_exhaustive()
    }
}

impl Bearer {
    /// The value of `Authorization`, marked sensitive.
    #[must_use]
    pub fn header(&self) -> Option<HeaderValue> {
        self.held.load().as_ref().map(|held| held.header.clone())
    }

    /// The token itself.
    #[must_use]
    pub fn token(&self) -> Option<Secret> {
        self.held.load().as_ref().map(|held| held.token.clone())
    }

    /// Whether it need not be renewed yet.
    #[must_use]
    pub fn is_fresh(&self, now: u64) -> bool {
        now < self.fresh_until.load(Ordering::Acquire)
    }

    /// Puts a token in place that need not be renewed before `fresh_until`. False for one that no
    /// header may hold.
    pub fn hold(&self, token: &Secret, fresh_until: u64) -> bool {
        let text = zeroize::Zeroizing::new(format!("Bearer {}", token.expose()));
        let Ok(mut header) = HeaderValue::from_str(&text) else { return false };
        header.set_sensitive(true);
        let known = self.held.load_full();
        let same = known.as_ref().is_some_and(|held| held.token.expose() == token.expose());
        if !same {
            let before = known.map(|held| held.token.clone());
            self.held.store(Some(Arc::new(Held { header, token: token.clone(), before })));
            *self.refusal() = None;
        }
        self.fresh_until.store(fresh_until, Ordering::Release);
        true
    }

    /// There is none any more.
    pub fn drop_token(&self) {
        self.fresh_until.store(0, Ordering::Release);
        self.held.store(None);
    }

    /// An upstream has refused what was sent. What was replaced meanwhile is no news.
    pub fn refused(&self, sent: Option<&HeaderValue>, refusal: Refusal) {
        let current = self.held.load();
        if current.as_ref().map(|held| &held.header) == sent {
            *self.refusal() = Some(refusal);
            self.fresh_until.store(0, Ordering::Release);
        }
    }

    /// What the upstream has said of the token that is in place, if it has refused it.
    #[must_use]
    pub fn last_refusal(&self) -> Option<Refusal> {
        self.refusal().clone()
    }

    /// Forgets it.
    pub fn forgive(&self) {
        *self.refusal() = None;
    }

    fn refusal(&self) -> std::sync::MutexGuard<'_, Option<Refusal>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What must not be shown: the token, and the one before.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let held = self.held.load();
        let of = |held: &Arc<Held>| {
            std::iter::once(held.token.clone()).chain(held.before.clone()).collect()
        };
        held.as_ref().map(of).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_refusal_of_the_current_token_counts() {
        let bearer = Bearer::default();
        assert!(!bearer.is_fresh(0));
        assert!(bearer.hold(&Secret::new("one".into()), 100));
        let one = bearer.header();
        assert!(bearer.hold(&Secret::new("two".into()), 200));
        let refusal = Refusal { status: 401, challenges: Vec::new() };
        bearer.refused(one.as_ref(), refusal.clone());
        assert!(bearer.is_fresh(150) && bearer.last_refusal().is_none());
        bearer.refused(bearer.header().as_ref(), refusal);
        assert!(!bearer.is_fresh(0) && bearer.last_refusal().is_some());
        assert_eq!(bearer.secrets().len(), 2);
        assert!(!bearer.hold(&Secret::new("a\nb".into()), 1));
        assert!(!format!("{bearer:?}{:?}", bearer.header()).contains("two"));
    }
}
