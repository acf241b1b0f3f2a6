//! The file once more while somebody is in: whoever stays stays, and whoever has left is out.

use std::collections::BTreeMap;
use std::time::Duration;

use super::tests::{House, bearer, file, house_with, sources};
use super::{Admission, Denied, NewKey, TokenRequest};
use crate::base::{Name, Role, Scopes};
use crate::config::TenantDeclaration;

const ONE: &str = "the-first-key-of-the-file-is-this-long";
const TWO: &str = "the-second-key-of-the-file-as-well";

type Tenants = BTreeMap<Name, TenantDeclaration>;

impl House {
    async fn take_over(&self, tenants: &Tenants) {
        let declared = self.auth.read(&Admission::for_test(tenants), &sources).await.unwrap();
        self.auth.declare(declared);
    }
}

fn changed(mut tenants: Tenants, change: impl Fn(&mut TenantDeclaration)) -> Tenants {
    tenants.values_mut().for_each(change);
    tenants
}

#[tokio::test]
async fn keys_of_the_file_that_stay_go_on_and_those_that_leave_end() {
    let house = house_with(&file(&[("a", ONE), ("b", TWO)])).await;
    let (stays, goes) = (
        house.auth.check(&bearer(ONE)).await.unwrap(),
        house.auth.check(&bearer(TWO)).await.unwrap(),
    );
    // What cannot be read changes nothing.
    let short = file(&[("a", "short")]);
    assert!(house.auth.read(&Admission::for_test(&short), &sources).await.is_err());
    let tenants = file(&[("a", ONE)]);
    let declared = house.auth.read(&Admission::for_test(&tenants), &sources).await.unwrap();
    assert!(house.auth.check(&bearer(TWO)).await.is_ok(), "not yet");
    house.auth.declare(declared);
    assert!(!stays.ended().is_cancelled() && goes.ended().is_cancelled());
    assert_eq!(house.auth.check(&bearer(TWO)).await.unwrap_err(), Denied::Unknown);
    let again = house.auth.check(&bearer(ONE)).await.unwrap();
    assert!(!again.ended().is_cancelled());
    // On another line it is the same key.
    house.take_over(&changed(file(&[("a", ONE)]), |filed| filed.keys[0].line = 7)).await;
    assert!(!stays.ended().is_cancelled());
    // One that may do something else from now on is another one.
    house.take_over(&file(&[("other", ONE)])).await;
    assert!(stays.ended().is_cancelled());
    assert_eq!(house.auth.check(&bearer(ONE)).await.unwrap().key_name(), "other");
}

#[tokio::test]
async fn a_key_with_another_role_or_other_scopes_is_another_one_and_its_tokens_end() {
    let house = house_with(&file(&[("a", ONE)])).await;
    let scopes = Scopes::read(["gh__*"]).unwrap();
    let changes: [&dyn Fn(&mut TenantDeclaration); 2] =
        [&|filed| filed.keys[0].role = Role::Admin, &|filed| filed.keys[0].scopes = scopes.clone()];
    for change in changes {
        house.take_over(&file(&[("a", ONE)])).await;
        let caller = house.auth.identify(&bearer(ONE)).await.unwrap();
        let life = Duration::from_secs(60);
        let token = house.auth.mint(&caller, &TokenRequest { life, role: None, scopes: None });
        let token = house.auth.check(&bearer(token.unwrap().text.expose())).await.unwrap();
        house.take_over(&changed(file(&[("a", ONE)]), change)).await;
        assert!(caller.ended().is_cancelled() && token.ended().is_cancelled());
        let new = house.auth.check(&bearer(ONE)).await.unwrap();
        assert_eq!(new.key(), caller.key());
        assert!((new.role(), new.scopes()) != (caller.role(), caller.scopes()));
    }
}

#[tokio::test]
async fn stored_keys_of_a_tenant_that_left_the_file_end() {
    let house = house_with(&file(&[])).await;
    let filed = house.stores.tenants.find(&Name::new("filed").unwrap()).await.unwrap().unwrap();
    let (_, headers) = house.made(NewKey::member(filed.id, "made")).await;
    house.auth.watch(&house.tasks);
    let principal = house.auth.check(&headers).await.unwrap();
    house.take_over(&BTreeMap::new()).await;
    tokio::time::timeout(Duration::from_secs(1), principal.ended().cancelled()).await.unwrap();
    assert!(house.auth.check(&headers).await.is_err());
}
