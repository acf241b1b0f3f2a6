//! Links that add the entry with one click. They hold no key: what stands in a link is in the
//! history of browsers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::client::{Client, ENTRY};
use super::snippet::Key;

/// The link for a client that has such a thing.
///
/// Cursor: cursor.com/docs/mcp/install-links. VS Code: its MCP developer guide.
pub(super) fn link(client: Client, url: &str, key: &Key<'_>) -> Option<String> {
    let Key::Variable(_) = key else { return None };
    let mut entry = client.entry(url, key)?.value();
    match client {
        Client::Cursor => {
            let config = STANDARD.encode(entry.to_string());
            let config = utf8_percent_encode(&config, NON_ALPHANUMERIC);
            Some(format!(
                "cursor://anysphere.cursor-deeplink/mcp/install?name={ENTRY}&config={config}"
            ))
        }
        Client::Vscode => {
            entry["name"] = ENTRY.into();
            entry["inputs"] = serde_json::json!([super::client::input().value()]);
            let config = entry.to_string();
            Some(format!("vscode:mcp/install?{}", utf8_percent_encode(&config, NON_ALPHANUMERIC)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;

    use super::*;

    #[test]
    fn links_hold_the_entry_and_no_key() {
        let (url, key) = ("https://mcp.example.com/mcp", Key::Variable("MCP_PROXY_KEY"));
        let cursor = link(Client::Cursor, url, &key).unwrap();
        let config = cursor.split("&config=").nth(1).unwrap();
        let config = percent_decode_str(config).decode_utf8().unwrap();
        let config: serde_json::Value =
            serde_json::from_slice(&STANDARD.decode(config.as_bytes()).unwrap()).unwrap();
        assert_eq!(config["url"], url);
        assert_eq!(config["headers"]["Authorization"], "Bearer ${env:MCP_PROXY_KEY}");
        let code = link(Client::Vscode, url, &key).unwrap();
        let config = percent_decode_str(code.split_once('?').unwrap().1).decode_utf8().unwrap();
        let config: serde_json::Value = serde_json::from_str(&config).unwrap();
        assert_eq!((&config["name"], &config["url"]), (&"mcp-proxy".into(), &url.into()));
        assert_eq!(config["inputs"][0]["password"], true);
        assert_eq!(link(Client::Cursor, url, &Key::Text("KEY")), None);
        assert_eq!(link(Client::Zed, url, &key), None);
    }
}
