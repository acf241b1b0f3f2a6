//! A login by tools that the upstream itself has for it: one gives the page where a person logs in,
//! another takes the code with which the browser comes back. The pages of the proxy use both, and
//! what the second one gives is sealed and put where the file wants it.

use serde_json::Value;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::error::OAuthError;
use super::flow::{Attempt, Begun, Browser, Callback, Finished, digest, random};
use super::logins::Logins;
use super::record::Record;
use super::target::Target;
use super::token::known_code;
use crate::base::{KeyId, Secret, is_loopback, unix_seconds};
use crate::credential::Armed;

const PAGE: &str = "tool for a login";
/// Members of an answer in which a page may stand.
const MEMBERS: [&str; 6] =
    ["url", "authorization_url", "authorizationUrl", "auth_url", "authUrl", "authorize_url"];

impl Logins {
    /// Begins a login at the page that the upstream's tool has given in its answer.
    ///
    /// # Errors
    /// When it has given none that a browser is sent to, or one that comes back elsewhere.
    pub async fn begin_by_tools(
        &self,
        armed: &Armed,
        holder: KeyId,
        browser: Browser<'_>,
        said: &Secret,
    ) -> Result<Begun, OAuthError> {
        let (target, home) = (Target::of(armed)?, self.home()?);
        let mut page = find_page(said.expose())
            .ok_or(OAuthError::Document(PAGE, "it gives no page to log in at"))?;
        let secure = page.scheme() == "https"
            || (page.scheme() == "http" && is_loopback(&page) && target.oauth.allow_private);
        if !secure || !page.username().is_empty() || page.password().is_some() {
            return Err(OAuthError::Document(PAGE, "its page is not https"));
        }
        let fields: Vec<(String, String)> = page.query_pairs().into_owned().collect();
        let field = |name: &str| {
            fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
        };
        if let Some(other) = field("redirect_uri").filter(|back| *back != home.callback()) {
            tracing::warn!(upstream = %target.name(), other, "a login would come back elsewhere");
            return Err(OAuthError::Setup(format!(
                "the browser would not come back to the proxy; tell the program that its redirect URL is {}",
                home.callback()
            )));
        }
        // Theirs may be the same each time; ours is known to this browser alone.
        let (own, state) = (field("state").map(str::to_owned), random()?);
        let others = fields.iter().filter(|(name, _)| name != "state");
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(others)
            .append_pair("state", &state)
            .finish();
        page.set_query(Some(&query));
        let attempt = Attempt {
            upstream: target.name().to_string(),
            holder: holder.as_str().to_owned(),
            browser: digest(browser.0),
            verifier: String::new(),
            names_itself: false,
            own_state: own,
            record: Record {
                issuer: page.origin().ascii_serialization(),
                token_endpoint: String::new(),
                revocation_endpoint: None,
                resource: None,
                client: None,
                access_token: None,
                refresh_token: None,
                scopes: Vec::new(),
                obtained_at: 0,
                expires_at: None,
                wanted: Vec::new(),
                denied: 0,
            },
        };
        self.keep(target.tenant.id(), &state, &attempt).await?;
        Ok(Begun { url: page.into() })
    }

    /// What the upstream's second tool is given: the code of the answer, and the upstream's own
    /// state if it had one. JSON text.
    ///
    /// # Errors
    /// When the answer says no, or has no code.
    pub fn exchange(
        &self,
        finished: &Finished,
        callback: &Callback,
    ) -> Result<Zeroizing<String>, OAuthError> {
        if let Some(error) = &callback.error {
            return Err(OAuthError::Refused(known_code(error)));
        }
        let mut arguments =
            serde_json::json!({ "code": callback.code.as_deref().ok_or(OAuthError::State)? });
        if let Some(own) = finished.own_state() {
            arguments["state"] = own.into();
        }
        Ok(Zeroizing::new(arguments.to_string()))
    }

