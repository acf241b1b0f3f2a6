//! A text that must not be seen.

use std::fmt;

use zeroize::Zeroizing;

/// A secret value. `Debug` shows `[redacted]`, there is no `Display` and no `Serialize`, and the
/// memory is overwritten when it is dropped. Copies made by libraries that take it (HTTP
/// headers, a child's environment) are not, so keep them short-lived.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the value over.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The value, for the moment of use.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
