//! Acknowledges what was delivered, and watches how full the stream is.

use super::Settings;
use super::delivery::Settle;
use super::entry::{Entry, bytes};
use super::metrics::StreamMetrics;
use super::reader::{PATIENCE, RECONNECT};
use crate::pause::{Pauses, jittered};
use crate::pool::valkey::{self, Line, ValkeyPool};
use redis::{Pipeline, Value, cmd, pipe};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// The longest time between two looks at the stream's length. A node that
/// appends 20,000 entries a second goes over the bound by 5,000 in it.
const LOOK: Duration = Duration::from_millis(250);

/// How long a consumer was not heard of when it is forgotten, and how often that
/// is looked for.
const FORGET_AFTER: Duration = Duration::from_secs(60 * 60);
const FORGET_EVERY: Duration = Duration::from_secs(10 * 60);

/// Forgets consumers that are gone and hold nothing: whole or not at all, since
/// one that comes back meanwhile must not lose what it is given. Key: the stream.
/// Arguments: group, own name, milliseconds.
const FORGET: &str = "\
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local known = {}
  for i = 1, #consumer, 2 do known[consumer[i]] = consumer[i + 1] end
  if known['name'] ~= ARGV[2] and known['pending'] == 0 and known['idle'] > tonumber(ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], known['name'])
  end
end
return 0";

/// The reason, among a dead letter's fields.
const REASON: &str = "reason";

pub(super) struct Keeper {
    settings: Arc<Settings>,
    pool: ValkeyPool,
    outcomes: mpsc::Receiver<Settle>,
    /// What could not be told to the server yet.
    untold: Option<Settle>,
    forget: Instant,
    full: bool,
    metrics: StreamMetrics,
}

impl Keeper {
    pub(super) fn new(
        settings: Arc<Settings>,
        pool: ValkeyPool,
        outcomes: mpsc::Receiver<Settle>,
        metrics: StreamMetrics,
    ) -> Self {
        Self {
            settings,
            pool,
            outcomes,
            untold: None,
            forget: Instant::now() + jittered(FORGET_EVERY),
            full: false,
            metrics,
        }
    }

    /// Works until the reader is gone and all it said is told. A server that is
    /// away is waited for while there is a reader.
    pub(super) async fn run(mut self) {
        let mut pauses = Pauses::new(RECONNECT.0, RECONNECT.1);
        loop {
            let began = Instant::now();
            let Err(error) = self.keep().await else {
                break;
            };
            // What is not acknowledged is delivered once more.
            if self.outcomes.is_closed() {
                break;
            }
            if began.elapsed() > PATIENCE {
                pauses.reset();
            }
            tracing::debug!(stream = &*self.settings.key, "keeping stopped: {error}");
            sleep(pauses.another()).await;
        }
        self.hold(false);
    }

