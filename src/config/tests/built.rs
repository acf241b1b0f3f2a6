//! What a good file becomes.

use std::path::Path;
use std::time::Duration;

use crate::base::{Name, Slot};
use crate::config::{
    Config, EraSetting, Interactive, Part, SecretSource, Share, Template, Transport, Upstream,
    Warning, check_text,
};

const SHIPPED: &str = include_str!("../../../mcp-proxy.toml");

fn checked(text: &str) -> (Config, Vec<Warning>) {
    check_text(text, "file.toml", Path::new("/etc/mcp")).unwrap_or_else(|all| panic!("{all}"))
}

fn upstream(text: &str) -> Upstream {
    let (config, _) = checked(&format!("[upstreams.a]\n{text}"));
    Upstream::clone(&config.upstreams["a"])
}

fn text(template: &Template) -> &str {
    match template.parts() {
        [Part::Text(text)] => text,
        parts => panic!("{parts:?}"),
    }
}

#[test]
fn the_shipped_file_checks_clean_and_runs_this_program() {
    let (config, warnings) = checked(SHIPPED);
    assert!(warnings.is_empty());
    assert_eq!(config.upstreams.len(), 1);
    let Transport::Stdio { command, .. } = &config.upstreams["demo"].transport else { panic!() };
    let words: Vec<&str> = command.iter().map(text).collect();
    assert!(Path::new(words[0]).is_absolute() && Path::new(words[0]).is_file(), "{words:?}");
    assert_eq!(words[1..], ["demo"]);
}

#[test]
fn every_commented_line_of_the_shipped_file_is_right_too() {
    let uncommented: Vec<&str> = SHIPPED.lines().map(uncomment).collect();
    let (config, warnings) = checked(&uncommented.join("\n"));
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(config.upstreams.len(), 4);
    assert_eq!((config.tenants.len(), config.profiles.len()), (1, 2));
    assert_eq!((config.admin.keys.len(), config.issuers[0].rules.len()), (1, 2));
    for (line, switched) in SHIPPED.lines().zip(&uncommented) {
        let is_key = switched.contains(" = ") && !switched.starts_with('#');
        assert!(!is_key || switched.contains("  # "), "not explained: {line}");
    }
}

/// A switched-off line switched on: `# key = …` or `# [section]`.
fn uncomment(line: &str) -> &str {
    let Some(rest) = line.strip_prefix("# ") else { return line };
    let word = rest.split(' ').next().unwrap_or_default();
    let is_key = rest[word.len()..].starts_with(" = ");
    if is_key || (word.starts_with('[') && word.ends_with(']')) { rest } else { line }
}

#[test]
fn the_defaults_shown_as_comments_are_the_defaults() {
    let bare = checked("[upstreams.files]\ncommand = [\"x\"]\n").0;
    let shown: Vec<&str> = SHIPPED
        .lines()
        .filter(|line| !line.contains("example"))
        .map(uncomment)
        .take_while(|line| !line.starts_with("# A Python"))
        .filter(|line| !line.starts_with("command") && !line.starts_with("[upstreams.demo]"))
        .collect();
    let shown = shown.join("\n").replace("[upstreams.files]", "[upstreams.files]\ncommand=[\"x\"]");
    // What differs is the text itself, and on which line what stands.
    let shown = checked(&shown).0;
    let shown = Config { revision: bare.revision, made: bare.made.clone(), ..shown };
    assert_eq!(format!("{shown:?}"), format!("{bare:?}"));
}

#[test]
fn an_empty_file_is_a_configuration_with_every_default() {
    let (config, warnings) = checked("");
    assert!(warnings.is_empty());
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8808");
    assert_eq!(config.server.max_body, 4 << 20);
    assert_eq!(config.server.max_connections, 10_000);
    assert_eq!(config.server.session_idle, Duration::from_secs(3600));
    assert_eq!(config.store.path, Path::new("/etc/mcp/mcp-proxy.db"));
    assert_eq!(config.seal.key_file, Path::new("/etc/mcp/mcp-proxy.key"));
    assert_eq!((config.namespace.separator.as_str(), config.namespace.max_name), ("__", 48));
    assert!(config.upstreams.is_empty() && config.tenants.is_empty());
}

#[test]
fn quirks_are_found_by_the_name_of_a_client() {
    let (config, _) = checked(
        "[server]\nclient_quirks = [{ name = \"old\", keep_alive = \"5s\" }, \
         { name = \"ol*\", list_changed = false, result_cap = \"64KiB\" }]\n\
         [upstreams.a]\nurl = \"http://a/\"\nquirks = { session_id = true, cancels = true }\n",
    );
    let entry = |name: &str| config.server.client_quirks.iter().find(|entry| entry.fits(name));
    let old = entry("old").unwrap();
    assert_eq!((old.keep_alive, old.list_changed), (Some(Duration::from_secs(5)), true));
    let others = entry("oldest").unwrap();
    assert_eq!((others.list_changed, others.result_cap), (false, Some(64 << 10)));
    assert!(entry("o").is_none() && entry("Old").is_none());
    let quirks = config.upstreams["a"].quirks;
    assert!(quirks.session_id && quirks.list_changed && quirks.cancels);
}

