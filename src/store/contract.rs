//! What every store must do, whatever database is behind it.

use super::*;
use crate::base::{GrantId, KeyId, Name, Role, Scopes, Slot, TenantId};
use crate::seal::{KeyTag, Ring, RootKey, SealError, Sealed};

pub(crate) fn tenant(name: &str, id: u8) -> TenantRecord {
    TenantRecord {
        id: TenantId::from_bytes([id; 16]),
        name: Name::new(name).unwrap(),
        origin: Origin::Store,
        created_at: 1_000,
    }
}

pub(crate) fn key(id: &str, tenant: TenantId) -> KeyRecord {
    KeyRecord {
        id: id.parse().unwrap(),
        owner: tenant.into(),
        role: Role::Admin,
        scopes: Scopes::everything(),
        created_by: None,
        holder: id.parse().unwrap(),
        name: "laptop".to_owned(),
        digest: [7; 32],
        created_at: 1_000,
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
    }
}

pub(crate) fn place(upstream: &str, slot: &str) -> SecretPlace {
    SecretPlace { upstream: Name::new(upstream).unwrap(), slot: Slot::new(slot).unwrap() }
}

/// The whole contract, on an empty store.
pub(crate) async fn holds(stores: &Stores) {
    tenants(stores).await;
    keys(stores).await;
    secrets(stores).await;
    sessions(stores).await;
    repeats(stores).await;
    grants(stores).await;
    changes(stores).await;
}

async fn tenants(stores: &Stores) {
    let tenants = &stores.tenants;
    let (acme, beta) = (tenant("acme", 1), tenant("beta", 2));
    tenants.create(beta.clone()).await.unwrap();
    tenants.create(acme.clone()).await.unwrap();
    let taken = tenants.create(tenant("acme", 3)).await;
    assert!(matches!(taken, Err(StoreError::Taken(_))));
    assert_eq!(tenants.find(&acme.name).await.unwrap(), Some(acme.clone()));
    assert_eq!(tenants.find(&Name::new("nobody").unwrap()).await.unwrap(), None);
    assert_eq!(tenants.list().await.unwrap(), [acme.clone(), beta.clone()]);

    let adopted = tenants.adopt(tenant("acme", 9)).await.unwrap();
    assert_eq!((adopted.id, adopted.origin), (acme.id, Origin::File), "the id stays");
    assert_eq!(tenants.adopt(tenant("acme", 10)).await.unwrap(), adopted);
    let fresh = tenants.adopt(tenant("from-file", 4)).await.unwrap();
    assert_eq!(fresh.origin, Origin::File);
    assert!(tenants.release(acme.id).await.unwrap());
    assert_eq!(tenants.find(&acme.name).await.unwrap(), Some(acme));

    assert!(tenants.remove(beta.id).await.unwrap());
    assert!(!tenants.remove(beta.id).await.unwrap());
    assert!(!tenants.release(beta.id).await.unwrap());
    tenants.create(tenant("beta", 5)).await.unwrap();
}

