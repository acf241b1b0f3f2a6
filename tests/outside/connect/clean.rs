//! The key doors are clean: at each OAuth address there is the right document or nothing, whatever
//! door a client starts from.

use super::bed::{Bed, ISSUER, RESOURCE};
use super::world::{Ask, value};
use crate::support::{Proxy, Setup};

/// The doors, with what a stranger's 401 says.
const DOORS: &[(&str, Option<&str>)] = &[
    ("/mcp", None),
    ("/mcp/demo", None),
    ("/p/small/mcp", None),
    ("/sse", None),
    ("/api/v1/me", None),
    ("/connect/mcp", Some("/.well-known/oauth-protected-resource/connect/mcp")),
    ("/connect/p/small/mcp", Some("/.well-known/oauth-protected-resource/connect/p/small/mcp")),
    ("/connect/p/unknown/mcp", Some("/.well-known/oauth-protected-resource/connect/p/unknown/mcp")),
];

/// The words that clients look for.
const WORDS: [&str; 4] = [
    "oauth-protected-resource",
    "oauth-authorization-server",
    "openid-configuration",
    "oauth-client",
];

#[test]
fn every_well_known_address_is_its_document_or_nothing() {
    let bed = Bed::new();
    let mut paths: Vec<String> = Vec::new();
    for word in WORDS {
        paths.push(format!("/.well-known/{word}"));
        paths.push(format!("/connect/.well-known/{word}"));
        paths.push(format!("/.well-known/{word}/connect"));
        paths.push(format!("/.well-known/{word}/connect/"));
        for (door, _) in DOORS {
            paths.push(format!("/.well-known/{word}{door}"));
            paths.push(format!("/.well-known/{word}{door}/"));
            paths.push(format!("{door}/.well-known/{word}"));
        }
    }
    for path in [
        "/authorize",
        "/token",
        "/register",
        "/.well-known/jwks.json",
        "/connect",
        "/connect/",
        "/connect/jwks",
        "/.well-known/mcp.json",
    ] {
        paths.push(path.to_owned());
    }
    let mut documents = Vec::new();
    for path in &paths {
        let answer = bed.get(path);
        let is_door = path.starts_with("/mcp/") || path.starts_with("/sse/");
        match answer.status {
            200 => documents.push(path.as_str()),
            // Below a door is a door of an upstream, or none: a key is wanted first.
            401 if is_door => {
                assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{path}")
            }
            401 if path.starts_with("/api/") => {}
            404 => assert!(!answer.text().contains("issuer"), "{path}: {}", answer.text()),
            status => panic!("{path}: {status} {}", answer.text()),
        }
        assert!(answer.header("location").is_none(), "{path} leads elsewhere");
        if answer.status != 200 {
            assert!(!answer.text().contains("<html"), "{path} is a page");
            let challenge = answer.header("www-authenticate").unwrap_or_default();
            assert!(!challenge.contains("resource_metadata"), "{path}: {challenge}");
        }
    }
    assert_eq!(
        documents,
        [
            "/.well-known/oauth-protected-resource/connect/mcp",
            "/.well-known/oauth-protected-resource/connect/p/small/mcp",
            "/.well-known/oauth-protected-resource/connect/p/unknown/mcp",
            "/.well-known/oauth-authorization-server/connect",
        ]
    );
    assert!(paths.len() >= 100, "{}", paths.len());
}

#[test]
fn documents_say_what_is_there_and_doors_lead_to_them() {
    let bed = Bed::new();
    let door = value(&bed.get("/.well-known/oauth-protected-resource/connect/mcp"));
    assert_eq!(
        (door["resource"].as_str(), door["authorization_servers"][0].as_str()),
        (Some(RESOURCE), Some(ISSUER))
    );
    let server = value(&bed.get("/.well-known/oauth-authorization-server/connect"));
    assert_eq!(server["issuer"], ISSUER);
    assert_eq!(server["code_challenge_methods_supported"], serde_json::json!(["S256"]));
    assert_eq!(server["authorization_response_iss_parameter_supported"], true);
    assert_eq!(server["client_id_metadata_document_supported"], true);
    for endpoint in
        ["authorization_endpoint", "token_endpoint", "registration_endpoint", "revocation_endpoint"]
    {
        let url = server[endpoint].as_str().expect("an endpoint");
        let path = url.strip_prefix("https://mcp.example.test").expect("our own");
        assert_ne!(bed.get(path).status, 404, "{endpoint}");
    }
    for (path, metadata) in DOORS {
        for method in ["GET", "POST", "DELETE"] {
            if *path == "/sse" && method != "GET" {
                continue;
            }
            // A key at a connector door counts as little as nothing.
            for key in [None, Some(bed.boss.as_str()), Some("mcpp_nonsense")] {
                let ask =
                    Ask::new(method, path).header("Accept", "application/json, text/event-stream");
                let ask = if let Some(key) = key { ask.key(key) } else { ask };
                if metadata.is_none() && key == Some(bed.boss.as_str()) {
                    continue;
                }
                let answer = ask.at(bed.address());
                assert_eq!(answer.status, 401, "{method} {path}: {}", answer.text());
                let challenge = answer.header("www-authenticate").expect("a challenge");
                match metadata {
                    None => assert_eq!(challenge, "Bearer", "{path}"),
                    Some(metadata) => assert_eq!(
                        challenge,
                        format!(
                            "Bearer resource_metadata=\"https://mcp.example.test{metadata}\", scope=\"mcp\""
                        )
                    ),
                }
            }
        }
    }
    // Neither does the other header that carries keys.
    let answer = Ask::new("POST", "/connect/mcp").header("X-API-Key", &bed.boss).at(bed.address());
    assert_eq!(answer.status, 401);
}

#[test]
fn without_a_public_url_the_doors_say_what_is_missing() {
    let proxy = Proxy::start("");
    for path in [
        "/connect/mcp",
        "/connect/p/a/mcp",
        "/connect/authorize",
        "/.well-known/oauth-protected-resource/connect/mcp",
        "/.well-known/oauth-authorization-server/connect",
    ] {
        let answer = Ask::new("GET", path).at(proxy.address());
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains("public_url"), "{path}: {}", answer.text());
    }
}

#[test]
fn a_wrong_section_is_told_with_what_to_write_instead() {
    let setup = Setup::new().config(
        "[server]\npublic_url = \"https://a.example\"\nhosts = [\"a.example\"]\n\
         [connect]\nredirects = [\"http://a.example/cb\"]\nregistration = \"no\"\ndcr = true\n\
         [connect.clients.mcpc_x]\nname = \"\"\n",
    );
    let (status, _, errors) = setup.run(&["check"], b"");
    assert_eq!(status.code(), Some(64), "{errors}");
    for part in [
        "http is for loopback only",
        "`connect.registration` must be true or false",
        "registration = true or false",
        "no id for a client",
        "has no `redirects`",
        "no name for a client",
    ] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
}
