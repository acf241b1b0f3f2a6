//! Credentials from the outside: each tenant gets its own, in each place, and nothing else does.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use tokio::sync::watch;

use super::*;
use crate::auth::{Principal, fresh_tenant};
use crate::base::{Fault, Kind, Name, Secret, Slot, Tasks, TenantId};
use crate::config::{
    EraSetting, InjectedArgument, Interactive, ProcessLimits, SecretSource, Share, Template,
    TenantDeclaration, Timing, Transport, Upstream,
};
use crate::policy::own_work;
use crate::seal::{KeyTag, Ring, RootKey, Sealed};
use crate::store::{
    GenerationRecord, MakeGeneration, Origin, Pending, Reseal, Rewrapped, SealValue, SealedSecret,
    Sealing, SecretInfo, SecretPlace, Secrets, Sqlite, StoreError, Stores, TenantRecord, by_hand,
};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

fn place(upstream: &str, slot: &str) -> SecretPlace {
    SecretPlace { upstream: name(upstream), slot: Slot::new(slot).unwrap() }
}

fn upstream(called: &str, transport: Transport, slots: &[&str]) -> Arc<Upstream> {
    let argument = InjectedArgument { value: template("{secret.arg}"), tools: None };
    let arguments = BTreeMap::from([("api_key".to_owned(), argument)]);
    let second = Duration::from_secs(1);
    Arc::new(Upstream {
        rules: crate::config::Rules::default(),
        name: name(called),
        transport,
        all_arguments: called == "all",
        arguments: if slots.contains(&"arg") { arguments } else { BTreeMap::new() },
        bare: false,
        quirks: crate::config::UpstreamQuirks::default(),
        era: EraSetting::Auto,
        timing: Timing { timeout: second, max_time: second, start: second, idle_stop: second },
        slots: slots.iter().map(|slot| Slot::new(slot).unwrap()).collect(),
        uses_tenant: true,
        uses_key: called == "child",
        tenants: None,
        guarded: false,
        oauth: None,
    })
}

fn http(called: &str, slots: &[&str]) -> Arc<Upstream> {
    let headers =
        vec![(HeaderName::from_static("authorization"), template("Bearer {secret.token}"))];
    let headers = if slots.contains(&"token") { headers } else { Vec::new() };
    let url = if slots.contains(&"url_key") { "{secret.url_key}" } else { "none" };
    let url = template(&format!("https://example.com/{{tenant}}/mcp?k={url}"));
    upstream(called, Transport::Http { url, headers }, slots)
}

fn child() -> Arc<Upstream> {
    let transport = Transport::Stdio {
        command: vec![template("server"), template("/srv/{tenant}/{key}")],
        env: vec![
            ("API_KEY".to_owned(), template("{secret.token}")),
            ("CALLER".to_owned(), template("{key}")),
        ],
        cwd: None,
        share: Share::Session,
        interactive: Interactive::Auto,
        limits: ProcessLimits::default(),
    };
    upstream("child", transport, &["token"])
}

struct House {
    folder: tempfile::TempDir,
    stores: Stores,
    ring: Arc<Ring>,
    vault: Vault,
    credentials: Credentials,
    changed: watch::Sender<u64>,
    acme: (TenantRecord, Principal),
    globex: (TenantRecord, Principal),
}

async fn house_with(declared: DeclaredSecrets) -> House {
    let folder = tempfile::tempdir().unwrap();
    let stores = Sqlite::open(&folder.path().join("store.db"), &Tasks::default()).unwrap().stores();
    let ring = Arc::new(Ring::new(&RootKey::for_test(1)));
    let (changed, receiver) = watch::channel(0);
    let tenant = async |called: &str| {
        let record = fresh_tenant(&name(called), Origin::Store).unwrap();
        stores.tenants.create(record.clone()).await.unwrap();
        let principal = Principal::for_test(record.id, called, "abcdefghij");
        (record, principal)
    };
    let (acme, globex) = (tenant("acme").await, tenant("globex").await);
    let vault = Vault::new(stores.secrets.clone(), ring.clone());
    vault.bind().await.unwrap();
    let credentials = Credentials::new(
        (stores.secrets.clone(), stores.logins.clone()),
        ring.clone(),
        declared,
        receiver,
        &Tasks::default(),
    );
    House { folder, stores, ring, vault, credentials, changed, acme, globex }
}

