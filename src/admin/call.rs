//! One request as the routes see it: who asks, for what, with what.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Uri};
use percent_encoding::percent_decode_str;

use super::problem::Problem;
use crate::auth::{Caller, Principal, TenantInfo};
use crate::base::Role;
use crate::store::Owner;

/// One request whose sender is known and may use its route.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) caller: Caller,
    /// The path as it came.
    pub(super) path: Arc<str>,
    /// The parts of the path that its route names, in order.
    pub(super) parts: Vec<String>,
    query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// It came to the listener that has the operator's routes.
    pub(super) for_operator: bool,
    /// Where it came from; loopback on this machine's own socket.
    pub(super) address: IpAddr,
}

impl Call {
    pub(super) fn new(
        caller: Caller,
        uri: &Uri,
        parts: Vec<String>,
        headers: HeaderMap,
        body: Bytes,
        (for_operator, address): (bool, IpAddr),
    ) -> Result<Self, Problem> {
        let path = Arc::from(uri.path());
        let query = query(uri.query().unwrap_or_default())?;
        Ok(Self { caller, path, parts, query, headers, body, for_operator, address })
    }

    /// A part of the path by its place.
    pub(super) fn part(&self, at: usize) -> &str {
        self.parts.get(at).map_or("", String::as_str)
    }

    /// A parameter of the query.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// The caller as somebody of a tenant.
    pub(super) fn principal(&self) -> Result<&Principal, Problem> {
        match &self.caller {
            Caller::Tenant(principal) => Ok(principal),
            Caller::Operator(_) => Err(needs_tenant()),
        }
    }

    /// The tenant that it is about.
    pub(super) fn tenant(&self) -> Result<&Arc<TenantInfo>, Problem> {
        self.principal().map(Principal::tenant)
    }

    /// Whose keys it is about.
    pub(super) fn owner(&self) -> Owner {
        self.caller.tenant().map_or(Owner::Operator, |tenant| tenant.id().into())
    }

    /// True for a member, who sees only what is his.
    pub(super) fn is_member(&self) -> bool {
        self.caller.role() == Role::Member
    }
}

/// A key of the operator without a tenant, where one is needed.
pub(super) fn needs_tenant() -> Problem {
    Problem::Invalid("this is about one tenant: name it in the header `X-Tenant`".to_owned())
}

fn query(text: &str) -> Result<Vec<(String, String)>, Problem> {
    let mut query: Vec<(String, String)> = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = |text: &str| {
            percent_decode_str(text)
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| Problem::Invalid("the query is not UTF-8".to_owned()))
        };
        let (name, value) = (decoded(name)?, decoded(value)?);
        if query.iter().any(|(given, _)| *given == name) {
            return Err(Problem::Invalid(format!("`{name:.40}` stands twice in the query")));
        }
        query.push((name, value));
    }
    Ok(query)
}