async fn keys(stores: &Stores) {
    let keys = &stores.keys;
    let (acme, beta) = (TenantId::from_bytes([1; 16]), TenantId::from_bytes([5; 16]));
    let one = key("aaaaaaaaaa", acme);
    keys.insert(acme.into(), one.clone()).await.unwrap();
    assert!(matches!(keys.insert(acme.into(), one.clone()).await, Err(StoreError::Taken(_))));
    let nobody = TenantId::from_bytes([99; 16]);
    let orphan = keys.insert(nobody.into(), key("bbbbbbbbbb", nobody)).await;
    assert!(matches!(orphan, Err(StoreError::Unknown(_))));

    assert_eq!(keys.list(acme.into()).await.unwrap(), std::slice::from_ref(&one));
    assert!(keys.list(beta.into()).await.unwrap().is_empty());
    let unknown: KeyId = "zzzzzzzzzz".parse().unwrap();
    let found = keys.find(vec![unknown, one.id]).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (&found[0].key, found[0].tenant.as_ref().map(|tenant| tenant.name.as_str())),
        (&one, Some("acme"))
    );
    assert!(keys.find(Vec::new()).await.unwrap().is_empty());

    keys.touch(vec![(one.id, 50), (unknown, 60)]).await.unwrap();
    keys.touch(vec![(one.id, 40)]).await.unwrap();
    assert_eq!(keys.list(acme.into()).await.unwrap()[0].last_used_at, Some(50), "never back");

    let mut two = key("cccccccccc", acme);
    two.created_at = 2_000;
    let foreign = keys.rotate(beta.into(), one.id, 3_000, two.clone()).await;
    assert!(matches!(foreign, Err(StoreError::Unknown(_))), "another tenant's key is unknown");
    keys.rotate(acme.into(), one.id, 3_000, two.clone()).await.unwrap();
    let listed = keys.list(acme.into()).await.unwrap();
    assert_eq!(listed.iter().map(|key| key.expires_at).collect::<Vec<_>>(), [Some(3_000), None]);
    let mut three = key("dddddddddd", acme);
    three.created_at = 3_000;
    let expired = keys.rotate(acme.into(), one.id, 9_000, three).await;
    assert!(matches!(expired, Err(StoreError::Unknown(_))), "what has ended is not rotated");
    assert_eq!(keys.list(acme.into()).await.unwrap().len(), 2, "both or neither");

    assert!(!keys.revoke(beta.into(), two.id, 4_000).await.unwrap());
    assert!(keys.revoke(acme.into(), two.id, 4_000).await.unwrap());
    let counts = |owner, now| async move {
        let counts = keys.count(owner, now).await.unwrap();
        (counts.live, counts.expired, counts.revoked)
    };
    // The first one ends at 3,000, where the second took its place.
    assert_eq!(counts(Some(acme.into()), 2_999).await, (1, 0, 1));
    assert_eq!(counts(Some(acme.into()), 3_000).await, (0, 1, 1));
    assert_eq!(counts(Some(beta.into()), 2_999).await, (0, 0, 0));
    assert_eq!(counts(None, 2_999).await, (1, 0, 1));
    assert!(!keys.revoke(acme.into(), two.id, 5_000).await.unwrap());
    assert_eq!(keys.find(vec![two.id]).await.unwrap()[0].key.revoked_at, Some(4_000));

    let mut own = key("eeeeeeeeee", acme);
    own.owner = Owner::Operator;
    own.role = Role::Operator;
    own.scopes = Scopes::read(["support", "gh__get_*"]).unwrap();
    own.created_by = Some(one.id);
    own.holder = two.id;
    keys.insert(Owner::Operator, own.clone()).await.unwrap();
    assert_eq!(keys.list(Owner::Operator).await.unwrap(), std::slice::from_ref(&own));
    let found = keys.find(vec![own.id]).await.unwrap();
    assert_eq!((&found[0].key, &found[0].tenant), (&own, &None));
    assert!(!keys.revoke(acme.into(), own.id, 4_000).await.unwrap(), "no tenant ends it");
    let mut mixed = key("ffffffffff", acme);
    mixed.role = Role::Operator;
    assert!(keys.insert(acme.into(), mixed).await.is_err(), "a tenant's key is no operator's");
    assert!(keys.revoke(Owner::Operator, own.id, 4_000).await.unwrap());
}

