//! Codex keeps its servers in TOML, and takes a key by the name of a variable only.

use toml_edit::{DocumentMut, Item, Table, value};

use super::client::ENTRY;
use super::jsonc::Syntax;

/// Our table as text.
pub(super) fn table(url: &str, variable: &str) -> String {
    let mut servers = DocumentMut::new();
    let mut parent = Table::new();
    parent.set_implicit(true);
    parent.insert(ENTRY, Item::Table(entry(url, variable)));
    servers.insert("mcp_servers", Item::Table(parent));
    servers.to_string().trim_end().to_owned()
}

fn entry(url: &str, variable: &str) -> Table {
    let mut table = Table::new();
    table.insert("url", value(url));
    table.insert("bearer_token_env_var", value(variable));
    table
}

/// Puts our table into a file, in the place of one of the same name.
///
/// # Errors
/// When the text is no TOML, or has something else in the place of the table.
pub(super) fn put(text: &str, url: &str, variable: &str) -> Result<String, Syntax> {
    let mut document = read(text)?;
    let line = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let servers = document.get("mcp_servers");
    let Some(servers) = servers else { return Ok(append(text, url, variable, line)) };
    let Some(servers) = servers.as_table() else {
        return Err(Syntax::Kind("mcp_servers".to_owned(), "written as [mcp_servers.NAME]"));
    };
    let Some(old) = servers.get(ENTRY) else { return Ok(append(text, url, variable, line)) };
    let Some(old) = old.as_table() else {
        return Err(Syntax::Kind(format!("mcp_servers.{ENTRY}"), "a table of its own"));
    };
    let is_ours = |name: &str, wanted: &str| old.get(name).and_then(Item::as_str) == Some(wanted);
    if is_ours("url", url) && is_ours("bearer_token_env_var", variable) {
        return Ok(text.to_owned());
    }
    let mut new = old.clone();
    // What it was reached by before would stand beside the new.
    for name in ["command", "args", "env", "cwd", "http_headers", "env_http_headers"] {
        new.remove(name);
    }
    new["url"] = value(url);
    new["bearer_token_env_var"] = value(variable);
    document["mcp_servers"][ENTRY] = Item::Table(new);
    // The writer ends lines in one way only.
    let made = document.to_string().replace("\r\n", "\n");
    Ok(if line == "\r\n" { made.replace('\n', "\r\n") } else { made })
}

/// Reads TOML.
pub(in crate::cli) fn read(text: &str) -> Result<DocumentMut, Syntax> {
    text.parse::<DocumentMut>().map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let before = text.get(..at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        Syntax::At(line, column, error.message().trim().to_owned())
    })
}

fn append(text: &str, url: &str, variable: &str, line: &str) -> String {
    let gap = match text {
        "" => String::new(),
        text if text.ends_with('\n') => line.to_owned(),
        _ => format!("{line}{line}"),
    };
    format!("{text}{gap}{}{line}", table(url, variable).replace('\n', line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://mcp.example.com/mcp";

    #[test]
    fn the_rest_of_the_file_stays() {
        for text in [
            "",
            "model = \"gpt-5\" # fast\n",
            "# first\r\n[mcp_servers.docs]\r\nurl = \"https://d.example\" # über\r\n",
            "[mcp_servers]\n[mcp_servers.docs]\ncommand = \"npx\"",
        ] {
            let new = put(text, URL, "K").unwrap();
            assert!(new.starts_with(text), "{new}");
            let read: DocumentMut = new.parse().unwrap();
            assert_eq!(read["mcp_servers"]["mcp-proxy"]["url"].as_str(), Some(URL));
            assert_eq!(put(&new, URL, "K").unwrap(), new, "a second time changes nothing");
        }
    }

    #[test]
    fn an_older_entry_is_replaced_where_it_stands() {
        let text = "# top\n[mcp_servers.mcp-proxy]\nurl = \"http://old\" # mine\nstartup_timeout_sec = 30\n\n[tui]\nx = 1 # keep\n";
        let new = put(text, URL, "K").unwrap();
        assert!(new.contains("startup_timeout_sec = 30") && new.ends_with("[tui]\nx = 1 # keep\n"));
        assert!(new.starts_with("# top\n") && !new.contains("http://old"), "{new}");
    }

    #[test]
    fn what_is_no_toml_is_named_with_its_place() {
        let error = put("a = 1\nb = [\n", URL, "K").unwrap_err().to_string();
        assert!(error.starts_with("line "), "{error}");
        assert!(put("mcp_servers = { a = { url = \"x\" } }", URL, "K").is_err());
    }
}
