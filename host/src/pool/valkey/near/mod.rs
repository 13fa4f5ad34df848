//! Values of the server, kept in this process for the keys of some prefixes.
//!
//! All of it is read over one connection of its own, over which the server also
//! tells of every key that has changed since: an answer, and the news that it is
//! out of date, come in order. What no news can tell is told by silence: a value
//! is given only while the server has answered of late.
//!
//! - `shelf` holds the values, bounded in bytes, and the keys that are asked for.
//! - `flight` is one question for all who want the same key.
//! - `tracking` keeps the connection, and asks whether it lives.
//! - `trust` says whether values may be told; [`Repairs`] is for those who make
//!   up for what a server missed while it was away.
//! - `writes` knows which keys a command of this process may change. They are
//!   forgotten before it is sent and before its reply is told.

mod flight;
mod metrics;
mod repairs;
mod shelf;
mod tracking;
mod trust;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Value};
use tokio::time::Instant;

pub use self::repairs::{Epoch, Repairs};

pub(super) use self::flight::{Answer, Kept, Landing, Pilot, Seat, read};
pub(super) use self::metrics::{Families, NearMetrics};
pub(super) use self::writes::{Queued, Writing};

use self::metrics::Reason;
use self::shelf::{Found, Shelf};
use self::tracking::Tracker;
use self::trust::Trust;
use super::command::bytes;
use super::error::Error;
use super::link::Link;
use super::settings::NearSettings;
use super::wire::{Signal, Wire};

/// The near cache of a pool. Dropping it closes its connection.
pub(super) struct Near {
    state: Arc<State>,
    link: Link,
}

/// What is known, and how far that may be told.
struct State {
    prefixes: Prefixes,
    shelf: Shelf,
    trust: Trust,
    metrics: NearMetrics,
}

struct Prefixes(Box<[String]>);

impl Prefixes {
    fn cover(&self, key: &[u8]) -> bool {
        let mut prefixes = self.0.iter();
        prefixes.any(|prefix| key.starts_with(prefix.as_bytes()))
    }
}

/// What the near cache has to say to a read of one of its keys.
pub(super) enum Look {
    Hit(Value),
    /// Somebody asks the server already.
    Join(Seat),
    /// The caller has to see to it that the pilot asks the server.
    Ask(Pilot, Seat),
    /// Nothing: ask the server as if there was no near cache.
    Bypass,
    /// The server is not to be asked.
    Refused,
}

impl Near {
    /// `link` starts the connection that is to be kept in this way.
    pub(super) fn new(
        settings: &NearSettings,
        command_timeout: Duration,
        metrics: NearMetrics,
        link: impl FnOnce(Tracker) -> Link,
    ) -> Self {
        let state = Arc::new(State {
            prefixes: Prefixes(settings.prefixes.clone().into()),
            shelf: Shelf::new(settings.size, metrics.clone()),
            trust: Trust::new(),
            metrics,
        });
        let link = link(Tracker::new(Arc::clone(&state), command_timeout));
        Self { state, link }
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    pub(super) fn repairs(&self) -> Repairs {
        Repairs::new(Arc::clone(&self.state))
    }

    /// Nothing for a command that is no `GET` of one of the prefixes' keys.
    pub(super) fn look(&self, cmd: &Cmd) -> Option<Look> {
        let State {
            prefixes,
            shelf,
            trust,
            metrics,
        } = &*self.state;
        let key = key_of_get(cmd).filter(|key| prefixes.cover(key))?;
        let now = Instant::now();
        if !trust.is_fresh(now) {
            return Some(if trust.refuses() {
                metrics.refusals.inc();
                Look::Refused
            } else {
                metrics.bypasses.inc();
                Look::Bypass
            });
        }
        Some(match shelf.find(key, now) {
            Found::Value(value) => {
                metrics.hits.inc();
                Look::Hit(reply(value))
            }
            Found::Flight(landing) => {
                metrics.joined.inc();
                Look::Join(Seat(landing))
            }
            Found::Nothing(departure) => {
                metrics.misses.inc();
                let seat = Seat(departure.landing.subscribe());
                let state = Arc::clone(&self.state);
                Look::Ask(Pilot { state, departure }, seat)
            }
        })
    }

    /// Whether the server is not to be asked for keys of the prefixes.
    pub(super) fn refuses(&self) -> bool {
        self.state.trust.refuses()
    }

    /// The connection that is read over, if it is up.
    pub(super) fn wire(&self) -> Option<Wire> {
        self.link.wire()
    }

    /// Forgets the keys that the command may change, now and once this is
    /// dropped; nothing for a command that changes none of ours.
    pub(super) fn writing<'a>(&'a self, cmd: &'a Cmd) -> Option<Writing<'a>> {
        self.state.writing(cmd)
    }

    /// The same for the commands of a transaction that is executed.
    pub(super) fn executing(&self, queued: Queued) -> Option<Writing<'_>> {
        self.state.executing(queued)
    }

