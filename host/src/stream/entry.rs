//! Entries of a stream, from the server's reply to the component's JSON.

use redis::Value;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// A name and a value.
pub(super) type Field = (Vec<u8>, Vec<u8>);

/// An entry that is to be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// `<milliseconds>-<number>`.
    pub(super) id: String,
    /// Names and values, in order.
    pub(super) fields: Vec<Field>,
    /// As the component gets it.
    pub(super) json: String,
}

/// What a read gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    /// Those that were deleted before they were delivered.
    pub(super) gone: Vec<String>,
}

/// A reply that is none of the command's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server's reply is of no form that is known")]
pub(super) struct Malformed;

impl Entry {
    fn new(id: String, fields: Vec<Field>) -> Result<Self, Malformed> {
        let json = serde_json::to_string(&Shape {
            id: &id,
            fields: Fields(&fields),
        });
        Ok(Self {
            json: json.map_err(|_| Malformed)?,
            id,
            fields,
        })
    }

    /// When it was appended, in milliseconds since 1970, by the server's clock.
    pub(super) fn appended_at(id: &[u8]) -> Option<u64> {
        std::str::from_utf8(id)
            .ok()?
            .split('-')
            .next()?
            .parse()
            .ok()
    }
}

impl Batch {
    /// Reads the reply of `XREADGROUP` for one stream; nil is an empty batch.
    pub(super) fn of_read(reply: Value) -> Result<Self, Malformed> {
        let entries = match reply {
            Value::Nil => return Ok(Self::default()),
            Value::Map(streams) => streams.into_iter().next().map(|(_, entries)| entries),
            Value::Array(streams) => match streams.into_iter().next() {
                Some(Value::Array(mut stream)) if stream.len() == 2 => stream.pop(),
                Some(_) => return Err(Malformed),
                None => None,
            },
            _ => return Err(Malformed),
        };
        entries.map_or_else(|| Ok(Self::default()), Self::of_entries)
    }

    /// Reads the reply of `XAUTOCLAIM`, and where to go on.
    pub(super) fn of_claim(reply: Value) -> Result<(Vec<u8>, Self), Malformed> {
        let Value::Array(parts) = reply else {
            return Err(Malformed);
        };
        let mut parts = parts.into_iter();
        let (Some(Value::BulkString(next)), Some(entries)) = (parts.next(), parts.next()) else {
            return Err(Malformed);
        };
        Ok((next, Self::of_entries(entries)?))
    }

    /// Reads the entries of a reply.
    pub(super) fn of_entries(entries: Value) -> Result<Self, Malformed> {
        let Value::Array(entries) = entries else {
            return Err(Malformed);
        };
        let mut batch = Self::default();
        for entry in entries {
            // What a claim finds deleted stands as nil.
            if entry == Value::Nil {
                continue;
            }
            let (id, fields) = pair(entry)?;
            let id = String::from_utf8(bytes(id)?).map_err(|_| Malformed)?;
            match fields {
                Value::Nil => batch.gone.push(id),
                fields => batch.entries.push(Entry::new(id, read_fields(fields)?)?),
            }
        }
        Ok(batch)
    }

    /// Whether there is nothing at all.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.gone.is_empty()
    }

    /// The id that the next read goes on after.
    pub(super) fn last(&self) -> Option<&str> {
        // Each of the two is in order.
        let entry = self.entries.last().map(|entry| entry.id.as_str());
        let gone = self.gone.last().map(String::as_str);
        entry.into_iter().chain(gone).max_by_key(|id| order(id))
    }
}

/// What entries are ordered by: both of an id's numbers.
fn order(id: &str) -> (u64, u64) {
    let (millis, number) = id.split_once('-').unwrap_or((id, "0"));
    let number_of = |digits: &str| digits.parse().unwrap_or_default();
    (number_of(millis), number_of(number))
}

fn pair(value: Value) -> Result<(Value, Value), Malformed> {
    let Value::Array(parts) = value else {
        return Err(Malformed);
    };
    <[Value; 2]>::try_from(parts)
        .map(|[first, second]| (first, second))
        .map_err(|_| Malformed)
}

