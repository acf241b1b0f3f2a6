//! Keys from the outside: who is let in, and how soon somebody is not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::*;
use crate::base::{Fault, Kind, Name, Role, Scopes, Secret, Tasks, now, unix_seconds};
use crate::config::{KeyDeclaration, SecretSource, TenantDeclaration};
use crate::seal::{Ring, RootKey};
use crate::store::{
    Changes, KeyRecord, Origin, Owner, Pending, Sqlite, StoreError, Stores, TenantRecord,
};

pub(super) struct House {
    folder: tempfile::TempDir,
    pub(super) tasks: Tasks,
    pub(super) stores: Stores,
    ring: Arc<Ring>,
    pub(super) auth: Auth,
    acme: TenantRecord,
}

pub(super) fn sources(source: &SecretSource) -> Result<Secret, String> {
    match source {
        SecretSource::Env(name) => Ok(Secret::new(name.clone())),
        SecretSource::File(path) => Err(format!("{} cannot be read", path.display())),
    }
}

/// A file whose keys are what the names of their variables say.
pub(super) fn file(keys: &[(&str, &str)]) -> BTreeMap<Name, TenantDeclaration> {
    let keys = keys.iter().map(|(name, text)| KeyDeclaration {
        name: (*name).to_owned(),
        source: SecretSource::Env((*text).to_owned()),
        role: Role::Member,
        scopes: Scopes::everything(),
        line: 1,
    });
    let declaration = TenantDeclaration { keys: keys.collect(), ..TenantDeclaration::default() };
    BTreeMap::from([(Name::new("filed").unwrap(), declaration)])
}

fn open(path: &Path, tasks: &Tasks) -> Stores {
    Sqlite::open(path, tasks).unwrap().stores()
}

pub(super) async fn house_with(declared: &BTreeMap<Name, TenantDeclaration>) -> House {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::default();
    let stores = open(&folder.path().join("store.db"), &tasks);
    let ring = Arc::new(Ring::new(&RootKey::for_test(1)));
    let acme = fresh_tenant(&Name::new("acme").unwrap(), Origin::Store).unwrap();
    stores.tenants.create(acme.clone()).await.unwrap();
    let auth =
        Auth::new(&stores, ring.clone(), &Admission::for_test(declared), &sources).await.unwrap();
    House { folder, tasks, stores, ring, auth, acme }
}

async fn house() -> House {
    house_with(&BTreeMap::new()).await
}

impl House {
    async fn key(&self, expires_at: Option<u64>) -> (KeyRecord, HeaderMap) {
        let (record, text) =
            issue(&self.ring, NewKey { expires_at, ..NewKey::member(self.acme.id, "laptop") })
                .unwrap();
        self.stores.keys.insert(self.acme.id.into(), record.clone()).await.unwrap();
        (record, bearer(text.expose()))
    }

    /// Another process with the same file.
    fn other_process(&self) -> Stores {
        open(&self.folder.path().join("store.db"), &self.tasks)
    }
}

pub(super) fn bearer(text: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {text}").parse().unwrap())])
}

#[tokio::test]
async fn a_key_gives_its_tenant_and_the_second_time_without_the_store() {
    let house = house().await;
    let (record, headers) = house.key(None).await;
    assert!(house.auth.check_cached(&headers).is_none());
    let principal = house.auth.check(&headers).await.unwrap();
    assert_eq!(principal.tenant().id(), house.acme.id);
    assert_eq!(principal.tenant().name().as_str(), "acme");
    assert_eq!((principal.key(), principal.key_name()), (record.id, "laptop"));
    let again = house.auth.check_cached(&headers).unwrap().unwrap();
    assert!(Arc::ptr_eq(again.tenant(), principal.tenant()));
}

