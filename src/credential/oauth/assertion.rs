//! Proving who we are by a signature (`private_key_jwt`; RFC 7521, RFC 7523).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::json;
use zeroize::Zeroizing;

use super::error::OAuthError;
use crate::base::Secret;

/// Seconds for which an assertion is good.
const LIFE: u64 = 120;

/// A signed assertion that we are this client, for this authorization server only.
pub(super) fn assertion(
    key: &Secret,
    key_id: Option<&str>,
    client: &str,
    audience: &str,
    now: u64,
) -> Result<Secret, OAuthError> {
    let der = der(key)?;
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|_| OAuthError::Key)?;
    let claims = json!({
        "iss": client,
        "sub": client,
        "aud": audience,
        "iat": now,
        "exp": now + LIFE,
        "jti": URL_SAFE_NO_PAD.encode(id),
    });
    let random = SystemRandom::new();
    let sign = |algorithm: &str, by: &dyn Fn(&[u8]) -> Option<Vec<u8>>| {
        let mut header = json!({ "alg": algorithm, "typ": "JWT" });
        if let Some(id) = key_id {
            header["kid"] = json!(id);
        }
        let encode = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(&header), encode(&claims));
        let signature = by(message.as_bytes()).ok_or(OAuthError::Key)?;
        Ok(Secret::new(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))))
    };
    if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &random) {
        return sign("ES256", &|message| Some(pair.sign(&random, message).ok()?.as_ref().to_vec()));
    }
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der) {
        return sign("EdDSA", &|message| Some(pair.sign(message).as_ref().to_vec()));
    }
    let pair = RsaKeyPair::from_pkcs8(&der).map_err(|_| OAuthError::Key)?;
    sign("RS256", &|message| {
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).ok()?;
        Some(signature)
    })
}

/// PKCS #8 as PEM in one line (with blanks or `\n` for its line breaks), or as base64 alone: a
/// secret has no line breaks.
fn der(key: &Secret) -> Result<Zeroizing<Vec<u8>>, OAuthError> {
    let text = Zeroizing::new(key.expose().replace("\\n", "\n"));
    let inner = match text.split_once("-----BEGIN PRIVATE KEY-----") {
        Some((_, rest)) => rest.split_once("-----END").map_or(rest, |(inner, _)| inner),
        None => &text,
    };
    let plain: Zeroizing<String> =
        Zeroizing::new(inner.chars().filter(|char| !char.is_whitespace()).collect());
    STANDARD.decode(plain.as_bytes()).map(Zeroizing::new).map_err(|_| OAuthError::Key)
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, KeyPair as _, UnparsedPublicKey};

    use super::*;

    #[test]
    fn an_assertion_is_signed_by_the_key_in_any_spelling() {
        let random = SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, made.as_ref(), &random)
                .unwrap();
        let text = STANDARD.encode(made.as_ref());
        for key in [
            text.clone(),
            format!("-----BEGIN PRIVATE KEY-----\\n{text}\\n-----END PRIVATE KEY-----\\n"),
            format!("-----BEGIN PRIVATE KEY----- {text} -----END PRIVATE KEY-----"),
        ] {
            let signed =
                assertion(&Secret::new(key), Some("k1"), "us", "https://as", 1_000).unwrap();
            let (message, signature) = signed.expose().rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key());
            public.verify(message.as_bytes(), &signature).unwrap();
            let claims = URL_SAFE_NO_PAD.decode(message.split('.').nth(1).unwrap()).unwrap();
            let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
            assert_eq!((&claims["aud"], &claims["exp"]), (&json!("https://as"), &json!(1_120)));
        }
        let junk = Secret::new("bm8ga2V5".to_owned());
        assert!(assertion(&junk, None, "us", "https://as", 1).is_err());
    }
}
