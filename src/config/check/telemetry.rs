//! `[telemetry]`: who reads `/metrics`, and where traces go.

use http::HeaderName;
use url::Url;

use super::Surroundings;
use super::tenant::read_source;
use super::value::word;
use crate::config::file::{Item, Table};
use crate::config::report::Report;
use crate::config::{Otlp, Readers, SecretSource, Telemetry};

const COLLECTOR: &str = "write http://HOST:4318, or https://HOST/PATH; /v1/traces is added, and a password goes into otlp_headers";

/// The section, or its defaults.
pub(super) fn check(
    table: Option<Table<'_>>,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Telemetry {
    let mut telemetry = Telemetry::default();
    let Some(mut table) = table else { return telemetry };
    let words = [("operator", Readers::Operator), ("open", Readers::Open), ("off", Readers::Off)];
    if let Some(word) = table.take("metrics").and_then(|item| word(&item, report, &words)) {
        telemetry.metrics = word;
    }
    let otlp = table.take("otlp");
    let listed = table.take("otlp_headers");
    let (share, service) = (table.take("sample"), table.take("service"));
    let foreign = [
        ("otlp_endpoint", "write otlp = \"http://HOST:4318\""),
        ("endpoint", "write otlp = \"http://HOST:4318\""),
        ("prometheus", "write metrics = \"operator\" or \"open\"; the page is /metrics"),
    ];
    table.finish(report, &[], &foreign);
    if otlp.is_none() {
        for item in [&listed, &share, &service].into_iter().flatten() {
            item.key_problem(report, format!("`{}` is of no use without `otlp`", item.path))
                .hint("add otlp = \"http://HOST:4318\", or remove this");
        }
    }
    let headers = listed.map(|item| headers(&item, around, report)).unwrap_or_default();
    let sample = share.and_then(|item| sample(&item, report)).unwrap_or(1.0);
    let service = service.and_then(|item| name(&item, report));
    let service = service.unwrap_or_else(|| "mcp-proxy".to_owned());
    telemetry.otlp = otlp.and_then(|item| collector(&item, report)).map(|url| Otlp {
        url,
        headers,
        sample,
        service,
    });
    telemetry
}

fn collector(item: &Item<'_>, report: &mut Report<'_>) -> Option<Url> {
    let text = item.string(report)?;
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    let Some(mut url) = url else {
        // Somebody's token may stand in it.
        item.hide(report);
        item.problem(report, format!("`{}` is no URL of a collector", item.path)).hint(COLLECTOR);
        return None;
    };
    let path = url.path().trim_end_matches('/');
    let path =
        if path.ends_with("/v1/traces") { path.to_owned() } else { format!("{path}/v1/traces") };
    url.set_path(&path);
    Some(url)
}

fn headers(
    item: &Item<'_>,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Vec<(HeaderName, SecretSource)> {
    if !item.is_table() {
        item.hide(report);
    }
    let Some(table) = item.table(report) else { return Vec::new() };
    let mut headers = Vec::new();
    for (name, value) in table.entries() {
        let source = read_source(&value, around, report);
        let Ok(name) = name.parse::<HeaderName>() else {
            value
                .key_problem(report, format!("`{}` is no name of a header", value.path))
                .hint("write it as in Authorization = { env = \"VARIABLE\" }");
            continue;
        };
        headers.extend(source.map(|source| (name, source)));
    }
    headers
}

fn sample(item: &Item<'_>, report: &mut Report<'_>) -> Option<f64> {
    let share = item.json(report)?.as_f64().filter(|share| (0.0..=1.0).contains(share));
    if share.is_none() {
        item.problem(report, format!("`{}` is no share", item.path)).hint("use 0.0 to 1.0");
    }
    share
}

fn name(item: &Item<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = item.string(report)?;
    if text.is_empty() || text.len() > 100 || text.chars().any(char::is_control) {
        item.problem(report, format!("`{}` is no name", item.path)).hint("use 1 to 100 characters");
        return None;
    }
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::check_text;

    fn telemetry(text: &str) -> Result<Telemetry, String> {
        let text = format!("[telemetry]\n{text}");
        let checked = check_text(&text, "file.toml", Path::new("/etc/mcp"));
        checked.map(|(config, _)| config.telemetry).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_collector_is_named_by_its_root_or_its_path() {
        for (written, url) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("https://otel.example.com/otlp/", "https://otel.example.com/otlp/v1/traces"),
            ("http://h:4318/v1/traces", "http://h:4318/v1/traces"),
        ] {
            let otlp = telemetry(&format!("otlp = \"{written}\"")).unwrap().otlp.unwrap();
            assert_eq!(otlp.url.as_str(), url);
            assert_eq!((otlp.sample, otlp.service.as_str()), (1.0, "mcp-proxy"));
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_the_next_step() {
        for (text, word) in [
            ("metrics = \"all\"", "use \"operator\", \"open\" or \"off\""),
            ("otlp = \"collector:4318\"", "write http://HOST:4318"),
            ("otlp = \"http://user:hunter2@h\"", "write http://HOST:4318"),
            ("sample = 0.5", "of no use without `otlp`"),
            ("otlp = \"http://h\"\nsample = 2", "use 0.0 to 1.0"),
            ("otlp = \"http://h\"\nservice = \"\"", "1 to 100 characters"),
            ("otlp = \"http://h\"\notlp_headers = { Authorization = \"hunter2\" }", "env"),
            (
                "otlp = \"http://h\"\notlp_headers = { \"a b\" = { env = \"A\" } }",
                "no name of a header",
            ),
            ("endpoint = \"http://h\"", "write otlp"),
        ] {
            let told = telemetry(text).unwrap_err();
            assert!(told.contains(word), "{text}: {told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}