#[tokio::test]
async fn every_refusal_looks_the_same_outside_and_differs_in_the_log() {
    let house = house().await;
    let (revoked, revoked_key) = house.key(None).await;
    house.stores.keys.revoke(house.acme.id.into(), revoked.id, 1).await.unwrap();
    let (_, expired_key) = house.key(Some(unix_seconds())).await;
    let (live, live_key) = house.key(None).await;
    let unknown = key::generate().unwrap().1;
    // The id of a live key with the secret of another: shape and checksum are right.
    let mut forged = format!("mcpp_{}_{}", live.id, &unknown.expose()[16..59]);
    let sum = key::checksum(forged.as_bytes());
    forged = format!("{forged}_{}", std::str::from_utf8(&sum).unwrap());
    let cases = [
        (HeaderMap::new(), Denied::NoKey),
        (bearer("mcpp_short"), Denied::Malformed),
        (bearer("something-that-nobody-wrote-anywhere-at-all"), Denied::Unknown),
        (bearer(unknown.expose()), Denied::Unknown),
        (bearer(&forged), Denied::Wrong),
        (revoked_key, Denied::Revoked),
        (expired_key, Denied::Expired),
    ];
    let public = Fault::from(Denied::NoKey).public;
    for (headers, expected) in cases {
        for _ in 0..2 {
            let denied = house.auth.check(&headers).await.unwrap_err();
            assert_eq!(denied, expected);
            let fault = Fault::from(denied);
            assert_eq!((fault.kind, fault.public), (Kind::Unauthenticated, public.clone()));
        }
        assert!(house.auth.check_cached(&headers).unwrap().is_err(), "junk costs no second query");
    }
    assert!(house.auth.check(&live_key).await.is_ok());
}

#[tokio::test]
async fn a_key_revoked_by_another_process_ends_requests_and_streams_within_a_second() {
    let house = house().await;
    house.auth.watch(&house.tasks);
    let other = house.other_process();
    for _ in 0..5 {
        let (record, headers) = house.key(None).await;
        let principal = house.auth.check(&headers).await.unwrap();
        let (_, bystander) = house.key(None).await;
        let bystander = house.auth.check(&bystander).await.unwrap();
        let start = now();
        assert!(other.keys.revoke(house.acme.id.into(), record.id, unix_seconds()).await.unwrap());
        principal.ended().cancelled().await;
        let refused = house.auth.check(&headers).await.unwrap_err();
        assert!(now() - start < Duration::from_secs(1), "{:?}", now() - start);
        assert_eq!(refused, Denied::Revoked);
        assert!(!bystander.ended().is_cancelled());
    }
}

#[tokio::test]
async fn expiry_rotation_and_removal_end_a_key_that_is_in_use() {
    let house = house().await;
    house.auth.watch(&house.tasks);
    let (_, expiring) = house.key(Some(unix_seconds() + 2)).await;
    let (old, rotated) = house.key(None).await;
    let (_, removed) = house.key(None).await;
    let expiring = house.auth.check(&expiring).await.unwrap();
    let rotated_principal = house.auth.check(&rotated).await.unwrap();
    let removed_principal = house.auth.check(&removed).await.unwrap();

    let (fresh, text) = issue(&house.ring, NewKey::member(house.acme.id, "laptop")).unwrap();
    let at = unix_seconds();
    house.stores.keys.rotate(house.acme.id.into(), old.id, at, fresh).await.unwrap();
    rotated_principal.ended().cancelled().await;
    assert!(house.auth.check(&rotated).await.is_err());
    let fresh = house.auth.check(&bearer(text.expose())).await.unwrap();
    expiring.ended().cancelled().await;

    assert!(!removed_principal.ended().is_cancelled());
    house.stores.tenants.remove(house.acme.id).await.unwrap();
    removed_principal.ended().cancelled().await;
    fresh.ended().cancelled().await;
    assert_eq!(house.auth.check(&removed).await.unwrap_err(), Denied::Unknown);
}

#[tokio::test]
async fn rotation_with_grace_keeps_the_old_key_until_then() {
    let house = house().await;
    house.auth.watch(&house.tasks);
    let mut changed = house.auth.changed();
    let (old, headers) = house.key(None).await;
    let principal = house.auth.check(&headers).await.unwrap();
    changed.borrow_and_update();
    let (fresh, _) = issue(&house.ring, NewKey::member(house.acme.id, "laptop")).unwrap();
    let ends = unix_seconds() + 2;
    house.stores.keys.rotate(house.acme.id.into(), old.id, ends, fresh).await.unwrap();
    changed.changed().await.unwrap();
    assert!(house.auth.check(&headers).await.is_ok());
    principal.ended().cancelled().await;
    assert!(unix_seconds() >= ends);
}

