//! Numbers as text: the older exposition format of Prometheus (0.0.4), and OpenMetrics 1.0.

use std::fmt::{Display, Write};

use super::cell::Histogram;

/// Which of the two formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `text/plain; version=0.0.4`
    Plain,
    /// `application/openmetrics-text; version=1.0.0`
    Open,
}

impl Form {
    /// What a reader with this `Accept` header takes: OpenMetrics when it names that.
    #[must_use]
    pub fn wanted(accept: Option<&str>) -> Self {
        let open = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let refused = || range.split(';').any(|part| matches!(part.trim(), "q=0" | "q=0.0"));
            media.eq_ignore_ascii_case("application/openmetrics-text") && !refused()
        };
        if accept.is_some_and(|accept| accept.split(',').any(open)) {
            Self::Open
        } else {
            Self::Plain
        }
    }

    /// Its `Content-Type`.
    #[must_use]
    pub const fn media(self) -> &'static str {
        match self {
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
            Self::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What kind of number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows; its name ends with `_total`.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How many took how long.
    Histogram,
}

/// A page of numbers. Families are written one after another, each with its samples.
#[derive(Debug)]
pub struct Page {
    text: String,
    form: Form,
    name: &'static str,
}

impl Page {
    /// An empty page.
    #[must_use]
    pub fn new(form: Form) -> Self {
        Self { text: String::with_capacity(16 * 1024), form, name: "" }
    }

    /// Begins a family. `help` is one sentence without line ends and backslashes.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        let shown = match (self.form, kind) {
            // There the family is named without the ending of its samples.
            (Form::Open, Kind::Counter) => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP {shown} {help}\n# TYPE {shown} {kind}");
        self.name = name;
    }

    /// A sample of the family that was begun last.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// A family that is one number.
    pub fn single(&mut self, name: &'static str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }

    /// A histogram of the family that was begun last.
    pub fn histogram(&mut self, labels: &[(&str, &str)], histogram: &Histogram) {
        let shown = histogram.shown();
        for (end, count) in &shown.buckets {
            self.line("_bucket", labels, Some(end), count);
        }
        self.line("_sum", labels, None, shown.seconds);
        self.line("_count", labels, None, shown.count);
    }

    fn line(
        &mut self,
        ending: &str,
        labels: &[(&str, &str)],
        end: Option<&str>,
        value: impl Display,
    ) {
        self.text.push_str(self.name);
        self.text.push_str(ending);
        let all = labels.iter().copied().chain(end.map(|end| ("le", end)));
        for (at, (name, value)) in all.enumerate() {
            self.text.push(if at == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    c => self.text.push(c),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() || end.is_some() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// The whole text.
    #[must_use]
    pub fn finish(mut self) -> String {
        if self.form == Form::Open {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(form: Form) -> String {
        let mut page = Page::new(form);
        page.family("a_total", Kind::Counter, "Help.");
        page.sample(&[("x", "1\\2\"3\n4")], 7);
        page.single("b", Kind::Gauge, "Other.", -1);
        page.finish()
    }

    #[test]
    fn both_forms_are_as_their_formats_say() {
        let samples = "a_total{x=\"1\\\\2\\\"3\\n4\"} 7\n# HELP b Other.\n# TYPE b gauge\nb -1\n";
        let plain = format!("# HELP a_total Help.\n# TYPE a_total counter\n{samples}");
        assert_eq!(page(Form::Plain), plain);
        assert_eq!(page(Form::Open), format!("# HELP a Help.\n# TYPE a counter\n{samples}# EOF\n"));
    }

    #[test]
    fn open_metrics_is_for_those_who_ask_for_it() {
        let scrape =
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Form::wanted(Some(scrape)), Form::Open);
        for accept in
            [None, Some("*/*"), Some("text/plain"), Some("application/openmetrics-text;q=0")]
        {
            assert_eq!(Form::wanted(accept), Form::Plain, "{accept:?}");
        }
    }
}
