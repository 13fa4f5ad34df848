//! The JSON object in a request's body, field by field.
//!
//! A field is looked at in its source text, so that `1.0` and `1e2` are seen for
//! what they are, and an object can be kept as it was sent.

use std::collections::HashMap;

use serde_json::{Value, value::RawValue};

use crate::Refusal;

/// The largest JSON body read, in bytes: many times the largest valid one.
pub const MAX_BODY: usize = 256 * 1024;

/// The members of a JSON object.
#[derive(Debug)]
pub struct Fields<'a>(HashMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    /// Reads a body, given its content type. 415 if that names another kind than
    /// JSON; 400 if the text is not one JSON object.
    pub fn parse(content_type: Option<&[u8]>, body: &'a [u8]) -> Result<Self, Refusal> {
        if content_type.is_some_and(|value| !is_json(value)) {
            return Err(Refusal::media_type("application/json"));
        }
        let not_an_object = || Refusal::invalid("body: must be a JSON object");
        let text = std::str::from_utf8(body).map_err(|_| not_an_object())?;
        serde_json::from_str(text).map(Self).map_err(|_| not_an_object())
    }

    fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(|value| value.get())
    }

    /// The field's text unless it is absent or null.
    fn given(&self, name: &str) -> Option<&'a str> {
        self.raw(name).filter(|raw| *raw != "null")
    }

    /// Whether the field is there, if only as null.
    pub fn names(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A string that may be absent, but not null.
    pub fn string(&self, name: &str) -> Result<Option<String>, Refusal> {
        self.raw(name).map(|raw| string(name, raw)).transpose()
    }

    /// A string that must be there.
    pub fn required_string(&self, name: &str) -> Result<String, Refusal> {
        self.string(name)?.ok_or_else(|| Refusal::field(name, "is missing"))
    }

    /// A string that may be absent or null.
    pub fn nullable_string(&self, name: &str) -> Result<Option<String>, Refusal> {
        self.given(name).map(|raw| string(name, raw)).transpose()
    }

    /// An id that must be there.
    pub fn required_id(&self, name: &str) -> Result<i64, Refusal> {
        match self.raw(name) {
            Some(raw) => id(name, raw),
            None => Err(Refusal::field(name, "is missing")),
        }
    }

    /// An id that may be absent or null.
    pub fn nullable_id(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.given(name).map(|raw| id(name, raw)).transpose()
    }

    /// A boolean that may be absent, but not null.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.raw(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(Refusal::field(name, "must be true or false")),
        }
    }

    /// An object that may be absent or null, in its own words.
    pub fn nullable_object(&self, name: &str) -> Result<Option<String>, Refusal> {
        self.given(name).map(|raw| object(raw).map_err(|why| Refusal::field(name, why))).transpose()
    }
}

/// `application/json`, or another type whose syntax is JSON, with any parameters.
fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii().to_ascii_lowercase();
    essence == b"application/json"
        || (essence.starts_with(b"application/") && essence.ends_with(b"+json"))
}

fn string(name: &str, raw: &str) -> Result<String, Refusal> {
    let text: String =
        serde_json::from_str(raw).map_err(|_| Refusal::field(name, "must be a string"))?;
    if text.contains('\0') {
        return Err(Refusal::field(name, "must not contain NUL"));
    }
    Ok(text)
}

fn id(name: &str, raw: &str) -> Result<i64, Refusal> {
    crate::query::digits(raw)
        .filter(|number| *number > 0)
        .ok_or_else(|| Refusal::field(name, "must be a positive integer"))
}

/// Checks that a text is one JSON object, nested no deeper than the parser's 128
/// levels and without NUL in any string, and gives it back as it stands.
///
/// # Errors
/// What is wrong with it, to follow the field's name.
pub fn object(raw: &str) -> Result<String, &'static str> {
    match serde_json::from_str::<Value>(raw) {
        Ok(value @ Value::Object(_)) if !has_nul(&value) => Ok(raw.trim().to_owned()),
        Ok(Value::Object(_)) => Err("must not contain NUL"),
        Ok(_) => Err("must be an object"),
        Err(_) => Err("must be an object, with numbers in range and not nested too deeply"),
    }
}

