//! What the pinned SDKs do not offer, each with what in the SDK says so.

/// Servers that cannot ask: upstream, reason. One that asks after all fails.
pub(crate) const CANNOT_ASK: &[(&str, &str)] = &[(
    "ts2-web-old",
    "createMcpHandler serves the older era without sessions, so that there is no way for a question",
)];

/// Clients that cannot give up a call while they are asked, but only go with it: name, reason.
pub(crate) const CANNOT_LEAVE: &[(&str, &str)] = &[(
    "py1",
    "BaseSession reads nothing while a question of it is open, and never sends notifications/cancelled",
)];

/// What is said of this name in such a list.
pub(crate) fn lack(list: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    list.iter().find(|(lacking, _)| *lacking == name).map(|(_, reason)| *reason)
}
