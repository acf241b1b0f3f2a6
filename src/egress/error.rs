//! Why something was not fetched. No text of these holds an address or what a server has said.

/// Why something was not fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// Not a URL that is called: another scheme than `https`, a user in it, or no host.
    #[error("its URL is none that is called: it must be https, with a host and without a user")]
    Url,
    /// Its host is, or leads to, an address inside; nothing was sent there.
    #[error(
        "its host leads into this machine or its network, where nobody from outside may send us"
    )]
    Inner,
    /// No connection, or it was cut.
    #[error("it could not be reached")]
    Unreachable,
    /// Longer than ten seconds.
    #[error("it did not answer in time")]
    Slow,
    /// A body of more than 1 MiB.
    #[error("its answer is too long")]
    TooLong,
    /// This machine cannot verify certificates.
    #[error("this machine has no root certificates; install ca-certificates")]
    NoRoots,
}
