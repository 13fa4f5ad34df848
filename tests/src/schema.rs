//! JSON Schema, as far as the document of the API uses it: enough to hold an answer
//! against the document, at a fraction of a whole validator's time to build. A
//! keyword that is not known here is refused, never passed over.

use regex::Regex;
use serde_json::{Map, Value};

/// Keywords that say nothing about what is valid.
const NOTES: [&str; 4] = ["default", "description", "examples", "contentMediaType"];

/// The schemas of one document.
#[derive(Clone, Copy, Debug)]
pub struct Schemas<'a> {
    document: &'a Value,
    /// Whether an object may have members that its schema does not list.
    open: bool,
}

impl<'a> Schemas<'a> {
    /// Takes an object with members that its schema does not list, as JSON Schema
    /// does: what a client may send.
    pub fn open(document: &'a Value) -> Self {
        Self {
            document,
            open: true,
        }
    }

    /// Takes listed members alone, unless the schema has `additionalProperties`: what
    /// is answered.
    pub fn closed(document: &'a Value) -> Self {
        Self {
            document,
            open: false,
        }
    }

    /// What a `$ref` leads to; anything else is itself.
    ///
    /// # Panics
    /// Where it leads nowhere.
    pub fn resolve(self, value: &'a Value) -> &'a Value {
        let Some(reference) = value.get("$ref") else {
            return value;
        };
        let pointer = reference.as_str().and_then(|text| text.strip_prefix('#'));
        let found = pointer.and_then(|pointer| self.document.pointer(pointer));
        self.resolve(found.unwrap_or_else(|| panic!("{reference} leads nowhere")))
    }

    /// Checks a value.
    ///
    /// # Errors
    /// Where in the value what is broken.
    ///
    /// # Panics
    /// Where the schema is none, or has a keyword that is not known here.
    pub fn check(self, schema: &'a Value, value: &Value) -> Result<(), String> {
        let schema = self.resolve(schema);
        let Some(keywords) = schema.as_object() else {
            panic!("no schema: {schema}");
        };
        for (keyword, wanted) in keywords {
            self.keyword(keywords, keyword, wanted, value)?;
        }
        Ok(())
    }

    /// The value that a text stands for in a header or a query: a number where the
    /// schema is of one, and the text is one.
    pub fn read(self, schema: &'a Value, text: &str) -> Value {
        let number = (self.resolve(schema)["type"] == "integer").then(|| text.parse::<i64>());
        match number {
            Some(Ok(number)) => number.into(),
            _ => text.into(),
        }
    }

    fn keyword(
        self,
        keywords: &'a Map<String, Value>,
        keyword: &str,
        wanted: &'a Value,
        value: &Value,
    ) -> Result<(), String> {
        let holds = match keyword {
            "type" => is_of(wanted, value),
            "const" => value == wanted,
            "enum" => list(wanted).contains(value),
            "minimum" => integer(value).is_none_or(|number| number >= bound(wanted)),
            "maximum" => integer(value).is_none_or(|number| number <= bound(wanted)),
            "minLength" => length(value).is_none_or(|length| length >= bound(wanted)),
            "maxLength" => length(value).is_none_or(|length| length <= bound(wanted)),
            "pattern" => value.as_str().is_none_or(|text| matches(wanted, text)),
            "format" => value.as_str().is_none_or(|text| has_format(wanted, text)),
            "not" => self.check(wanted, value).is_err(),
            "anyOf" => list(wanted)
                .iter()
                .any(|schema| self.check(schema, value).is_ok()),
            "allOf" => {
                let mut schemas = list(wanted).iter();
                return schemas.try_for_each(|schema| self.check(schema, value));
            }
            "required" => list(wanted).iter().all(|name| {
                let name = name.as_str().expect("a member's name");
                value
                    .as_object()
                    .is_none_or(|object| object.contains_key(name))
            }),
            "items" => {
                for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.check(wanted, item)
                        .map_err(|problem| format!("[{at}]{problem}"))?;
                }
                true
            }
            "properties" => return self.properties(keywords, wanted, value),
            "additionalProperties" => return self.additional(keywords, wanted, value),
            "propertyNames" => value.as_object().is_none_or(|object| {
                let mut names = object.keys();
                names.all(|name| self.check(wanted, &name.as_str().into()).is_ok())
            }),
            known if NOTES.contains(&known) => true,
            _ => panic!("the keyword {keyword} is not known here"),
        };
        if holds {
            Ok(())
        } else {
            Err(format!(": {value} breaks {keyword} {wanted}"))
        }
    }

    fn properties(
        self,
        keywords: &'a Map<String, Value>,
        properties: &'a Value,
        value: &Value,
    ) -> Result<(), String> {
        let open = self.open || keywords.contains_key("additionalProperties");
        for (name, member) in value.as_object().into_iter().flatten() {
            match properties.get(name) {
                Some(schema) => self
                    .check(schema, member)
                    .map_err(|problem| format!(".{name}{problem}"))?,
                None if open => {}
                None => return Err(format!(".{name}: is not in the schema")),
            }
        }
        Ok(())
    }

