//! All keys of a store, a batch at a time.

use super::{Caller, Failure, unexpected};
use redis::{Value, cmd};

/// How many keys the server looks at for one batch. A server executes one
/// command at a time, so this bounds how long it keeps others waiting: 512 keys
/// take it well under a millisecond.
const BATCH: u32 = 512;

/// A walk over the keys. It names every key that is there from beginning to
/// end, and a few perhaps twice: the server keeps no state between batches.
pub(super) struct Keys {
    of: Caller,
    pattern: Vec<u8>,
    /// Where the next batch begins; none when there is no more.
    cursor: Option<Vec<u8>>,
}

impl Keys {
    pub(super) fn new(of: Caller) -> Self {
        Self {
            pattern: pattern(&of.store.prefix),
            of,
            cursor: Some(b"0".to_vec()),
        }
    }

    /// The next batch, never empty; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<String>>, Failure> {
        while let Some(cursor) = &self.cursor {
            let mut scan = cmd("SCAN");
            scan.arg(cursor)
                .arg("MATCH")
                .arg(&self.pattern)
                .arg("COUNT")
                .arg(BATCH);
            let reply = self.of.traced(&scan).await?;
            let (cursor, keys) = batch(reply).ok_or_else(unexpected)?;
            self.cursor = (cursor != b"0").then_some(cursor);
            let keys: Vec<_> = keys.into_iter().filter_map(|key| self.own(key)).collect();
            if !keys.is_empty() {
                return Ok(Some(keys));
            }
        }
        Ok(None)
    }

    /// The key without the prefix. One that is not text was not set through
    /// this interface, which could not name it either.
    fn own(&self, key: Value) -> Option<String> {
        let Value::BulkString(key) = key else {
            return None;
        };
        let key = key.strip_prefix(self.of.store.prefix.as_bytes())?;
        String::from_utf8(key.to_vec()).ok()
    }
}

fn batch(reply: Value) -> Option<(Vec<u8>, Vec<Value>)> {
    let Value::Array(parts) = reply else {
        return None;
    };
    match <[Value; 2]>::try_from(parts).ok()? {
        [Value::BulkString(cursor), Value::Array(keys)] => Some((cursor, keys)),
        _ => None,
    }
}

/// Matches what begins with `prefix`, whatever characters that has.
fn pattern(prefix: &str) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(prefix.len() + 1);
    for byte in prefix.bytes() {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'^' | b'-' | b'\\') {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    pattern.push(b'*');
    pattern
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_matched_literally() {
        assert_eq!(pattern("kv:default:"), b"kv:default:*");
        assert_eq!(pattern("a*b?[c]\\"), b"a\\*b\\?\\[c\\]\\\\*");
    }

    #[test]
    fn a_batch_has_a_cursor_and_keys() {
        let reply = Value::Array(vec![
            Value::BulkString(b"17".to_vec()),
            Value::Array(vec![Value::BulkString(b"k".to_vec())]),
        ]);
        assert_eq!(
            batch(reply),
            Some((b"17".to_vec(), vec![Value::BulkString(b"k".to_vec())]))
        );
        assert_eq!(batch(Value::Array(vec![Value::Nil])), None);
    }
}
