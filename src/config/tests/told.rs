//! Every message word for word: `problems.txt` has small files and what is told about each.

use std::fmt::Write;
use std::path::Path;

use crate::config::{Problems, check_text};

const CASES: &str = include_str!("problems.txt");

/// What a user reads: the problems, or the warnings of a file that is accepted.
fn told(text: &str) -> String {
    match check_text(text, "file.toml", Path::new("/etc/mcp")) {
        Err(problems) => problems.to_string(),
        Ok((_, warnings)) if warnings.is_empty() => "fine".to_owned(),
        Ok((_, warnings)) => {
            let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            warnings.join("\n\n")
        }
    }
}

fn problems(text: &str) -> Problems {
    check_text(text, "file.toml", Path::new("/etc/mcp")).unwrap_err()
}

#[test]
fn each_small_file_gets_exactly_these_words() {
    let mut actual = String::new();
    for case in CASES.split("=== ").skip(1) {
        let (name, rest) = case.split_once('\n').unwrap();
        let (file, _) = rest.split_once("--- told\n").unwrap();
        write!(actual, "=== {name}\n{file}--- told\n{}\n\n", told(file.trim_end())).unwrap();
    }
    assert!(actual == CASES, "the words have changed; problems.txt would have to be:\n{actual}");
}

#[test]
fn no_secret_of_the_file_is_ever_told() {
    let files = [
        "[tenants.a]\nsecrets = { gh = { token = \"hunter2\" } }\n",
        "[tenants.a]\nsecrets = { gh = \"hunter2\", x = { y = 1, z = [\"hunter2\"] } }\n",
        "[tenants.a]\nsecrets = \"hunter2\"\nkeys = \"hunter2\"\n",
        "[tenants.a]\nkeys = [\"hunter2\"]\n",
        "[tenants.a]\nkeys = [{ name = \"n\", value = \"hunter2\" }]\n",
        "[tenants.a]\nkeys = [{ name = \"n\", env = \"A\", valeu = \"hunter2\" }]\n",
        "[tenants.a]\nkeys = [{ name = \"n\", env = \"hunter2=\" }]\n",
        "[tenants.a]\ntoken = \"hunter2\n",
        "[tenants.a]\ntoken = hunter2\n",
        "[tenants.a]\nkey = \"hunter2\"\n",
        "[tenants]\na.secrets.gh.token = hunter2\n",
        "[upstreams.a]\nurl = \"https://user:hunter2@host/\"\n",
        "[upstreams.a]\nurl = \"https://user:hunter2@host:port{/\"\n",
        "[upstreams.a]\nurl = \"http://a/\"\nheaders = { Host = \"hunter2\", X = \"hunter2{\" }\n",
        "[upstreams.a]\nurl = \"http://a/\"\nheaders = { X = \"hunter2\nx = 1\n",
        "[upstreams.a]\ncommand = []\nenv = { X = \"hunter2\", \"=\" = \"hunter2\" }\nbad = 1\n",
        "[upstreams.a]\nurl = \"http://a/\"\nenv = { X = \"hunter2\" }\n",
        "[upstreams.a]\ncommand = [\"a\"]\nheaders = { X = \"hunter2\" }\n",
        "[upstreams.a]\ncommand = []\narguments = { x = { value = \"hunter2\", too = 1 } }\n",
        "[store]\nurl = \"postgres://u:hunter2@db/x\"\n",
        "[server]\npublic_url = \"https://u:hunter2@h/\"\n",
        "[seal]\nkey = \"hunter2\"\n",
        "[upstreams.a]\ncommand = [\"x\"\n[tenants.t]\nsecrets = { a = \"hunter2\" }\n",
        "[upstreams.a]\nenv = { A = \"x\"\n[tenants.t]\nx = [\"hunter2\"]\ntoken = \"hunter2\"\n",
        "[server]\nlisten = \"\"\"x\n[tenants.t]\ntoken = \"hunter2\"\n",
        "[server]\nhosts = [\n[tenants.t]\ntoken = [\"hunter2\"]\n",
        "[server]\n[tenants.t\nlisten = \"1\"\ntoken = \"hunter2\"\n",
        "[server]\napi_key = \"hunter2\"\n",
        "[tenant.a]\nx = 1\ntoken = [{ a = { b = \"hunter2\" } }]\n",
        "tenant = { a = { b = \"hunter2\" } }\n",
        "[upstreams.a]\nurl = \"http://a/\"\noauth = { client_secret = \"hunter2\" }\n",
        "[upstreams.a]\nurl = \"http://a/\"\nenvironment = { X = \"hunter2\" }\n",
        "[tenants.a]\nsecrets = { gh = {\n  token = \"hunter2\n} }\n",
    ];
    for file in files {
        let problems = problems(file);
        assert!(!problems.to_string().contains("hunter2"), "{file}\n{problems}");
        assert!(!format!("{problems:?}").contains("hunter2"), "{file}\n{problems:?}");
    }
}

#[test]
fn a_problem_names_its_place_key_and_value_for_programs_too() {
    let problems = problems("[server]\n# ünïcode\nlisten = \"ho€t\"\nmax_connections = 0\n");
    let all: Vec<_> =
        problems.iter().map(|p| (p.line, p.column, p.key.as_str(), p.value.as_deref())).collect();
    assert_eq!(
        all,
        [(3, 10, "server.listen", Some("\"ho€t\"")), (4, 19, "server.max_connections", Some("0")),]
    );
}
