//! The shell of every page that a person sees here: head, style, headers, escaping. No script, no
//! picture, nothing from elsewhere, so that nothing on it can be somebody else's.

use std::fmt::Write as _;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use sha2::{Digest as _, Sha256};

/// An answer with a whole body.
pub(super) type Whole = Response<Full<Bytes>>;

/// The only style that the browser takes: its digest stands in the policy of the page.
const STYLE: &str = "\
:root{color-scheme:light dark;--back:#f5f6f8;--card:#fff;--text:#16191d;--soft:#545c66;--line:#c9ced6;\
--main:#0b57c2;--main-text:#fff;--bad:#b3261e;--bad-back:#fdecea;--warn:#6f4400;--warn-back:#fff3d6;--focus:#0b57c2}\
@media(prefers-color-scheme:dark){:root{--back:#101317;--card:#191d23;--text:#eceff3;--soft:#a6b0bc;--line:#48515d;\
--main:#8ab4f8;--main-text:#0a1b33;--bad:#ffb4ab;--bad-back:#3b1512;--warn:#ffd180;--warn-back:#352609;--focus:#a8c7fa}}\
*{box-sizing:border-box}\
body{margin:0;padding:1.5rem 1rem;background:var(--back);color:var(--text);\
font:1rem/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;overflow-wrap:anywhere}\
main{max-width:30rem;margin:0 auto;padding:1.5rem;background:var(--card);border:1px solid var(--line);border-radius:12px}\
@media(max-width:24rem){body{padding:.5rem}main{padding:1rem}}\
h1{margin:0 0 .75rem;font-size:1.375rem;line-height:1.3}h2{margin:1.25rem 0 .25rem;font-size:1rem}\
p{margin:.5rem 0}.soft{color:var(--soft);font-size:.9375rem}\
dl{margin:1rem 0;border-top:1px solid var(--line)}\
dl div{display:flex;flex-wrap:wrap;gap:0 1rem;padding:.5rem 0;border-bottom:1px solid var(--line)}\
dt{flex:0 0 8rem;color:var(--soft)}dd{flex:1 1 11rem;margin:0;font-weight:600}\
ul{margin:.5rem 0;padding-left:1.25rem}details{margin:.5rem 0}summary{cursor:pointer;padding:.25rem 0}\
code{font:.875em ui-monospace,SFMono-Regular,Menlo,monospace}\
label{display:block;margin:1rem 0 .25rem;font-weight:600}\
input[type=password]{display:block;width:100%;min-height:2.75rem;padding:.5rem .75rem;font:inherit;color:inherit;\
background:var(--card);border:1px solid var(--soft);border-radius:8px}\
input[aria-invalid=true]{border:2px solid var(--bad)}\
button,a.main{display:inline-block;min-height:2.75rem;padding:.5rem 1.25rem;font:inherit;font-weight:600;cursor:pointer;\
border:1px solid var(--main);border-radius:8px;background:var(--card);color:var(--main);text-align:center;text-decoration:none}\
button.main,a.main{background:var(--main);color:var(--main-text)}\
button.link{min-height:2.75rem;padding:.5rem 0;border:0;background:none;text-decoration:underline}\
.row{display:flex;flex-wrap:wrap;gap:.75rem;margin:1.25rem 0 .5rem}.row>*{flex:1 1 8rem}\
:focus-visible{outline:3px solid var(--focus);outline-offset:2px}\
.bad,.warn{margin:.75rem 0;padding:.625rem .75rem;border-left:4px solid;border-radius:4px}\
.bad{color:var(--bad);background:var(--bad-back)}.warn{color:var(--warn);background:var(--warn-back)}";

/// `'sha256-…'` of the style, as a policy names it (CSP 3, section 2.3.1).
fn style_source() -> &'static str {
    static SOURCE: OnceLock<String> = OnceLock::new();
    SOURCE.get_or_init(|| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(STYLE))))
}