#[tokio::test]
async fn a_key_that_was_given_to_another_tenant_by_hand_opens_nothing() {
    let house = house().await;
    let (record, headers) = house.key(None).await;
    let beta = fresh_tenant(&Name::new("beta").unwrap(), Origin::Store).unwrap();
    house.stores.tenants.create(beta.clone()).await.unwrap();
    // What `UPDATE api_key SET tenant_id = …` does.
    let mut moved = record.clone();
    moved.owner = beta.id.into();
    let stolen = issue(&house.ring, NewKey::member(house.acme.id, "x")).unwrap();
    moved.id = stolen.0.id;
    moved.digest = stolen.0.digest;
    house.stores.keys.insert(beta.id.into(), moved).await.unwrap();
    let denied = house.auth.check(&bearer(stolen.1.expose())).await.unwrap_err();
    assert_eq!(denied, Denied::Wrong);
    assert!(house.auth.check(&headers).await.is_ok());
}

#[tokio::test]
async fn keys_of_the_file_need_no_store_and_keep_their_tenant_id() {
    let text = "an-operators-own-key-of-32-characters-or-more";
    let house = house_with(&file(&[("laptop", text)])).await;
    let principal = house.auth.check_cached(&bearer(text)).unwrap().unwrap();
    assert_eq!((principal.tenant().name().as_str(), principal.origin()), ("filed", Origin::File));
    assert_eq!(principal.key(), declared_key_id(&house.ring, &Secret::new(text.to_owned())));
    let declared = file(&[("laptop", text)]);
    let admission = Admission::for_test(&declared);
    let again = Auth::new(&house.stores, house.ring.clone(), &admission, &sources);
    let again = again.await.unwrap().check(&bearer(text)).await.unwrap();
    assert_eq!(again.tenant().id(), principal.tenant().id());
    assert_eq!(again.key(), principal.key());
}

#[tokio::test]
async fn weak_or_doubtful_keys_of_the_file_stop_the_start_without_being_shown() {
    let house = house().await;
    let long = "x".repeat(40);
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[("a", "short-key-of-31-characters-only")], "32 to 512 visible"),
        (&[("a", "a key with spaces in it that is long enough")], "32 to 512 visible"),
        (&[("a", "mcpp_0123456789012345678901234567890123456789")], "mcpp_"),
        (&[("a", &long), ("b", &long)], "same text"),
        (&[("a", "key-with-ümlaut-that-is-long-enough-for-it")], "32 to 512 visible"),
    ];
    for (keys, expected) in cases {
        let keys_of_the_file = file(keys);
        let admission = Admission::for_test(&keys_of_the_file);
        let error = Auth::new(&house.stores, house.ring.clone(), &admission, &sources).await;
        let error = error.err().unwrap().to_string();
        assert!(error.contains(expected) && error.contains("`filed`"), "{error}");
        assert!(!error.contains(keys[0].1), "{error}");
    }
    let mut missing = file(&[("a", "")]);
    missing.get_mut("filed").unwrap().keys[0].source = SecretSource::File(PathBuf::from("gone"));
    let error =
        Auth::new(&house.stores, house.ring.clone(), &Admission::for_test(&missing), &sources)
            .await;
    assert!(error.err().unwrap().to_string().contains("gone cannot be read"));
}

#[tokio::test]
async fn a_tenant_that_left_the_file_lets_nobody_in() {
    let text = "an-operators-own-key-of-32-characters-or-more";
    let house = house_with(&file(&[("laptop", text)])).await;
    let filed = house.stores.tenants.find(&Name::new("filed").unwrap()).await.unwrap().unwrap();
    let (record, stored) = issue(&house.ring, NewKey::member(filed.id, "more")).unwrap();
    house.stores.keys.insert(filed.id.into(), record).await.unwrap();
    assert!(house.auth.check(&bearer(stored.expose())).await.is_ok());
    let nothing = BTreeMap::new();
    let admission = Admission::for_test(&nothing);
    let without = Auth::new(&house.stores, house.ring.clone(), &admission, &sources);
    let without = without.await.unwrap();
    assert_eq!(without.check(&bearer(text)).await.unwrap_err(), Denied::Unknown);
    assert_eq!(without.check(&bearer(stored.expose())).await.unwrap_err(), Denied::NoTenant);
}

#[tokio::test]
async fn last_uses_are_written_when_the_proxy_stops() {
    let house = house().await;
    house.auth.watch(&house.tasks);
    let (record, headers) = house.key(None).await;
    house.auth.check(&headers).await.unwrap();
    let before = house.stores.keys.list(house.acme.id.into()).await.unwrap();
    assert_eq!(before[0].last_used_at, None, "never per call");
    assert!(house.tasks.finish(Duration::from_secs(10)).await);
    let found = house.stores.keys.find(vec![record.id]).await.unwrap();
    assert!(found[0].key.last_used_at.is_some_and(|at| at + 60 > unix_seconds()));
}