async fn house() -> House {
    house_with(DeclaredSecrets::default()).await
}

impl House {
    async fn set(&self, tenant: &(TenantRecord, Principal), at: SecretPlace, value: &str) -> u64 {
        let value = Secret::new(value.to_owned());
        let generation = self.vault.set(tenant.0.id, at, value).await.unwrap();
        self.changed.send_modify(|epoch| *epoch += 1);
        generation
    }

    fn by_hand(&self, sql: &str) {
        by_hand(&self.folder.path().join("store.db"), sql);
        self.changed.send_modify(|epoch| *epoch += 1);
    }

    async fn arm(
        &self,
        tenant: &(TenantRecord, Principal),
        upstream: &Arc<Upstream>,
    ) -> Result<Arc<Armed>, CredentialError> {
        self.credentials.arm(&tenant.1, own_work(upstream)).await
    }
}

fn header(armed: &Armed) -> &str {
    armed.headers()["authorization"].to_str().unwrap()
}

#[tokio::test]
async fn each_tenant_gets_its_own_values_in_every_place() {
    let house = house().await;
    let (crm, child) = (http("crm", &["token", "url_key", "arg"]), child());
    for (tenant, mark) in [(&house.acme, "A"), (&house.globex, "G")] {
        house.set(tenant, place("crm", "token"), &format!("token-{mark}")).await;
        house.set(tenant, place("crm", "url_key"), &format!("a/b?c=..&{mark} é")).await;
        house.set(tenant, place("crm", "arg"), &format!("arg-{mark}")).await;
        house.set(tenant, place("child", "token"), &format!("env-value-{mark}")).await;
    }
    for (tenant, mark, called) in [(&house.acme, "A", "acme"), (&house.globex, "G", "globex")] {
        let armed = house.arm(tenant, &crm).await.unwrap();
        assert_eq!(header(&armed), format!("Bearer token-{mark}"));
        assert!(armed.headers()["authorization"].is_sensitive());
        let url = armed.url().unwrap().to_string();
        let expected =
            format!("https://example.com/{called}/mcp?k=a%2Fb%3Fc%3D%2E%2E%26{mark}%20%C3%A9");
        assert_eq!(url, expected);
        let arguments = armed.arguments(None);
        assert_eq!(
            (&*arguments[0].0, arguments[0].1.expose()),
            ("api_key", &*format!("arg-{mark}"))
        );
        let armed = house.arm(tenant, &child).await.unwrap();
        let key = Some(tenant.1.key());
        assert_eq!(armed.command(key), ["server", &format!("/srv/{called}/abcdefghij")]);
        let env = armed.env(key);
        assert_eq!(env[0].1.expose(), format!("env-value-{mark}"));
        assert_eq!(env[1].1.expose(), "abcdefghij");
        assert!(!format!("{armed:?}").contains(&format!("env-value-{mark}")));
        let echoed =
            format!("bad key env-value-{mark}, {}", STANDARD.encode(format!("env-value-{mark}")));
        assert_eq!(armed.redact(&echoed), "bad key [redacted], [redacted]");
    }
}

#[tokio::test]
async fn a_missing_secret_names_the_command_that_fills_it() {
    let house = house().await;
    let gh = http("gh", &["token", "url_key"]);
    let error = house.arm(&house.acme, &gh).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("`mcp-proxy secret set --tenant acme gh token`"), "{text}");
    assert!(text.contains("`mcp-proxy secret set --tenant acme gh url_key`"), "{text}");
    assert_eq!(Fault::from(error).kind, Kind::NeedsSetup);
    house.set(&house.acme, place("gh", "token"), "t").await;
    let text = house.arm(&house.acme, &gh).await.unwrap_err().to_string();
    assert!(!text.contains("gh token") && text.contains("gh url_key"), "{text}");
    house.set(&house.acme, place("gh", "url_key"), "u").await;
    assert!(house.arm(&house.acme, &gh).await.is_ok());
    let open = http("open", &[]);
    // Without credentials everybody may have the same link.
    let globex = house.arm(&house.globex, &open).await.unwrap().revision();
    assert_eq!(house.arm(&house.acme, &open).await.unwrap().revision(), globex);
}

