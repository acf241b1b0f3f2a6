//! `oauth` of an upstream: how a tenant logs in there.

use super::Template;

/// How tokens are had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// A person logs in once (default).
    AuthorizationCode,
    /// The client itself has an account; nobody is asked.
    ClientCredentials,
}

/// `style = "tools"`: the upstream has tools of its own for a login, which the pages of the proxy
/// use, and wants what they give as arguments of its other tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolLogin {
    /// `start`: the tool that gives the page where a person logs in.
    pub start: String,
    /// `finish`: the tool that takes the code with which the browser comes back, and gives
    /// credentials.
    pub finish: String,
    /// `take`: the member of what it gives that is the token; `None` takes all of it.
    pub take: Option<String>,
}

/// `oauth = { … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth {
    /// `grant`
    pub grant: Grant,
    /// `client_id`: who we are at the authorization server. Without it we describe ourselves by a
    /// document, or register.
    pub client_id: Option<Template>,
    /// `client_secret`: always a secret of the tenant.
    pub client_secret: Option<Template>,
    /// `private_key`: signs assertions instead of a secret (RFC 7523), PKCS #8; always a secret of
    /// the tenant.
    pub private_key: Option<Template>,
    /// `key_id`: names that key.
    pub key_id: Option<String>,
    /// `scopes`: what is asked for, instead of what the upstream says.
    pub scopes: Vec<String>,
    /// `issuer`: the authorization server, for upstreams that do not name one.
    pub issuer: Option<url::Url>,
    /// `resource`: what the tokens are for, instead of the upstream's URL.
    pub resource: Option<String>,
    /// `style = "tools"`, with its keys.
    pub tools: Option<ToolLogin>,
    /// `allow_private` of the upstream: discovery may lead into this network.
    pub allow_private: bool,
}
