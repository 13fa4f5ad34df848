use std::fmt::{self, Write as _};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Server {
    server: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lookup {
    server: String,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Drop {
    server: String,
    reason: Reason,
}

/// How the read of a key ended, as far as the near cache is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Outcome {
    Hit,
    /// The server was asked.
    Miss,
    /// Somebody else had asked the server already.
    Joined,
    /// The cache was not to be trusted, and the server was asked without it.
    Bypass,
    /// The server is not to be trusted until it was repaired.
    Refused,
}

/// Why an entry is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::pool::valkey) enum Reason {
    /// The key has changed, or may have.
    Invalidated,
    /// There was no room.
    Evicted,
    Expired,
    /// The server has emptied a database, or a command like that was sent.
    Flushed,
    /// The connection that would tell of changes was lost, or silent.
    Lost,
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Outcome::Hit => "hit",
            Outcome::Miss => "miss",
            Outcome::Joined => "joined",
            Outcome::Bypass => "bypass",
            Outcome::Refused => "refused",
        })
    }
}

impl EncodeLabelValue for Reason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Reason::Invalidated => "invalidated",
            Reason::Evicted => "evicted",
            Reason::Expired => "expired",
            Reason::Flushed => "flushed",
            Reason::Lost => "lost",
        })
    }
}

/// What the near caches of all pools report, by server.
#[derive(Debug, Clone, Default)]
pub(in crate::pool::valkey) struct Families {
    lookups: Family<Lookup, Counter>,
    drops: Family<Drop, Counter>,
    bytes: Family<Server, Gauge>,
    entries: Family<Server, Gauge>,
    trusted: Family<Server, Gauge>,
}

impl Families {
    pub(in crate::pool::valkey) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("near");
        registry.register(
            "lookups",
            "Reads of keys that the near cache may hold, by outcome",
            self.lookups.clone(),
        );
        registry.register(
            "drops",
            "Entries that left the near cache, by reason",
            self.drops.clone(),
        );
        registry.register(
            "bytes",
            "Bytes of the near cache, overhead included",
            self.bytes.clone(),
        );
        registry.register("entries", "Entries of the near cache", self.entries.clone());
        registry.register(
            "trusted",
            "Whether the near cache answers: 1 while the server has answered of late",
            self.trusted.clone(),
        );
    }

    /// The handles of one near cache, looked up once.
    pub(in crate::pool::valkey) fn of(&self, server: &str) -> NearMetrics {
        let label = Server {
            server: server.to_owned(),
        };
        let lookup = |outcome| {
            let server = server.to_owned();
            self.lookups
                .get_or_create_owned(&Lookup { server, outcome })
        };
        let drop = |reason| {
            let server = server.to_owned();
            self.drops.get_or_create_owned(&Drop { server, reason })
        };
        NearMetrics {
            hits: lookup(Outcome::Hit),
            misses: lookup(Outcome::Miss),
            joined: lookup(Outcome::Joined),
            bypasses: lookup(Outcome::Bypass),
            refusals: lookup(Outcome::Refused),
            invalidated: drop(Reason::Invalidated),
            evicted: drop(Reason::Evicted),
            expired: drop(Reason::Expired),
            flushed: drop(Reason::Flushed),
            lost: drop(Reason::Lost),
            bytes: self.bytes.get_or_create_owned(&label),
            entries: self.entries.get_or_create_owned(&label),
            trusted: self.trusted.get_or_create_owned(&label),
        }
    }
}

#[derive(Debug, Clone)]
pub(in crate::pool::valkey) struct NearMetrics {
    pub(super) hits: Counter,
    pub(super) misses: Counter,
    pub(super) joined: Counter,
    pub(super) bypasses: Counter,
    pub(super) refusals: Counter,
    invalidated: Counter,
    evicted: Counter,
    expired: Counter,
    flushed: Counter,
    lost: Counter,
    bytes: Gauge,
    entries: Gauge,
    pub(super) trusted: Gauge,
}

impl NearMetrics {
    pub(super) fn added(&self, bytes: usize) {
        self.entries.inc();
        self.bytes.inc_by(signed(bytes));
    }

    pub(super) fn dropped(&self, reason: Reason, entries: usize, bytes: usize) {
        let counter = match reason {
            Reason::Invalidated => &self.invalidated,
            Reason::Evicted => &self.evicted,
            Reason::Expired => &self.expired,
            Reason::Flushed => &self.flushed,
            Reason::Lost => &self.lost,
        };
        counter.inc_by(entries as u64);
        self.entries.dec_by(signed(entries));
        self.bytes.dec_by(signed(bytes));
    }
}

/// A count of what is in memory is no larger than a gauge can hold.
fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
impl NearMetrics {
    pub(super) fn held(&self) -> (i64, i64) {
        (self.entries.get(), self.bytes.get())
    }

    pub(super) fn lookups(&self) -> super::Lookups {
        super::Lookups {
            hits: self.hits.get(),
            joined: self.joined.get(),
            bypasses: self.bypasses.get(),
            invalidated: self.invalidated.get(),
            flushed: self.flushed.get(),
            lost: self.lost.get(),
        }
    }
}