#[tokio::test]
async fn the_revision_follows_the_credentials_and_nothing_else() {
    let house = house().await;
    let (gh, other) = (http("gh", &["token"]), http("other", &["token"]));
    house.set(&house.acme, place("gh", "token"), "one").await;
    let first = house.arm(&house.acme, &gh).await.unwrap();
    let cached = house.credentials.armed_cached(house.acme.0.id, own_work(&gh)).unwrap();
    assert!(Arc::ptr_eq(&first, &cached));
    house.set(&house.acme, place("other", "token"), "x").await;
    assert!(
        house.credentials.armed_cached(house.acme.0.id, own_work(&gh)).is_none(),
        "read again first"
    );
    assert!(Arc::ptr_eq(&first, &house.arm(&house.acme, &gh).await.unwrap()));
    house.set(&house.acme, place("gh", "token"), "two").await;
    let second = house.arm(&house.acme, &gh).await.unwrap();
    assert_eq!(header(&second), "Bearer two");
    assert_ne!(first.revision(), second.revision());
    let third = house.arm(&house.acme, &other).await.unwrap();
    assert!(third.revision() != 0 && third.revision() != second.revision());
    house.stores.secrets.remove(house.acme.0.id, place("gh", "token")).await.unwrap();
    house.changed.send_modify(|epoch| *epoch += 1);
    assert!(matches!(house.arm(&house.acme, &gh).await, Err(CredentialError::Missing { .. })));
}

fn refused(verdict: &Result<Arc<Armed>, CredentialError>) -> bool {
    matches!(verdict, Err(CredentialError::Sealed { .. }))
}

#[tokio::test]
async fn swapped_rows_are_refused_and_the_other_tenants_go_on() {
    let house = house().await;
    let (gh, crm) = (http("gh", &["token"]), http("crm", &["token"]));
    house.set(&house.acme, place("gh", "token"), "acme-gh").await;
    house.set(&house.acme, place("crm", "token"), "acme-crm").await;
    house.set(&house.globex, place("gh", "token"), "globex-gh").await;
    house.set(&house.globex, place("crm", "token"), "globex-crm").await;
    assert_eq!(header(&house.arm(&house.acme, &gh).await.unwrap()), "Bearer acme-gh");

    // Between two upstreams of one tenant.
    house.by_hand(
        "CREATE TEMP TABLE two AS SELECT s.* FROM secret s JOIN tenant t ON t.id = s.tenant_id WHERE t.name = 'acme';
         UPDATE secret SET sealed = (SELECT sealed FROM two WHERE two.upstream <> secret.upstream)
         WHERE tenant_id IN (SELECT tenant_id FROM two)",
    );
    assert!(refused(&house.arm(&house.acme, &gh).await));
    assert!(refused(&house.arm(&house.acme, &crm).await));
    assert_eq!(header(&house.arm(&house.globex, &gh).await.unwrap()), "Bearer globex-gh");
    let line = house.arm(&house.acme, &gh).await.unwrap_err().to_string();
    assert!(line.contains("mcp-proxy secret set --tenant acme gh token"), "{line}");

    // Set again, then swapped with another tenant's.
    house.set(&house.acme, place("gh", "token"), "acme-gh").await;
    assert!(house.arm(&house.acme, &gh).await.is_ok());
    house.by_hand(
        "CREATE TEMP TABLE two AS SELECT * FROM secret WHERE upstream = 'gh';
         UPDATE secret SET sealed = (SELECT sealed FROM two WHERE two.tenant_id <> secret.tenant_id)
         WHERE upstream = 'gh'",
    );
    assert!(refused(&house.arm(&house.acme, &gh).await));
    assert!(refused(&house.arm(&house.globex, &gh).await));
    assert_eq!(header(&house.arm(&house.globex, &crm).await.unwrap()), "Bearer globex-crm");

    // With the data keys swapped too, nothing of either opens, and nobody sees the other's.
    house.by_hand(
        "CREATE TEMP TABLE two AS SELECT * FROM data_key;
         UPDATE data_key SET sealed = (SELECT sealed FROM two WHERE two.tenant_id <> data_key.tenant_id)",
    );
    for tenant in [&house.acme, &house.globex] {
        assert!(refused(&house.arm(tenant, &gh).await));
    }
}

