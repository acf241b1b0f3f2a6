//! What the pinned SDKs do not offer, each with the place in the SDK that says so. The tests hold each
//! entry: one that does not hold any more fails.

/// Servers that cannot ask: upstream, reason.
pub(crate) const CANNOT_ASK: &[(&str, &str)] = &[(
    "ts2-web-old",
    "createMcpHandler serves the older era without sessions, so that there is no way for a question",
)];

/// Clients that give up a call without saying so: name, reason.
pub(crate) const LEAVES_SILENTLY: &[(&str, &str)] = &[(
    "py1",
    "BaseSession.send_request sends no notifications/cancelled when its caller is cancelled",
)];

/// What is said of this name in such a list.
pub(crate) fn lack(list: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    list.iter().find(|(lacking, _)| *lacking == name).map(|(_, reason)| *reason)
}