/// Recursion is bounded by the parser's depth.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => {
            members.iter().any(|(name, member)| name.contains('\0') || has_nul(member))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Fields<'_> {
        Fields::parse(None, body.as_bytes()).unwrap()
    }

    #[test]
    fn a_body_is_one_json_object() {
        for body in ["", " ", "null", "true", "1", "\"a\"", "[]", "{", "{\"a\":1", "{}x", "{'a':1}"] {
            let refusal = Fields::parse(None, body.as_bytes()).unwrap_err();
            assert_eq!((refusal.status, &refusal.message[..4]), (400, "body"), "{body}");
        }
        assert!(Fields::parse(None, b"{\"a\":\"\xff\"}").is_err());
        assert!(Fields::parse(None, b" {\"a\": 1, \"b\": [{}]} ").is_ok());
    }

    #[test]
    fn a_deep_body_is_no_danger() {
        let deep = format!("{{\"a\":{}}}", "[".repeat(100_000));
        assert!(Fields::parse(None, deep.as_bytes()).is_err());
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let fields = fields(&deep);
        assert_eq!(fields.nullable_object("a").unwrap_err().status, 400);
        assert_eq!(fields.string("a").unwrap_err().status, 400);
    }

    #[test]
    fn a_content_type_that_is_not_json_is_refused() {
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/x+json"] {
            assert!(Fields::parse(Some(good.as_bytes()), b"{}").is_ok(), "{good}");
        }
        for bad in ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"] {
            assert_eq!(Fields::parse(Some(bad.as_bytes()), b"{}").unwrap_err().status, 415, "{bad}");
        }
    }

    #[test]
    fn integers_are_json_integers_from_one() {
        let good = fields(r#"{"a":1,"b":9223372036854775807,"c":null}"#);
        assert_eq!(good.required_id("a"), Ok(1));
        assert_eq!(good.nullable_id("b"), Ok(Some(i64::MAX)));
        assert_eq!(good.nullable_id("c"), Ok(None));
        assert_eq!(good.nullable_id("absent"), Ok(None));
        assert!(good.required_id("c").is_err());
        assert_eq!(good.required_id("absent").unwrap_err().message, "absent: is missing");
        for bad in ["\"1\"", "true", "1.5", "1.0", "1e2", "0", "-1", "-0", "[1]", "{}",
            "1000000000000000000000000000000", "9223372036854775808"]
        {
            let body = format!("{{\"id\":{bad}}}");
            assert_eq!(fields(&body).nullable_id("id").unwrap_err().status, 400, "{bad}");
        }
    }

    #[test]
    fn strings_are_strings() {
        let good = fields(r#"{"a":"x\u00e9","n":null}"#);
        assert_eq!(good.required_string("a").unwrap(), "xé");
        assert_eq!(good.nullable_string("n"), Ok(None));
        assert!(good.string("n").is_err());
        assert!(good.required_string("n").is_err());
        for bad in ["1", "true", "[]", "{}", "\"a\\u0000b\"", "\"\\ud800\""] {
            let body = format!("{{\"s\":{bad}}}");
            assert_eq!(fields(&body).nullable_string("s").unwrap_err().status, 400, "{bad}");
        }
    }

    #[test]
    fn objects_are_kept_as_they_are() {
        let body = r#"{"d": {"b":1.0, "a" : [true]} ,"n":null}"#;
        assert_eq!(fields(body).nullable_object("d").unwrap().unwrap(), r#"{"b":1.0, "a" : [true]}"#);
        assert_eq!(fields(body).nullable_object("n"), Ok(None));
        for bad in [r#""{}""#, "[]", "1", "true", r#"{"a":"\u0000"}"#, r#"{"\u0000":1}"#, "{\"a\":1e999}"] {
            let body = format!("{{\"d\":{bad}}}");
            assert_eq!(fields(&body).nullable_object("d").unwrap_err().status, 400, "{bad}");
        }
    }

    #[test]
    fn flags_are_booleans() {
        assert_eq!(fields(r#"{"a":true}"#).flag("a"), Ok(Some(true)));
        assert_eq!(fields("{}").flag("a"), Ok(None));
        for bad in ["null", "1", "\"true\"", "[]"] {
            assert!(fields(&format!("{{\"a\":{bad}}}")).flag("a").is_err(), "{bad}");
        }
    }
}