fn read_fields(fields: Value) -> Result<Vec<Field>, Malformed> {
    let flat = match fields {
        Value::Array(flat) => flat,
        Value::Map(pairs) => {
            return pairs
                .into_iter()
                .map(|(name, value)| Ok((bytes(name)?, bytes(value)?)))
                .collect();
        }
        _ => return Err(Malformed),
    };
    let mut flat = flat.into_iter();
    let mut fields = Vec::with_capacity(flat.len() / 2);
    while let Some(name) = flat.next() {
        fields.push((bytes(name)?, bytes(flat.next().ok_or(Malformed)?)?));
    }
    Ok(fields)
}

pub(super) fn bytes(value: Value) -> Result<Vec<u8>, Malformed> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        Value::Int(number) => Ok(number.to_string().into_bytes()),
        _ => Err(Malformed),
    }
}

/// `{"id":"1-0","fields":{"name":"value"}}`.
#[derive(Serialize)]
struct Shape<'a> {
    id: &'a str,
    fields: Fields<'a>,
}

struct Fields<'a>(&'a [Field]);

/// A value that is no text: `{"hex":"ff00"}`.
#[derive(Serialize)]
struct Hex {
    hex: String,
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            let name = String::from_utf8_lossy(name);
            match std::str::from_utf8(value) {
                Ok(value) => map.serialize_entry(&name, value)?,
                Err(_) => map.serialize_entry(
                    &name,
                    &Hex {
                        hex: hex::encode(value),
                    },
                )?,
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &[u8]) -> Value {
        Value::BulkString(text.to_vec())
    }

    fn entry(id: &str, fields: Value) -> Value {
        Value::Array(vec![bulk(id.as_bytes()), fields])
    }

    fn entries() -> Value {
        Value::Array(vec![
            entry("1-0", Value::Array(vec![bulk(b"c"), bulk(b"\"x\"")])),
            entry("2-0", Value::Nil),
            entry("3-1", Value::Array(vec![bulk(b"d"), bulk(b"\xff\x00")])),
        ])
    }

    #[test]
    fn entries_become_json_and_what_is_no_text_hex() {
        for reply in [
            Value::Map(vec![(bulk(b"clicks"), entries())]),
            Value::Array(vec![Value::Array(vec![bulk(b"clicks"), entries()])]),
        ] {
            let batch = Batch::of_read(reply).unwrap();
            let json: Vec<_> = batch.entries.iter().map(|entry| &*entry.json).collect();
            assert_eq!(
                json,
                [
                    r#"{"id":"1-0","fields":{"c":"\"x\""}}"#,
                    r#"{"id":"3-1","fields":{"d":{"hex":"ff00"}}}"#
                ]
            );
            assert_eq!(batch.gone, ["2-0"]);
            assert_eq!(batch.last(), Some("3-1"));
        }
        assert!(Batch::of_read(Value::Nil).unwrap().is_empty());
    }

    #[test]
    fn a_claim_says_where_to_go_on() {
        let reply = Value::Array(vec![
            bulk(b"4-0"),
            Value::Array(vec![Value::Nil, entry("1-0", Value::Array(vec![]))]),
            Value::Array(vec![]),
        ]);
        let (next, batch) = Batch::of_claim(reply).unwrap();
        assert_eq!(next, b"4-0");
        assert_eq!(batch.entries.len(), 1);
    }

    #[test]
    fn ids_are_compared_as_numbers() {
        assert!(order("9-0") < order("10-0"));
        assert!(order("10-2") < order("10-10"));
        assert_eq!(
            Entry::appended_at(b"1700000000000-3"),
            Some(1_700_000_000_000)
        );
    }

    #[test]
    fn other_replies_are_refused() {
        for reply in [Value::Okay, Value::Array(vec![Value::Okay])] {
            assert_eq!(Batch::of_read(reply), Err(Malformed));
        }
        assert_eq!(
            Batch::of_entries(Value::Array(vec![Value::Okay])),
            Err(Malformed)
        );
    }
}
