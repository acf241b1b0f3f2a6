//! Whose token it is, by rules of the file.

use serde_json::Value;

use crate::base::{Name, Role, Scopes};
use crate::config::{IssuerRule, RuleTenant};

/// What a rule makes of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The tenant; `None` for the operator.
    pub(super) tenant: Option<Name>,
    pub(super) role: Role,
    pub(super) scopes: Scopes,
}

/// The first rule that fits decides.
pub(super) fn judge(rules: &[IssuerRule], claims: &Value) -> Option<Verdict> {
    rules.iter().find_map(|rule| fit(rule, claims))
}

fn fit(rule: &IssuerRule, claims: &Value) -> Option<Verdict> {
    let value = match &rule.claim {
        None => None,
        Some(claim) => Some(held(find(claims, claim)?, rule.value.as_deref())?),
    };
    let tenant = match &rule.tenant {
        RuleTenant::Nobody => None,
        RuleTenant::Named(name) => Some(name.clone()),
        // A claim that is no name of a tenant fits no tenant.
        RuleTenant::FromClaim => Some(Name::new(value?).ok()?),
    };
    Some(Verdict { tenant, role: rule.role, scopes: rule.scopes.clone() })
}

/// A claim by its name or, where none is called that, by its path.
fn find<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| name.split('.').try_fold(claims, |claims, part| claims.get(part)))
}

/// The text of a claim, or the wanted one among several.
fn held<'a>(claim: &'a Value, wanted: Option<&str>) -> Option<&'a str> {
    let fits = |text: &&str| wanted.is_none_or(|wanted| *text == wanted);
    match claim {
        Value::String(text) => Some(text.as_str()).filter(fits),
        Value::Array(texts) => match (wanted, &texts[..]) {
            (Some(_), texts) => texts.iter().filter_map(Value::as_str).find(fits),
            // Of several, none is meant more than the others.
            (None, [only]) => only.as_str(),
            (None, _) => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(claim: Option<&str>, value: Option<&str>, tenant: RuleTenant) -> IssuerRule {
        let (claim, value) = (claim.map(str::to_owned), value.map(str::to_owned));
        IssuerRule { claim, value, tenant, role: Role::Member, scopes: Scopes::everything() }
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let acme = || RuleTenant::Named(Name::new("acme").unwrap());
        let rules = [
            IssuerRule { role: Role::Admin, ..rule(Some("groups"), Some("admins"), acme()) },
            rule(Some("https://example.com/org"), None, RuleTenant::FromClaim),
            rule(Some("realm.roles"), Some("user"), acme()),
        ];
        let judged =
            |claims: Value| judge(&rules, &claims).map(|v| (v.tenant.unwrap().to_string(), v.role));
        assert_eq!(judged(json!({"groups": ["x", "admins"]})), Some(("acme".into(), Role::Admin)));
        assert_eq!(judged(json!({"groups": "admins"})), Some(("acme".into(), Role::Admin)));
        let org = "https://example.com/org";
        assert_eq!(judged(json!({org: "beta"})), Some(("beta".into(), Role::Member)));
        assert_eq!(judged(json!({org: ["beta"]})), Some(("beta".into(), Role::Member)));
        assert_eq!(
            judged(json!({"realm": {"roles": ["user"]}})),
            Some(("acme".into(), Role::Member))
        );
        for nobody in [
            json!({}),
            json!({"groups": ["admin"]}),
            json!({"groups": 1}),
            json!({org: "../acme"}),
            json!({org: ["beta", "acme"]}),
            json!({org: ""}),
            json!({"realm": "user"}),
        ] {
            assert_eq!(judged(nobody.clone()), None, "{nobody}");
        }
    }
}