/// Text as it may stand in HTML, in an element or between double quotes.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // What turns the direction of text makes a name look like another one.
            c if c.is_control() || is_invisible(c) => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// Characters that change how others are shown and are not seen themselves.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A hidden field of a form.
pub(super) fn hidden(name: &str, value: &str) -> String {
    format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">", escape(name), escape(value))
}

/// A field for a proxy key, with what was wrong about the last one. What was typed is not shown
/// again.
pub(super) fn key_field(problem: Option<&str>) -> String {
    let mut field = String::from("<label for=\"key\">Proxy key</label>");
    let (described, invalid) = match problem {
        Some(problem) => {
            let _ = write!(
                field,
                "<p class=\"bad\" id=\"key-problem\" role=\"alert\">{}</p>",
                escape(problem)
            );
            ("key-problem key-about", " aria-invalid=\"true\"")
        }
        None => ("key-about", ""),
    };
    let _ = write!(
        field,
        "<input type=\"password\" id=\"key\" name=\"key\" required autofocus autocomplete=\"off\" \
         autocapitalize=\"none\" spellcheck=\"false\" maxlength=\"512\" aria-describedby=\"{described}\"{invalid}>\
         <p class=\"soft\" id=\"key-about\">The key that you would put into a client's settings. It is \
         checked here and never given to the application.</p>"
    );
    field
}

/// Rows of what and which, both as plain text.
pub(super) fn rows(rows: &[(&str, &str)]) -> String {
    let mut list = String::from("<dl>");
    for (what, which) in rows {
        let _ = write!(list, "<div><dt>{}</dt><dd>{}</dd></div>", escape(what), escape(which));
    }
    list + "</dl>"
}

/// A page. `body` is HTML in which all foreign text was escaped.
pub(super) fn page(status: StatusCode, title: &str, body: &str) -> Whole {
    let title = escape(title);
    let text = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex\"><title>{title}</title><style>{STYLE}</style></head>\
         <body><main><h1>{title}</h1>{body}</main></body></html>"
    );
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let policy = format!(
        "default-src 'none'; style-src {}; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        style_source(),
    );
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    private(headers);
    response
}

/// A page that says only that something is not possible, why, and what to do.
pub(super) fn refusal(status: StatusCode, title: &str, why: &str) -> Whole {
    page(status, title, &format!("<p>{}</p>", escape(why)))
}

/// A page that goes on to another place by itself, for an answer to a form. Not a redirect: browsers
/// hold those to what the page of the form may lead to, and the redirects after them as well, so that
/// a callback that leads on would end there; and an app that is opened leaves this page as it is. `to` is
/// a URL that was judged.
pub(super) fn onward(title: &str, body: &str, to: &str) -> Option<Whole> {
    let refresh = HeaderValue::from_str(&format!("0;url={to}")).ok()?;
    let body = format!(
        "{body}<p class=\"row\"><a class=\"main\" href=\"{}\" rel=\"noreferrer\">Continue</a></p>",
        escape(to)
    );
    let mut page = page(StatusCode::OK, title, &body);
    page.headers_mut().insert(header::REFRESH, refresh);
    Some(page)
}

/// What every answer to a browser says: not to be kept, not to be framed, not to be told to others.
pub(super) fn private(headers: &mut http::HeaderMap) {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::PRAGMA, "no-cache"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Leads the browser elsewhere, with a GET whatever came before (303). `to` is a URL that was
/// judged.
pub(super) fn lead(to: &str) -> Option<Whole> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::from_str(to).ok()?);
    private(headers);
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_text() {
        assert_eq!(escape("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
        assert_eq!(escape("a\u{202e}b\n"), "a\u{fffd}b\u{fffd}");
        let page = page(StatusCode::OK, "<x>", "");
        let policy = page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("form-action 'self';"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'none'"));
        assert!(!STYLE.contains("</"), "the style must not end itself");
    }
}
