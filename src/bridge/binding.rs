//! To what a `requestState` is bound: whoever opens it for anything else opens nothing.

/// What a state is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It carries the state of a modern upstream.
    Pass,
    /// It names a call that waits in this process.
    Park,
    /// The call is to be made once more when a visit to a URL is done.
    Resend,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pass, Self::Park, Self::Resend];

    /// The kind of handle under which it is sealed.
    #[must_use]
    pub const fn handle(self) -> &'static str {
        match self {
            Self::Pass => "request state: pass",
            Self::Park => "request state: park",
            Self::Resend => "request state: resend",
        }
    }

    /// The letter that a state begins with.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Pass => 'm',
            Self::Park => 'p',
            Self::Resend => 'r',
        }
    }

    /// What a state is for by its first letter, and the rest of it.
    #[must_use]
    pub fn split(state: &str) -> Option<(Self, &str)> {
        let (letter, rest) = state.split_once('.')?;
        let purpose = Self::ALL.into_iter().find(|purpose| {
            let mut letters = letter.chars();
            letters.next() == Some(purpose.letter()) && letters.next().is_none()
        })?;
        Some((purpose, rest))
    }
}

/// Everything that must be the same in the retry (R33).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The tenant's id.
    pub tenant: &'a [u8],
    /// The key that asked.
    pub key: &'a str,
    /// The door, as text: which names mean what.
    pub door: &'a str,
    /// The upstream that owns the name.
    pub upstream: &'a str,
    /// The method.
    pub method: &'a str,
    /// The name or URI as the upstream knows it.
    pub target: &'a str,
    /// `params_digest` of the request.
    pub digest: [u8; 32],
}

impl Binding<'_> {
    /// The associated data of the seal: each part with its length before it, so that no two
    /// bindings share one.
    #[must_use]
    pub fn about(&self, purpose: Purpose) -> Vec<u8> {
        let parts: [&[u8]; 8] = [
            purpose.handle().as_bytes(),
            self.tenant,
            self.key.as_bytes(),
            self.door.as_bytes(),
            self.upstream.as_bytes(),
            self.method.as_bytes(),
            self.target.as_bytes(),
            &self.digest,
        ];
        let mut about = Vec::with_capacity(256);
        for part in parts {
            about.extend_from_slice(&(part.len() as u64).to_le_bytes());
            about.extend_from_slice(part);
        }
        about
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_two_bindings_share_their_seal(parts in proptest::collection::vec("[a-c]{0,2}", 12)) {
            let binding = |parts: &'_ [String]| {
                let digest = [u8::try_from(parts[5].len()).unwrap(); 32];
                (parts.to_vec(), digest)
            };
            let (one, other) = (binding(&parts[..6]), binding(&parts[6..]));
            fn made<'a>((parts, digest): &'a (Vec<String>, [u8; 32])) -> Binding<'a> {
                Binding {
                    tenant: parts[0].as_bytes(),
                    key: &parts[1],
                    door: &parts[2],
                    upstream: &parts[3],
                    method: &parts[4],
                    target: &parts[5],
                    digest: *digest,
                }
            }
            for purpose in Purpose::ALL {
                for second in Purpose::ALL {
                    let same = made(&one) == made(&other) && purpose == second;
                    prop_assert_eq!(made(&one).about(purpose) == made(&other).about(second), same);
                }
            }
        }
    }

    #[test]
    fn a_state_says_what_it_is_for() {
        for purpose in Purpose::ALL {
            let state = format!("{}.rest", purpose.letter());
            assert_eq!(Purpose::split(&state), Some((purpose, "rest")));
        }
        for wrong in ["", "m", "x.rest", "mm.rest", ".rest"] {
            assert_eq!(Purpose::split(wrong), None);
        }
    }
}
