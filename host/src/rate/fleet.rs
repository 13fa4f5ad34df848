//! The count of all nodes: one number per client in a Valkey, read and written by
//! one script, by the clock of that server, so that nodes need not agree on the
//! time. It expires by itself, when it says no more than none would.

use super::bucket::{Bucket, Standing};
use super::client::Id;
use crate::pool::valkey::{Error, ValkeyPool};
use redis::{Cmd, Script, Value};
use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Takes a client's key, the interval and the capacity of its bucket; answers
/// whether a request is within the limit, and in how long the bucket is whole, in
/// microseconds. As `Bucket::take`.
const SCRIPT: &str = "\
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])
local known = tonumber(redis.call('GET', KEYS[1]) or 0)
local whole = math.min(math.max(known, now), now + capacity)
local allowed = 0
if whole + interval - now <= capacity then
  allowed, whole = 1, whole + interval
end
if whole ~= known then
  local expires = math.ceil((whole - now) / 1000)
  redis.call('SET', KEYS[1], string.format('%.0f', whole), 'PX', expires)
end
return {allowed, whole - now}
";

/// What a server that was told the script knows it by.
static HASH: LazyLock<String> = LazyLock::new(|| Script::new(SCRIPT).get_hash().to_owned());

/// How long a server that did not answer is left alone. Then one request, and no
/// other, finds out whether it does.
const PAUSE: Duration = Duration::from_millis(500);

/// What the keys begin with.
const PREFIX: &str = "warmlink:rate:";

/// The fleet's count of one limit.
pub struct Fleet {
    pool: ValkeyPool,
    wait: Duration,
    name: String,
    absence: Absence,
}

impl Fleet {
    /// Counts in the server of `pool`, which is waited for no longer than `wait`.
    /// `name` is what the limit is called in the log.
    pub fn new(pool: ValkeyPool, wait: Duration, name: &str) -> Self {
        Self {
            pool,
            wait,
            name: name.to_owned(),
            absence: Absence::default(),
        }
    }

    /// Counts a request; none where the server cannot be asked, or does not answer
    /// in time. `began` is when the node's clock did.
    pub(super) async fn take(&self, id: Id, bucket: &Bucket, began: Instant) -> Option<Standing> {
        if !self.absence.may_ask(micros(began.elapsed())) {
            return None;
        }
        match self.ask(id, bucket).await {
            Ok(standing) => {
                if self.absence.is_over() {
                    tracing::info!(
                        limit = self.name,
                        "requests are counted for the fleet again"
                    );
                }
                Some(standing)
            }
            Err(error) => {
                if self.absence.begins(micros(began.elapsed())) {
                    let limit = &*self.name;
                    tracing::warn!(limit, "requests are counted on this node alone: {error}");
                }
                None
            }
        }
    }

    async fn ask(&self, id: Id, bucket: &Bucket) -> Result<Standing, Error> {
        let deadline = tokio::time::Instant::now() + self.wait;
        let key = format!("{PREFIX}{}", hex::encode(id.0));
        let call = |name: &str, script: &str| {
            let mut cmd = Cmd::new();
            cmd.arg(name).arg(script).arg(1).arg(&key);
            cmd.arg(bucket.interval()).arg(bucket.capacity());
            cmd
        };
        let known = call("EVALSHA", &HASH);
        let reply = match self.pool.command(&known, deadline).await {
            // A server that has just started has to be told it.
            Err(Error::Server(error)) if error.code() == "NOSCRIPT" => {
                let told = call("EVAL", SCRIPT);
                self.pool.command(&told, deadline).await?
            }
            reply => reply?,
        };
        let Value::Array(parts) = &reply else {
            return Err(Error::Protocol("the script gave no list".to_owned()));
        };
        match parts.as_slice() {
            [Value::Int(allowed), Value::Int(ahead)] => {
                let ahead = u64::try_from(*ahead).unwrap_or_default();
                Ok(bucket.standing(*allowed == 1, ahead))
            }
            _ => Err(Error::Protocol("the script gave no two numbers".to_owned())),
        }
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

/// Whether the server is away, and until when it is left alone: microseconds of
/// the node's clock, 0 while it answers.
#[derive(Debug, Default)]
struct Absence(AtomicU64);

impl Absence {
    /// Whether to ask now. While the server is away, one caller per [`PAUSE`] is to.
    fn may_ask(&self, now: u64) -> bool {
        let until = self.0.load(Relaxed);
        until == 0
            || now >= until
                && self
                    .0
                    .compare_exchange(until, now + micros(PAUSE), Relaxed, Relaxed)
                    .is_ok()
    }

    /// The server did not answer. True where that is news.
    fn begins(&self, now: u64) -> bool {
        self.0.swap(now + micros(PAUSE), Relaxed) == 0
    }

    /// The server answered. True where that is news.
    fn is_over(&self) -> bool {
        self.0.load(Relaxed) != 0 && self.0.swap(0, Relaxed) != 0
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_away_is_asked_by_one_caller_at_a_time() {
        let absence = Absence::default();
        let pause = micros(PAUSE);
        assert!(absence.may_ask(0) && absence.may_ask(0));
        assert!(absence.begins(10));
        assert!(!absence.begins(20), "known");
        assert!(!absence.may_ask(20) && !absence.may_ask(19 + pause));
        assert!(absence.may_ask(20 + pause));
        assert!(!absence.may_ask(20 + pause), "one is on its way");
        assert!(absence.is_over());
        assert!(!absence.is_over(), "known");
        assert!(absence.may_ask(21 + pause) && absence.may_ask(21 + pause));
    }
}
