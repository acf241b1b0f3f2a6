//! Documents of the eight clients, as the documentation of each shows them.

use std::collections::BTreeSet;

use super::convert::{Around, Made, Source, convert};
use super::file;
use super::read::read;
use crate::cli::connect::Client;

const CANARY: &str = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";

/// Every entry as an upstream, or why not.
fn all(client: Client, text: &str) -> Vec<(String, Result<Made, String>)> {
    let around = Around {
        workspace: Some("/home/me/it"),
        home: Some("/home/me"),
        open: &["LOG_LEVEL".to_owned(), "--project".to_owned()],
        longest: 30,
        separator: "__",
    };
    let mut taken = BTreeSet::new();
    let mut all = Vec::new();
    for found in read(client, text).unwrap() {
        let place = found.place.clone();
        let made =
            if found.disabled { Err("off".to_owned()) } else { convert(found, &taken, &around) };
        if let Ok(made) = &made {
            taken.insert(made.name.to_string());
        }
        all.push((place, made));
    }
    all
}

/// What stands in our file, checked, and the sealed values by upstream and slot.
fn filed(client: Client, text: &str) -> (String, Vec<String>) {
    let made: Vec<Made> = all(client, text).into_iter().filter_map(|(_, made)| made.ok()).collect();
    let start = "[server]\nlisten = \"127.0.0.1:0\" # mine\n";
    let new = file::with(start, "a test", &made).unwrap();
    assert!(new.starts_with(start));
    let checked = crate::config::check_text(&new, "t.toml", std::path::Path::new("/"));
    let (config, _) = checked.unwrap_or_else(|problems| panic!("{problems}\n{new}"));
    let mut values = Vec::new();
    for upstream in &made {
        for (slot, source) in &upstream.secrets {
            assert!(config.upstreams[&upstream.name].slots.contains(slot));
            values.push(match source {
                Source::Sealed(secret) => format!("{} {slot} = {}", upstream.name, secret.expose()),
                Source::Variable(name) => format!("{} {slot} from {name}", upstream.name),
                Source::Asked(_) => format!("{} {slot} asked", upstream.name),
            });
        }
    }
    assert!(!new.contains(CANARY) && !new.contains("hunter2"), "{new}");
    let body = new.strip_prefix(start).unwrap().replace("\n# From a test\n", "");
    (body, values)
}

#[test]
fn claude_desktop_starts_programs() {
    let text = format!(
        r#"{{"mcpServers": {{
          "Filesystem": {{"command": "npx", "args": ["-y", "@modelcontextprotocol/server-filesystem", "/Users/me/Desktop"]}},
          "brave-search": {{"command": "npx", "args": ["-y", "@modelcontextprotocol/server-brave-search"], "env": {{"BRAVE_API_KEY": "{CANARY}"}}}},
          "notion": {{"command": "npx", "args": ["-y", "mcp-remote@latest", "https://mcp.notion.com/mcp", "--header", "Authorization:${{AUTH}}"], "env": {{"AUTH": "Bearer {CANARY}"}}}},
          "pg": {{"command": "npx", "args": ["-y", "server-postgres", "postgresql://me:hunter2@db/x"]}},
          "gh": {{"command": "docker", "args": ["run", "-i", "--rm", "-e", "GITHUB_TOKEN={CANARY}", "ghcr.io/github/github-mcp-server"]}}
        }}}}"#
    );
    let (file, values) = filed(Client::ClaudeDesktop, &text);
    for line in [
        "[upstreams.filesystem]\ncommand = [\"npx\", \"-y\", \"@modelcontextprotocol/server-filesystem\", \"/Users/me/Desktop\"]",
        "[upstreams.brave-search]",
        "env = { BRAVE_API_KEY = \"{secret.brave_api_key}\" }",
        "url = \"https://mcp.notion.com/mcp\"\nheaders = { Authorization = \"Bearer {secret.authorization}\" }",
        "command = [\"npx\", \"-y\", \"server-postgres\"]\nenv = { DATABASE_URL = \"{secret.database_url}\" }",
        "\"-e\", \"GITHUB_TOKEN\", \"ghcr.io/github/github-mcp-server\"]",
    ] {
        assert!(file.contains(line), "{line} is not in\n{file}");
    }
    assert_eq!(
        values,
        [
            format!("brave-search brave_api_key = {CANARY}"),
            format!("gh github_token = {CANARY}"),
            format!("notion authorization = {CANARY}"),
            "pg database_url = postgresql://me:hunter2@db/x".to_owned(),
        ]
    );
}

