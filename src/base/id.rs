//! Identities that never change: a tenant's id and a key's public id.

use std::fmt;
use std::str::FromStr;

/// Why a text is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not 32 lower-case hex digits.
    #[error("a tenant id is 32 lower-case hex digits")]
    Tenant,
    /// The same, of a grant.
    #[error("a grant's id is 32 lower-case hex digits")]
    Grant,
    /// Not 10 characters of `[0-9A-Za-z]`.
    #[error("a key id is 10 letters or digits")]
    Key,
}

/// An id of 128 random bits, written as 32 lower-case hex digits.
macro_rules! random_id {
    ($(#[$about:meta])* $name:ident, $error:expr) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            /// From 16 random bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                unhex(text).map(Self).ok_or($error)
            }
        }
    };
}

random_id! {
    /// The immutable random id of a tenant. Names may be reused, ids never are, so everything that
    /// is bound to a tenant (sealed rows, sessions, pools, caches) is bound to this.
    TenantId, IdError::Tenant
}

random_id! {
    /// The random id of what somebody has allowed a client: of all tokens that come of it.
    GrantId, IdError::Grant
}

/// 16 bytes out of 32 lower-case hex digits.
fn unhex(text: &str) -> Option<[u8; 16]> {
    let digits: &[u8; 32] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// The public id of a key: 10 letters or digits, shown in lists and logs. It identifies, it
/// proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 10]);

impl KeyId {
    /// The text of the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bytes: [u8; 10] = text.as_bytes().try_into().map_err(|_| IdError::Key)?;
        if bytes.iter().all(u8::is_ascii_alphanumeric) {
            Ok(Self(bytes))
        } else {
            Err(IdError::Key)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_what_they_print() {
        let tenant = TenantId::from_bytes([0xa5; 16]);
        assert_eq!(tenant.to_string().parse(), Ok(tenant));
        for wrong in
            ["zz", "", "A5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5", "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5"]
        {
            assert_eq!(wrong.parse::<TenantId>(), Err(IdError::Tenant), "{wrong}");
            assert_eq!(wrong.parse::<GrantId>(), Err(IdError::Grant), "{wrong}");
        }
        let grant = GrantId::from_bytes([0x1f; 16]);
        assert_eq!(grant.to_string().parse(), Ok(grant));
        let key: KeyId = "abcDEF0129".parse().unwrap();
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!("abcDEF012-".parse::<KeyId>(), Err(IdError::Key));
    }
}