#[test]
fn the_host_of_the_public_url_is_one_of_ours() {
    for (text, hosts) in [
        ("public_url = \"https://MCP.Example.com:8443\"", &["mcp.example.com"][..]),
        (
            "public_url = \"https://a.example\"\nhosts = [\"b.example\"]",
            &["b.example", "a.example"],
        ),
        ("public_url = \"https://a.example\"\nhosts = [\"A.example\"]", &["a.example"]),
        ("public_url = \"http://[fd00::1]\"", &["[fd00::1]"]),
        ("public_url = \"http://localhost:8808\"", &[]),
        ("hosts = [\"b.example\"]", &["b.example"]),
    ] {
        let (config, warnings) = checked(&format!("[server]\n{text}\n"));
        assert_eq!(config.server.hosts, hosts, "{text}");
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn the_file_of_the_design_is_built_as_it_is_written() {
    let (config, warnings) = checked(
        r#"
        [server]
        public_url = "https://mcp.example.com"
        hosts = ["MCP.example.com"]
        origins = ["https://app.example.com"]
        trusted_proxies = ["10.0.0.0/8"]
        tls = { cert = "c.pem", key = "/k.pem" }
        [upstreams.gh]
        url     = "https://api.githubcopilot.com/mcp/"
        headers = { Authorization = "Bearer {secret.token}" }
        [upstreams.files]
        command = ["npx", "-y", "server", "/srv/{tenant}"]
        env     = { API_KEY = "{secret.api_key}" }
        idle_stop = "10m"
        [upstreams.crm]
        url       = "https://crm.example.com/mcp?k={secret.url_key}"
        arguments = { api_key = "{secret.api_key}" }
        [tenants.acme]
        keys    = [{ name = "laptop", env = "ACME_KEY" }]
        secrets = { gh = { token = { env = "T" } }, crm = { api_key = { file = "acme.crm" } } }
        "#,
    );
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(config.server.hosts, ["mcp.example.com"]);
    assert_eq!(config.server.tls.unwrap().cert, Path::new("/etc/mcp/c.pem"));
    let names: Vec<String> = config.upstreams.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["crm", "files", "gh"]);

    let gh = &config.upstreams["gh"];
    let Transport::Http { headers, .. } = &gh.transport else { panic!() };
    assert_eq!(headers[0].0, "authorization");
    assert!(headers[0].1.has_secret());
    assert_eq!(gh.slots.iter().map(Slot::as_str).collect::<Vec<_>>(), ["token"]);
    assert!(!gh.uses_tenant && !gh.uses_key && !gh.bare);

    let files = &config.upstreams["files"];
    assert!(files.uses_tenant);
    assert_eq!(files.timing.idle_stop, Duration::from_secs(600));
    let Transport::Stdio { share, interactive, limits, command, .. } = &files.transport else {
        panic!()
    };
    assert_eq!((*share, *interactive), (Share::Tenant, Interactive::Auto));
    assert_eq!((limits.memory, limits.open_files, limits.processes), (None, Some(1024), None));
    assert_eq!(command[3].parts(), [Part::Text("/srv/".into()), Part::Tenant]);
    assert_eq!(config.upstreams["crm"].slots.len(), 2);

    let acme = &config.tenants["acme"];
    assert_eq!(acme.keys[0].source, SecretSource::Env("ACME_KEY".into()));
    let slot = (Name::new("crm").unwrap(), Slot::new("api_key").unwrap());
    assert_eq!(acme.secrets[&slot], SecretSource::File("/etc/mcp/acme.crm".into()));
}

#[test]
fn settings_of_an_upstream_are_read() {
    let a = upstream(
        "command = [\"./run\", \"{key}\"]\nshare = \"session\"\ninteractive = \"off\"\n\
         era = \"legacy\"\nbare = true\ncwd = \"work\"\nmemory = \"2GiB\"\nopen_files = 64\n\
         processes = 9\ntimeout = \"500ms\"\nmax_time = \"2h\"\nstart_timeout = \"3s\"\n\
         arguments = { a = \"1\", b = { value = \"{tenant}\", tools = [\"x\", \"x\"] } }\n",
    );
    assert!(a.uses_key && a.uses_tenant && a.bare);
    assert_eq!(a.era, EraSetting::Legacy);
    assert_eq!(a.timing.timeout, Duration::from_millis(500));
    assert_eq!(a.timing.max_time, Duration::from_secs(7200));
    assert_eq!(a.timing.start, Duration::from_secs(3));
    assert!(a.arguments["a"].tools.is_none());
    assert_eq!(a.arguments["b"].tools.as_ref().unwrap().len(), 1);
    let Transport::Stdio { command, cwd, share, interactive, limits, .. } = a.transport else {
        panic!()
    };
    assert_eq!(text(&command[0]), "/etc/mcp/./run");
    assert_eq!(cwd.as_deref(), Some(Path::new("/etc/mcp/work")));
    assert_eq!((share, interactive), (Share::Session, Interactive::Off));
    assert_eq!(limits.memory, Some(2 << 30));
    assert_eq!((limits.open_files, limits.processes), (Some(64), Some(9)));
}

#[test]
fn references_may_stand_in_path_and_query_only() {
    for url in [
        "https://h/{secret.a}",
        "https://h/a/{tenant}/b?k={secret.k}",
        "http://[::1]:8/?{secret.a}",
        "https://h?k={secret.a}",
        "http://h:80",
        "https://h/{{x}}",
    ] {
        let _ = upstream(&format!("url = \"{url}\""));
    }
    for url in [
        "{secret.a}",
        "{secret.a}://h/",
        "https://{secret.a}/",
        "https://{tenant}.h/",
        "https://h:{secret.a}/",
        "https://u:{secret.a}@h/",
        "https://h{secret.a}",
        "https://h/#{tenant}",
        "https:h",
        "https:///h",
        "https://",
        "//h/",
        "https://h\\\\a",
        "https://h/\\n",
    ] {
        let file = format!("[upstreams.a]\nurl = \"{url}\"");
        assert!(check_text(&file, "f", Path::new("/")).is_err(), "{url}");
    }
}

#[test]
fn editors_of_every_system_may_save_the_file() {
    let (config, _) = checked("\u{feff}[server]\r\nlisten = \"127.0.0.1:1\"\r\n");
    assert_eq!(config.server.listen.port(), 1);
}
