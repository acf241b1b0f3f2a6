//! `[connect]`: who may ask for access at the connector doors, and where people are led back to.

use std::collections::BTreeMap;

use super::SecretSource;

/// `[connect]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// Callbacks that are accepted besides those that are known of Claude, ChatGPT and loopback.
    pub redirects: Vec<String>,
    /// Clients that need not register, by their ids.
    pub clients: BTreeMap<String, ConnectClient>,
    /// Whether clients may register themselves (RFC 7591); default true.
    pub registration: bool,
    /// Whether documents of clients may be in this machine's network; default false.
    pub allow_private: bool,
}

impl Default for Connect {
    fn default() -> Self {
        Self {
            redirects: Vec::new(),
            clients: BTreeMap::new(),
            registration: true,
            allow_private: false,
        }
    }
}

/// One of `[connect.clients]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectClient {
    /// What people see of it.
    pub name: String,
    /// Its callbacks.
    pub redirects: Vec<String>,
    /// Where its secret is; without one it is a public client.
    pub secret: Option<SecretSource>,
}