    /// Notes what a command may change that is executed later.
    pub(super) fn queue(&self, cmd: &Cmd, queued: &mut Queued) {
        self.state.queue(cmd, queued);
    }
}

/// What the metrics say.
#[cfg(test)]
#[derive(Debug)]
pub(super) struct Lookups {
    pub(super) hits: u64,
    pub(super) joined: u64,
    pub(super) bypasses: u64,
    pub(super) invalidated: u64,
    pub(super) flushed: u64,
    pub(super) lost: u64,
}

#[cfg(test)]
impl Near {
    pub(super) fn is_trusted(&self) -> bool {
        self.state.trust.is_fresh(Instant::now())
    }

    pub(super) fn lookups(&self) -> Lookups {
        self.state.metrics.lookups()
    }
}

impl State {
    /// Takes the server's word for what has changed.
    fn changed(&self, data: &[Value]) {
        match data {
            [Value::Array(keys)] => {
                for key in keys {
                    match key {
                        Value::BulkString(key) => self.shelf.invalidate(key),
                        _ => self.shelf.clear(Reason::Flushed),
                    }
                }
            }
            _ => self.shelf.clear(Reason::Flushed),
        }
    }

    /// A `PING` that was sent at this time was answered.
    fn answered(&self, signal: &Signal, sent: Instant) {
        let trusted = self.trust.answered(sent, || !signal.is_closed());
        self.metrics.trusted.set(i64::from(trusted));
    }

    /// A `PING` is not answered, so far: what was answered before is too long
    /// ago to count.
    fn doubt(&self) {
        self.metrics.trusted.set(0);
    }

    /// The server is away, or as good as that.
    fn away(&self) {
        self.trust.away();
        self.doubt();
        self.shelf.clear(Reason::Lost);
    }

    /// Nothing that comes over this connection counts any more.
    fn lost(&self, signal: &Signal) {
        signal.close();
        self.away();
    }
}

/// What `GET` would have answered.
pub(super) fn reply(value: Option<Arc<[u8]>>) -> Value {
    match value {
        Some(value) => Value::BulkString(value.to_vec()),
        None => Value::Nil,
    }
}

/// Why a server is not asked that answers.
pub(super) fn not_repaired() -> Error {
    Error::Unavailable {
        cause: "the cache was away and is not repaired yet".into(),
    }
}

fn key_of_get(cmd: &Cmd) -> Option<&[u8]> {
    let mut args = cmd.args_iter();
    if args.len() != 2 || !args.next().map(bytes)?.eq_ignore_ascii_case(b"GET") {
        return None;
    }
    args.next().map(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_get_of_one_key_is_looked_up() {
        let cmd = |words: &[&str]| {
            let mut cmd = Cmd::new();
            cmd.arg(words);
            cmd
        };
        assert_eq!(key_of_get(&cmd(&["get", "link:a"])), Some(&b"link:a"[..]));
        for words in [&["GET"][..], &["GET", "a", "b"], &["GETDEL", "a"], &[]] {
            assert_eq!(key_of_get(&cmd(words)), None, "{words:?}");
        }
    }

    #[test]
    fn a_prefix_covers_what_begins_with_it() {
        let prefixes = Prefixes(["link:".to_owned(), "page:".to_owned()].into());
        assert!(prefixes.cover(b"link:") && prefixes.cover(b"page:\xff"));
        assert!(!prefixes.cover(b"link") && !prefixes.cover(b"a link:"));
    }
}
