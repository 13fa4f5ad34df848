//! The query part of a request target.

use std::borrow::Cow;

use crate::Refusal;

/// The parameters of a query, in order, decoded where asked for.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a>(Option<&'a str>);

impl<'a> Query<'a> {
    pub fn new(query: Option<&'a str>) -> Self {
        Self(query)
    }

    /// The last value of a parameter. 400 if it is no text.
    pub fn text(self, name: &str) -> Result<Option<Cow<'a, str>>, Refusal> {
        let mut found = None;
        for pair in self.0.unwrap_or_default().split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if unescape(key, true).as_deref() == Some(name) {
                found = Some(value);
            }
        }
        let Some(value) = found else { return Ok(None) };
        match unescape(value, true) {
            Some(text) if !text.contains('\0') => Ok(Some(text)),
            _ => Err(Refusal::field(name, "must be text in UTF-8")),
        }
    }

    /// A parameter that is a positive integer.
    pub fn positive(self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(value) = self.text(name)? else {
            return Ok(None);
        };
        match digits(&value) {
            Some(number) if number > 0 => Ok(Some(number)),
            _ => Err(Refusal::field(name, "must be a positive integer")),
        }
    }

    /// A parameter that is an integer from zero.
    pub fn natural(self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(value) = self.text(name)? else {
            return Ok(None);
        };
        match digits(&value) {
            Some(number) => Ok(Some(number)),
            None => Err(Refusal::field(name, "must be an integer from 0")),
        }
    }

    /// A parameter that is `true` or `false`, in any case.
    pub fn flag(self, name: &str) -> Result<Option<bool>, Refusal> {
        let Some(value) = self.text(name)? else {
            return Ok(None);
        };
        if value.eq_ignore_ascii_case("true") {
            Ok(Some(true))
        } else if value.eq_ignore_ascii_case("false") {
            Ok(Some(false))
        } else {
            Err(Refusal::field(name, "must be true or false"))
        }
    }
}

/// A number written in ASCII digits alone, if it fits 64 bits.
pub fn digits(text: &str) -> Option<i64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Undoes percent-encoding, and `+` for a space where the text is a form's.
/// None if an escape is broken or what it spells is not UTF-8.
pub fn unescape(text: &str, form: bool) -> Option<Cow<'_, str>> {
    if !text
        .bytes()
        .any(|byte| byte == b'%' || (form && byte == b'+'))
    {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            b'+' if form => b' ',
            other => other,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_that_fit() {
        let query = Query::new(Some(
            "page=3&per_page=0&big=9223372036854775808&neg=-5&none=",
        ));
        assert_eq!(query.positive("page"), Ok(Some(3)));
        assert_eq!(query.positive("absent"), Ok(None));
        assert_eq!(query.natural("per_page"), Ok(Some(0)));
        for name in ["per_page", "big", "neg", "none"] {
            let refusal = query.positive(name).unwrap_err();
            assert_eq!(refusal.status, 400);
            assert!(refusal.message.starts_with(name));
        }
    }

    #[test]
    fn flags_are_true_or_false_in_any_case() {
        assert_eq!(Query::new(Some("a=TRUE")).flag("a"), Ok(Some(true)));
        assert_eq!(Query::new(Some("a=False")).flag("a"), Ok(Some(false)));
        assert!(Query::new(Some("a=maybe")).flag("a").is_err());
        assert!(Query::new(Some("a=1")).flag("a").is_err());
        assert!(Query::new(Some("a")).flag("a").is_err());
    }

    #[test]
    fn text_is_decoded() {
        assert_eq!(
            Query::new(Some("t=a%20b+c")).text("t").unwrap().unwrap(),
            "a b c"
        );
        assert_eq!(Query::new(Some("t=1&t=2")).text("t").unwrap().unwrap(), "2");
        for broken in ["t=%", "t=%f", "t=%zz", "t=%ff", "t=%00"] {
            assert_eq!(
                Query::new(Some(broken)).text("t").unwrap_err().status,
                400,
                "{broken}"
            );
        }
    }
}
