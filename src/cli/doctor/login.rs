//! The login of a client: metadata (RFC 9728, RFC 8414), registration (RFC 7591), authorization
//! code with PKCE (RFC 7636), resource (RFC 8707), issuer (RFC 9207), and a refresh.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;
use url::form_urlencoded::Serializer;

use super::page::{Jar, form};
use super::replay::{Visit, Wrong, equal, kind, status};
use super::wire::{Asked, Got, Wanted};
use crate::base::Secret;

/// Pages between the beginning of a login and its end.
const PAGES: usize = 6;

/// What the server says of itself.
struct Server {
    resource: String,
    issuer: String,
    document: Value,
}

/// Logs in with the key and gives a token; without a key it ends where a person is asked for one.
pub(super) async fn log_in(
    visit: &mut Visit<'_>,
    key: Option<&Secret>,
) -> Result<Option<Secret>, Wrong> {
    let server = discover(visit).await?;
    let client = register(visit, &server).await?;
    let Some((code, verifier)) = authorize(visit, &server, &client, key).await? else {
        return Ok(None);
    };
    let redirect = visit.recorded.login.redirects[0];
    let first = token(
        visit,
        &server,
        &[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", redirect),
            ("client_id", &client),
            ("code_verifier", &verifier),
            ("resource", &server.resource),
        ],
    )
    .await?;
    let Some(refresh) = first["refresh_token"].as_str() else {
        return text(&first, "access_token").map(Secret::new).map(Some);
    };
    let second = token(
        visit,
        &server,
        &[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh),
            ("client_id", &client),
            ("resource", &server.resource),
        ],
    )
    .await?;
    text(&second, "access_token").map(Secret::new).map(Some)
}

fn text(document: &Value, name: &str) -> Result<String, Wrong> {
    let found = document[name].as_str().map(str::to_owned);
    found.ok_or_else(|| Wrong::new("token", format!("body: `{name}` is missing"), "", ""))
}

fn document(place: &str, got: &Got) -> Result<Value, Wrong> {
    kind(place, got, "application/json")?;
    serde_json::from_slice(&got.body).map_err(|error| {
        let what = format!("body, line {}, column {}: {error}", error.line(), error.column());
        Wrong::new(place, what, "", "")
    })
}

async fn discover(visit: &mut Visit<'_>) -> Result<Server, Wrong> {
    let door = visit.url("/connect/mcp");
    let due = door.to_string();
    let hello = super::public::initialize("doctor");
    let asked = Asked::post(hello)
        .with("content-type", "application/json")
        .with("accept", "application/json, text/event-stream");
    let (place, got) = visit.ask(&door, asked, Wanted::Whole).await?;
    status(&place, &got, &[401])?;
    let challenge = got.header("www-authenticate").to_owned();
    let at = parameter(&challenge, "resource_metadata").unwrap_or_default();
    let expected = visit.url("/.well-known/oauth-protected-resource/connect/mcp").to_string();
    if at != expected {
        let byte = super::public::first_difference(&expected, &at);
        return Err(Wrong::new(
            &place,
            format!(
                "header WWW-Authenticate, byte {byte} of `resource_metadata`: `{expected}` is due and `{at}` came"
            ),
            "it looks for the login where this says",
            "`public_url` in [server] must be what clients write; response headers must pass unchanged",
        ));
    }
    visit.done(&place, "401, with the way to the login");
    let url = Url::parse(&at).map_err(|error| Wrong::new(&place, error.to_string(), "", ""))?;
    let accept = || Asked::get().with("accept", "application/json");
    let (place, got) = visit.ask(&url, accept(), Wanted::Whole).await?;
    status(&place, &got, &[200])?;
    let about = document(&place, &got)?;
    equal(&place, &got, "resource", &due, about["resource"].as_str())?;
    let issuer = about["authorization_servers"][0].as_str().unwrap_or_default().to_owned();
    visit.done(&place, "says who gives the tokens");
    let parsed = Url::parse(&issuer)
        .map_err(|_| Wrong::new(&place, "body: `authorization_servers` names no URL", "", ""))?;
    let path = parsed.path().trim_end_matches('/').to_owned();
    let mut places = vec![format!("/.well-known/oauth-authorization-server{path}")];
    if visit.recorded.login.openid {
        places.push(format!("/.well-known/openid-configuration{path}"));
        places.push(format!("{path}/.well-known/openid-configuration"));
    }
    let mut last = None;
    for path in places {
        let mut url = parsed.clone();
        url.set_path(&path);
        let (place, got) = visit.ask(&url, accept(), Wanted::Whole).await?;
        if got.status != 200 {
            last.get_or_insert((place, got));
            continue;
        }
        let document = document(&place, &got)?;
        equal(&place, &got, "issuer", &issuer, document["issuer"].as_str())?;
        let methods = document["code_challenge_methods_supported"].as_array();
        if !methods.is_some_and(|list| list.contains(&json!("S256"))) {
            let what = "body: `code_challenge_methods_supported` has no `S256`";
            return Err(Wrong::new(&place, what, "it refuses a server without PKCE", ""));
        }
        for name in ["authorization_endpoint", "token_endpoint"] {
            let there = document[name].as_str().and_then(|url| Url::parse(url).ok());
            if there.is_none_or(|url| url.origin() != visit.base.origin()) {
                return Err(Wrong::new(
                    &place,
                    format!("body: `{name}` is not at {}", visit.base),
                    "it is sent to a server that does not know it",
                    "`public_url` in [server] must be what clients write",
                ));
            }
        }
        visit.done(&place, "says how to log in");
        return Ok(Server { resource: due, issuer, document });
    }
    let Some((place, got)) = last else { return Err(Wrong::new("metadata", "none", "", "")) };
    status(&place, &got, &[200])?;
    Err(Wrong::new(&place, "no metadata", "", ""))
}