async fn secrets(stores: &Stores) {
    let secrets = &stores.secrets;
    let (acme, beta) = (TenantId::from_bytes([1; 16]), TenantId::from_bytes([5; 16]));
    let gh = Name::new("gh").unwrap();
    let seal = |text: &'static str| -> SealValue {
        Box::new(move |generation, _| {
            Ok(Sealed::from_bytes(format!("{text}/{generation}").into_bytes()))
        })
    };
    let put = |tenant, text| secrets.put(tenant, place("gh", "token"), 10, seal(text));
    assert_eq!(put(acme, "a").await.unwrap(), 1);
    assert_eq!(put(acme, "b").await.unwrap(), 2);
    assert_eq!(put(beta, "c").await.unwrap(), 1, "each tenant counts alone");
    assert!(matches!(put(TenantId::from_bytes([99; 16]), "d").await, Err(StoreError::Unknown(_))));

    let of = secrets.of_upstream(acme, &gh).await.unwrap();
    assert_eq!((of.len(), of[0].generation, of[0].sealed.as_bytes()), (1, 2, &b"b/2"[..]));
    assert!(secrets.of_upstream(acme, &Name::new("other").unwrap()).await.unwrap().is_empty());

    let failing: SealValue = Box::new(|_, _| Err(SealError::Random));
    let failed = secrets.put(acme, place("gh", "token"), 10, failing).await;
    assert!(matches!(failed, Err(StoreError::Seal(SealError::Random))));
    assert_eq!(secrets.of_upstream(acme, &gh).await.unwrap(), of, "a failed write leaves nothing");

    assert!(secrets.remove(acme, place("gh", "token")).await.unwrap());
    assert!(!secrets.remove(acme, place("gh", "token")).await.unwrap());
    assert!(secrets.list(acme).await.unwrap().is_empty());
    assert_eq!(put(acme, "e").await.unwrap(), 4, "no generation comes twice");
    let listed = secrets.list(acme).await.unwrap();
    let expected = SecretInfo { place: place("gh", "token"), generation: 4, set_at: 10 };
    assert_eq!(listed, [expected]);

    let ring = Ring::new(&RootKey::for_test(1));
    assert_eq!(secrets.data_key(acme).await.unwrap(), None);
    let (first, second) = (ring.new_data_key(acme).unwrap(), ring.new_data_key(acme).unwrap());
    assert_eq!(secrets.add_data_key(acme, first.clone()).await.unwrap(), first);
    assert_eq!(secrets.add_data_key(acme, second).await.unwrap(), first, "the first one holds");
    assert_eq!(secrets.data_key(acme).await.unwrap(), Some(first));
    let (one, two) = (KeyTag::from_bytes([1; 8]), KeyTag::from_bytes([2; 8]));
    assert_eq!(secrets.bind_root(one).await.unwrap(), one);
    assert_eq!(secrets.bind_root(two).await.unwrap(), one);

    assert!(stores.tenants.remove(acme).await.unwrap());
    assert!(secrets.of_upstream(acme, &gh).await.unwrap().is_empty());
    assert_eq!(secrets.data_key(acme).await.unwrap(), None);
    assert!(stores.keys.list(acme.into()).await.unwrap().is_empty());
    assert_eq!(secrets.list(beta).await.unwrap().len(), 1, "the other tenant keeps its own");
}

async fn sessions(stores: &Stores) {
    let sessions = &stores.sessions;
    let home = tenant("sessions", 30);
    stores.tenants.create(home.clone()).await.unwrap();
    let (own, other) = (home.id, TenantId::from_bytes([5; 16]));
    let record = |used_at, ended| SessionRecord {
        id: [7; 16],
        used_at,
        state: "sealed".to_owned(),
        ended,
        keep_until: used_at + 60,
    };
    let nobody = TenantId::from_bytes([99; 16]);
    sessions.save(vec![(nobody, record(1, false)), (own, record(100, false))]).await.unwrap();
    assert_eq!(sessions.find(own, [7; 16]).await.unwrap(), Some(record(100, false)));
    assert_eq!(sessions.find(other, [7; 16]).await.unwrap(), None, "another tenant's");
    assert_eq!(sessions.find(nobody, [7; 16]).await.unwrap(), None);
    sessions.save(vec![(own, record(90, false))]).await.unwrap();
    assert_eq!(sessions.find(own, [7; 16]).await.unwrap().unwrap().used_at, 100, "never back");

    sessions.save(vec![(own, record(110, true)), (own, record(120, false))]).await.unwrap();
    let ended = sessions.find(own, [7; 16]).await.unwrap().unwrap();
    assert!(ended.ended, "nothing brings it back");
    assert_eq!(ended.keep_until, 170);
    assert_eq!(sessions.prune(170).await.unwrap(), 0);
    assert_eq!(sessions.prune(171).await.unwrap(), 1);
    assert_eq!(sessions.find(own, [7; 16]).await.unwrap(), None);
    sessions.save(vec![(own, record(200, false))]).await.unwrap();
    assert!(stores.tenants.remove(own).await.unwrap());
    assert_eq!(sessions.find(own, [7; 16]).await.unwrap(), None, "it goes with its tenant");
}