#[tokio::test]
async fn rolled_back_rows_are_refused() {
    let house = house().await;
    let gh = http("gh", &["token"]);
    house.set(&house.acme, place("gh", "token"), "old").await;
    house.by_hand("CREATE TABLE copy AS SELECT * FROM secret; CREATE TABLE counts AS SELECT * FROM secret_generation");
    let put_back = "DELETE FROM secret; INSERT INTO secret SELECT * FROM copy";
    house.set(&house.acme, place("gh", "token"), "new").await;
    house.by_hand(put_back);
    assert!(refused(&house.arm(&house.acme, &gh).await));
    // A removed secret does not come back either.
    house.set(&house.acme, place("gh", "token"), "newer").await;
    assert_eq!(header(&house.arm(&house.acme, &gh).await.unwrap()), "Bearer newer");
    house.stores.secrets.remove(house.acme.0.id, place("gh", "token")).await.unwrap();
    house.by_hand(put_back);
    assert!(refused(&house.arm(&house.acme, &gh).await));
    // Nor with its counter, as long as the proxy that saw a later one runs.
    house.by_hand(
        "DELETE FROM secret_generation; INSERT INTO secret_generation SELECT * FROM counts",
    );
    assert!(refused(&house.arm(&house.acme, &gh).await));
    // And without a counter nothing opens.
    house.by_hand("DELETE FROM secret_generation");
    assert!(refused(&house.arm(&house.acme, &gh).await));
}

#[tokio::test]
async fn another_root_key_is_refused_before_anything_is_written() {
    let house = house().await;
    let other = Arc::new(Ring::new(&RootKey::for_test(2)));
    let error = Vault::new(house.stores.secrets.clone(), other).bind().await.unwrap_err();
    assert!(error.to_string().contains("restore the key file"), "{error}");
    assert!(error.to_string().contains(&house.ring.tag().to_string()), "{error}");
}

#[tokio::test]
async fn values_that_could_leave_their_place_are_refused() {
    let house = house().await;
    for bad in ["", "a\r\nX-Other: b", "a\nb", "a\0b", &"x".repeat(65_537)] {
        let value = Secret::new(bad.to_owned());
        let set = house.vault.set(house.acme.0.id, place("gh", "token"), value).await;
        assert!(matches!(set, Err(VaultError::Value(_))), "{bad:?}");
    }
    assert!(house.stores.secrets.list(house.acme.0.id).await.unwrap().is_empty());
    house.set(&house.acme, place("gh", "token"), "bell\u{7}").await;
    let error = house.arm(&house.acme, &http("gh", &["token"])).await.unwrap_err();
    assert!(error.to_string().contains("header `authorization`"), "{error}");
    assert!(!error.to_string().contains("bell"), "{error}");
}

#[tokio::test]
async fn the_file_precedes_the_store_and_its_gaps_stay_its_own() {
    let source = |upstream: &str, slot: &str, variable: &str| {
        let at = (name(upstream), Slot::new(slot).unwrap());
        (at, SecretSource::Env(variable.to_owned()))
    };
    let secrets =
        BTreeMap::from([source("gh", "token", "from-the-file"), source("crm", "token", "GONE")]);
    let declared = BTreeMap::from([(
        name("acme"),
        TenantDeclaration { secrets, ..TenantDeclaration::default() },
    )]);
    let resolve = |source: &SecretSource| match source {
        SecretSource::Env(value) if value != "GONE" => Ok(Secret::new(value.clone())),
        _ => Err("the environment variable GONE is not set".to_owned()),
    };
    let house = house_with(DeclaredSecrets::read(&declared, &resolve)).await;
    for tenant in [&house.acme, &house.globex] {
        house.set(tenant, place("gh", "token"), "from-the-store").await;
        house.set(tenant, place("crm", "token"), "from-the-store").await;
    }
    let (gh, crm) = (http("gh", &["token"]), http("crm", &["token"]));
    assert_eq!(header(&house.arm(&house.acme, &gh).await.unwrap()), "Bearer from-the-file");
    assert_eq!(header(&house.arm(&house.globex, &gh).await.unwrap()), "Bearer from-the-store");
    let fault = Fault::from(house.arm(&house.acme, &crm).await.unwrap_err());
    assert!(!fault.public.contains("GONE"), "{}", fault.public);
    assert!(fault.private.unwrap().contains("GONE"));
    assert!(house.arm(&house.globex, &crm).await.is_ok());
}

