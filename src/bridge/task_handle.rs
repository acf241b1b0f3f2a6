//! What the sealed id of a task holds: a client of 2026-07-28 carries it instead of the upstream's.

use super::error::BridgeError;

/// Whose task it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// The upstream's, under this id.
    Upstream(String),
    /// One of a legacy upstream, which this process follows for the client.
    Kept {
        /// The life of the process that follows it.
        boot: [u8; 8],
        /// Which one.
        id: [u8; 16],
    },
}

/// A task of some upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskHandle {
    /// The upstream's name in the file.
    pub upstream: String,
    /// Whose it is.
    pub whose: Whose,
}

const VERSION: u8 = 1;

impl TaskHandle {
    /// The kind of handle under which it is sealed.
    pub const KIND: &'static str = "task";
    /// What the sealed text begins with.
    pub const PREFIX: &'static str = "t.";

    /// Everything that must be the same when it is opened, for the seal: each part with its length
    /// before it, so that no two owners share one.
    #[must_use]
    pub fn about(tenant: &[u8], key: &str, door: &str) -> Vec<u8> {
        let mut about = Vec::with_capacity(96);
        for part in [Self::KIND.as_bytes(), tenant, key.as_bytes(), door.as_bytes()] {
            about.extend_from_slice(&(part.len() as u64).to_le_bytes());
            about.extend_from_slice(part);
        }
        about
    }

    /// As bytes to be sealed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, u8::try_from(self.upstream.len()).unwrap_or(0)];
        out.extend_from_slice(self.upstream.as_bytes());
        match &self.whose {
            Whose::Upstream(id) => {
                out.push(0);
                out.extend_from_slice(id.as_bytes());
            }
            Whose::Kept { boot, id } => {
                out.push(1);
                out.extend_from_slice(boot);
                out.extend_from_slice(id);
            }
        }
        out
    }

    /// Reads what `encode` made.
    ///
    /// # Errors
    /// When it is something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, BridgeError> {
        let broken = || BridgeError::Shape("a task handle of another version");
        let (&[version, length], rest) = bytes.split_first_chunk::<2>().ok_or_else(broken)?;
        let (upstream, rest) = rest.split_at_checked(length.into()).ok_or_else(broken)?;
        let (&[kind], rest) = rest.split_first_chunk::<1>().ok_or_else(broken)?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| broken());
        let whose = match (version, kind) {
            (VERSION, 0) if !rest.is_empty() => Whose::Upstream(text(rest)?),
            (VERSION, 1) => {
                let (boot, rest) = rest.split_first_chunk::<8>().ok_or_else(broken)?;
                let id = <[u8; 16]>::try_from(rest).map_err(|_| broken())?;
                Whose::Kept { boot: *boot, id }
            }
            _ => return Err(broken()),
        };
        Ok(Self { upstream: text(upstream)?, whose })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read_back(
            upstream in "[a-z][a-z0-9-]{0,20}",
            id in ".{1,40}",
            kept in proptest::option::of(any::<([u8; 8], [u8; 16])>()),
        ) {
            let whose = kept.map_or(Whose::Upstream(id), |(boot, id)| Whose::Kept { boot, id });
            let handle = TaskHandle { upstream, whose };
            prop_assert_eq!(TaskHandle::decode(&handle.encode()), Ok(handle));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = TaskHandle::decode(&bytes);
        }

        #[test]
        fn no_two_owners_share_a_seal(parts in proptest::collection::vec("[a-b]{0,2}", 6)) {
            let about = |at: usize| TaskHandle::about(parts[at].as_bytes(), &parts[at + 1], &parts[at + 2]);
            prop_assert_eq!(about(0) == about(3), parts[..3] == parts[3..]);
        }
    }
}
