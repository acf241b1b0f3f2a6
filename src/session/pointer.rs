//! The session id as the client carries it: a sealed pointer, so that a restarted proxy knows the
//! session again without having written anything for it.
//!
//! Tenant, key and door are not in it: they are what it is sealed for, so that it opens for no
//! other. The key that seals it changes every thirty days and the one before still opens, so that
//! a change ends no session that is in use.

use std::sync::Arc;

use super::table::Opening;
use crate::base::{KeyId, TenantId};
use crate::seal::Ring;
use crate::wire::json::quote;
use crate::wire::{CapSet, Revision};

/// How long one generation of the key seals, in seconds.
const GENERATION: u64 = 30 * 24 * 3_600;
/// First byte of what is sealed.
const FORM: u8 = 1;
/// Longest name and version of a client, in bytes.
const NAME: usize = 64;
const VERSION: usize = 32;
/// Longer texts are no pointer of ours.
pub(super) const LONGEST: usize = 300;
/// Their place is their number in the pointer.
const REVISIONS: [Revision; 4] =
    [Revision::V2024_11_05, Revision::V2025_03_26, Revision::V2025_06_18, Revision::V2025_11_25];

/// What a session is: 128 random bits that name it, and when it was made.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    fn random() -> Option<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// A name for what belongs to this session alone. It opens nothing.
    #[must_use]
    pub fn text(&self) -> String {
        use std::fmt::Write as _;
        self.0.iter().fold(String::with_capacity(32), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl std::fmt::Debug for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionId(…)")
    }
}

/// What a pointer says, besides whom it is for. Times are seconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Birth {
    pub(super) id: SessionId,
    pub(super) made_at: u64,
    /// How long it lives without a request, in seconds: settled when it is made, so that its
    /// tombstone may go when it could no longer be taken up.
    pub(super) lives: u32,
}

/// A new id and its pointer; none when the system gives no random bytes.
pub(super) fn mint(
    ring: &Ring,
    opening: &Opening,
    lives: u32,
    now: u64,
) -> Option<(Birth, String)> {
    let birth = Birth { id: SessionId::random()?, made_at: now, lives };
    let owner = owner(opening.tenant, opening.key, &opening.door);
    let pointer = ring.seal_handle(&purpose(now / GENERATION), &owner, &write(&birth, opening));
    Some((birth, pointer.ok()?))
}

/// Reads a pointer for whoever presents it. None for everything that was not made for them, was
/// changed, or was sealed too long ago.
pub(super) fn read(
    ring: &Ring,
    tenant: TenantId,
    key: KeyId,
    door: &std::sync::Arc<str>,
    pointer: &str,
    now: u64,
) -> Option<(Birth, Opening)> {
    if pointer.len() > LONGEST {
        return None;
    }
    let (owner, current) = (owner(tenant, key, door), now / GENERATION);
    let content = [current, current.saturating_sub(1)]
        .into_iter()
        .find_map(|generation| ring.open_handle(&purpose(generation), &owner, pointer).ok())?;
    let mut rest = content.as_slice();
    let [form] = take(&mut rest)?;
    if form != FORM {
        return None;
    }
    let birth = Birth {
        id: SessionId(take(&mut rest)?),
        made_at: u64::from_le_bytes(take(&mut rest)?),
        lives: u32::from_le_bytes(take(&mut rest)?),
    };
    let [revision] = take(&mut rest)?;
    let opening = Opening {
        tenant,
        key,
        door: door.clone(),
        revision: *REVISIONS.get(usize::from(revision))?,
        capabilities: CapSet::from_bits(u32::from_le_bytes(take(&mut rest)?)),
        client_info: client_info(&text(&mut rest)?, &text(&mut rest)?),
        address: None,
    };
    rest.is_empty().then_some((birth, opening))
}

fn purpose(generation: u64) -> String {
    format!("session {generation}")
}

/// Two parts of fixed length before the one that has none, so that no two owners look alike.
fn owner(tenant: TenantId, key: KeyId, door: &str) -> Vec<u8> {
    [tenant.as_bytes().as_slice(), key.as_str().as_bytes(), door.as_bytes()].concat()
}

fn write(birth: &Birth, opening: &Opening) -> Vec<u8> {
    let mut out = Vec::with_capacity(160);
    out.push(FORM);
    out.extend_from_slice(&birth.id.0);
    out.extend_from_slice(&birth.made_at.to_le_bytes());
    out.extend_from_slice(&birth.lives.to_le_bytes());
    let revision = REVISIONS.iter().position(|revision| *revision == opening.revision);
    out.push(revision.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX));
    out.extend_from_slice(&opening.capabilities.bits().to_le_bytes());
    let info: serde_json::Value = serde_json::from_str(&opening.client_info).unwrap_or_default();
    for (name, most) in [("name", NAME), ("version", VERSION)] {
        let text = info[name].as_str().unwrap_or_default();
        let text = &text[..text.floor_char_boundary(most)];
        out.push(u8::try_from(text.len()).unwrap_or_default());
        out.extend_from_slice(text.as_bytes());
    }
    out
}