/// A store whose secrets cannot be read for a while.
struct Faulty(Arc<dyn Secrets>, AtomicBool);

impl Sealing for Faulty {
    fn generations(&self) -> Pending<'_, Vec<GenerationRecord>> {
        self.0.generations()
    }
    fn add_generation(&self, at: u64, make: MakeGeneration) -> Pending<'_, u64> {
        self.0.add_generation(at, make)
    }
    fn older_data_keys(
        &self,
        after: Option<TenantId>,
        most: usize,
    ) -> Pending<'_, Vec<(TenantId, Sealed)>> {
        self.0.older_data_keys(after, most)
    }
    fn rewrap(&self, keys: Vec<Rewrapped>) -> Pending<'_, usize> {
        self.0.rewrap(keys)
    }
    fn drop_generations(&self) -> Pending<'_, Vec<u64>> {
        self.0.drop_generations()
    }
    fn reseal(&self, t: TenantId, reseal: Reseal) -> Pending<'_, Option<usize>> {
        self.0.reseal(t, reseal)
    }
}

impl Secrets for Faulty {
    fn put(&self, t: TenantId, p: SecretPlace, at: u64, s: SealValue) -> Pending<'_, u64> {
        self.0.put(t, p, at, s)
    }
    fn of_upstream(&self, t: TenantId, upstream: &Name) -> Pending<'_, Vec<SealedSecret>> {
        if self.1.load(Ordering::Relaxed) {
            return Box::pin(async { Err(StoreError::Busy) });
        }
        self.0.of_upstream(t, upstream)
    }
    fn list(&self, t: TenantId) -> Pending<'_, Vec<SecretInfo>> {
        self.0.list(t)
    }
    fn remove(&self, t: TenantId, p: SecretPlace) -> Pending<'_, bool> {
        self.0.remove(t, p)
    }
    fn data_key(&self, t: TenantId) -> Pending<'_, Option<Sealed>> {
        self.0.data_key(t)
    }
    fn add_data_key(&self, t: TenantId, fresh: Sealed) -> Pending<'_, Sealed> {
        self.0.add_data_key(t, fresh)
    }
    fn bind_root(&self, root: KeyTag) -> Pending<'_, KeyTag> {
        self.0.bind_root(root)
    }
}

#[tokio::test]
async fn while_the_store_fails_known_credentials_serve_on() {
    let house = house().await;
    house.set(&house.acme, place("gh", "token"), "known").await;
    house.set(&house.globex, place("gh", "token"), "not read yet").await;
    let faulty = Arc::new(Faulty(house.stores.secrets.clone(), AtomicBool::new(false)));
    let credentials = Credentials::new(
        (faulty.clone(), house.stores.logins.clone()),
        house.ring.clone(),
        DeclaredSecrets::default(),
        house.changed.subscribe(),
        &Tasks::default(),
    );
    let gh = http("gh", &["token"]);
    credentials.arm(&house.acme.1, own_work(&gh)).await.unwrap();
    faulty.1.store(true, Ordering::Relaxed);
    house.set(&house.acme, place("gh", "token"), "new").await;
    assert_eq!(
        header(&credentials.arm(&house.acme.1, own_work(&gh)).await.unwrap()),
        "Bearer known"
    );
    let waiting = credentials.arm(&house.globex.1, own_work(&gh)).await.unwrap_err();
    assert_eq!(Fault::from(waiting).kind, Kind::Busy);
    faulty.1.store(false, Ordering::Relaxed);
    let recovered = async {
        while header(&credentials.arm(&house.acme.1, own_work(&gh)).await.unwrap()) != "Bearer new"
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), recovered).await.unwrap();
    assert!(credentials.arm(&house.globex.1, own_work(&gh)).await.is_ok());
}

