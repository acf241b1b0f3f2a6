//! As much of a browser as a consent page needs: a form, its fields, and cookies.

use http::HeaderMap;

/// A form of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) action: String,
    /// Names and values, as they are sent unless somebody changes them.
    pub(super) fields: Vec<(String, String)>,
    /// The field for the key.
    pub(super) key: Option<String>,
}

/// The first form of a page that is posted.
pub(super) fn form(page: &str) -> Option<Form> {
    let lower = page.to_ascii_lowercase();
    let mut at = 0;
    while let Some(found) = lower[at..].find("<form") {
        let begin = at + found;
        let end = lower[begin..].find("</form").map_or(page.len(), |end| begin + end);
        let tag = tag(&page[begin..end]);
        if attribute(tag, "method").is_some_and(|method| method.eq_ignore_ascii_case("post")) {
            return Some(read(tag, &page[begin + tag.len()..end]));
        }
        at = end;
    }
    None
}

fn read(head: &str, body: &str) -> Form {
    let mut form = Form {
        action: attribute(head, "action").unwrap_or_default(),
        fields: Vec::new(),
        key: None,
    };
    let lower = body.to_ascii_lowercase();
    let mut pressed = false;
    for (at, _) in lower.match_indices('<') {
        let rest = &lower[at..];
        let is_button = rest.starts_with("<button");
        if !is_button && !rest.starts_with("<input") {
            continue;
        }
        let tag = tag(&body[at..]);
        let kind = attribute(tag, "type").unwrap_or_default().to_ascii_lowercase();
        let Some(name) = attribute(tag, "name") else { continue };
        let value = attribute(tag, "value").unwrap_or_default();
        let no = ["deny", "cancel", "no", "reject"].contains(&value.to_ascii_lowercase().as_str());
        match kind.as_str() {
            // One button is pressed, and it is the one that agrees.
            "submit" | "" if is_button || kind == "submit" => {
                if !pressed && !no {
                    pressed = true;
                    form.fields.push((name, value));
                }
            }
            "button" | "reset" => {}
            "checkbox" | "radio" if !has(tag, "checked") => {}
            "hidden" => form.fields.push((name, value)),
            kind => {
                if kind == "password"
                    || form.key.is_none() && name.to_ascii_lowercase().contains("key")
                {
                    form.key = Some(name.clone());
                }
                form.fields.push((name, value));
            }
        }
    }
    form
}

/// A tag up to its end; a `>` in quotes is part of it.
fn tag(text: &str) -> &str {
    let mut quote = None;
    for (at, char) in text.char_indices() {
        match (quote, char) {
            (None, '>') => return &text[..=at],
            (None, '"' | '\'') => quote = Some(char),
            (Some(open), char) if open == char => quote = None,
            _ => {}
        }
    }
    text
}

fn has(tag: &str, name: &str) -> bool {
    tag.split_ascii_whitespace().any(|word| word.trim_end_matches(['>', '/']) == name)
        || attribute(tag, name).is_some()
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    let wanted = format!("{name}=");
    let mut from = 0;
    loop {
        let at = from + lower[from..].find(&wanted)?;
        from = at + wanted.len();
        if !lower[..at].ends_with(|char: char| char.is_ascii_whitespace()) {
            continue;
        }
        let rest = &tag[from..];
        let value = match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => rest[1..].split(quote).next(),
            _ => rest.split(|c: char| c.is_ascii_whitespace() || c == '>').next(),
        };
        return value.map(unescape);
    }
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once('&') {
        plain += before;
        let Some((word, after)) = tail.split_once(';').filter(|(word, _)| word.len() < 10) else {
            plain.push('&');
            rest = tail;
            continue;
        };
        let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok();
        let code = match word {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            word => match word.strip_prefix('#') {
                Some(hex) if hex.starts_with(['x', 'X']) => number(&hex[1..], 16),
                Some(digits) => number(digits, 10),
                None => None,
            }
            .and_then(char::from_u32),
        };
        match code {
            Some(char) => plain.push(char),
            None => plain += &format!("&{word};"),
        }
        rest = after;
    }
    plain + rest
}

/// The cookies of one server.
#[derive(Debug, Default)]
pub(super) struct Jar(Vec<(String, String)>);

impl Jar {
    /// Keeps what an answer sets.
    pub(super) fn keep(&mut self, headers: &HeaderMap) {
        for cookie in headers.get_all("set-cookie") {
            let Ok(cookie) = cookie.to_str() else { continue };
            let mut parts = cookie.split(';');
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            let gone = parts.any(|part| part.trim().eq_ignore_ascii_case("max-age=0"));
            self.0.retain(|(other, _)| other != name.trim());
            if !gone {
                self.0.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
    }

    /// What is sent with the next request.
    pub(super) fn header(&self) -> Option<String> {
        let pairs: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_found_and_filled() {
        let page = "<p>x</p><form method=get action=/s><input name=q></form>\
            <form class='a>b' action=\"/connect/authorize?a=1&amp;b=2\" METHOD=\"POST\">\
            <input type=hidden name=csrf value='&#x41;&quot;'><label>Key<input type=\"password\" name=\"secret\" required></label>\
            <input type=checkbox name=no><button name=do value=deny>No</button>\
            <button type=submit name=do value=allow>Yes</button></form>";
        let form = form(page).unwrap();
        assert_eq!(form.action, "/connect/authorize?a=1&b=2");
        assert_eq!(form.key.as_deref(), Some("secret"));
        let fields: Vec<_> = form.fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(fields, [("csrf", "A\""), ("secret", ""), ("do", "allow")]);
    }
}
