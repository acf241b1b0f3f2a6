//! What a sealed `requestState` holds. To what it is bound stands beside it, in the seal.

use super::error::BridgeError;

/// The content of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// Until when it is taken, in seconds since the Unix epoch.
    pub expires: u64,
    /// What is needed to go on.
    pub inner: Inner,
}

/// What is needed to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inner {
    /// The upstream's own state as JSON text, exactly as it came; `None` when it gave none.
    Pass(Option<String>),
    /// A call that waits.
    Park {
        /// The life of the process that it waits in.
        boot: [u8; 8],
        /// Which call.
        id: [u8; 16],
        /// Which of its rounds; each is answered once.
        round: u32,
    },
    /// The keys of the visits that must be done before the call is made once more.
    Resend(Vec<String>),
}

const VERSION: u8 = 1;

impl Carried {
    /// Whether it is still taken at this time, in seconds since the Unix epoch.
    #[must_use]
    pub const fn is_good(&self, now: u64) -> bool {
        now < self.expires
    }

    /// As bytes to be sealed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.expires.to_le_bytes());
        match &self.inner {
            Inner::Pass(None) => out.push(0),
            Inner::Pass(Some(state)) => {
                out.push(1);
                out.extend_from_slice(state.as_bytes());
            }
            Inner::Park { boot, id, round } => {
                out.push(2);
                out.extend_from_slice(boot);
                out.extend_from_slice(id);
                out.extend_from_slice(&round.to_le_bytes());
            }
            Inner::Resend(keys) => {
                out.push(3);
                for key in keys {
                    out.extend_from_slice(&u32::try_from(key.len()).unwrap_or(0).to_le_bytes());
                    out.extend_from_slice(key.as_bytes());
                }
            }
        }
        out
    }

    /// Reads what `encode` made.
    ///
    /// # Errors
    /// When it is something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, BridgeError> {
        let broken = || BridgeError::Shape("a state of another version");
        let (&[version], rest) = bytes.split_first_chunk::<1>().ok_or_else(broken)?;
        let (expires, rest) = rest.split_first_chunk::<8>().ok_or_else(broken)?;
        let (&[kind], mut rest) = rest.split_first_chunk::<1>().ok_or_else(broken)?;
        if version != VERSION {
            return Err(broken());
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| broken());
        let inner = match kind {
            0 if rest.is_empty() => Inner::Pass(None),
            1 => Inner::Pass(Some(text(rest)?)),
            2 => {
                let (boot, rest) = rest.split_first_chunk::<8>().ok_or_else(broken)?;
                let (id, rest) = rest.split_first_chunk::<16>().ok_or_else(broken)?;
                let round = <[u8; 4]>::try_from(rest).map_err(|_| broken())?;
                Inner::Park { boot: *boot, id: *id, round: u32::from_le_bytes(round) }
            }
            3 => {
                let mut keys = Vec::new();
                while let Some((length, after)) = rest.split_first_chunk::<4>() {
                    let length = u32::from_le_bytes(*length) as usize;
                    let (key, after) = after.split_at_checked(length).ok_or_else(broken)?;
                    keys.push(text(key)?);
                    rest = after;
                }
                if !rest.is_empty() {
                    return Err(broken());
                }
                Inner::Resend(keys)
            }
            _ => return Err(broken()),
        };
        Ok(Self { expires: u64::from_le_bytes(*expires), inner })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn inner() -> impl Strategy<Value = Inner> {
        prop_oneof![
            proptest::option::of(".{0,40}").prop_map(Inner::Pass),
            (any::<[u8; 8]>(), any::<[u8; 16]>(), any::<u32>())
                .prop_map(|(boot, id, round)| Inner::Park { boot, id, round }),
            proptest::collection::vec(".{0,8}", 0..4).prop_map(Inner::Resend),
        ]
    }

    #[test]
    fn it_is_taken_until_it_expires() {
        let carried = Carried { expires: 600, inner: Inner::Pass(None) };
        assert!(carried.is_good(0) && carried.is_good(599));
        assert!(!carried.is_good(600) && !carried.is_good(u64::MAX));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back(expires: u64, inner in inner()) {
            let carried = Carried { expires, inner };
            prop_assert_eq!(Carried::decode(&carried.encode()), Ok(carried));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Carried::decode(&bytes);
        }
    }
}