async fn repeats(stores: &Stores) {
    let repeats = &stores.repeats;
    let (one, two): (KeyId, KeyId) = ("aaaaaaaaaa".parse().unwrap(), "bbbbbbbbbb".parse().unwrap());
    let begin = |key, digest: u8, now| repeats.begin(key, "n".to_owned(), [digest; 32], now);
    assert_eq!(begin(one, 1, 100_000).await.unwrap(), Begun::Fresh);
    assert_eq!(begin(one, 1, 100_000).await.unwrap(), Begun::Running);
    assert_eq!(begin(one, 2, 100_000).await.unwrap(), Begun::Other);
    assert_eq!(begin(two, 2, 100_000).await.unwrap(), Begun::Fresh, "each key names its own");
    repeats.finish(one, "n".to_owned(), Some("sealed".to_owned())).await.unwrap();
    repeats.finish(two, "n".to_owned(), None).await.unwrap();
    assert_eq!(begin(one, 1, 186_400).await.unwrap(), Begun::Answered("sealed".to_owned()));
    assert_eq!(begin(two, 3, 186_400).await.unwrap(), Begun::Fresh, "it may be tried again");
    assert_eq!(begin(one, 1, 186_401).await.unwrap(), Begun::Fresh, "after a day it is forgotten");
    for number in 1..1_000 {
        let begun = repeats.begin(one, number.to_string(), [1; 32], 186_401).await.unwrap();
        assert_eq!(begun, Begun::Fresh);
    }
    let begun = repeats.begin(one, "too many".to_owned(), [1; 32], 186_401).await.unwrap();
    assert_eq!(begun, Begun::TooMany);
}

