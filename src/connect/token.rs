//! `POST /connect/token`: a code becomes tokens, and a refresh token others.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::client::Client;
use super::error::OAuthError;
use super::form::Form;
use super::grant::{Shape, failed};
use super::page::Whole;
use super::serve::{Ask, Connect};
use crate::audit::Outcome;
use crate::auth::News;
use crate::base::unix_seconds;
use crate::store::{Ending, GrantRecord, Presented};

impl Connect {
    pub(super) async fn token(&self, ask: &Ask) -> Result<Whole, OAuthError> {
        let form = ask.form()?;
        let client = self.proven(ask, &form).await?;
        match form.one("grant_type")? {
            Some("authorization_code") => self.redeem(ask, &form, &client).await,
            Some("refresh_token") => self.refresh(ask, &form, &client).await,
            Some(_) => Err(OAuthError::new(
                "unsupported_grant_type",
                "only `authorization_code` and `refresh_token` are known here",
            )),
            None => Err(OAuthError::request("`grant_type` is missing")),
        }
    }

    async fn redeem(&self, ask: &Ask, form: &Form, client: &Client) -> Result<Whole, OAuthError> {
        let code = form.one("code")?.ok_or_else(|| OAuthError::request("`code` is missing"))?;
        let (callback, verifier, resource) =
            (form.one("redirect_uri")?, form.one("code_verifier")?, form.one("resource"));
        let ticket = self.read_ticket(Shape::Code, &client.id, code);
        let ticket =
            ticket.filter(|ticket| ticket.generation == 0).ok_or_else(OAuthError::grant)?;
        let (tenant, grant) = (ticket.tenant, ticket.grant);
        let presented = self.stores.grants.present(tenant, grant, 0, unix_seconds()).await;
        let record = match presented.map_err(|error| failed(&error))? {
            Presented::Good(record) => record,
            Presented::Again => {
                // Somebody else has the code, too, and nobody knows who came first.
                self.auth.wrote(News::Ungranted(grant));
                self.note_grant(tenant, grant, ("connect/code_again", Outcome::Refused), ask).await;
                return Err(OAuthError::grant());
            }
            Presented::Over => return Err(OAuthError::grant()),
        };
        let known = &record.grant;
        let proven = verifier.is_some_and(|verifier| is_proof(verifier, &known.challenge));
        let same = known.client == client.id && callback == Some(known.redirect.as_str());
        let wrong = if !same || !proven {
            Some(OAuthError::grant())
        } else if !is_resource(resource, &record) {
            Some(OAuthError::new("invalid_target", "the code is for another `resource`"))
        } else {
            None
        };
        if let Some(wrong) = wrong {
            // Whoever has a code and cannot prove that it is his has taken it from somebody.
            self.end(tenant, grant, Ending::Misused).await?;
            self.note_grant(tenant, grant, ("connect/code_misused", Outcome::Refused), ask).await;
            return Err(wrong);
        }
        let holder = self.holder(&record).await?;
        self.note(Some(&holder), "connect/token", &client.id, Outcome::Ok, ask).await?;
        self.tokens(&record, &ask.base)
    }

    async fn refresh(&self, ask: &Ask, form: &Form, client: &Client) -> Result<Whole, OAuthError> {
        let text = form.one("refresh_token")?;
        let text = text.ok_or_else(|| OAuthError::request("`refresh_token` is missing"))?;
        let ticket = self.read_ticket(Shape::Refresh, &client.id, text);
        let ticket = ticket.filter(|ticket| ticket.generation > 0).ok_or_else(OAuthError::grant)?;
        let (tenant, grant) = (ticket.tenant, ticket.grant);
        let found = self.stores.grants.find(tenant, grant).await.map_err(|error| failed(&error))?;
        let found = found.filter(|found| found.ended.is_none()).ok_or_else(OAuthError::grant)?;
        if !is_resource(form.one("resource"), &found) {
            return Err(OAuthError::new("invalid_target", "the token is for another `resource`"));
        }
        // Before the token is used up: a store that does not answer must not cost it.
        self.holder(&found).await?;
        let now = unix_seconds();
        let presented = self.stores.grants.present(tenant, grant, ticket.generation, now).await;
        match presented.map_err(|error| failed(&error))? {
            Presented::Good(record) => self.tokens(&record, &ask.base),
            Presented::Again => {
                self.auth.wrote(News::Ungranted(grant));
                self.note_grant(tenant, grant, ("connect/refresh_again", Outcome::Refused), ask)
                    .await;
                Err(OAuthError::grant())
            }
            Presented::Over => Err(OAuthError::grant()),
        }
    }
}

/// Whether the verifier is the one of the challenge (RFC 7636, section 4.6; S256 alone).
fn is_proof(verifier: &str, challenge: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(fits) {
        return false;
    }
    let made = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    made.as_bytes().ct_eq(challenge.as_bytes()).into()
}

/// Whether what is asked for is what was allowed; nothing asked means that (RFC 8707, section 2.2).
fn is_resource(asked: Result<Option<&str>, super::form::Twice>, record: &GrantRecord) -> bool {
    matches!(asked, Ok(None)) || asked == Ok(Some(record.grant.resource.as_str()))
}

#[cfg(test)]
mod tests {
    use super::is_proof;

    #[test]
    fn only_the_verifier_of_the_rfc_proves_the_challenge_of_the_rfc() {
        // RFC 7636, appendix B.
        let (verifier, challenge) = (
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        );
        assert!(is_proof(verifier, challenge));
        assert!(!is_proof(challenge, challenge), "that would be `plain`");
        assert!(!is_proof(&verifier[1..], challenge) && !is_proof("", challenge));
        assert!(!is_proof(&format!("{verifier} "), challenge));
    }
}