/// A parameter of a challenge (RFC 9110, section 11.2).
fn parameter(challenge: &str, name: &str) -> Option<String> {
    let at = challenge.find(&format!("{name}=\""))? + name.len() + 2;
    challenge[at..].split('"').next().map(str::to_owned)
}

fn endpoint(server: &Server, name: &str) -> Result<Url, Wrong> {
    let found = server.document[name].as_str().and_then(|url| Url::parse(url).ok());
    found.ok_or_else(|| {
        Wrong::new(&server.issuer, format!("body: `{name}` is missing"), "it cannot register", "")
    })
}

/// Registers as the client does that has no document of its own. The document of one that has
/// lies with its maker, and the proxy would fetch it there.
async fn register(visit: &mut Visit<'_>, server: &Server) -> Result<String, Wrong> {
    let login = &visit.recorded.login;
    let takes = server.document["client_id_metadata_document_supported"] == true;
    if let Some(document) = login.document.filter(|_| takes) {
        visit.findings.note(
            "client-document",
            visit.recorded.title,
            format!("it would come as {document}; here it registers instead"),
            ("the proxy fetches that document from its maker, so it must reach the Internet", ""),
        );
    }
    let body = json!({
        "client_name": login.name, "redirect_uris": login.redirects,
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": if login.redirects[0].starts_with("https") { "web" } else { "native" },
    });
    let url = endpoint(server, "registration_endpoint")?;
    let asked = Asked::post(body.to_string())
        .with("content-type", "application/json")
        .with("accept", "application/json");
    let (place, got) = visit.ask(&url, asked, Wanted::Whole).await?;
    status(&place, &got, &[201])?;
    let made = document(&place, &got)?;
    let redirects = made["redirect_uris"].as_array().map(Vec::len).unwrap_or_default();
    if redirects != login.redirects.len() {
        return Err(Wrong::new(
            &place,
            format!(
                "body: `redirect_uris` has {redirects} entries, {} are due",
                login.redirects.len()
            ),
            "it logs in with any of them",
            "",
        ));
    }
    let id = made["client_id"].as_str().unwrap_or_default().to_owned();
    if id.is_empty() {
        return Err(Wrong::new(&place, "body: `client_id` is missing", "", ""));
    }
    visit.done(&place, "is registered");
    Ok(id)
}

fn random() -> Result<String, Wrong> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Wrong::new("this machine", format!("no random bytes: {error}"), "", ""))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Goes through the consent page as a person with a browser does; without a key as far as its
/// first form.
async fn authorize(
    visit: &mut Visit<'_>,
    server: &Server,
    client: &str,
    key: Option<&Secret>,
) -> Result<Option<(String, String)>, Wrong> {
    let (verifier, state) = (random()?, random()?);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let redirect = visit.recorded.login.redirects[0];
    let mut url = endpoint(server, "authorization_endpoint")?;
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", client)
        .append_pair("redirect_uri", redirect)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256")
        .append_pair("state", &state)
        .append_pair("resource", &server.resource);
    let mut jar = Jar::default();
    let mut asked = Asked::get();
    for _ in 0..PAGES {
        let mut sent = asked.clone().with("accept", "text/html,application/xhtml+xml");
        if let Some(cookies) = jar.header() {
            sent = sent.with("cookie", cookies);
        }
        // The state and the code are no news for anybody else.
        let (place, got) =
            visit.ask(&url, sent, Wanted::Whole).await.map_err(|wrong| bare(wrong, &url))?;
        let place = without_query(&place);
        jar.keep(&got.headers);
        // A page may also go on by itself.
        let onward = match got.status {
            302 | 303 => Some(got.header("location")),
            _ => got.header("refresh").strip_prefix("0;url="),
        };
        if let Some(location) = onward {
            if location.starts_with(redirect) {
                visit.done(&place, "the page takes the key, and leads back");
                let code = code(&place, location, &state, &server.issuer)?;
                return Ok(Some((code, verifier)));
            }
            let next = url
                .join(location)
                .map_err(|error| Wrong::new(&place, error.to_string(), "", ""))?;
            if next.origin() != url.origin() {
                let what =
                    format!("header Location: it leads to {}", next.origin().ascii_serialization());
                return Err(Wrong::new(&place, what, "a person would be sent elsewhere", ""));
            }
            (url, asked) = (next, Asked::get());
            continue;
        }
        status(&place, &got, &[200])?;
        kind(&place, &got, "text/html")?;
        let page = got.text();
        let Some(form) = form(&page) else {
            return Err(Wrong::new(
                &place,
                "body: the page has no form",
                "nobody can agree on it",
                "",
            ));
        };
        let Some(key) = key else {
            visit.done(&place, "the page is shown, and asks a person");
            return Ok(None);
        };
        let mut fields = Serializer::new(String::new());
        for (name, value) in &form.fields {
            let value = if Some(name) == form.key.as_ref() { key.expose() } else { value };
            fields.append_pair(name, value);
        }
        if !form.action.is_empty() {
            url = url
                .join(&form.action)
                .map_err(|error| Wrong::new(&place, error.to_string(), "", ""))?;
        }
        if url.origin() != visit.base.origin() {
            return Err(Wrong::new(&place, "body: the form goes to another server", "", ""));
        }
        visit.done(&place, "the page is shown");
        asked = Asked::post(fields.finish())
            .with("content-type", "application/x-www-form-urlencoded")
            .with("origin", visit.base.origin().ascii_serialization())
            .with("sec-fetch-site", "same-origin");
    }
    Err(Wrong::new(
        "the consent page",
        "it does not end",
        "the key is refused, or cookies are lost on the way",
        "try the key with `mcp-proxy doctor --as cursor`; forward Set-Cookie and Cookie unchanged",
    ))
}

