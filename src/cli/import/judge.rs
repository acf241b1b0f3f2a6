//! What is, by its name or its shape, a credential.

/// Beginnings of tokens that services give out.
const BEGINNINGS: &[&str] = &[
    "sk-",
    "sk_",
    "rk_",
    "pk_live_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xapp-",
    "AKIA",
    "ASIA",
    "AIza",
    "ya29.",
    "eyJ",
    "ntn_",
    "secret_",
    "lin_api_",
    "sntrys_",
    "sntryu_",
    "figd_",
    "hf_",
    "SG.",
    "pat-",
    "patA",
    "shpat_",
    "dop_v1_",
    "npm_",
    "pypi-",
    "mcpp_",
    "fc-",
    "tvly-",
    "BSA",
    "apify_api_",
    "nvapi-",
    "gsk_",
    "dckr_pat_",
    "key-",
    "whsec_",
];

/// Parts of names that credentials have.
const NAMES: &[&str] = &[
    "key",
    "token",
    "secret",
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "auth",
    "credential",
    "bearer",
    "cookie",
    "session",
    "signature",
    "private",
    "dsn",
    "connection_string",
    "connectionstring",
    "database_url",
    "access",
    "webhook",
];

/// True when something of this name holds a credential.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    NAMES.iter().any(|part| name.contains(part)) || name == "pat" || name.ends_with("_pat")
}

/// True when a text looks like a credential whatever it is called.
pub(super) fn is_token(text: &str) -> bool {
    let text = text.trim();
    if ["Bearer ", "Basic ", "bearer ", "basic "].iter().any(|word| text.starts_with(word)) {
        return true;
    }
    is_known(text) || has_password(text) || is_random(text)
}

/// True for a URL with a password or a token before its host.
pub(super) fn has_password(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((login, _)) = authority.rsplit_once('@') else { return false };
    // `git@` is nobody's secret.
    let password = login.split_once(':').is_some_and(|(_, password)| !password.is_empty());
    let is_scheme = scheme
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b':'));
    is_scheme && (password || is_known(login) || is_random(login))
}

/// True for a text that has such a thing in its middle.
pub(super) fn holds_token(text: &str) -> bool {
    // The digest of an image is public.
    let text = text.replace("sha256:", "sha256/");
    let quotes = |char: char| char.is_whitespace() || "\"'`,;|&()<>[]{}".contains(char);
    text.split(quotes).any(|part| {
        has_password(part) || part.split(['=', ':']).any(|part| is_known(part) || is_random(part))
    })
}

/// Begins as tokens of a service do.
fn is_known(text: &str) -> bool {
    // A short text is a word, whatever it begins with.
    text.len() >= 16 && BEGINNINGS.iter().any(|begin| text.starts_with(begin))
}

/// Long, of one piece, with letters and digits mixed as no word has them.
fn is_random(text: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'=' | b'+');
    if text.len() < 24 || !text.bytes().all(allowed) {
        return false;
    }
    let mut seen = [false; 128];
    text.bytes().for_each(|byte| seen[usize::from(byte & 127)] = true);
    let different = seen.iter().filter(|seen| **seen).count();
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let letters = text.bytes().filter(u8::is_ascii_alphabetic).count();
    // Names of packages and models are words with few digits.
    different >= 9 && digits * 8 >= text.len() && letters >= 2
}

/// True for a value of a query that says what is wished, not who asks.
pub(super) fn is_harmless(name: &str, value: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b',' | b'_' | b'-' | b'.');
    let number = value.len() <= 5 && value.bytes().all(|byte| byte.is_ascii_digit());
    !is_secret_name(name) && !is_token(value) && (number || value.bytes().all(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_from_words() {
        for token in [
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "sk-proj-abcdefghijklmnop",
            "Bearer x",
            "postgresql://me:pw@db.example.com/x",
            "9f86d081884c7d659a2feaa0c55ad015",
            "550e8400-e29b-41d4-a716-446655440000",
            "eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
        ] {
            assert!(is_token(token), "{token}");
        }
        for word in [
            "-y",
            "@modelcontextprotocol/server-filesystem",
            "/home/me/projects/2024",
            "mcp-server-time",
            "https://mcp.example.com/mcp",
            "claude-3-5-sonnet-latest",
            "ghcr.io/github/github-mcp-server",
            "--local-timezone=Europe/Berlin",
            "sk-short",
            "git+ssh://git@github.com/me/it",
            "ghcr.io/me/it@sha256:9f86d081884c7d659a2feaa0c55ad0159f86d081884c7d659a2feaa0c55ad015",
            "git+https://github.com/me/it@9f86d081884c7d659a2feaa0c55ad0159f86d081",
            "{\"root\": \"/home/me\", \"mode\": \"read-only\"}",
        ] {
            assert!(!is_token(word) && !holds_token(word), "{word}");
        }
        for text in [
            "API_KEY=sk-proj-abcdefghijklmnop npx it",
            "{\"apiKey\":\"9f86d081884c7d659a2feaa0c55ad015\"}",
            "--header=Authorization: Bearer ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "exec it 'postgresql://me:pw@db.example.com/x'",
        ] {
            assert!(holds_token(text) && !is_token(text), "{text}");
        }
    }
}
