//! One question to the server on behalf of all who want the same key.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use super::State;
use super::shelf::Departure;
use crate::pool::valkey::error::Error;
use crate::pool::valkey::wire::Signal;

/// The longest that an entry lives, whatever the key's own time: what no
/// invalidation ever reaches, by a fault of anybody's, is right after this.
pub(super) const LONGEST: Duration = Duration::from_secs(60);

/// How a flight ended.
#[derive(Debug, Clone)]
pub(in crate::pool::valkey) enum Landing {
    /// The value; none where the server has no such key.
    Answer(Option<Arc<[u8]>>),
    Failed(Error),
    /// The connection was lost meanwhile: the question may be asked again,
    /// another way.
    Lost,
}

/// Waits for the end of a flight. Many may, each as long as it likes.
pub(in crate::pool::valkey) struct Seat(pub(super) watch::Receiver<Option<Landing>>);

impl Seat {
    pub(in crate::pool::valkey) async fn landing(mut self) -> Landing {
        match self.0.wait_for(Option::is_some).await {
            Ok(landing) => landing.clone().unwrap_or(Landing::Lost),
            // Its task was ended together with its runtime.
            Err(_) => Landing::Lost,
        }
    }
}

/// Who flies. Dropping it ends the flight, too, so that nobody waits for it.
pub(in crate::pool::valkey) struct Pilot {
    pub(super) state: Arc<State>,
    pub(super) departure: Departure,
}

impl Pilot {
    pub(in crate::pool::valkey) fn key(&self) -> &[u8] {
        &self.departure.key
    }

    /// Tells those who wait. What was answered over the connection of `signal`
    /// to a question of `sent` is kept, for as long as the key lives.
    pub(in crate::pool::valkey) fn land(self, landing: Landing, kept: Kept<'_>) {
        let answer = match (&landing, kept.life) {
            (Landing::Answer(value), Some(life)) => {
                Some((value.clone(), kept.sent + life.min(LONGEST)))
            }
            _ => None,
        };
        let Departure { key, id, .. } = &self.departure;
        self.state
            .shelf
            .land(key, *id, answer, || !kept.signal.is_closed());
        self.departure.landing.send_replace(Some(landing));
    }

    /// Tells those who wait, and leaves nothing.
    pub(in crate::pool::valkey) fn give_up(self, landing: Landing) {
        self.leave();
        self.departure.landing.send_replace(Some(landing));
    }

    fn leave(&self) {
        let Departure { key, id, .. } = &self.departure;
        self.state.shelf.land(key, *id, None, || false);
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Of what an answer may be kept.
pub(in crate::pool::valkey) struct Kept<'a> {
    pub(in crate::pool::valkey) signal: &'a Signal,
    pub(in crate::pool::valkey) sent: Instant,
    pub(in crate::pool::valkey) life: Option<Duration>,
}

/// What the server says of a key.
pub(in crate::pool::valkey) struct Answer {
    /// None where it has no such key.
    pub(in crate::pool::valkey) value: Option<Arc<[u8]>>,
    /// How long this may be kept after the question was sent, if at all.
    pub(in crate::pool::valkey) life: Option<Duration>,
}

/// Reads the replies to `GET` and `PTTL`. Where they do not agree, the key has
/// changed in between.
pub(in crate::pool::valkey) fn read(replies: Vec<Value>) -> Result<Answer, Error> {
    let mut replies = replies.into_iter();
    let value = match replies.next() {
        Some(Value::BulkString(value)) => Some(Arc::from(value)),
        Some(Value::Nil) => None,
        Some(Value::ServerError(error)) => return Err(Error::Server(error)),
        _ => return Err(Error::Protocol("GET was answered by no value".into())),
    };
    let life = match (&value, replies.next()) {
        (Some(_), Some(Value::Int(-1))) | (None, Some(Value::Int(-2))) => Some(LONGEST),
        (Some(_), Some(Value::Int(left @ 1..))) => {
            u64::try_from(left).ok().map(Duration::from_millis)
        }
        _ => None,
    };
    Ok(Answer { value, life })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn life(value: Value, left: i64) -> Option<Duration> {
        read(vec![value, Value::Int(left)]).unwrap().life
    }

    #[test]
    fn an_answer_is_kept_as_long_as_its_key_lives() {
        assert_eq!(life(value("a"), 1500), Some(Duration::from_millis(1500)));
        assert_eq!(life(value("a"), -1), Some(LONGEST));
        assert_eq!(life(Value::Nil, -2), Some(LONGEST));
    }

    #[test]
    fn and_not_at_all_where_the_key_changed_between_the_two() {
        assert_eq!(life(value("a"), -2), None);
        assert_eq!(life(value("a"), 0), None);
        assert_eq!(life(Value::Nil, -1), None);
        assert_eq!(life(Value::Nil, 1500), None);
    }

    #[test]
    fn what_is_no_value_is_an_error() {
        assert!(matches!(
            read(vec![Value::Int(1), Value::Int(-1)]),
            Err(Error::Protocol(_))
        ));
        assert!(read(Vec::new()).is_err());
    }
}