fn without_query(place: &str) -> String {
    place.split('?').next().unwrap_or_default().to_owned()
}

fn bare(wrong: Wrong, url: &Url) -> Wrong {
    Wrong { place: without_query(&wrong.place).replace(url.as_str(), url.path()), ..wrong }
}

/// The code out of the way back, after everything that a client checks.
fn code(place: &str, location: &str, state: &str, issuer: &str) -> Result<String, Wrong> {
    let back =
        Url::parse(location).map_err(|error| Wrong::new(place, error.to_string(), "", ""))?;
    let value = |name: &str| {
        back.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
    };
    if let Some(error) = value("error") {
        let more = value("error_description").unwrap_or_default();
        let what = format!("header Location: `code` is due and `error` came: {error} {more}");
        return Err(Wrong::new(place, what, "", ""));
    }
    if value("state").as_deref() != Some(state) {
        let what = "header Location: `state` is not what was sent";
        return Err(Wrong::new(place, what, "it takes the answer for another's", ""));
    }
    if value("iss").is_some_and(|iss| iss != issuer) {
        let what = format!("header Location: `iss` {issuer} is due and another one came");
        return Err(Wrong::new(place, what, "it takes the answer for another server's", ""));
    }
    value("code").ok_or_else(|| Wrong::new(place, "header Location: `code` is missing", "", ""))
}

async fn token(
    visit: &mut Visit<'_>,
    server: &Server,
    fields: &[(&str, &str)],
) -> Result<Value, Wrong> {
    let url = endpoint(server, "token_endpoint")?;
    let body = Serializer::new(String::new()).extend_pairs(fields).finish();
    let asked = Asked::post(body)
        .with("content-type", "application/x-www-form-urlencoded")
        .with("accept", "application/json");
    let (place, got) = visit.ask(&url, asked, Wanted::Whole).await?;
    status(&place, &got, &[200])?;
    let made = document(&place, &got)?;
    let kind = made["token_type"].as_str().unwrap_or_default();
    if !kind.eq_ignore_ascii_case("bearer") {
        let what = format!("body: `token_type` `Bearer` is due and `{kind:.40}` came");
        return Err(Wrong::new(&place, what, "", ""));
    }
    if made["access_token"].as_str().is_none_or(str::is_empty) {
        return Err(Wrong::new(&place, "body: `access_token` is missing", "", ""));
    }
    let how = fields.first().map_or("", |(_, how)| how);
    visit.done(&place, &format!("gives a token ({how})"));
    Ok(made)
}

/// Gives the token back, so that nothing is left of the visit.
pub(super) async fn leave(visit: &mut Visit<'_>, token: &Secret) -> Result<(), Wrong> {
    let url = visit.url("/.well-known/oauth-authorization-server/connect");
    let (_, got) = visit.ask(&url, Asked::get(), Wanted::Whole).await?;
    let about: Value = serde_json::from_slice(&got.body).unwrap_or_default();
    let Some(url) = about["revocation_endpoint"].as_str().and_then(|url| Url::parse(url).ok())
    else {
        return Ok(());
    };
    let body = Serializer::new(String::new()).append_pair("token", token.expose()).finish();
    let asked = Asked::post(body).with("content-type", "application/x-www-form-urlencoded");
    let (place, got) = visit.ask(&url, asked, Wanted::Whole).await?;
    if got.status == 200 {
        visit.done(&place, "the token is given back");
    }
    Ok(())
}