#[tokio::test]
async fn no_form_of_a_secret_lies_in_the_store() {
    let house = house().await;
    let canaries: Vec<String> =
        (0..14).map(|number| format!("canary/{number:02}+s3cret value-{number:02}")).collect();
    for (number, canary) in canaries.iter().enumerate() {
        let tenant = if number % 2 == 0 { &house.acme } else { &house.globex };
        house.set(tenant, place("gh", &format!("slot{number}")), canary).await;
        house.set(tenant, place("gh", &format!("slot{number}")), canary).await;
    }
    let removed = house.stores.secrets.remove(house.acme.0.id, place("gh", "slot0"));
    assert!(removed.await.unwrap());
    for suffix in ["", "-wal", "-shm"] {
        let path = PathBuf::from(format!("{}/store.db{suffix}", house.folder.path().display()));
        let bytes = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        let secrets: Vec<_> = canaries.iter().cloned().map(Secret::new).collect();
        let found = redact::redact(&bytes, secrets.iter());
        assert!(matches!(found, std::borrow::Cow::Borrowed(_)), "store.db{suffix}");
    }
}

#[tokio::test]
async fn what_another_process_has_sealed_anew_opens_and_a_rotation_cut_off_is_finished() {
    let house = house().await;
    let gh = http("gh", &["token"]);
    house.set(&house.acme, place("gh", "token"), "acme's").await;
    house.set(&house.globex, place("gh", "token"), "globex's").await;
    let elsewhere =
        Vault::new(house.stores.secrets.clone(), Arc::new(Ring::new(&RootKey::for_test(1))));
    elsewhere.bind().await.unwrap();
    let rotated = elsewhere.rotate().await.unwrap();
    assert_eq!((rotated.generation, rotated.data_keys, rotated.dropped), (2, 2, vec![1]));
    assert_eq!(elsewhere.reseal(house.acme.0.id).await.unwrap().secrets, Some(1));
    house.changed.send_modify(|epoch| *epoch += 1);
    assert_eq!(header(&house.arm(&house.acme, &gh).await.unwrap()), "Bearer acme's");
    // What this one does now, it does by the keys that are new.
    elsewhere.rotate().await.unwrap();
    assert_eq!(house.set(&house.globex, place("gh", "token"), "another").await, 2);
    assert_eq!(header(&house.arm(&house.globex, &gh).await.unwrap()), "Bearer another");
    elsewhere.rotate().await.unwrap();
    let record = fresh_tenant(&name("late"), Origin::Store).unwrap();
    house.stores.tenants.create(record.clone()).await.unwrap();
    let late = (record.clone(), Principal::for_test(record.id, "late", "abcdefghij"));
    house.set(&late, place("gh", "token"), "late").await;
    assert_eq!(header(&house.arm(&late, &gh).await.unwrap()), "Bearer late");

    // Killed after the new generation, and one data key was changed by hand.
    let ring = house.ring.clone();
    let make = Box::new(move |number| ring.new_generation(number));
    house.stores.secrets.add_generation(1, make).await.unwrap();
    let id = house.globex.0.id;
    house.by_hand(&format!(
        "UPDATE data_key SET sealed = substr(sealed, 1, length(sealed) - 1) WHERE tenant_id = x'{id}'"
    ));
    let next = Vault::new(house.stores.secrets.clone(), Arc::new(Ring::new(&RootKey::for_test(1))));
    next.bind().await.unwrap();
    next.finish_rotation().await.unwrap();
    let left = next.generations().await.unwrap();
    let left: Vec<_> = left.iter().map(|one| (one.generation.number, one.data_keys)).collect();
    assert_eq!(left, [(4, 1), (5, 2)], "what does not open stays with its key");
    assert_eq!(next.rotate().await.unwrap().left, [id]);
    assert!(next.reseal(id).await.is_err());
    assert_eq!(header(&house.arm(&house.acme, &gh).await.unwrap()), "Bearer acme's");
    assert!(house.arm(&house.globex, &gh).await.is_err());
}
