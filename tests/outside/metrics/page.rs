//! A strict reader of both exposition formats: what it does not know is an error.

use std::collections::{BTreeMap, BTreeSet};

/// The labels of a sample, in the order of their names.
pub(crate) type Labels = BTreeMap<String, String>;

/// A page that was read.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Kind of each family.
    families: BTreeMap<String, String>,
    samples: BTreeMap<(String, Labels), f64>,
}

impl Page {
    /// Reads a page.
    pub(crate) fn read(text: &str, open: bool) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        assert_eq!(text.ends_with("# EOF\n"), open, "the end of OpenMetrics");
        let text = text.strip_suffix("# EOF\n").unwrap_or(text);
        let mut page = Self::default();
        let (mut family, mut helped) = (String::new(), BTreeSet::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a help");
                assert!(help.ends_with('.') && !help.contains('\\'), "{line}");
                assert!(helped.insert(name.to_owned()), "two helps: {line}");
                name.clone_into(&mut family);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert_eq!(name, family, "the type follows its help");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                let counter = if open {
                    kind == "counter" && !name.ends_with("_total")
                } else {
                    name.ends_with("_total")
                };
                assert_eq!(counter, kind == "counter", "{line}");
                assert!(page.families.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
            } else {
                page.sample(line, &family, open);
            }
        }
        page.check_histograms();
        page
    }

    fn sample(&mut self, line: &str, family: &str, open: bool) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
        let (name, labels) = match series.split_once('{') {
            Some((name, rest)) => (name, labels(rest.strip_suffix('}').expect("a bracket"))),
            None => (series, Labels::new()),
        };
        let word = |name: &str| {
            name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
        };
        assert!(word(name) && !name.contains("__"), "{line}");
        let endings: &[&str] = match self.families[family].as_str() {
            "histogram" => &["_bucket", "_sum", "_count"],
            "counter" if open => &["_total"],
            _ => &[""],
        };
        let own = endings.iter().any(|ending| name == format!("{family}{ending}"));
        assert!(own, "{line} is none of {family}");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(value >= 0.0, "{line}");
        let twice = self.samples.insert((name.to_owned(), labels), value);
        assert!(twice.is_none(), "twice: {line}");
    }

    /// Buckets grow, the last one is all, and the count is that of the buckets.
    fn check_histograms(&self) {
        for (family, kind) in &self.families {
            if kind != "histogram" {
                continue;
            }
            let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
            for ((name, labels), count) in &self.samples {
                if *name == format!("{family}_bucket") {
                    let mut labels = labels.clone();
                    let end = labels.remove("le").expect("an end");
                    let end =
                        if end == "+Inf" { f64::INFINITY } else { end.parse().expect("an end") };
                    buckets.entry(labels).or_default().push((end, *count));
                }
            }
            for (labels, mut buckets) in buckets {
                buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
                assert!(
                    buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1),
                    "{family} {labels:?}"
                );
                let all = buckets.last().expect("a bucket");
                assert!(all.0.is_infinite());
                let count = self.samples[&(format!("{family}_count"), labels)];
                assert!((all.1 - count).abs() < 0.5, "{family}: {count}");
            }
        }
    }

    /// The value of one sample; zero when it is not there.
    pub(crate) fn get(&self, name: &str, wanted: &[(&str, &str)]) -> f64 {
        let labels = wanted.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied().unwrap_or_default()
    }

    /// The values of a label.
    pub(crate) fn values(&self, label: &str) -> BTreeSet<&str> {
        self.samples
            .keys()
            .filter_map(|(_, labels)| labels.get(label).map(String::as_str))
            .collect()
    }

    /// The names of all labels.
    pub(crate) fn labels(&self) -> BTreeSet<&str> {
        self.samples.keys().flat_map(|(_, labels)| labels.keys().map(String::as_str)).collect()
    }

    /// Every sample without its value.
    pub(crate) fn series(&self) -> BTreeSet<&(String, Labels)> {
        self.samples.keys().collect()
    }
}

/// Reads `name="value",…`.
fn labels(mut text: &str) -> Labels {
    let mut labels = Labels::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"").expect("a label");
        let (mut value, mut escaped, mut end) = (String::new(), false, None);
        for (at, c) in rest.char_indices() {
            match (escaped, c) {
                (true, 'n') => value.push('\n'),
                (true, '\\' | '"') => value.push(c),
                (true, c) => panic!("no escape: {c}"),
                (false, '\\') => {}
                (false, '"') => {
                    end = Some(at);
                    break;
                }
                (false, c) => value.push(c),
            }
            escaped = !escaped && c == '\\';
        }
        assert!(labels.insert(name.to_owned(), value).is_none(), "{name} twice");
        let rest = &rest[end.expect("a quote") + 1..];
        text = rest.strip_prefix(',').unwrap_or(rest);
    }
    labels
}