#[test]
fn claude_code_has_projects_and_variables() {
    let text = format!(
        r#"{{"numStartups": 3,
          "mcpServers": {{"api": {{"type": "http", "url": "${{API_BASE_URL:-https://api.example.com}}/mcp", "headers": {{"Authorization": "Bearer ${{API_KEY}}"}}}},
                          "docs": {{"type": "http", "url": "https://me:hunter2@docs.example.com/mcp?api_key={CANARY}&toolsets=all"}}}},
          "projects": {{"/home/me/p": {{"mcpServers": {{"docs": {{"type": "stdio", "command": "uvx", "args": ["docs", "--api-key={CANARY}"], "env": {{}}}}}}}}}}
        }}"#
    );
    let made = all(Client::ClaudeCode, &text);
    assert!(made[0].1.as_ref().is_err_and(|why| why.contains("reference")), "{:?}", made[0]);
    let (file, values) = filed(Client::ClaudeCode, &text);
    assert!(
        file.contains(
            "url = \"https://docs.example.com/mcp?api_key={secret.api_key}&toolsets=all\""
        ),
        "{file}"
    );
    assert!(file.contains("Authorization = \"Basic {secret.authorization}\""), "{file}");
    assert!(
        file.contains("[upstreams.docs-2]\ncommand = [\"uvx\", \"docs\"]\nenv = { API_KEY ="),
        "{file}"
    );
    assert_eq!(values.len(), 3, "{values:?}");
    assert!(values.contains(&format!("docs-2 api_key = {CANARY}")));
    let project = made[2].1.as_ref().unwrap();
    assert!(project.notes.iter().any(|note| note.contains("/home/me/p")), "{:?}", project.notes);
    assert!(project.notes.iter().any(|note| note.contains("command line")), "{:?}", project.notes);
}

#[test]
fn cursor_and_windsurf_name_variables() {
    let text = format!(
        "{{\r\n  // über 🌲\r\n  \"mcpServers\": {{\r\n    \"linear\": {{ \"url\": \"https://mcp.linear.app/mcp\", \"headers\": {{ \"Authorization\": \"Bearer ${{env:LINEAR_KEY}}\", \"X-Team\": \"{CANARY}\" }} }},\r\n    \"local\": {{ \"command\": \"${{workspaceFolder}}/run.sh\", \"args\": [\"--root\", \"${{userHome}}/data\"], \"env\": {{ \"LOG_LEVEL\": \"debug\", \"K\": \"{{x}}\" }}, \"envFile\": \".env\", }},\r\n  }},\r\n}}"
    );
    let (file, values) = filed(Client::Cursor, &text);
    assert!(file.contains("headers = { Authorization = \"Bearer {secret.authorization}\", X-Team = \"{secret.x_team}\" }"), "{file}");
    assert!(
        file.contains("command = [\"/home/me/it/run.sh\", \"--root\", \"/home/me/data\"]"),
        "{file}"
    );
    assert!(
        file.contains("LOG_LEVEL = \"debug\"") && file.contains("K = \"{secret.k}\""),
        "{file}"
    );
    assert!(values.contains(&"linear authorization from LINEAR_KEY".to_owned()), "{values:?}");
    let text = format!(
        r#"{{"mcpServers": {{"remote": {{"serverUrl": "https://x.example.com/s/{CANARY}/mcp", "disabledTools": ["a"]}}, "off": {{"command": "x", "disabled": true}}}}}}"#
    );
    let made = all(Client::Windsurf, &text);
    assert_eq!(made[0].1.as_ref().unwrap_err(), "off");
    let (file, _) = filed(Client::Windsurf, &text);
    assert!(
        file.contains(
            "url = \"https://x.example.com/s/{secret.url_path}/mcp\"\ntools = { deny = [\"a\"] }"
        ),
        "{file}"
    );
}

