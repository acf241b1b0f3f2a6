//! `[[auth.issuers]]`: whose tokens are taken besides our own, and whose each is then.

use std::time::Duration;

use super::tenant::{role, scopes};
use super::value;
use crate::base::{Name, Role, Scopes};
use crate::config::file::{Item, Table};
use crate::config::report::Report;
use crate::config::text::tame;
use crate::config::{Issuer, IssuerRule, RuleTenant};

/// Public-key algorithms of RFC 7518 and RFC 8037. One with a shared secret is not among them.
const ALGORITHMS: [&str; 9] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];
const LEEWAY: Duration = Duration::from_secs(30);
const LONGEST_LEEWAY: Duration = Duration::from_secs(60);

/// The section's issuers.
pub(super) fn check(
    table: Option<Table<'_>>,
    public_url: Option<&url::Url>,
    report: &mut Report<'_>,
) -> Vec<Issuer> {
    let Some(mut table) = table else { return Vec::new() };
    let list = table.take("issuers").and_then(|item| item.array(report)).unwrap_or_default();
    table.finish(report, &[], &[("issuer", "write a section [[auth.issuers]] for each")]);
    let mut issuers: Vec<Issuer> = Vec::new();
    for item in list {
        let Some(issuer) = issuer(&item, public_url, report) else { continue };
        if issuers.iter().any(|other| other.issuer == issuer.issuer) {
            item.problem(report, format!("`{}` is an issuer twice", tame(&issuer.issuer, 80)))
                .hint("put all its rules into one section");
        }
        issuers.push(issuer);
    }
    issuers
}

fn issuer(
    item: &Item<'_>,
    public_url: Option<&url::Url>,
    report: &mut Report<'_>,
) -> Option<Issuer> {
    let mut table = item.table(report)?;
    let mut needed = |name: &'static str, report: &mut Report<'_>| {
        let found = table.take(name);
        if found.is_none() {
            item.problem(report, format!("`{}` has no `{name}`", item.path))
                .absence()
                .hint("an issuer has issuer, audience, algorithms and rules");
        }
        found
    };
    let named = needed("issuer", report);
    let algorithms = needed("algorithms", report);
    let rules = needed("rules", report);
    let audience = table.take("audience");
    let jwks_url = table.take("jwks_url");
    let leeway = table.take("leeway");
    table.finish(report, &[], &[("jwks_uri", "write jwks_url = \"https://…\"")]);
    if audience.is_none() && public_url.is_none() {
        item.problem(report, format!("`{}` has no `audience`", item.path))
            .absence()
            .hint("write what its tokens say in `aud`, or set public_url in [server]");
    }
    let own = public_url.map(|url| url.as_str().trim_end_matches('/').to_owned());
    let audience = match audience {
        Some(item) => Some(item.string(report)?.to_owned()),
        None => own,
    };
    let issuer = named.and_then(|item| url(&item, report).map(|_| item.string(report)));
    let algorithms = algorithms.map(|item| self::algorithms(&item, report)).unwrap_or_default();
    let rules = rules.map(|item| self::rules(&item, report)).unwrap_or_default();
    Some(Issuer {
        issuer: issuer??.to_owned(),
        audience: audience?,
        algorithms,
        jwks_url: jwks_url.and_then(|item| url(&item, report)),
        leeway: leeway.and_then(|item| self::leeway(&item, report)).unwrap_or(LEEWAY),
        rules,
    })
}

/// `https`, or `http` on this machine.
fn url(item: &Item<'_>, report: &mut Report<'_>) -> Option<url::Url> {
    let text = item.string(report)?;
    let url = url::Url::parse(text).ok().filter(|url| {
        let local = super::server::is_loopback(url);
        (url.scheme() == "https" || (url.scheme() == "http" && local))
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    if url.is_none() {
        item.hide(report);
        item.problem(report, format!("`{}` is no URL of an issuer", item.path))
            .hint("write https://HOST/PATH, exactly as its tokens have it in `iss`");
    }
    url
}

fn algorithms(item: &Item<'_>, report: &mut Report<'_>) -> Vec<String> {
    let mut algorithms = Vec::new();
    for entry in item.array(report).unwrap_or_default() {
        let Some(text) = entry.string(report) else { continue };
        if ALGORITHMS.contains(&text) {
            algorithms.push(text.to_owned());
        } else {
            entry
                .problem(report, format!("`{}` is no algorithm with a public key", tame(text, 40)))
                .hint(format!("use {}", ALGORITHMS.join(", ")));
        }
    }
    algorithms
}

fn leeway(item: &Item<'_>, report: &mut Report<'_>) -> Option<Duration> {
    let time = value::duration(item, report)?;
    if time > LONGEST_LEEWAY {
        item.problem(report, format!("`{}` is too long", item.path)).hint("at most \"60s\"");
    }
    Some(time)
}

fn rules(item: &Item<'_>, report: &mut Report<'_>) -> Vec<IssuerRule> {
    let list = item.array(report).unwrap_or_default();
    list.iter().filter_map(|entry| rule(entry, report)).collect()
}

fn rule(entry: &Item<'_>, report: &mut Report<'_>) -> Option<IssuerRule> {
    let mut table = entry.table(report)?;
    let text = |item: Option<Item<'_>>, report: &mut Report<'_>| {
        item.and_then(|item| item.string(report).map(str::to_owned))
    };
    let claim = text(table.take("claim"), report);
    let value = text(table.take("value"), report);
    let tenant = table.take("tenant");
    let role_item = table.take("role");
    let scopes_item = table.take("scopes");
    table.finish(report, &[], &[]);
    if value.is_some() && claim.is_none() {
        entry.problem(report, format!("`{}` has a `value` and no `claim`", entry.path)).absence();
    }
    let operator = role_item.as_ref().and_then(Item::as_string) == Some(Role::Operator.as_str());
    let tenant = match tenant {
        None if operator => RuleTenant::Nobody,
        None => {
            entry
                .problem(report, format!("`{}` has no `tenant`", entry.path))
                .absence()
                .hint("name one, or write tenant = \"{claim}\" for the one that the claim names");
            return None;
        }
        Some(item) if operator => {
            item.key_problem(report, "the operator belongs to no tenant").hint("take it out");
            RuleTenant::Nobody
        }
        Some(item) => match item.string(report)? {
            "{claim}" if claim.is_some() && value.is_none() => RuleTenant::FromClaim,
            name => match Name::new(name) {
                Ok(name) => RuleTenant::Named(name),
                Err(_) => {
                    item.problem(report, format!("`{}` is no name for a tenant", tame(name, 80)))
                        .hint("write a name, or \"{claim}\" in a rule with `claim` and no `value`");
                    return None;
                }
            },
        },
    };
    // A rule for everybody must not make anybody an operator by mistake.
    if operator && value.is_none() {
        entry
            .problem(
                report,
                format!("`{}` would make every one of its users the operator", entry.path),
            )
            .hint("write which claim must hold which value");
    }
    let role = match role_item {
        Some(_) if operator => Role::Operator,
        Some(item) => role(&item, report),
        None => Role::Member,
    };
    let scopes = scopes_item.map_or(Scopes::everything(), |item| scopes(&item, report));
    Some(IssuerRule { claim, value, tenant, role, scopes })
}
