//! TLS for the listener, when the file names a certificate and its key.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
/// What makes TLS of an accepted connection.
pub use tokio_rustls::TlsAcceptor;

use crate::config::Tls;

/// What the listener's connections begin with: TLS, or nothing. A reload may change it.
#[derive(Default)]
pub struct Acceptor(ArcSwapOption<TlsAcceptor>);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Acceptor").field(&self.0.load().is_some()).finish()
    }
}

impl Acceptor {
    /// From now on connections begin so.
    pub fn set(&self, tls: Option<TlsAcceptor>) {
        self.0.store(tls.map(Arc::new));
    }

    pub(super) fn get(&self) -> Option<TlsAcceptor> {
        self.0.load().as_deref().cloned()
    }
}

/// Why the listener cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file cannot be read.
    #[error("{} holds no usable PEM: {reason}; check `tls` in [server]", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Certificate and key do not belong together, or are not usable.
    #[error("the certificate cannot be used: {0}; check `tls` in [server]")]
    Certificate(#[from] rustls::Error),
}

/// Reads certificate and key and makes an acceptor that offers HTTP/2 and HTTP/1.1.
///
/// # Errors
/// When a file cannot be read, or the two do not fit.
pub fn acceptor(tls: &Tls) -> Result<TlsAcceptor, TlsError> {
    let bad = |path: &PathBuf, error: rustls::pki_types::pem::Error| TlsError::Pem {
        path: path.clone(),
        reason: error.to_string(),
    };
    let certificates = CertificateDer::pem_file_iter(&tls.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(&tls.cert, error))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| bad(&tls.key, error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