#[test]
fn vscode_asks_and_codex_is_toml() {
    let text = r#"{
      "inputs": [{ "type": "promptString", "id": "key", "description": "Key", "password": true }],
      "servers": {
        "Perplexity AI": { "type": "stdio", "command": "npx", "args": ["-y", "server-perplexity-ask"], "env": { "PERPLEXITY_API_KEY": "${input:key}" } },
        "github": { "url": "https://api.githubcopilot.com/mcp/", "dev": { "watch": "x" } },
        "old": { "type": "sse", "url": "https://old.example.com/sse" }
      }
    }"#;
    let (file, values) = filed(Client::Vscode, text);
    assert!(file.contains("[upstreams.perplexity-ai]"), "{file}");
    assert_eq!(values, ["perplexity-ai perplexity_api_key asked"]);
    let made = all(Client::Vscode, text);
    let notes = |at: usize| made[at].1.as_ref().unwrap().notes.join("; ");
    assert!(notes(1).contains("`dev`") && notes(2).contains("2024-11-05"), "{made:?}");
    let text = format!(
        "model = \"x\"\n[mcp_servers.figma]\nurl = \"https://mcp.figma.com/mcp\" # remote\nbearer_token_env_var = \"FIGMA\"\nhttp_headers = {{ \"X-Region\" = \"{CANARY}\" }}\ntool_timeout_sec = 45\n\n[mcp_servers.ctx]\ncommand = \"npx\"\nargs = [\"-y\", \"ctx\"]\nenv_vars = [\"TOKEN\"]\nstartup_timeout_sec = 20.5\nenabled_tools = [\"a\"]\n[mcp_servers.ctx.env]\nMY = \"{CANARY}\"\n"
    );
    let (file, values) = filed(Client::Codex, &text);
    assert!(
        file.contains("timeout = \"45s\"") && file.contains("start_timeout = \"20500ms\""),
        "{file}"
    );
    assert!(file.contains("tools = { allow = [\"a\"] }"), "{file}");
    for value in ["figma authorization from FIGMA", "ctx token from TOKEN"] {
        assert!(values.contains(&value.to_owned()), "{values:?}");
    }
}

#[test]
fn gemini_and_zed_have_words_of_their_own() {
    let text = format!(
        r#"{{"mcp": {{"excluded": ["no"]}}, "mcpServers": {{
          "py": {{"command": "python", "args": ["-m", "s"], "env": {{"K": "${{MY_KEY:-none}}", "L": "{CANARY}"}}, "timeout": 600000, "trust": true, "includeTools": ["safe"]}},
          "web": {{"httpUrl": "https://w.example.com/mcp", "headers": {{"Accept": "application/json", "X": "${{WEB}}"}}}},
          "no": {{"command": "x"}} }}}}"#
    );
    let (file, values) = filed(Client::Gemini, &text);
    assert!(file.contains("timeout = \"600s\"\nmax_time = \"600s\""), "{file}");
    assert!(!file.contains("Accept") && !file.contains("upstreams.no"), "{file}");
    for value in ["py k from MY_KEY", "web x from WEB"] {
        assert!(values.contains(&value.to_owned()), "{values:?}");
    }
    let text = format!(
        r#"// Zed settings
        {{ "theme": "One", "context_servers": {{
          "old": {{ "source": "custom", "command": {{ "path": "srv", "args": ["--stdio"], "env": {{ "A": "{CANARY}" }} }}, "settings": {{}} }},
          "ext": {{ "source": "extension", "enabled": true, "settings": {{ "key": "{CANARY}" }} }},
          "new": {{ "enabled": true, "url": "https://z.example.com/mcp", "headers": {{ "Authorization": "Bearer {CANARY}" }} }},
        }} }}"#
    );
    let (file, values) = filed(Client::Zed, &text);
    assert!(file.contains("command = [\"srv\", \"--stdio\"]"), "{file}");
    assert_eq!(values.len(), 2);
    let made = all(Client::Zed, &text);
    assert!(made.iter().any(|(_, made)| made.as_ref().is_err_and(|why| why.contains("extension"))));
}

