//! Short names written out: what `use`, `self`, `super` and child modules mean in one file.

use std::collections::{BTreeMap, BTreeSet};

/// The names of one file.
pub(crate) struct Scope {
    module: Vec<String>,
    uses: BTreeMap<String, Vec<String>>,
    children: BTreeSet<String>,
}

impl Scope {
    pub(crate) fn new(module: &[String]) -> Self {
        Self { module: module.to_vec(), uses: BTreeMap::new(), children: BTreeSet::new() }
    }

    pub(crate) fn uses(&mut self, name: &str, path: &[String]) {
        if path.len() > 1 {
            self.uses.insert(name.to_owned(), path.to_vec());
        }
    }

    pub(crate) fn has_child(&mut self, name: &str) {
        self.children.insert(name.to_owned());
    }

    /// The whole path, from `crate` or a foreign crate; `None` for names of this file.
    pub(crate) fn write_out(&self, path: &[String]) -> Option<String> {
        let mut path = path.to_vec();
        // A name may stand for a path that begins with another name.
        for _ in 0..4 {
            let first = path.first()?;
            let Some(meant) = self.uses.get(first) else { break };
            if meant.first() == Some(first) {
                if path.len() == 1 || path[1..] != meant[1..] {
                    path.splice(..1, meant.iter().cloned());
                }
                break;
            }
            path.splice(..1, meant.iter().cloned());
        }
        let inside = |module: &[String], rest: &[String]| {
            let mut whole = vec!["crate".to_owned()];
            whole.extend_from_slice(module);
            whole.extend_from_slice(rest);
            whole
        };
        let whole = match path.first()?.as_str() {
            "crate" => path,
            "self" => inside(&self.module, &path[1..]),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                inside(&self.module[..self.module.len().checked_sub(ups)?], &path[ups..])
            }
            first if self.children.contains(first) => inside(&self.module, &path),
            _ if path.len() < 2 => return None,
            _ => path,
        };
        Some(whole.join("::"))
    }
}

#[test]
fn short_names_are_written_out() {
    let split = |path: &str| path.split("::").map(str::to_owned).collect::<Vec<_>>();
    let mut scope = Scope::new(&split("upstream::http::core"));
    scope.uses("env", &split("std::env"));
    scope.uses("Instant", &split("tokio::time::Instant"));
    scope.uses("own", &split("super::link"));
    scope.has_child("inner");
    let written = |path: &str| scope.write_out(&split(path)).unwrap_or_default();
    assert_eq!(written("env::var"), "std::env::var");
    assert_eq!(written("Instant::now"), "tokio::time::Instant::now");
    assert_eq!(written("super::super::pool::Pool"), "crate::upstream::pool::Pool");
    assert_eq!(written("own::open"), "crate::upstream::http::link::open");
    assert_eq!(written("inner::x"), "crate::upstream::http::core::inner::x");
    assert_eq!(written("self::x"), "crate::upstream::http::core::x");
    assert_eq!(written("Vec"), "");
}
