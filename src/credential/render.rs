//! Templates to values. References become single values; nothing is ever parsed again.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use crate::base::{KeyId, Name, Secret, Slot};
use crate::config::{Part, Template};

/// Everything but letters, digits, `-` and `_`. Also `.`, so that no value is a path segment with
/// a meaning of its own.
pub(super) const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// What references stand for.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) tenant: &'a Name,
    pub(super) key: Option<KeyId>,
    pub(super) secrets: &'a BTreeMap<Slot, Secret>,
    /// The token of the tenant's login.
    pub(super) token: Option<&'a Secret>,
}

impl Values<'_> {
    /// The value as it stands.
    pub(super) fn plain(&self, template: &Template) -> Secret {
        self.render(template, str::to_owned)
    }

    /// The value for a URL: secrets percent-encoded, the template's own text as it stands.
    pub(super) fn url(&self, template: &Template) -> Secret {
        self.render(template, |secret| utf8_percent_encode(secret, STRICT).to_string())
    }

    fn render(&self, template: &Template, secret: impl Fn(&str) -> String) -> Secret {
        let mut text = Zeroizing::new(String::new());
        for part in template.parts() {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Tenant => text.push_str(self.tenant.as_str()),
                Part::Key => text.push_str(self.key.as_ref().map_or("", KeyId::as_str)),
                Part::AccessToken => {
                    if let Some(token) = self.token {
                        text.push_str(token.expose());
                    }
                }
                Part::Secret(slot) => {
                    if let Some(value) = self.secrets.get(slot) {
                        text.push_str(&Zeroizing::new(secret(value.expose())));
                    }
                }
            }
        }
        Secret::new(std::mem::take(&mut *text))
    }
}

/// True when some part is the caller's key.
pub(super) fn has_key(template: &Template) -> bool {
    template.parts().contains(&Part::Key)
}
