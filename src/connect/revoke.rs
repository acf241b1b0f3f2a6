//! `POST /connect/revoke` (RFC 7009): a client gives back what it was allowed, all of it.

use http::StatusCode;
use serde_json::json;

use super::error::{OAuthError, reply};
use super::grant::Shape;
use super::page::Whole;
use super::serve::{Ask, Connect};
use crate::audit::Outcome;
use crate::store::Ending;

impl Connect {
    pub(super) async fn revoke(&self, ask: &Ask) -> Result<Whole, OAuthError> {
        let form = ask.form()?;
        let client = self.proven(ask, &form).await?;
        let token = form.one("token")?.ok_or_else(|| OAuthError::request("`token` is missing"))?;
        let refresh = self.read_ticket(Shape::Refresh, &client.id, token);
        let named = match refresh {
            Some(ticket) => Some((ticket.tenant, ticket.grant)),
            None => self.auth.grant_of(token, &ask.base.issuer(), &client.id),
        };
        if let Some((tenant, grant)) = named
            && self.end(tenant, grant, Ending::Revoked).await?
        {
            self.note_grant(tenant, grant, ("connect/revoke", Outcome::Ok), ask).await;
        }
        // What is not known is over as well (section 2.2).
        Ok(reply(StatusCode::OK, &json!({})))
    }
}