    /// Where the keyword stands, `properties` is not closed.
    fn additional(
        self,
        keywords: &'a Map<String, Value>,
        wanted: &'a Value,
        value: &Value,
    ) -> Result<(), String> {
        for (name, member) in value.as_object().into_iter().flatten() {
            let listed = keywords.get("properties").and_then(|it| it.get(name));
            if listed.is_none() && *wanted != true {
                self.check(wanted, member)
                    .map_err(|problem| format!(".{name}{problem}"))?;
            }
        }
        Ok(())
    }
}

fn is_of(kinds: &Value, value: &Value) -> bool {
    let is = |kind: &Value| match kind.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("string") => value.is_string(),
        Some("number") => value.is_number(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        // `1.0` is an integer to JSON Schema, but never to this API.
        Some("integer") => value.is_i64() || value.is_u64(),
        _ => panic!("the type {kind} is not known here"),
    };
    match kinds {
        Value::Array(kinds) => kinds.iter().any(is),
        kind => is(kind),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("the keyword has a list")
}

/// 128 bits hold every integer that is read as one. What is none breaks its `type`.
fn integer(value: &Value) -> Option<i128> {
    let signed = value.as_i64().map(i128::from);
    signed.or_else(|| value.as_u64().map(i128::from))
}

fn bound(value: &Value) -> i128 {
    integer(value).expect("a bound is an integer")
}

/// In characters.
fn length(value: &Value) -> Option<i128> {
    let count = value.as_str()?.chars().count();
    Some(i128::try_from(count).expect("no text is that long"))
}

fn matches(pattern: &Value, text: &str) -> bool {
    let pattern = pattern.as_str().expect("a pattern is a text");
    let pattern = Regex::new(pattern).unwrap_or_else(|error| panic!("{error}"));
    pattern.is_match(text)
}

/// The formats are the document's own, and this is another's opinion of them.
fn has_format(format: &Value, text: &str) -> bool {
    match format.as_str() {
        Some("web-url") => {
            let visible = !text.contains(|c: char| c.is_whitespace() || c.is_control());
            let url = url::Url::parse(text);
            visible && url.is_ok_and(|url| ["http", "https"].contains(&url.scheme()))
        }
        _ => panic!("the format {format} is not known here"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(schema: &Value, value: &Value) -> Result<(), String> {
        let document = json!({ "id": { "type": "integer", "minimum": 1 } });
        Schemas::closed(&document).check(schema, value)
    }

    #[test]
    fn what_breaks_a_schema_is_told_by_its_place() {
        let id = json!({ "$ref": "#/id" });
        let user = json!({
            "type": "object", "required": ["id"],
            "properties": { "id": id, "tags": { "items": { "type": "string", "maxLength": 2 } } },
        });
        for (value, problem) in [
            (json!({ "id": 1, "tags": ["ab", "é"] }), None),
            (json!({ "id": 0 }), Some(".id: 0 breaks minimum 1")),
            (
                json!({ "id": "1" }),
                Some(".id: \"1\" breaks type \"integer\""),
            ),
            (
                json!({ "id": 1.0 }),
                Some(".id: 1.0 breaks type \"integer\""),
            ),
            (json!({}), Some(": {} breaks required [\"id\"]")),
            (json!([]), Some(": [] breaks type \"object\"")),
            (
                json!({ "id": 1, "tags": ["a", "abc"] }),
                Some(".tags[1]: \"abc\" breaks maxLength 2"),
            ),
            (
                json!({ "id": 1, "more": 1 }),
                Some(".more: is not in the schema"),
            ),
        ] {
            assert_eq!(check(&user, &value).err().as_deref(), problem, "{value}");
        }
        let document = json!({ "id": {} });
        let more = json!({ "id": 1, "more": 1 });
        assert_eq!(Schemas::open(&document).check(&user, &more), Ok(()));
    }

    #[test]
    fn schemas_are_combined() {
        let code = json!({ "allOf": [
            { "type": "string", "pattern": "^[a-z]{2,}$" }, { "not": { "enum": ["no", "nor"] } },
        ] });
        let nullable = json!({ "anyOf": [code, { "const": null }] });
        for (value, fits) in [("yes", true), ("no", false), ("x", false), ("Yes", false)] {
            assert_eq!(check(&nullable, &json!(value)).is_ok(), fits, "{value}");
        }
        assert!(check(&nullable, &Value::Null).is_ok());
        assert!(check(&nullable, &json!(3)).is_err());
    }

    #[test]
    #[should_panic(expected = "the keyword uniqueItems is not known here")]
    fn a_keyword_that_is_not_known_is_refused() {
        let _ = check(&json!({ "uniqueItems": true }), &json!([]));
    }
}