#[test]
fn commands_lead_on_and_options_stay_where_they_are_no_secret() {
    let text = format!(
        r#"{{"mcpServers": {{
          "env": {{"command": "env", "args": ["SLACK={CANARY}", "X=1", "npx", "-y", "s"]}},
          "box": {{"command": "docker", "args": ["run", "-eTOKEN={CANARY}", "--env=B={CANARY}", "i@sha256:9f86d081884c7d659a2feaa0c55ad015"]}},
          "open": {{"command": "uvx", "args": ["--from", "git+ssh://git@github.com/me/it", "it", "--project", "550e8400-e29b-41d4-a716-446655440000"]}},
          "shell": {{"command": "sh", "args": ["-c", "API_KEY={CANARY} exec npx it"]}},
          "file": {{"serverUrl": "https://f.example.com/mcp", "headers": {{"X-Key": "${{file:/run/key}}"}}}}
        }}}}"#
    );
    let made = all(Client::Windsurf, &text);
    let reason = made.iter().find(|(place, _)| place.ends_with("shell")).unwrap();
    assert!(reason.1.as_ref().is_err_and(|why| why.contains("in the middle")), "{reason:?}");
    let (file, values) = filed(Client::Windsurf, &text);
    for line in [
        "command = [\"npx\", \"-y\", \"s\"]\nenv = { SLACK = \"{secret.slack}\", X = \"{secret.x}\" }",
        "\"run\", \"-eTOKEN\", \"--env=B\", \"i@sha256:9f86d081884c7d659a2feaa0c55ad015\"]",
        "\"git+ssh://git@github.com/me/it\", \"it\", \"--project\", \"550e8400-e29b-41d4-a716-446655440000\"]",
    ] {
        assert!(file.contains(line), "{line} is not in\n{file}");
    }
    assert!(values.contains(&"file x_key asked".to_owned()), "{values:?}");
}

#[test]
fn logins_are_made_anew_and_their_secrets_sealed() {
    let cursor = format!(
        r#"{{"mcpServers": {{"o": {{"url": "https://o.example.com/mcp", "auth": {{"CLIENT_ID": "me", "CLIENT_SECRET": "{CANARY}", "scopes": ["read", "write"]}}}},
            "h": {{"url": "https://h.example.com/mcp", "headers": {{"Authorization": "Bearer x"}}, "auth": {{}}}}}}}}"#
    );
    let (file, values) = filed(Client::Cursor, &cursor);
    assert!(
        file.contains("oauth = { client_id = \"me\", client_secret = \"{secret.client_secret}\", scopes = [\"read\", \"write\"] }"),
        "{file}"
    );
    assert_eq!(file.matches("oauth").count(), 1, "{file}");
    assert!(values.contains(&format!("o client_secret = {CANARY}")), "{values:?}");
    let notes = all(Client::Cursor, &cursor)[1].1.as_ref().unwrap().notes.join("; ");
    assert!(notes.contains("PUBLIC_URL/connect/callback"), "{notes}");
    let (file, _) = filed(
        Client::Gemini,
        r#"{"mcp": {"allowed": ["a"]}, "mcpServers": {"a": {"httpUrl": "https://a.example.com/mcp", "oauth": {"enabled": true}}, "b": {"command": "x"}}}"#,
    );
    assert!(file.contains("oauth = {}") && !file.contains("upstreams.b"), "{file}");
    let text = "[mcp_servers.c]\nurl = \"https://c.example.com/mcp\"\nscopes = [\"a b\"]\noauth = { client_id = \"c\" }\n\
        [mcp_servers.d]\ncommand = \"x\"\nenv_vars = [{ name = \"V\", source = \"local\" }]\n";
    let (file, values) = filed(Client::Codex, text);
    assert!(file.contains("oauth = { client_id = \"c\", scopes = [\"a\", \"b\"] }"), "{file}");
    assert_eq!(values, ["d v from V"]);
}

#[test]
fn what_is_broken_is_named_with_its_place() {
    for (client, text, words) in [
        (Client::Cursor, "{\n  \"mcpServers\": {\n", "line"),
        (Client::Codex, "[mcp_servers\n", "line 1"),
    ] {
        let error = read(client, text).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let made =
        all(Client::Cursor, r#"{"mcpServers": {"a": 1, "b": {}, "c": {"url": "ftp://x/y"}}}"#);
    for ((_, made), word) in made.iter().zip(["no entry", "neither", "scheme"]) {
        assert!(made.as_ref().is_err_and(|why| why.contains(word)), "{made:?}");
    }
}
