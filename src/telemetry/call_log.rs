//! The line of each call. Written by hand into the log's buffer: the machinery for arbitrary
//! fields costs as much as an eighth of a small call, and these fields are always the same.

use std::cell::RefCell;
use std::fmt::Write;

use super::{Format, LogWriter};
use crate::base::{rfc3339, unix_millis};

/// What is told of a call. No arguments, no results.
#[derive(Debug)]
pub struct CallLine<'a> {
    /// The tenant's name.
    pub tenant: &'a str,
    /// The public id of the key.
    pub key: &'a str,
    /// The method.
    pub method: &'a str,
    /// The upstream, once it was found.
    pub upstream: Option<&'a str>,
    /// The tool, prompt or resource as the upstream knows it.
    pub name: &'a str,
    /// The word of the audit for what came of it.
    pub outcome: &'a str,
    /// Milliseconds until the answer was ready, or had gone to its end.
    pub ms: u64,
    /// Bytes of the request.
    pub bytes_in: u64,
    /// Bytes of the answer; none of a refusal.
    pub bytes_out: u64,
    /// Why it was refused or failed.
    pub reason: Option<&'a str>,
}

/// Writes call lines.
#[derive(Debug)]
pub struct CallLog {
    writer: LogWriter,
    format: Format,
}

thread_local! {
    /// The second that was written last, and its text: the calendar is asked once a second.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
}

impl CallLog {
    pub(super) fn new(writer: LogWriter, format: Format) -> Self {
        Self { writer, format }
    }

    /// Writes one line.
    pub fn write(&self, line: &CallLine<'_>) {
        let mut text = String::with_capacity(256);
        // Writing to a String cannot fail.
        let _ = match self.format {
            Format::Text => self.text(&mut text, line),
            Format::Json => self.json(&mut text, line),
        };
        self.writer.push(text.as_bytes());
    }

    fn text(&self, out: &mut String, line: &CallLine<'_>) -> std::fmt::Result {
        time(out);
        out.push_str("  INFO call tenant=");
        out.push_str(line.tenant);
        out.push_str(" key=");
        out.push_str(line.key);
        out.push_str(" method=");
        out.push_str(line.method);
        if let Some(upstream) = line.upstream {
            out.push_str(" upstream=");
            out.push_str(upstream);
        }
        if !line.name.is_empty() {
            out.push_str(" name=");
            quoted(out, line.name);
        }
        out.push_str(" outcome=");
        out.push_str(line.outcome);
        for (name, number) in numbers(line) {
            out.push(' ');
            out.push_str(name);
            out.push('=');
            decimal(out, number);
        }
        if let Some(reason) = line.reason {
            out.push_str(" reason=");
            quoted(out, reason);
        }
        out.push('\n');
        Ok(())
    }

    fn json(&self, out: &mut String, line: &CallLine<'_>) -> std::fmt::Result {
        out.push_str("{\"timestamp\":\"");
        time(out);
        out.push_str("\",\"level\":\"INFO\",\"message\":\"call\"");
        let texts = [
            ("tenant", Some(line.tenant)),
            ("key", Some(line.key)),
            ("method", Some(line.method)),
            ("upstream", line.upstream),
            ("name", Some(line.name)),
            ("outcome", Some(line.outcome)),
            ("reason", line.reason),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                write!(out, ",\"{name}\":")?;
                quoted(out, text);
            }
        }
        for (name, number) in numbers(line) {
            write!(out, ",\"{name}\":{number}")?;
        }
        out.push_str("}\n");
        Ok(())
    }
}

/// `2026-11-21T07:12:00.051Z`
fn time(out: &mut String) {
    let now = unix_millis();
    let second = now / 1_000;
    SECOND.with_borrow_mut(|last| {
        if last.0 != second {
            *last = (second, rfc3339(second));
        }
        out.push_str(last.1.trim_end_matches('Z'));
    });
    let millis = now % 1_000;
    out.push('.');
    for digit in [millis / 100, millis / 10 % 10, millis % 10] {
        out.push(char::from(b'0' + u8::try_from(digit).unwrap_or_default()));
    }
    out.push('Z');
}

fn numbers(line: &CallLine<'_>) -> [(&'static str, u64); 3] {
    [("ms", line.ms), ("bytes_in", line.bytes_in), ("bytes_out", line.bytes_out)]
}

fn decimal(out: &mut String, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.push_str(std::str::from_utf8(&digits[at..]).unwrap_or_default());
}

/// A JSON string: names come from upstreams and may hold anything, also line breaks and escapes
/// for terminals.
fn quoted(out: &mut String, text: &str) {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\') || byte == b' ';
    if text.bytes().all(plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
        return;
    }
    let visible: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    out.push_str(&crate::wire::json::quote(&visible));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str) -> CallLine<'_> {
        CallLine {
            tenant: "acme",
            key: "abcdefghij",
            method: "tools/call",
            upstream: Some("gh"),
            name,
            outcome: "ok",
            ms: 0,
            bytes_in: 10,
            bytes_out: u64::MAX,
            reason: None,
        }
    }

    #[test]
    fn a_line_is_one_line_whatever_the_name() {
        for format in [Format::Text, Format::Json] {
            let writer = LogWriter::default();
            let log = CallLog::new(writer.clone(), format);
            log.write(&line("a\n\"b\"\u{1b}[2J"));
            let text = String::from_utf8(writer.take()).unwrap();
            assert_eq!(text.matches('\n').count(), 1, "{text:?}");
            assert!(!text.contains('\u{1b}'), "{text:?}");
            assert!(text.contains("18446744073709551615"), "{text:?}");
            if format == Format::Json {
                let value: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(value["tenant"], "acme");
            }
        }
    }
}
