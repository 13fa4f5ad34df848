//! Replies of any shape as the flat list that `execute` answers.

use super::Failure;
use redis::Value;

/// One piece of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Nil,
    Status(String),
    Int(i64),
    Binary(Vec<u8>),
}

/// Flattens nested replies, in order. Kinds that RESP2 does not have become
/// what it has in their place: a map is its keys and values in turn, a double
/// its text, a boolean 0 or 1.
///
/// # Errors
///
/// The first error among the replies of a transaction.
pub(super) fn flatten(value: Value) -> Result<Vec<Item>, Failure> {
    let mut items = Vec::new();
    append(&mut items, value)?;
    Ok(items)
}

fn append(items: &mut Vec<Item>, value: Value) -> Result<(), Failure> {
    let item = match value {
        Value::Nil => Item::Nil,
        Value::Int(value) => Item::Int(value),
        Value::Boolean(value) => Item::Int(value.into()),
        Value::Okay => Item::Status("OK".into()),
        Value::SimpleString(status) => Item::Status(status),
        Value::BulkString(bytes) => Item::Binary(bytes),
        Value::VerbatimString { text, .. } => Item::Binary(text.into_bytes()),
        Value::Double(value) => Item::Binary(value.to_string().into_bytes()),
        Value::BigNumber(digits) => Item::Binary(digits),
        Value::Array(values) | Value::Set(values) => {
            return values
                .into_iter()
                .try_for_each(|value| append(items, value));
        }
        Value::Map(entries) => {
            return entries.into_iter().try_for_each(|(key, value)| {
                append(items, key)?;
                append(items, value)
            });
        }
        Value::Attribute { data, .. } => return append(items, *data),
        Value::ServerError(error) if error.code() == "WRONGTYPE" => return Err(Failure::Type),
        Value::ServerError(error) => {
            let details = error.details().unwrap_or_default();
            return Err(Failure::Other(format!("{} {details}", error.code())));
        }
        _ => {
            return Err(Failure::other(
                "the reply is of a kind that this interface has not",
            ));
        }
    };
    items.push(item);
    Ok(())
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(text: &str) -> Item {
        Item::Binary(text.into())
    }

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn a_single_reply_is_a_list_of_one() {
        assert_eq!(flatten(Value::Nil), Ok(vec![Item::Nil]));
        assert_eq!(flatten(Value::Okay), Ok(vec![Item::Status("OK".into())]));
        assert_eq!(flatten(Value::Int(-3)), Ok(vec![Item::Int(-3)]));
        assert_eq!(flatten(bulk("x")), Ok(vec![binary("x")]));
    }

    #[test]
    fn an_empty_list_stays_empty() {
        assert_eq!(flatten(Value::Array(vec![])), Ok(vec![]));
    }

    #[test]
    fn nested_replies_are_flattened_in_order() {
        let value = Value::Array(vec![
            Value::Int(1),
            Value::Array(vec![bulk("a"), Value::Nil]),
            Value::Map(vec![(bulk("k"), Value::Set(vec![bulk("v")]))]),
        ]);
        let items = vec![
            Item::Int(1),
            binary("a"),
            Item::Nil,
            binary("k"),
            binary("v"),
        ];
        assert_eq!(flatten(value), Ok(items));
    }

    #[test]
    fn kinds_of_resp3_become_their_resp2_forms() {
        let value = Value::Array(vec![
            Value::Double(1.5),
            Value::Double(3.0),
            Value::Boolean(true),
            Value::VerbatimString {
                format: redis::VerbatimFormat::Text,
                text: "t".into(),
            },
        ]);
        let items = vec![binary("1.5"), binary("3"), Item::Int(1), binary("t")];
        assert_eq!(flatten(value), Ok(items));
    }
}