fn client_info(name: &str, version: &str) -> Arc<str> {
    if name.is_empty() {
        return "{}".into();
    }
    format!("{{\"name\":{},\"version\":{}}}", quote(name), quote(version)).into()
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (part, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*part)
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let [length] = take(rest)?;
    let (part, after) = rest.split_at_checked(usize::from(length))?;
    *rest = after;
    String::from_utf8(part.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::seal::RootKey;

    fn opening(info: &str) -> Opening {
        Opening {
            tenant: TenantId::from_bytes([1; 16]),
            key: "aaaaaaaaaa".parse().unwrap(),
            door: Arc::from("/mcp/gh"),
            revision: Revision::V2025_06_18,
            capabilities: CapSet::ELICIT_FORM.with(CapSet::ROOTS),
            client_info: info.into(),
            address: None,
        }
    }

    #[test]
    fn a_pointer_opens_for_its_owner_at_its_door_only() {
        let ring = Ring::new(&RootKey::for_test(1));
        let own = opening(r#"{"name":"a","version":"1"}"#);
        let (_, pointer) = mint(&ring, &own, 60, 1_000).unwrap();
        let read = |ring: &Ring, tenant, key: &str, door: &str| {
            read(ring, tenant, key.parse().unwrap(), &Arc::from(door), &pointer, 1_000)
        };
        let (acme, globex) = (own.tenant, TenantId::from_bytes([2; 16]));
        assert!(read(&ring, acme, "aaaaaaaaaa", "/mcp/gh").is_some());
        assert!(read(&ring, globex, "aaaaaaaaaa", "/mcp/gh").is_none());
        assert!(read(&ring, acme, "bbbbbbbbbb", "/mcp/gh").is_none());
        assert!(read(&ring, acme, "aaaaaaaaaa", "/mcp").is_none());
        let other = Ring::new(&RootKey::for_test(2));
        assert!(read(&other, acme, "aaaaaaaaaa", "/mcp/gh").is_none());
    }

    #[test]
    fn one_change_of_the_key_ends_no_session_and_two_do() {
        let ring = Ring::new(&RootKey::for_test(1));
        let own = opening("{}");
        let (_, pointer) = mint(&ring, &own, 60, GENERATION).unwrap();
        let at = |now| read(&ring, own.tenant, own.key, &own.door, &pointer, now).is_some();
        assert!(at(GENERATION) && at(2 * GENERATION) && at(3 * GENERATION - 1));
        assert!(!at(3 * GENERATION));
    }

    proptest! {
        #[test]
        fn a_pointer_says_what_was_written_in_visible_ascii(
            name in "\\PC{0,200}", version in "\\PC{0,99}", bits in 0_u32..64, at in 0_usize..4,
            lives: u32, now in 0_u64..1 << 40,
        ) {
            let ring = Ring::new(&RootKey::for_test(1));
            let info = serde_json::json!({"name": name, "version": version, "title": "x"});
            let mut own = opening(&info.to_string());
            own.capabilities = CapSet::from_bits(bits);
            own.revision = REVISIONS[at];
            let (birth, pointer) = mint(&ring, &own, lives, now).unwrap();
            prop_assert!(pointer.len() <= LONGEST, "{}", pointer.len());
            prop_assert!(pointer.bytes().all(|byte| byte.is_ascii_graphic()));
            let (read, found) =
                read(&ring, own.tenant, own.key, &own.door, &pointer, now).unwrap();
            prop_assert_eq!(read, birth);
            prop_assert_eq!(found.capabilities, own.capabilities);
            prop_assert_eq!(found.revision, own.revision);
            let info: serde_json::Value = serde_json::from_str(&found.client_info).unwrap();
            let kept = info["name"].as_str().unwrap_or_default();
            prop_assert!(name.starts_with(kept) && (kept.len() == name.len() || kept.len() > NAME - 4));
        }

        #[test]
        fn a_pointer_with_one_bit_changed_opens_nothing(at in 0_usize..10_000, bit in 0_u8..7) {
            let ring = Ring::new(&RootKey::for_test(1));
            let own = opening("{}");
            let (_, pointer) = mint(&ring, &own, 60, 1_000).unwrap();
            let mut bytes = pointer.clone().into_bytes();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert!(read(&ring, own.tenant, own.key, &own.door, &changed, 1_000).is_none());
        }
    }
}