    /// Keeps what the upstream's second tool has given.
    ///
    /// # Errors
    /// When it cannot be kept, or the member that the file wants is not in it.
    pub async fn finish_by_tools(
        &self,
        armed: &Armed,
        finished: Finished,
        given: &Secret,
    ) -> Result<(), OAuthError> {
        let target = Target::of(armed)?;
        let take = target.oauth.tools.as_ref().and_then(|tools| tools.take.as_deref());
        let (token, lifetime) = taken(given.expose(), take)?;
        let now = unix_seconds();
        let record = Record {
            access_token: Some(token),
            obtained_at: now,
            expires_at: lifetime.map(|life| now.saturating_add(life)),
            ..finished.into_record()
        };
        target.bearer.forgive();
        self.save(&target, record, None).await?;
        let (tenant, upstream) = (target.tenant.name(), target.name());
        tracing::info!(%tenant, %upstream, "logged in");
        Ok(())
    }
}

/// The page in what a tool has said: in a member with such a name, or the first URL in the text.
fn find_page(said: &str) -> Option<Url> {
    let named = serde_json::from_str::<Value>(said).ok().and_then(|said| match &said {
        Value::String(text) => Some(text.clone()),
        said => MEMBERS.iter().find_map(|name| said.get(name)?.as_str().map(str::to_owned)),
    });
    let text = named.as_deref().unwrap_or(said);
    let starts = ["https://", "http://"].into_iter().filter_map(|scheme| text.find(scheme));
    let rest = &text[starts.min()?..];
    let ends =
        |char: char| char.is_whitespace() || matches!(char, '"' | '\'' | '<' | '>' | ')' | ']');
    Url::parse(&rest[..rest.find(ends).unwrap_or(rest.len())]).ok()
}

/// What is kept of what a tool has given, and for how many seconds it is good if that was said.
fn taken(given: &str, take: Option<&str>) -> Result<(Secret, Option<u64>), OAuthError> {
    let wrong = |why| OAuthError::Document(PAGE, why);
    let said: Option<Value> = serde_json::from_str(given).ok();
    let Some(take) = take else {
        let text = match &said {
            // On one line, whatever alphabet its names are of.
            Some(said) => ascii(&said.to_string()),
            None => Zeroizing::new(given.trim().to_owned()),
        };
        let fits = !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        return match fits {
            true => Ok((Secret::new(text.to_string()), None)),
            false => Err(wrong("what it gives is no credential")),
        };
    };
    let said = said.ok_or_else(|| wrong("what it gives is no JSON"))?;
    let token = said.get(take).and_then(Value::as_str).unwrap_or_default();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("what it gives has no such token as `take` names"));
    }
    Ok((Secret::new(token.to_owned()), said.get("expires_in").and_then(Value::as_u64)))
}

/// JSON text with every character beyond ASCII escaped.
fn ascii(json: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(json.len()));
    for char in json.chars() {
        if char.is_ascii() {
            out.push(char);
        } else {
            let mut units = [0; 2];
            for unit in char.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_found_in_whatever_a_tool_says() {
        let found = |said: &str| find_page(said).map(String::from);
        let page = Some("https://as.example/login?a=b&c".to_owned());
        for said in [
            "https://as.example/login?a=b&c",
            "Open <https://as.example/login?a=b&c> and log in",
            "[log in](https://as.example/login?a=b&c)",
            r#"{"authorization_url": "https://as.example/login?a=b&c", "other": "http://x"}"#,
            r#""https://as.example/login?a=b&c""#,
        ] {
            assert_eq!(found(said), page, "{said}");
        }
        for said in ["", "no page", "ftp://as.example", r#"{"url": 7}"#, "https://"] {
            assert_eq!(found(said), None, "{said}");
        }
    }

    #[test]
    fn what_is_kept_can_stand_in_a_value() {
        let (whole, life) = taken("{\n \"a\": \"ü\",\n \"expires_in\": 5 }", None).unwrap();
        assert_eq!((whole.expose(), life), (r#"{"a":"\u00fc","expires_in":5}"#, None));
        assert_eq!(taken(" plain-token \n", None).unwrap().0.expose(), "plain-token");
        let (token, life) =
            taken(r#"{"access_token":"t","expires_in":5}"#, Some("access_token")).unwrap();
        assert_eq!((token.expose(), life), ("t", Some(5)));
        assert!(taken("", None).is_err() && taken("a\u{1}b", None).is_err());
        assert!(taken("{}", Some("access_token")).is_err() && taken("x", Some("a")).is_err());
    }
}
