//! What a person reads before a client is let in: who asks, where the answer goes, and what it
//! gives.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use http::StatusCode;

use super::callback;
use super::client::{Client, Known};
use super::page::{Whole, escape, hidden, key_field, onward, page, rows};
use crate::auth::Principal;

/// Names of tools that are shown of one server.
const NAMES: usize = 50;

/// Who asks.
pub(super) struct Request<'a> {
    pub(super) client: &'a Client,
    pub(super) callback: &'a str,
    /// What the form brings back.
    pub(super) sealed: &'a str,
}

/// What a key would give.
pub(super) struct Reach {
    pub(super) profile: Option<String>,
    /// Upstream and name of each tool; `None` when the list is not there.
    pub(super) tools: Option<Vec<(String, String)>>,
}

impl Request<'_> {
    /// Who says that the name is right.
    fn vouched(&self) -> &'static str {
        match self.client.known {
            Known::File(_) => "known to the operator",
            Known::Document(_) => "by its own document",
            Known::Registered(_) => "registered itself; the name is its own choice",
        }
    }

    fn about(&self) -> String {
        let host = callback::host(self.callback);
        let mut about =
            vec![("Application", self.client.name.as_str()), ("Known as", self.vouched())];
        if matches!(self.client.known, Known::Document(_)) {
            about.push(("Document", &self.client.id));
        }
        about.push(("Answer goes to", &host));
        rows(&about)
    }

    fn warning(&self) -> &'static str {
        if callback::is_local(self.callback) {
            "<p class=\"warn\">The answer goes to a program on your own computer, and any program there can \
             call itself by this name. Go on only if you have just started the connection yourself.</p>"
        } else {
            ""
        }
    }

    fn form(&self, inner: &str) -> String {
        let sealed = hidden("transaction", self.sealed);
        format!(
            "<form method=\"post\" action=\"/connect/authorize\" autocomplete=\"off\">{sealed}{inner}</form>"
        )
    }
}

/// The page on which somebody signs in, with what was wrong about the last try.
pub(super) fn key_page(request: &Request<'_>, problem: Option<&str>) -> Whole {
    let name = escape(&request.client.name);
    let form = request.form(&format!(
        "{}<div class=\"row\"><button class=\"main\" name=\"answer\" value=\"key\">Continue</button>\
         <button name=\"answer\" value=\"deny\" formnovalidate>Cancel</button></div>",
        key_field(problem)
    ));
    let body = format!(
        "<p><strong>{name}</strong> wants to use tools of this server for you. Sign in with your proxy key to \
         see which.</p>{}{}{form}",
        request.about(),
        request.warning(),
    );
    page(StatusCode::OK, "Sign in", &body)
}

/// The page on which somebody allows or denies.
pub(super) fn consent_page(
    request: &Request<'_>,
    shown: &str,
    who: &Principal,
    reach: &Reach,
) -> Whole {
    let name = &request.client.name;
    let profile = reach.profile.as_deref().unwrap_or("none: everything that the key may use");
    let tools = reach.tools.as_ref().map_or_else(
        || "not known at the moment; whatever the key may use".to_owned(),
        |tools| {
            let servers: std::collections::BTreeSet<&str> =
                tools.iter().map(|(upstream, _)| upstream.as_str()).collect();
            let plural = |count: usize| if count == 1 { "" } else { "s" };
            format!(
                "{} tool{} of {} server{}",
                tools.len(),
                plural(tools.len()),
                servers.len(),
                plural(servers.len())
            )
        },
    );
    let what = rows(&[
        ("Tenant", who.tenant().name().as_str()),
        ("Profile", profile),
        ("With the key", who.key_name()),
        ("It can use", &tools),
    ]);
    let form = request.form(&format!(
        "{}<div class=\"row\"><button class=\"main\" name=\"answer\" value=\"allow\">Allow</button>\
         <button name=\"answer\" value=\"deny\">Deny</button></div>\
         <button class=\"link\" name=\"answer\" value=\"other\">Use another key</button>",
        hidden("shown", shown)
    ));
    let body = format!(
        "{}{}{what}{}<p class=\"soft\">It can read, call and change whatever these tools can, until you take \
         it back or the key ends. It never sees the key.</p>{form}",
        request.about(),
        request.warning(),
        reach.tools.as_deref().map(names).unwrap_or_default(),
    );
    page(StatusCode::OK, &format!("Allow {name}?"), &body)
}

/// The names of the tools, server by server.
fn names(tools: &[(String, String)]) -> String {
    if tools.is_empty() {
        return String::new();
    }
    let mut servers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (upstream, name) in tools {
        servers.entry(upstream).or_default().push(name);
    }
    let mut list = String::from("<details><summary>Which tools</summary><ul>");
    for (server, names) in servers {
        let _ = write!(list, "<li><strong>{}</strong> ({}): ", escape(server), names.len());
        let shown: Vec<String> =
            names.iter().take(NAMES).map(|name| format!("<code>{}</code>", escape(name))).collect();
        list += &shown.join(", ");
        if names.len() > NAMES {
            let _ = write!(list, " and {} more", names.len() - NAMES);
        }
        list += "</li>";
    }
    list + "</ul></details>"
}

/// The page for a key that does not open the door that the client wants.
pub(super) fn no_door_page(request: &Request<'_>, why: &str) -> Whole {
    let form = request.form(
        "<div class=\"row\"><button class=\"main\" name=\"answer\" value=\"other\">Use another key</button>\
         <button name=\"answer\" value=\"deny\">Cancel</button></div>",
    );
    let body =
        format!("{}<p class=\"bad\" role=\"alert\">{}</p>{form}", request.about(), escape(why));
    page(StatusCode::FORBIDDEN, "This key does not open that", &body)
}

/// The page after somebody has allowed or denied, which leads back to the client.
pub(super) fn answered_page(
    client: &Client,
    callback: &str,
    to: &str,
    allowed: bool,
) -> Option<Whole> {
    let (name, host) = (escape(&client.name), escape(&callback::host(callback)));
    let (title, what) =
        if allowed { ("Allowed", "is let in") } else { ("Not allowed", "was given nothing") };
    let body = format!(
        "<p><strong>{name}</strong> {what}. The answer goes to <strong>{host}</strong>.</p>\
         <p class=\"soft\">If nothing opens, go on by the button. You can close this page afterwards.</p>"
    );
    onward(title, &body, to)
}
