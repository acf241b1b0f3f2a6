//! Parameters of a request, from its query or its body. One that comes twice is none of both (RFC
//! 6749, section 3.1), and one without a value was not sent.

use url::form_urlencoded;

/// Most parameters of one request.
const MOST: usize = 64;

/// A parameter that came twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Twice(pub(super) &'static str);

/// Parameters.
#[derive(Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads `application/x-www-form-urlencoded`.
    pub(super) fn read(text: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(text).take(MOST);
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// The one of this name.
    pub(super) fn one(&self, name: &'static str) -> Result<Option<&str>, Twice> {
        let mut values = self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (first, None) => Ok(first.map(String::as_str).filter(|value| !value.is_empty())),
            (_, Some(_)) => Err(Twice(name)),
        }
    }

    /// The first of this name, where it does not matter whether there are more.
    pub(super) fn any(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_twice_is_refused_and_what_is_empty_is_absent() {
        let form = Form::read(b"a=1&b=&c=x+y%2F&a=2");
        assert_eq!(form.one("a"), Err(Twice("a")));
        assert_eq!(form.one("b"), Ok(None));
        assert_eq!(form.one("c"), Ok(Some("x y/")));
        assert_eq!(form.one("d"), Ok(None));
    }
}
