//! What callers of the pool notice, with links that only pretend.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::links::PRINCIPALS;
use super::{Lease, LinkState, Pool};
use crate::base::{Name, Tasks, TenantId};
use crate::upstream::link::{
    Cause, Facts, Interest, Link, LinkError, LinkKey, Outgoing, Pending, Reply,
};
use crate::wire::{CapSet, Era, Revision};

#[derive(Debug)]
struct Pretend {
    facts: Facts,
    open: AtomicBool,
    closed: Arc<AtomicUsize>,
}

impl Link for Pretend {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn request(&self, _: Outgoing) -> Pending<'_, Result<Reply, LinkError>> {
        let name = Name::new("u").unwrap();
        Box::pin(async move { Err(LinkError::before(&name, Cause::Down, "pretend")) })
    }

    fn send(&self, _: bytes::Bytes) -> Pending<'_, Result<(), LinkError>> {
        Box::pin(async { Ok(()) })
    }

    fn listen(&self, _: Interest) {}

    fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {
            if self.open.swap(false, Ordering::SeqCst) {
                self.closed.fetch_add(1, Ordering::SeqCst);
            }
        })
    }
}

/// A pool, and counts of the links made and closed.
struct Stage {
    tasks: Tasks,
    pool: Arc<Pool>,
    made: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
}

const IDLE: Duration = Duration::from_secs(10);

impl Stage {
    fn new() -> Self {
        let tasks = Tasks::default();
        let pool = Arc::new(Pool::new(&tasks));
        Self { tasks, pool, made: Arc::default(), closed: Arc::default() }
    }

    fn link(&self) -> Arc<Pretend> {
        Arc::new(Pretend {
            facts: Facts {
                era: Era::Modern,
                revision: Revision::LATEST_MODERN,
                capabilities: "{}".to_owned(),
                instructions: None,
                server_info: None,
            },
            open: AtomicBool::new(true),
            closed: Arc::clone(&self.closed),
        })
    }

    async fn get(&self, key: &LinkKey) -> Result<Lease, LinkError> {
        let (link, made) = (self.link(), Arc::clone(&self.made));
        self.pool
            .link(key, IDLE, move || async move {
                made.fetch_add(1, Ordering::SeqCst);
                Ok(link as Arc<dyn Link>)
            })
            .await
    }

    fn made(&self) -> usize {
        self.made.load(Ordering::SeqCst)
    }

