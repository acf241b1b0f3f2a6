//! A server behind a URL: where it is, its headers, and how one logs in there.

use percent_encoding::percent_decode_str;
use toml_edit::{Array, InlineTable, Table, Value, value};

use super::convert::{Maker, literal};
use super::found::{Login, Piece, Pieces};
use super::judge::{is_harmless, is_token};
use crate::config::Reserved;

impl Maker<'_> {
    /// The endpoint.
    pub(super) fn url(
        &mut self,
        table: &mut Table,
        pieces: &[Piece],
        headers: Vec<(String, Pieces)>,
    ) -> Result<(), String> {
        let mut headers = headers;
        let pieces = self.settled(pieces);
        let Some(Piece::Text(first)) = pieces.first() else {
            return Err("its URL begins with a reference".to_owned());
        };
        let rest_of = |text: &str| text.split_once("://").map(|(_, rest)| rest.to_owned());
        let authority = rest_of(first).ok_or("its URL has no scheme")?;
        if pieces.len() > 1 && !authority.contains('/') {
            return Err("its URL has a reference before its path".to_owned());
        }
        let mut template = String::new();
        for (index, piece) in pieces.iter().enumerate() {
            template += &match piece {
                Piece::Text(text) if index == 0 => self.beginning(text, &mut headers)?,
                Piece::Text(text) => self.parts(text),
                piece => self.hidden("url", std::slice::from_ref(piece)),
            };
        }
        table.insert("url", value(template));
        let mut made = InlineTable::new();
        for (name, pieces) in headers {
            let parsed = http::HeaderName::from_bytes(name.as_bytes()).ok();
            if parsed.is_none_or(|name| Reserved::of(&name).is_some()) {
                self.notes
                    .push(format!("the header `{name:.40}` is left out; the proxy sets it itself"));
                continue;
            }
            let open = self.around.open.contains(&name);
            let text = match self.known(&pieces).filter(|_| open) {
                Some(text) => literal(&text),
                None => self.hidden(&name, &pieces),
            };
            made.insert(&name, Value::from(text));
        }
        if !made.is_empty() {
            table.insert("headers", value(made));
        }
        Ok(())
    }

    /// How each tenant logs in there, as the client did.
    pub(super) fn login(&mut self, table: &mut Table, login: Login) {
        let headers = table.get("headers").and_then(|item| item.as_inline_table());
        let has_header = headers.is_some_and(|all| {
            all.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        });
        if has_header {
            self.notes.push("its login is left out beside the header Authorization".to_owned());
            return;
        }
        let mut made = InlineTable::new();
        if let Some(id) = login.client_id {
            let id = match self.known(&id) {
                Some(text) => literal(&text),
                None => self.hidden("client_id", &id),
            };
            made.insert("client_id", id.into());
            // It is one value or none.
            if let Some([secret]) = login.client_secret.as_deref() {
                let secret = self.hidden("client_secret", std::slice::from_ref(secret));
                made.insert("client_secret", secret.into());
            }
        }
        if !login.scopes.is_empty() {
            made.insert("scopes", login.scopes.into_iter().collect::<Array>().into());
        }
        let own = if made.contains_key("client_id") {
            "; the client that is registered there must know the callback PUBLIC_URL/connect/callback"
        } else {
            ""
        };
        self.notes.push(format!(
            "each tenant logs in there anew, which needs `public_url`; `mcp-proxy upstream show` gives the \
             link{own}"
        ));
        table.insert("oauth", value(made));
    }

    /// Scheme, host and what follows, with a login before the host made a header.
    fn beginning(
        &mut self,
        text: &str,
        headers: &mut Vec<(String, Pieces)>,
    ) -> Result<String, String> {
        let parsed = url::Url::parse(text).map_err(|error| format!("its URL: {error}"))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(format!("its URL is of the scheme `{}`", parsed.scheme()));
        }
        let (scheme, rest) = text.split_once("://").ok_or("its URL has no scheme")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let host = authority.rsplit('@').next().unwrap_or(authority);
        if host.len() < authority.len() {
            let user = percent_decode_str(parsed.username()).decode_utf8_lossy().into_owned();
            let password = parsed.password().unwrap_or_default();
            let password = percent_decode_str(password).decode_utf8_lossy();
            let login = base64::Engine::encode(
                &base64::engine::general_purpose::STANDARD,
                format!("{user}:{password}"),
            );
            let basic = vec![Piece::Text(format!("Basic {login}"))];
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
            headers.push(("Authorization".to_owned(), basic));
            self.notes.push("the login in its URL is sent as the header Authorization".to_owned());
        }
        Ok(format!("{scheme}://{host}{}", self.parts(tail)))
    }

    /// Path and query: what looks like a credential becomes a reference.
    fn parts(&mut self, text: &str) -> String {
        let text = text.split_once('#').map_or(text, |(text, _)| text);
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let path = path.split('/').map(|segment| {
            let text = decoded(segment);
            if is_token(&text) { self.seal("url_path", &text) } else { literal(segment) }
        });
        let path = path.collect::<Vec<_>>().join("/");
        let Some(query) = query else { return path };
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, "")) => format!("{}=", literal(name)),
            Some((name, value)) if !is_harmless(name, value) => {
                // A plus is a space in a query.
                let text = decoded(&value.replace('+', " "));
                format!("{}={}", literal(name), self.seal(&decoded(name), &text))
            }
            None if is_token(pair) => self.seal("url_query", &decoded(pair)),
            _ => literal(pair),
        });
        format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
    }
}
