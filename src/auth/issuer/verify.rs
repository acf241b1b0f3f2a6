//! Checks a token of an outside issuer: issuer, pinned algorithm, key, audience, times, and then
//! the rules.

use std::sync::Arc;

use jsonwebtoken::jwk::KeyAlgorithm;
use jsonwebtoken::{DecodingKey, Header, Validation};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::fetch::Fetcher;
use super::keys::Keys;
use super::rule::{Verdict, judge};
use crate::base::{Name, Role, Scopes, unix_seconds};
use crate::config::Issuer;
use crate::egress::Trust;

/// Every issuer of the file.
pub(in crate::auth) struct Issuers {
    all: Vec<Arc<Known>>,
    fetcher: Option<Fetcher>,
}

/// One issuer, and what is known of its keys.
struct Known {
    issuer: Issuer,
    keys: Keys,
    /// Fires when the file does not say this of it any more.
    ended: CancellationToken,
}

/// Somebody whom an issuer vouches for.
#[derive(Debug, Clone)]
pub(in crate::auth) struct Outsider {
    /// The tenant; `None` for the operator.
    pub(in crate::auth) tenant: Option<Name>,
    pub(in crate::auth) role: Role,
    pub(in crate::auth) scopes: Scopes,
    /// Who, together.
    pub(in crate::auth) issuer: String,
    pub(in crate::auth) subject: String,
    /// When the token ends, in seconds since the Unix epoch.
    pub(in crate::auth) until: u64,
    /// Fires when the file says something else of the issuer.
    pub(in crate::auth) ended: CancellationToken,
}

impl Issuers {
    pub(in crate::auth) fn new(issuers: &[Issuer]) -> Self {
        let known = |issuer: &Issuer| {
            let (issuer, ended) = (issuer.clone(), CancellationToken::new());
            Arc::new(Known { issuer, keys: Keys::default(), ended })
        };
        let all: Vec<_> = issuers.iter().map(known).collect();
        let fetcher = (!all.is_empty()).then(Fetcher::new);
        Self { all, fetcher }
    }

    /// Takes over the issuers of which the file says the same as before; ends whoever came by one
    /// of the others.
    pub(in crate::auth) fn succeed(&mut self, old: &Self) {
        for known in &old.all {
            match self.all.iter_mut().find(|new| new.issuer == known.issuer) {
                Some(new) => new.clone_from(known),
                None => known.ended.cancel(),
            }
        }
    }

    /// Checks a token.
    ///
    /// # Errors
    /// Why it is refused, for the log.
    pub(in crate::auth) async fn check(
        &self,
        text: &str,
        header: &Header,
    ) -> Result<Outsider, String> {
        let fetcher = self.fetcher.as_ref().ok_or("nobody here has signed it")?;
        // Who claims to have signed it; believed only once the signature is checked.
        let claimed: Value = jsonwebtoken::dangerous::insecure_decode_claims(text)
            .map_err(|error| error.to_string())?;
        let claimed = claimed["iss"].as_str().unwrap_or_default();
        let Known { issuer, keys, ended } = &**self
            .all
            .iter()
            .find(|known| known.issuer.issuer == claimed)
            .ok_or("it is of an issuer that the file does not name")?;
        let named = format!("{:?}", header.alg);
        if !issuer.algorithms.contains(&named) {
            return Err(format!("it is signed with {named}, which the file does not allow"));
        }
        let place = issuer.jwks_url.as_ref();
        let key = keys.find(fetcher, &issuer.issuer, place, Trust::Operator, header.kid.as_deref());
        let key = key.await?;
        if key.common.key_algorithm.is_some_and(|own| own != KeyAlgorithm::from(header.alg)) {
            return Err("its key is for another algorithm".to_owned());
        }
        let key = DecodingKey::from_jwk(&key).map_err(|error| error.to_string())?;
        let leeway = issuer.leeway.as_secs();
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&issuer.issuer]);
        validation.set_audience(&[&issuer.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = leeway;
        validation.validate_nbf = true;
        let claims = jsonwebtoken::decode::<Value>(text, &key, &validation);
        let claims = claims.map_err(|error| error.to_string())?.claims;
        let number = |name: &str| claims[name].as_f64().map(|time| time as u64);
        let until = number("exp").ok_or("it has no end")?.saturating_add(leeway);
        if until <= unix_seconds() {
            return Err("it has expired".to_owned());
        }
        let subject = claims["sub"].as_str().filter(|subject| !subject.is_empty());
        let subject = subject.ok_or("it says of nobody who it is")?.to_owned();
        let Verdict { tenant, role, scopes } =
            judge(&issuer.rules, &claims).ok_or("no rule of the file fits it")?;
        let (issuer, ended) = (issuer.issuer.clone(), ended.clone());
        Ok(Outsider { tenant, role, scopes, issuer, subject, until, ended })
    }
}
