//! What a person sees of logins at upstreams.

use std::fmt::Write as _;

use http::StatusCode;
use url::Url;

use crate::base::{Name, rfc3339};
use crate::connect::page::{Whole, escape, hidden, key_field, onward, page, refusal, rows};
use crate::credential::LoginState;

fn form(token: &str, fields: &str, buttons: &[(&str, &str, &str)]) -> String {
    let mut text =
        format!("<form method=\"post\">{}{fields}<div class=\"row\">", hidden("token", token));
    for (what, label, class) in buttons {
        let _ = write!(
            text,
            "<button name=\"do\" value=\"{what}\" class=\"{class}\">{}</button>",
            escape(label)
        );
    }
    text + "</div></form>"
}

fn word(state: &LoginState) -> &'static str {
    match state.state {
        "logged-in" => "logged in",
        "expired" => "logged in, to be renewed with the next call",
        "needs-setup" => "secrets are missing",
        _ => "not logged in",
    }
}

/// Asks for the key.
pub(super) fn sign_in(upstream: Option<&str>, token: &str, problem: Option<&str>) -> Whole {
    let why = match upstream {
        Some(name) => {
            format!("<p>Sign in to log your tenant in at <strong>{}</strong>.</p>", escape(name))
        }
        None => "<p>Sign in to see where your tenant is logged in.</p>".to_owned(),
    };
    let body = why + &form(token, &key_field(problem), &[("sign-in", "Sign in", "main")]);
    page(StatusCode::OK, "Sign in", &body)
}

/// Every upstream with a login.
pub(super) fn list(tenant: &str, logins: &[(Name, LoginState)], token: &str) -> Whole {
    let mut body = rows(&[("Tenant", tenant)]);
    if logins.is_empty() {
        body += "<p>No upstream of your tenant has a login.</p>";
    }
    body += "<ul>";
    for (name, state) in logins {
        let name = escape(name.as_str());
        let _ = write!(
            body,
            "<li><a href=\"/connect/upstreams/{name}\">{name}</a>: {}</li>",
            word(state)
        );
    }
    body += "</ul>";
    body += &form(token, "", &[("sign-out", "Sign out here", "link")]);
    page(StatusCode::OK, "Logins", &body)
}

/// One of them.
pub(super) fn one(
    tenant: &str,
    upstream: &str,
    state: &LoginState,
    may_log_out: bool,
    token: &str,
) -> Whole {
    let ends = state.expires_at.map(rfc3339);
    let scopes = state.scopes.join(" ");
    let mut shown = vec![("Tenant", tenant), ("Upstream", upstream), ("State", word(state))];
    if let Some(issuer) = state.issuer.as_deref().filter(|issuer| !issuer.is_empty()) {
        shown.push(("Server", issuer));
    }
    if !scopes.is_empty() {
        shown.push(("Allowed", &scopes));
    }
    if let (true, Some(ends)) = (state.state == "logged-in", &ends) {
        shown.push((if state.renews { "Renewed at" } else { "Until" }, ends));
    }
    let running = state.state == "logged-in";
    let mut buttons = Vec::new();
    if state.state == "needs-setup" {
        shown.push(("Next", "an admin sets the secrets of this upstream"));
    } else if !running || may_log_out {
        buttons.push(("log-in", if running { "Log in again" } else { "Log in" }, "main"));
    }
    if running && may_log_out {
        buttons.push(("log-out", "Log out", ""));
    }
    buttons.push(("sign-out", "Sign out here", "link"));
    let note =
        "<p class=\"soft\">Whoever has a key of this tenant uses this login through the proxy.</p>";
    let body = rows(&shown) + note + &form(token, "", &buttons);
    page(StatusCode::OK, "Login at an upstream", &body)
}

/// The link was made for somebody else.
pub(super) fn misled(tenant: &str, token: &str) -> Whole {
    let body = format!(
        "<p>This link was made for somebody else, or is too old. You are signed in for the tenant \
         <strong>{}</strong>. If another key of yours made the call that led here, sign out and sign \
         in with that one.</p>{}",
        escape(tenant),
        form(token, "", &[("sign-out", "Sign out here", "main")])
    );
    page(StatusCode::FORBIDDEN, "Not your link", &body)
}

/// On to the authorization server; a person sees here where it goes.
pub(super) fn leave(upstream: &str, url: &str) -> Whole {
    let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    let body = format!(
        "<p>To log in at <strong>{}</strong> you are led to <strong>{}</strong>.</p>",
        escape(upstream),
        escape(&host.unwrap_or_default()),
    );
    onward("Logging in", &body, url).unwrap_or_else(|| {
        let why = "The address of the login cannot be opened.";
        refusal(StatusCode::BAD_GATEWAY, "This does not work", why)
    })
}

/// All is well.
pub(super) fn done(tenant: &str, upstream: &str) -> Whole {
    let body = rows(&[("Tenant", tenant), ("Upstream", upstream)])
        + "<p>You can close this page and go on where you came from.</p>";
    page(StatusCode::OK, "Logged in", &body)
}
