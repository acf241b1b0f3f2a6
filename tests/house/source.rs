//! The sources as facts: which paths a file names, which literals it holds, which modules it has.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::reader::{self, Facts};

/// One file of `src/`.
pub(crate) struct Source {
    /// From the top of the repository, such as `src/wire/json.rs`.
    pub(crate) path: String,
    /// From the crate, such as `["wire", "json"]`.
    pub(crate) module: Vec<String>,
    /// What stands in it, without what is compiled for tests only.
    pub(crate) facts: Facts,
}

impl Source {
    /// The module right under the crate that it belongs to; `lib` and `main` for those two.
    pub(crate) fn top(&self) -> &str {
        self.module.first().map_or(if self.path == "src/main.rs" { "main" } else { "lib" }, |m| m)
    }

    /// Where, as a compiler says it.
    pub(crate) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }
}

/// A text file of the repository.
pub(crate) struct Text {
    pub(crate) path: String,
    pub(crate) text: String,
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every `.rs` file below these folders, in order.
pub(crate) fn texts(folders: &[&str]) -> Vec<Text> {
    let mut paths = Vec::new();
    for folder in folders {
        walk(&top().join(folder), &mut paths);
    }
    paths.sort();
    let read = |path: &PathBuf| Text {
        path: path.strip_prefix(top()).unwrap().to_str().unwrap().to_owned(),
        text: fs::read_to_string(path).unwrap(),
    };
    paths.iter().map(read).collect()
}

/// `src/a/b.rs` and `src/a/b/mod.rs` are `a::b`.
fn module(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if matches!(module.last().unwrap().as_str(), "mod" | "lib" | "main") {
        module.pop();
    }
    module
}

/// Every file of `src/` that is compiled into the program. Files of test modules are left out.
pub(crate) fn sources() -> &'static [Source] {
    static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();
    SOURCES.get_or_init(|| {
        let mut sources: Vec<Source> = texts(&["src"])
            .into_iter()
            .map(|Text { path, text }| {
                let module = module(&path);
                let facts = reader::read(&path, &text, &module);
                Source { path, module, facts }
            })
            .collect();
        let tests: Vec<Vec<String>> =
            sources.iter().flat_map(|source| source.facts.test_modules.clone()).collect();
        sources.retain(|source| !tests.iter().any(|test| source.module.starts_with(test)));
        assert!(sources.len() > 100, "only {} files were found under src/", sources.len());
        sources
    })
}
