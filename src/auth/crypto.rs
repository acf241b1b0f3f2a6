//! What signs and checks tokens: `ring`, which TLS brings along anyway. `jsonwebtoken` comes with
//! two backends of its own; one is a second TLS library, the other has an RSA with a timing leak
//! (RUSTSEC-2023-0071).

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::{hmac, signature as ring_signature};
use signature::{Signer, Verifier};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes `jsonwebtoken` use `ring`. Must come before the first token.
pub(super) fn install() {
    // Whoever came first installed the same.
    let _ = PROVIDER.install_default();
}

struct Signing(hmac::Key);

impl Signer<Vec<u8>> for Signing {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl JwtSigner for Signing {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

/// We sign with HMAC only; other keys are of outside issuers, and public.
fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    match algorithm {
        Algorithm::HS256 => {
            Ok(Box::new(Signing(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()))))
        }
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

struct Verifying {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for Verifying {
    fn verify(&self, message: &[u8], given: &Vec<u8>) -> Result<(), signature::Error> {
        self.judge(message, given).ok_or_else(signature::Error::new)
    }
}

impl Verifying {
    fn judge(&self, message: &[u8], given: &[u8]) -> Option<()> {
        use ring_signature as by;
        let rsa: &by::RsaParameters = match self.algorithm {
            Algorithm::HS256 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.try_get_as_bytes().ok()?);
                return hmac::verify(&key, message, given).ok();
            }
            Algorithm::EdDSA => return self.plain(&by::ED25519, message, given),
            Algorithm::ES256 => return self.plain(&by::ECDSA_P256_SHA256_FIXED, message, given),
            Algorithm::ES384 => return self.plain(&by::ECDSA_P384_SHA384_FIXED, message, given),
            Algorithm::RS256 => &by::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::RS384 => &by::RSA_PKCS1_2048_8192_SHA384,
            Algorithm::RS512 => &by::RSA_PKCS1_2048_8192_SHA512,
            Algorithm::PS256 => &by::RSA_PSS_2048_8192_SHA256,
            Algorithm::PS384 => &by::RSA_PSS_2048_8192_SHA384,
            Algorithm::PS512 => &by::RSA_PSS_2048_8192_SHA512,
            _ => return None,
        };
        let DecodingKeyKind::RsaModulusExponent { n, e } = self.key.kind() else { return None };
        let key = by::RsaPublicKeyComponents { n: n.as_slice(), e: e.as_slice() };
        key.verify(rsa, message, given).ok()
    }

    fn plain(
        &self,
        algorithm: &'static dyn ring_signature::VerificationAlgorithm,
        message: &[u8],
        given: &[u8],
    ) -> Option<()> {
        let key = self.key.try_get_as_bytes().ok()?;
        ring_signature::UnparsedPublicKey::new(algorithm, key).verify(message, given).ok()
    }
}

impl JwtVerifier for Verifying {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    // A public key must never serve as the secret of an HMAC, nor the other way round.
    if algorithm.family() != key.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(Verifying { algorithm: *algorithm, key: key.clone() }))
}