#[tokio::test]
async fn no_key_text_lies_in_the_store() {
    let house = house().await;
    let mut texts = Vec::new();
    for _ in 0..50 {
        let (record, text) = issue(&house.ring, NewKey::member(house.acme.id, "laptop")).unwrap();
        house.stores.keys.insert(house.acme.id.into(), record).await.unwrap();
        texts.push(text);
    }
    for suffix in ["", "-wal", "-shm"] {
        let path = house.folder.path().join(format!("store.db{suffix}"));
        let bytes = std::fs::read(path).unwrap();
        for text in &texts {
            let secret = &text.expose().as_bytes()[16..59];
            assert!(memchr::memmem::find(&bytes, secret).is_none());
        }
    }
}

/// A change feed that can be cut.
struct Feed(AtomicBool);

impl Changes for Feed {
    fn version(&self) -> Pending<'_, u64> {
        let cut = self.0.load(Ordering::Relaxed);
        Box::pin(async move { if cut { Err(StoreError::Busy) } else { Ok(1) } })
    }
}

#[tokio::test]
async fn without_news_from_the_store_keys_are_refused_after_five_seconds() {
    let mut house = house().await;
    let feed = Arc::new(Feed(AtomicBool::new(false)));
    house.stores.changes = feed.clone();
    let nothing = BTreeMap::new();
    let auth =
        Auth::new(&house.stores, house.ring.clone(), &Admission::for_test(&nothing), &sources)
            .await
            .unwrap();
    auth.watch(&house.tasks);
    let (_, headers) = house.key(None).await;
    let principal = auth.check(&headers).await.unwrap();
    feed.0.store(true, Ordering::Relaxed);
    let start = now();
    principal.ended().cancelled().await;
    let blind = now() - start;
    assert!(blind > Duration::from_secs(4) && blind < Duration::from_secs(8), "{blind:?}");
    assert!(auth.check_cached(&headers).is_none(), "memory no longer knows the key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_that_races_with_the_first_check_is_never_lost() {
    let house = house().await;
    house.auth.watch(&house.tasks);
    let other = house.other_process();
    let mut racing = Vec::new();
    for _ in 0..60 {
        let (record, headers) = house.key(None).await;
        let (auth, keys, tenant) = (house.auth.clone(), other.keys.clone(), house.acme.id);
        racing.push(house.tasks.spawn("racing check", async move {
            let (checked, revoked) =
                tokio::join!(auth.check(&headers), keys.revoke(tenant.into(), record.id, 1));
            assert!(revoked.unwrap());
            if let Ok(principal) = checked {
                principal.ended().cancelled().await;
            }
            assert_eq!(auth.check(&headers).await.unwrap_err(), Denied::Revoked);
        }));
    }
    for race in racing {
        tokio::time::timeout(Duration::from_secs(20), race).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_well_formed_junk_leaves_known_keys_alone() {
    let house = house().await;
    let (_, known) = house.key(None).await;
    house.auth.check(&known).await.unwrap();
    let junk: Vec<_> = (0..2_000)
        .map(|_| {
            let headers = bearer(key::generate().unwrap().1.expose());
            let auth = house.auth.clone();
            house.tasks.spawn("junk", async move { auth.check(&headers).await })
        })
        .collect();
    assert!(house.auth.check_cached(&known).unwrap().is_ok());
    for task in junk {
        let denied = task.await.unwrap().unwrap_err();
        assert!(matches!(denied, Denied::Unknown | Denied::Unavailable(_)), "{denied}");
    }
    assert!(house.auth.check_cached(&known).unwrap().is_ok());
}

impl House {
    pub(super) async fn made(&self, wanted: NewKey<'_>) -> (KeyRecord, HeaderMap) {
        let (record, text) = issue(&self.ring, wanted).unwrap();
        self.stores.keys.insert(record.owner, record.clone()).await.unwrap();
        (record, bearer(text.expose()))
    }

    async fn operator(&self) -> (KeyRecord, HeaderMap) {
        let member = NewKey::member(self.acme.id, "ops");
        self.made(NewKey { owner: Owner::Operator, role: Role::Operator, ..member }).await
    }
}

fn with_tenant(headers: &HeaderMap, tenant: &str) -> HeaderMap {
    let mut headers = headers.clone();
    headers.insert("x-tenant", tenant.parse().unwrap());
    headers
}

#[tokio::test]
async fn the_operator_acts_for_a_tenant_that_he_names_and_for_none_without() {
    let house = house().await;
    house.auth.watch(&house.tasks);
    let (record, headers) = house.operator().await;
    assert_eq!(house.auth.check(&headers).await.unwrap_err(), Denied::TenantNeeded);
    let caller = house.auth.identify(&headers).await.unwrap();
    assert!(matches!(caller, Caller::Operator(_)) && caller.key() == record.id);
    let unknown = with_tenant(&headers, "nobody");
    assert_eq!(house.auth.check(&unknown).await.unwrap_err(), Denied::UnknownTenant);

    let acting = with_tenant(&headers, "acme");
    let principal = house.auth.check(&acting).await.unwrap();
    assert_eq!((principal.tenant().id(), principal.role()), (house.acme.id, Role::Operator));
    let again = house.auth.check(&acting).await.unwrap();
    assert!(Arc::ptr_eq(again.tenant(), principal.tenant()), "one for all its requests");

    // The end of the tenant is the end of whoever acts for it, and so is the end of the key.
    let beta = fresh_tenant(&Name::new("beta").unwrap(), Origin::Store).unwrap();
    house.stores.tenants.create(beta.clone()).await.unwrap();
    let other = house.auth.check(&with_tenant(&headers, "beta")).await.unwrap();
    house.stores.tenants.remove(house.acme.id).await.unwrap();
    principal.ended().cancelled().await;
    assert!(!other.ended().is_cancelled());
    assert!(house.stores.keys.revoke(Owner::Operator, record.id, 1).await.unwrap());
    other.ended().cancelled().await;
    assert_eq!(house.auth.check(&acting).await.unwrap_err(), Denied::Revoked);
}

#[tokio::test]
async fn nobody_of_a_tenant_acts_for_another() {
    let house = house().await;
    let (_, headers) = house.key(None).await;
    assert!(house.auth.identify(&with_tenant(&headers, "acme")).await.is_ok());
    for other in ["beta", "nobody", ""] {
        let denied = house.auth.identify(&with_tenant(&headers, other)).await.unwrap_err();
        assert_eq!(denied, Denied::OtherTenant);
    }
}

#[tokio::test]
async fn roles_and_owners_fit_together() {
    let house = house().await;
    let member = NewKey::member(house.acme.id, "x");
    let wrong = [
        NewKey { role: Role::Operator, ..member.clone() },
        NewKey { owner: Owner::Operator, ..member },
    ];
    for wanted in wrong {
        assert!(matches!(issue(&house.ring, wanted), Err(AuthError::Role)));
    }
}

fn request() -> TokenRequest {
    TokenRequest { life: Duration::from_secs(900), role: None, scopes: None }
}

#[tokio::test]
async fn a_token_stands_for_its_key_and_ends_with_it() {
    let house = house().await;
    house.auth.watch(&house.tasks);
    let scopes = Scopes::read(["support", "gh__*"]).unwrap();
    let member = NewKey::member(house.acme.id, "boss");
    let (record, headers) =
        house.made(NewKey { role: Role::Admin, scopes: scopes.clone(), ..member }).await;
    let caller = house.auth.identify(&headers).await.unwrap();
    let narrow = Scopes::read(["support", "gh__get_*"]).unwrap();
    let minted = house.auth.mint(
        &caller,
        &TokenRequest { role: Some(Role::Member), scopes: Some(narrow.clone()), ..request() },
    );
    let minted = minted.unwrap();
    let shown = bearer(minted.text.expose());
    assert!(house.auth.check_cached(&shown).is_none());
    let principal = house.auth.check(&shown).await.unwrap();
    assert_eq!((principal.key(), principal.role()), (record.id, Role::Member));
    assert_eq!((principal.scopes(), principal.tenant().id()), (&narrow, house.acme.id));
    assert!(house.auth.check_cached(&shown).unwrap().is_ok(), "the second time from memory");

    // What it may not become.
    let wide = Some(Scopes::everything());
    let token = house.auth.identify(&shown).await.unwrap();
    assert_eq!(house.auth.mint(&token, &request()).unwrap_err(), MintError::Token);
    let cases = [
        TokenRequest { scopes: wide, ..request() },
        TokenRequest { role: Some(Role::Operator), ..request() },
        TokenRequest { life: Duration::from_secs(3_601), ..request() },
        TokenRequest { life: Duration::ZERO, ..request() },
    ];
    for wanted in cases {
        assert!(house.auth.mint(&caller, &wanted).is_err(), "{wanted:?}");
    }

    assert!(house.stores.keys.revoke(record.owner, record.id, 1).await.unwrap());
    principal.ended().cancelled().await;
    assert!(house.auth.check(&shown).await.is_err());
}

#[tokio::test]
async fn a_token_ends_when_its_time_is_over() {
    let house = house().await;
    house.auth.watch(&house.tasks);
    let (_, headers) = house.key(None).await;
    let caller = house.auth.identify(&headers).await.unwrap();
    let life = Duration::from_secs(2);
    let minted = house.auth.mint(&caller, &TokenRequest { life, ..request() }).unwrap();
    let shown = bearer(minted.text.expose());
    let principal = house.auth.check(&shown).await.unwrap();
    principal.ended().cancelled().await;
    assert!(unix_seconds() >= minted.expires_at);
    assert!(house.auth.check(&shown).await.is_err());
    assert!(house.auth.check(&headers).await.is_ok(), "its key goes on");
}

#[tokio::test]
async fn a_token_that_was_changed_or_is_anothers_opens_nothing() {
    let house = house().await;
    let (_, headers) = house.key(None).await;
    let caller = house.auth.identify(&headers).await.unwrap();
    let text = house.auth.mint(&caller, &request()).unwrap().text;
    let parts: Vec<&str> = text.expose().split('.').collect();
    let header = |json: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json)
    };
    let kid = {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(parts[0]).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        value["kid"].as_str().unwrap().to_owned()
    };
    let mut forged = vec![
        format!("{}.{}.", header(&format!(r#"{{"alg":"none","kid":"{kid}"}}"#)), parts[1]),
        format!(
            "{}.{}.{}",
            header(&format!(r#"{{"alg":"HS512","kid":"{kid}"}}"#)),
            parts[1],
            parts[2]
        ),
        format!(
            "{}.{}.{}",
            header(&format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#)),
            parts[1],
            parts[2]
        ),
        format!("{}.{}.{}", header(r#"{"alg":"HS256","kid":"other"}"#), parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], header(r#"{"sub":"aaaaaaaaaa"}"#), parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], header("no signature")),
        format!("{}.{}.{}", parts[0], parts[1], parts[1]),
        "eyJ..".to_owned(),
        "ey.ey.ey".to_owned(),
    ];
    for at in (0..text.expose().len()).step_by(7) {
        let mut bytes = text.expose().as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        forged.push(String::from_utf8(bytes).unwrap());
    }
    for forged in &forged {
        let denied = house.auth.check(&bearer(forged)).await.unwrap_err();
        let public = Fault::from(denied).public;
        assert_eq!(public, Fault::from(Denied::NoKey).public, "{forged}");
    }
    // Another proxy with another root key.
    let ring = Arc::new(Ring::new(&RootKey::for_test(2)));
    let nothing = BTreeMap::new();
    let admission = Admission::for_test(&nothing);
    let other = Auth::new(&house.stores, ring, &admission, &sources).await.unwrap();
    assert!(other.check(&bearer(text.expose())).await.is_err());
    assert!(house.auth.check(&bearer(text.expose())).await.is_ok());
}

#[tokio::test]
async fn a_token_of_the_operator_is_for_the_tenant_that_he_named() {
    let house = house().await;
    let (record, headers) = house.operator().await;
    let operator = house.auth.identify(&headers).await.unwrap();
    let token = house.auth.mint(&operator, &request()).unwrap();
    let shown = bearer(token.text.expose());
    assert!(matches!(house.auth.identify(&shown).await.unwrap(), Caller::Operator(_)));
    let acting = house.auth.check(&with_tenant(&shown, "acme")).await.unwrap();
    assert_eq!((acting.key(), acting.tenant().id()), (record.id, house.acme.id));
    let member = TokenRequest { role: Some(Role::Member), ..request() };
    assert_eq!(house.auth.mint(&operator, &member).unwrap_err(), MintError::Tenant);

    let acting = house.auth.identify(&with_tenant(&headers, "acme")).await.unwrap();
    let token = house.auth.mint(&acting, &member).unwrap();
    let shown = bearer(token.text.expose());
    let principal = house.auth.check(&shown).await.unwrap();
    assert_eq!((principal.role(), principal.tenant().id()), (Role::Member, house.acme.id));
    assert!(house.auth.identify(&with_tenant(&shown, "other")).await.is_err());
}
