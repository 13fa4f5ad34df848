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
        serde_json::from_str(text)
            .map(Self)
            .map_err(|_| not_an_object())
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
        self.string(name)?
            .ok_or_else(|| Refusal::field(name, "is missing"))
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
        self.given(name)
            .map(|raw| object(raw).map_err(|why| Refusal::field(name, why)))
            .transpose()
    }
}

/// `application/json`, or another type whose syntax is JSON, with any parameters.
fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default();
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
        Value::Object(members) => members
            .iter()
            .any(|(name, member)| name.contains('\0') || has_nul(member)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