    async fn until_closed(&self, count: usize) {
        while self.closed.load(Ordering::SeqCst) < count {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn key(principal: Option<&str>) -> LinkKey {
    LinkKey {
        tenant: Some(TenantId::from_bytes([1; 16])),
        upstream: Name::new("u").unwrap(),
        credential: 1,
        principal: principal.map(Into::into),
        capabilities: CapSet::NONE,
    }
}

#[tokio::test(start_paused = true)]
async fn one_start_serves_all_who_wait_and_outlives_those_who_leave() {
    let stage = Stage::new();
    let (key, link) = (key(None), stage.link());
    let (go, gate) = tokio::sync::oneshot::channel::<()>();
    let first = tokio::time::timeout(
        Duration::from_millis(10),
        stage.pool.link(&key, IDLE, move || async move {
            gate.await.unwrap();
            Ok(link as Arc<dyn Link>)
        }),
    );
    assert!(first.await.is_err());
    assert!(stage.pool.ready(&key).is_none());
    assert_eq!(stage.pool.status()[0].1, LinkState::Starting);
    go.send(()).unwrap();
    let (a, b) = tokio::join!(stage.get(&key), stage.get(&key));
    assert!(a.is_ok() && b.is_ok() && stage.pool.ready(&key).is_some());
    assert_eq!(stage.made(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_link_is_ended_when_it_is_idle_but_not_while_it_is_used() {
    let stage = Stage::new();
    let lease = stage.get(&key(None)).await.unwrap();
    tokio::time::sleep(IDLE * 5).await;
    assert!(matches!(stage.pool.status()[0].1, LinkState::Open { busy: 1, .. }));
    drop(lease);
    tokio::time::sleep(IDLE / 2).await;
    assert!(stage.pool.ready(&key(None)).is_some());
    stage.until_closed(1).await;
    assert!(stage.pool.ready(&key(None)).is_none() && stage.pool.status().is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_that_ended_is_made_anew_at_once_and_with_pauses_when_it_keeps_ending() {
    let stage = Stage::new();
    let mut refused = 0;
    for _ in 0..20 {
        match stage.get(&key(None)).await {
            Ok(lease) => lease.close().await,
            Err(error) => {
                assert!(matches!(error.cause, Cause::Resting(_)), "{error}");
                refused += 1;
            }
        }
        if refused == 0 {
            assert!(stage.pool.ready(&key(None)).is_none());
        }
    }
    assert!(stage.made() >= 3 && refused > 10, "{} made, {refused} refused", stage.made());
}

#[tokio::test(start_paused = true)]
async fn one_that_worked_is_back_at_once_and_a_crash_loop_is_not() {
    let stage = Stage::new();
    let mut longest = Duration::ZERO;
    for _ in 0..200 {
        let fell = crate::base::now();
        let lease = stage.get(&key(None)).await.unwrap();
        longest = longest.max(fell.elapsed());
        lease.report(Ok(()));
        lease.close().await;
    }
    assert!(longest <= Duration::from_millis(250), "{longest:?}");
    // From here on it starts well, and ends before it has answered anything.
    let gone = LinkError::after(&Name::new("u").unwrap(), Cause::Gone, "killed");
    let (began, before) = (crate::base::now(), stage.made());
    let mut last = began;
    let mut gap = Duration::ZERO;
    while began.elapsed() < Duration::from_secs(600) {
        match stage.get(&key(None)).await {
            Ok(lease) => {
                gap = last.elapsed();
                last = crate::base::now();
                lease.report(Err(&gone));
                lease.close().await;
            }
            Err(error) => assert!(matches!(error.cause, Cause::Resting(_)), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let starts = stage.made() - before;
    assert!((10..40).contains(&starts), "{starts} starts in ten minutes");
    assert!(gap >= Duration::from_secs(30) && gap <= Duration::from_secs(61), "{gap:?}");
}

#[tokio::test(start_paused = true)]
async fn failed_starts_hold_up_no_living_link_and_a_living_link_lifts_no_pause() {
    let stage = Stage::new();
    let (lives, fails) = (key(Some("a")), key(Some("b")));
    stage.get(&lives).await.unwrap().report(Ok(()));
    let down = || async { Err(LinkError::before(&Name::new("u").unwrap(), Cause::Down, "no")) };
    for _ in 0..10 {
        let _ = stage.pool.link(&fails, IDLE, down).await;
        stage.pool.ready(&lives).expect("it lives").report(Ok(()));
    }
    let error = stage.pool.link(&fails, IDLE, down).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Resting(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_reaches_everyone_and_the_next_ones_wait() {
    let stage = Stage::new();
    let (one, two) = (key(Some("a")), key(Some("b")));
    let fail = || async {
        tokio::task::yield_now().await;
        Err(LinkError::before(&Name::new("u").unwrap(), Cause::Down, "refused"))
    };
    let (a, b) = tokio::join!(stage.pool.link(&one, IDLE, fail), stage.pool.link(&one, IDLE, fail));
    assert_eq!((a.unwrap_err().cause, b.unwrap_err().cause), (Cause::Down, Cause::Down));
    for _ in 0..10 {
        let _ = stage.pool.link(&one, IDLE, fail).await;
    }
    // The pause holds for the tenant's other links to this upstream, and for nobody else.
    let error = stage.get(&two).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Resting(_)), "{error}");
    assert!(stage.get(&LinkKey { tenant: None, ..one }).await.is_ok());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(stage.get(&two).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_start_that_panics_is_an_error_and_not_a_hang() {
    let stage = Stage::new();
    let result = stage.pool.link(&key(None), IDLE, || async { panic!("on purpose") }).await;
    assert_eq!(result.unwrap_err().cause, Cause::Down);
    assert!(stage.get(&key(None)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_hangs_fails_fast_and_one_request_tries_it() {
    let stage = Stage::new();
    let hung = LinkError::after(&Name::new("u").unwrap(), Cause::Timeout, "hung");
    let leases: Vec<_> = {
        let first = stage.get(&key(None)).await.unwrap();
        (0..9).map(|_| stage.pool.ready(&key(None)).unwrap()).chain([first]).collect()
    };
    leases.iter().for_each(|lease| lease.report(Err(&hung)));
    assert!(stage.pool.ready(&key(None)).is_none());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let probe = stage.pool.ready(&key(None)).unwrap();
    assert!(stage.pool.ready(&key(None)).is_none());
    probe.report(Err(&hung));
    drop(probe);
    assert!(stage.pool.ready(&key(None)).is_none());
    tokio::time::sleep(Duration::from_secs(1)).await;
    // One that tries for long keeps the others away for a second only.
    let _slow = stage.pool.ready(&key(None)).unwrap();
    assert!(stage.pool.ready(&key(None)).is_none());
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.pool.ready(&key(None)).unwrap().report(Ok(()));
    let _both = (stage.pool.ready(&key(None)).unwrap(), stage.pool.ready(&key(None)).unwrap());
}

#[tokio::test(start_paused = true)]
async fn principals_have_a_bound_and_the_longest_unused_goes() {
    let stage = Stage::new();
    let names: Vec<String> = (0..PRINCIPALS).map(|number| number.to_string()).collect();
    let mut leases = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let lease = stage.get(&key(Some(name))).await.unwrap();
        // The first is in use, the second is the oldest.
        if number != 1 {
            leases.push(lease);
        }
    }
    let extra = stage.get(&key(Some("extra"))).await.unwrap();
    stage.until_closed(1).await;
    assert!(stage.pool.ready(&key(Some("1"))).is_none());
    assert!(stage.pool.ready(&key(Some("0"))).is_some());
    let error = stage.get(&key(Some("more"))).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Resting(_)));
    assert!(stage.get(&key(None)).await.is_ok(), "shared links do not count");
    drop(extra);
    assert!(stage.get(&key(Some("more"))).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_principal_has_at_most_four_links_with_other_capabilities() {
    let stage = Stage::new();
    let sets = [
        CapSet::NONE,
        CapSet::ROOTS,
        CapSet::SAMPLING,
        CapSet::ELICIT_FORM,
        CapSet::ELICIT_URL,
        CapSet::APPS,
    ];
    let keys = sets.map(|capabilities| LinkKey { capabilities, ..key(Some("a")) });
    let mut leases = Vec::new();
    for key in &keys[..4] {
        leases.push(stage.get(key).await.unwrap());
    }
    // All are in use, and what is in use is not taken away.
    let error = stage.get(&keys[4]).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Resting(_)));
    let other = LinkKey { capabilities: CapSet::ROOTS, ..key(Some("b")) };
    stage.get(&other).await.unwrap();
    drop(leases.remove(2));
    leases.push(stage.get(&keys[4]).await.unwrap());
    stage.until_closed(1).await;
    assert!(stage.pool.ready(&keys[2]).is_none());
    // Of those that nobody uses the one unused for longest goes.
    drop(leases.remove(0));
    tokio::time::sleep(IDLE / 2).await;
    leases.clear();
    stage.get(&keys[5]).await.unwrap();
    stage.until_closed(2).await;
    assert!(stage.pool.ready(&keys[0]).is_none());
    let own = stage.pool.ready_where(|key| key.principal.as_deref() == Some("a"));
    assert_eq!(own.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_is_revoked_ends_also_while_it_starts() {
    let stage = Stage::new();
    let old = key(None);
    let new = LinkKey { credential: 2, ..key(None) };
    let _held = stage.get(&old).await.unwrap();
    let _kept = stage.get(&new).await.unwrap();
    let starting = key(Some("p"));
    let (go, gate) = tokio::sync::oneshot::channel::<()>();
    let (pool, link, waits) = (Arc::clone(&stage.pool), stage.link(), starting.clone());
    let waiter = stage.tasks.spawn("waiter", async move {
        pool.link(&waits, IDLE, move || async move {
            gate.await.unwrap();
            Ok(link as Arc<dyn Link>)
        })
        .await
        .map(drop)
    });
    while stage.pool.status().len() < 3 {
        tokio::task::yield_now().await;
    }
    stage.pool.end_where(|key| key.credential == 1);
    go.send(()).unwrap();
    assert_eq!(waiter.await.unwrap().unwrap_err().cause, Cause::Closing);
    stage.until_closed(2).await;
    let left: Vec<_> = stage.pool.status().into_iter().map(|(key, _)| key).collect();
    assert_eq!(left, [new]);
}

#[tokio::test(start_paused = true)]
async fn closing_ends_everything_and_leaves_no_task() {
    let stage = Stage::new();
    for name in ["a", "b", "c"] {
        drop(stage.get(&key(Some(name))).await.unwrap());
    }
    assert!(stage.pool.close_all(Duration::from_secs(5)).await);
    assert_eq!(stage.closed.load(Ordering::SeqCst), 3);
    assert_eq!(stage.get(&key(None)).await.unwrap_err().cause, Cause::Closing);
    assert!(stage.tasks.finish(Duration::from_secs(5)).await);
}

#[tokio::test(start_paused = true)]
async fn a_retired_link_serves_nobody_new_and_ends_when_its_last_user_leaves() {
    let stage = Stage::new();
    let (used, idle) = (key(None), key(Some("a")));
    let lease = stage.get(&used).await.unwrap();
    drop(stage.get(&idle).await.unwrap());
    let longest = Duration::from_secs(60);
    stage.pool.retire_where(longest, |key| key.upstream.as_str() == "u");
    assert!(lease.is_retired() && stage.pool.ready(&used).is_none());
    stage.until_closed(1).await;
    assert!(lease.is_open(), "somebody uses it");
    let new = stage.get(&used).await.unwrap();
    assert!(stage.made() == 3 && !new.is_retired());
    drop(lease);
    stage.until_closed(2).await;
    assert!(new.is_open());
    // One that nobody gives back ends all the same.
    stage.pool.retire_where(longest, |_| true);
    let began = crate::base::now();
    stage.until_closed(3).await;
    assert!(began.elapsed() >= longest && began.elapsed() < longest * 2);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_retired_while_it_is_made_serves_those_who_wait() {
    let stage = Stage::new();
    let (key, link) = (key(None), stage.link());
    let pool = stage.pool.clone();
    let retire = key.clone();
    let lease = stage.pool.link(&key, IDLE, move || async move {
        pool.retire_where(IDLE, |other| *other == retire);
        Ok(link as Arc<dyn Link>)
    });
    let lease = lease.await.unwrap();
    assert!(lease.is_open() && lease.is_retired());
    drop(lease);
    stage.until_closed(1).await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_pool_ends_retired_links_too() {
    let stage = Stage::new();
    let lease = stage.get(&key(None)).await.unwrap();
    stage.pool.retire_where(IDLE * 100, |_| true);
    assert!(stage.pool.close_all(IDLE).await);
    assert!(!lease.is_open());
}
