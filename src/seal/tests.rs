//! The envelope: fixed vectors, moved rows, changed bytes.

use proptest::prelude::*;

use super::envelope::{Context, SealingKey};
use super::{KeyTag, Sealed};
use crate::base::{Name, Slot, TenantId};
use zeroize::Zeroizing;

fn key(byte: u8) -> SealingKey {
    SealingKey { tag: KeyTag([byte; 8]), bytes: Zeroizing::new([byte; 32]) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn rows_keep_their_format() {
    let (gh, token) = (Name::new("gh").unwrap(), Slot::new("token").unwrap());
    let tenant = TenantId::from_bytes([9; 16]);
    let context = Context::Secret { tenant, upstream: &gh, slot: &token, generation: 7 };
    let row = key(3).seal_with([5; 24], &context, b"hello").unwrap();
    assert_eq!(hex(row.as_bytes()), SECRET_ROW);
    assert_eq!(*key(3).open(&context, &row).unwrap(), b"hello");
    let context = Context::DataKey { tenant };
    let row = key(3).seal_with([5; 24], &context, &[1; 32]).unwrap();
    assert_eq!(hex(row.as_bytes()), DATA_KEY_ROW);
    let context = Context::Handle { purpose: "cursor", about: b"acme" };
    let row = key(3).seal_with([5; 24], &context, b"").unwrap();
    assert_eq!(hex(row.as_bytes()), HANDLE_ROW);
}

// Computed by a second implementation, written from RFC 8439 and draft-irtf-cfrg-xchacha.
const SECRET_ROW: &str = concat!(
    "01030303030303030305050505050505050505050505050505050505050505050544a3a8146d3d45",
    "3c20e8f5321e4746b1b4d318b60f",
);
const DATA_KEY_ROW: &str = concat!(
    "0103030303030303030505050505050505050505050505050505050505050505052dc7c57903a8b9",
    "1c1b1452daebe719b712c05c3154a2d5386a65b1dcdfd2a28a429eee3466d5ef6f456aa7da0fe8ef",
    "bf",
);
const HANDLE_ROW: &str = concat!(
    "0103030303030303030505050505050505050505050505050505050505050505054df0b61ee6f084",
    "3b47ab2f550d284b5c",
);

/// An owned context, to generate them.
#[derive(Debug, Clone, PartialEq)]
enum Any {
    Secret([u8; 16], Name, Slot, u64),
    DataKey([u8; 16]),
    Generation(u64),
    Handle(String, Vec<u8>),
}

impl Any {
    fn with<T>(&self, use_it: impl FnOnce(&Context<'_>) -> T) -> T {
        match self {
            Self::Secret(tenant, upstream, slot, generation) => use_it(&Context::Secret {
                tenant: TenantId::from_bytes(*tenant),
                upstream,
                slot,
                generation: *generation,
            }),
            Self::DataKey(tenant) => {
                use_it(&Context::DataKey { tenant: TenantId::from_bytes(*tenant) })
            }
            Self::Generation(number) => use_it(&Context::Generation { number: *number }),
            Self::Handle(purpose, about) => use_it(&Context::Handle { purpose, about }),
        }
    }
}

/// Few distinct values per field, so that near misses such as ("ab", "c") and ("a", "bc") occur.
fn any_context() -> impl Strategy<Value = Any> {
    let tenant = prop_oneof![Just([0; 16]), Just([1; 16]), any::<[u8; 16]>()];
    let name = "[ab-]{1,4}".prop_map(|text| Name::new(&text).unwrap());
    let slot = "[ab-]{1,4}".prop_map(|text| Slot::new(&text).unwrap());
    prop_oneof![
        (tenant.clone(), name, slot, 0..4_u64).prop_map(|(t, n, s, g)| Any::Secret(t, n, s, g)),
        tenant.prop_map(Any::DataKey),
        (0..4_u64).prop_map(Any::Generation),
        ("[ab]{0,4}", proptest::collection::vec(0..3_u8, 0..24))
            .prop_map(|(purpose, about)| Any::Handle(purpose, about)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn two_contexts_never_share_their_bytes(
        one in any_context(), two in any_context(), keys in (0..2_u8, 0..2_u8), versions in (0..2_u8, 0..2_u8),
    ) {
        let bytes = |context: &Any, version, key: u8| {
            context.with(|context| context.associated(version, KeyTag([key; 8])))
        };
        let same = one == two && keys.0 == keys.1 && versions.0 == versions.1;
        prop_assert_eq!(bytes(&one, versions.0, keys.0) == bytes(&two, versions.1, keys.1), same);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_row_opens_only_where_it_belongs(
        one in any_context(), two in any_context(), value in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let sealed = one.with(|context| key(1).seal(context, &value)).unwrap();
        let opened = two.with(|context| key(1).open(context, &sealed));
        prop_assert_eq!(opened.is_ok(), one == two);
        prop_assert!(one.with(|context| key(2).open(context, &sealed)).is_err());
    }

    #[test]
    fn a_changed_or_cut_row_is_refused(
        context in any_context(), value in proptest::collection::vec(any::<u8>(), 0..40), flip in 1..=255_u8,
    ) {
        let sealed = context.with(|context| key(1).seal(context, &value)).unwrap();
        prop_assert_eq!(&*context.with(|c| key(1).open(c, &sealed)).unwrap(), &value);
        for at in 0..sealed.as_bytes().len() {
            let mut bytes = sealed.as_bytes().to_vec();
            bytes[at] ^= flip;
            let refused = context.with(|c| key(1).open(c, &Sealed::from_bytes(bytes)));
            prop_assert!(refused.is_err(), "byte {at}");
            let cut = Sealed::from_bytes(sealed.as_bytes()[..at].to_vec());
            prop_assert!(context.with(|c| key(1).open(c, &cut)).is_err(), "cut at {at}");
        }
        let mut longer = sealed.as_bytes().to_vec();
        longer.push(flip);
        prop_assert!(context.with(|c| key(1).open(c, &Sealed::from_bytes(longer))).is_err());
    }
}