    async fn keep(&mut self) -> Result<(), valkey::Error> {
        let mut line = self.pool.line().await?;
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.carry_out(&mut line).await?;
            tokio::select! {
                biased;
                outcome = self.outcomes.recv() => match outcome {
                    Some(outcome) => self.untold = Some(outcome),
                    None => return Ok(()),
                },
                _ = look.tick() => {
                    self.look(&mut line).await?;
                    self.forget(&mut line).await?;
                }
            }
        }
    }

    /// Tells the server what was said last.
    async fn carry_out(&mut self, line: &mut Line) -> Result<(), valkey::Error> {
        let Settings {
            key,
            group,
            consumer,
            ..
        } = &*self.settings;
        let mut commands = pipe();
        match &self.untold {
            None => return Ok(()),
            Some(Settle::Taken(ids)) => {
                commands.atomic();
                settled(&mut commands, key, group, ids);
            }
            Some(Settle::Dead(entry, reason)) => {
                commands.atomic();
                self.bury(&mut commands, entry, reason);
                settled(&mut commands, key, group, std::slice::from_ref(&entry.id));
            }
            Some(Settle::Keep(ids)) => {
                // Claimed by the one that has them, they count as new.
                let keep = commands.cmd("XCLAIM").arg(key).arg(group).arg(consumer);
                keep.arg(0).arg(ids).arg("JUSTID");
            }
        }
        commands.cmd("XLEN").arg(key);
        let replies = line.pipeline(&commands, PATIENCE).await?;
        if let Some(Settle::Dead(entry, reason)) = &self.untold {
            self.metrics.dead_letters.inc();
            tracing::error!(
                stream = &**key,
                entry = &*entry.id,
                "the component never took an entry, which is kept in {}: {reason}",
                self.settings.dead_letters()
            );
        }
        self.untold = None;
        self.measured(replies.last());
        Ok(())
    }

    fn bury(&self, commands: &mut Pipeline, entry: &Entry, reason: &str) {
        let letter = commands.cmd("XADD").arg(self.settings.dead_letters());
        letter
            .arg("MAXLEN")
            .arg("~")
            .arg(self.settings.bound)
            .arg("*");
        for (name, value) in &entry.fields {
            letter.arg(name).arg(value);
        }
        letter.arg(REASON).arg(reason);
    }

    /// Measures the stream.
    async fn look(&mut self, line: &mut Line) -> Result<(), valkey::Error> {
        let key = &self.settings.key;
        let mut commands = pipe();
        commands
            .cmd("XRANGE")
            .arg(key)
            .arg("-")
            .arg("+")
            .arg("COUNT")
            .arg(1);
        commands.cmd("XLEN").arg(key);
        let mut replies = line.pipeline(&commands, PATIENCE).await?;
        self.measured(replies.last());
        let oldest = replies.drain(..).next().and_then(first_id);
        self.metrics.oldest.set(oldest.map_or(0.0, age));
        Ok(())
    }

    fn measured(&mut self, length: Option<&Value>) {
        let Some(Value::Int(length)) = length else {
            return;
        };
        self.metrics.lag.set(*length);
        self.hold(u64::try_from(*length).unwrap_or_default() >= self.settings.bound);
    }

    fn hold(&mut self, full: bool) {
        if self.full == full {
            return;
        }
        self.full = full;
        self.pool.hold_appends(self.settings.key.as_bytes(), full);
        self.metrics.full.set(full.into());
        let key = &*self.settings.key;
        if full {
            tracing::warn!(
                stream = key,
                bound = self.settings.bound,
                "the stream is full"
            );
        } else {
            tracing::info!(stream = key, "the stream has room");
        }
    }

    async fn forget(&mut self, line: &mut Line) -> Result<(), valkey::Error> {
        if Instant::now() < self.forget {
            return Ok(());
        }
        self.forget = Instant::now() + jittered(FORGET_EVERY);
        let Settings {
            key,
            group,
            consumer,
            ..
        } = &*self.settings;
        let mut command = cmd("EVAL");
        command.arg(FORGET).arg(1).arg(key).arg(group).arg(consumer);
        command.arg(FORGET_AFTER.as_millis() as u64);
        match line.command(&command, PATIENCE).await {
            // Such as: the group is gone, or scripts are not allowed.
            Err(valkey::Error::Server(error)) => {
                tracing::debug!(stream = &**key, "consumers are not forgotten: {error:?}");
                Ok(())
            }
            outcome => outcome.map(drop),
        }
    }
}

fn settled(commands: &mut Pipeline, key: &str, group: &str, ids: &[String]) {
    commands.cmd("XACK").arg(key).arg(group).arg(ids);
    commands.cmd("XDEL").arg(key).arg(ids);
}

/// The id of the first entry of a reply.
fn first_id(reply: Value) -> Option<Vec<u8>> {
    let Value::Array(entries) = reply else {
        return None;
    };
    match entries.into_iter().next()? {
        Value::Array(parts) => bytes(parts.into_iter().next()?).ok(),
        _ => None,
    }
}

/// Seconds since an entry was appended. The server's clock may be ahead.
fn age(id: Vec<u8>) -> f64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let appended = Entry::appended_at(&id).unwrap_or_default();
    now.saturating_sub(Duration::from_millis(appended))
        .as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entry_is_found_in_a_reply() {
        let id = Value::BulkString(b"5-1".to_vec());
        let reply = Value::Array(vec![Value::Array(vec![id, Value::Array(vec![])])]);
        assert_eq!(first_id(reply).as_deref(), Some(&b"5-1"[..]));
        assert_eq!(first_id(Value::Array(vec![])), None);
        assert_eq!(first_id(Value::Nil), None);
    }

    #[test]
    fn an_age_is_never_below_zero() {
        assert!(age(b"5-1".to_vec()) > 1e9);
        assert_eq!(age(b"99999999999999-0".to_vec()), 0.0);
    }
}