async fn grants(stores: &Stores) {
    let (clients, grants) = (&stores.clients, &stores.grants);
    let client = |id: &str, created_at| ClientRecord {
        id: id.to_owned(),
        name: "app".to_owned(),
        redirects: vec!["http://127.0.0.1/cb".to_owned()],
        method: "none".to_owned(),
        digest: None,
        created_at,
    };
    assert!(clients.add(client("a", 10), 2).await.unwrap());
    assert!(clients.add(client("b", 20), 2).await.unwrap());
    assert!(!clients.add(client("c", 30), 2).await.unwrap(), "there are too many");
    assert_eq!(clients.find("a".to_owned()).await.unwrap(), Some(client("a", 10)));
    let show = |client: u8, id: u8, until, now| clients.show([client; 32], [id; 32], until, now);
    assert_eq!(show(1, 1, 100, 50).await.unwrap(), Shown::First);
    assert_eq!(show(1, 1, 200, 99).await.unwrap(), Shown::Again, "its time is the first one");
    assert_eq!(show(2, 1, 100, 60).await.unwrap(), Shown::First, "an id is its client's own");
    assert_eq!(show(1, 2, 100, 60).await.unwrap(), Shown::First);
    assert_eq!(show(1, 1, 300, 100).await.unwrap(), Shown::First, "its time was over");
    let (own, other) = (tenant("granting", 40), tenant("another", 41));
    stores.tenants.create(own.clone()).await.unwrap();
    stores.tenants.create(other.clone()).await.unwrap();
    let id = GrantId::from_bytes([1; 16]);
    let new = |id| NewGrant {
        id,
        tenant: own.id,
        key: "aaaaaaaaaa".parse().unwrap(),
        client: "a".to_owned(),
        client_name: "app".to_owned(),
        redirect: "http://127.0.0.1/cb".to_owned(),
        resource: "https://a/connect/mcp".to_owned(),
        challenge: "c".to_owned(),
        code_until: 160,
        created_at: 100,
    };
    assert!(grants.open(new(id), false).await.unwrap());
    assert!(!grants.open(new(id), false).await.unwrap(), "no id is given twice");
    let foreign = NewGrant { tenant: other.id, ..new(id) };
    assert!(!grants.open(foreign, false).await.unwrap(), "nor to another tenant");
    assert_eq!(grants.present(other.id, id, 0, 110).await.unwrap(), Presented::Over);
    assert_eq!(grants.present(own.id, id, 1, 110).await.unwrap(), Presented::Over, "not yet");
    for generation in 0..3 {
        let Presented::Good(found) = grants.present(own.id, id, generation, 120).await.unwrap()
        else {
            panic!("{generation} is the newest")
        };
        assert_eq!((found.generation, found.grant), (generation + 1, new(id)));
    }
    assert_eq!(grants.live(vec![id]).await.unwrap(), [id]);
    assert!(grants.list(other.id, None).await.unwrap().is_empty());
    assert_eq!(grants.list(own.id, None).await.unwrap().len(), 1);
    assert_eq!(grants.present(own.id, id, 1, 130).await.unwrap(), Presented::Again);
    assert!(grants.live(vec![id]).await.unwrap().is_empty(), "all of it has ended");
    assert_eq!(grants.present(own.id, id, 3, 130).await.unwrap(), Presented::Over);
    let late = GrantId::from_bytes([2; 16]);
    assert!(grants.open(new(late), false).await.unwrap());
    assert_eq!(grants.present(own.id, late, 0, 160).await.unwrap(), Presented::Over, "too late");
    assert!(!grants.end(other.id, late, 170, Ending::Revoked).await.unwrap());
    assert!(grants.end(own.id, late, 170, Ending::Revoked).await.unwrap());
    assert!(!grants.end(own.id, late, 180, Ending::Key).await.unwrap(), "it has ended once");
    let denied = GrantId::from_bytes([3; 16]);
    assert!(grants.open(new(denied), true).await.unwrap());
    assert_eq!(grants.present(own.id, denied, 0, 110).await.unwrap(), Presented::Over);
    let (long, quarter) = (GrantId::from_bytes([4; 16]), 90 * 86_400);
    assert!(grants.open(new(long), false).await.unwrap());
    assert!(matches!(grants.present(own.id, long, 0, 120).await.unwrap(), Presented::Good(_)));
    let late = 120 + quarter;
    assert_eq!(grants.present(own.id, long, 1, late).await.unwrap(), Presented::Over, "unused");
    let good = grants.present(own.id, long, 1, late - 1).await.unwrap();
    assert!(matches!(good, Presented::Good(_)), "a moment before it is good");
    // The others have ended or were never used; this one goes on for as long again.
    assert_eq!(grants.prune(late).await.unwrap(), 3);
    assert_eq!(grants.live(vec![id, long]).await.unwrap(), [long]);
    assert_eq!(grants.prune(late - 1 + quarter).await.unwrap(), 0);
    assert_eq!(grants.prune(late + quarter).await.unwrap(), 1);
    assert_eq!(clients.prune(50, 50).await.unwrap(), 1, "nobody has allowed `b` anything");
    assert_eq!(clients.prune(1_000, 1_000).await.unwrap(), 1, "and nothing goes on for `a`");
    let last = GrantId::from_bytes([5; 16]);
    assert!(grants.open(new(last), false).await.unwrap());
    assert!(stores.tenants.remove(own.id).await.unwrap());
    assert_eq!(grants.find(own.id, last).await.unwrap(), None, "they go with their tenant");
}

async fn changes(stores: &Stores) {
    let before = stores.changes.version().await.unwrap();
    assert_eq!(stores.changes.version().await.unwrap(), before, "reading changes nothing");
    stores.tenants.create(tenant("late", 20)).await.unwrap();
    assert_ne!(stores.changes.version().await.unwrap(), before);
}
