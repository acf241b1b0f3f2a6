//! Names that an operator gives: tenants, upstreams and secret slots.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Tenant and upstream names are `[a-z0-9-]{1,63}`.
    #[error("`{0}` is not a name: use 1 to 63 of a-z, 0-9 and -")]
    Name(String),
    /// Slot names are `[A-Za-z0-9_.-]{1,64}`.
    #[error("`{0}` is not a secret's name: use 1 to 64 of A-Z, a-z, 0-9, _ . and -")]
    Slot(String),
}

macro_rules! text_type {
    ($type:ident, $doc:literal, $max:literal, $error:ident, $allowed:expr) => {
        #[doc = $doc]
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks the length and every character.
            ///
            /// # Errors
            /// When the text has a foreign character or a length outside the limits.
            pub fn new(text: &str) -> Result<Self, NameError> {
                if (1..=$max).contains(&text.len()) && text.bytes().all($allowed) {
                    Ok(Self(Arc::from(text)))
                } else {
                    Err(NameError::$error(text.chars().take(80).collect()))
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

text_type!(Name, "The name of a tenant or an upstream: `[a-z0-9-]{1,63}`.", 63, Name, |c: u8| {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-'
});
text_type!(
    Slot,
    "The name of a secret that an upstream declares: `[A-Za-z0-9_.-]{1,64}`, exact, never a pattern.",
    64,
    Slot,
    |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-')
);
