//! Where the values are: in shards, each under its own lock and bounded in
//! bytes.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use lru::{DefaultHasher, LruCache};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::flight::Landing;
use super::metrics::{NearMetrics, Reason};

/// Shards, so that the cores seldom wait for one another.
const SHARDS: usize = 16;

/// Bytes that an entry takes beside its key and its value: the node of the list
/// (64), its place in a table that is as empty as one gets (38), the counts of
/// key and value (32), and what the allocator rounds up.
const OVERHEAD: usize = 160;

/// An entry takes at most this part of its shard: a shard holds some always,
/// however large they come. Of the default 32 MiB it is 256 KiB.
const LARGEST: usize = 8;

/// What is known of the keys of a server.
pub(super) struct Shelf {
    shards: [Mutex<Shard>; SHARDS],
    hasher: DefaultHasher,
    /// Bytes that one shard may hold.
    room: usize,
    metrics: NearMetrics,
}

#[derive(Default)]
struct Shard {
    entries: Entries,
    /// The keys that the server is being asked for. A flight that is not here
    /// any more lands without leaving an entry, and takes nobody aboard.
    flights: HashMap<Arc<[u8]>, Flight, DefaultHasher>,
    bytes: usize,
    next: u64,
}

struct Entries(LruCache<Arc<[u8]>, Entry>);

impl Default for Entries {
    fn default() -> Self {
        Self(LruCache::unbounded())
    }
}

struct Entry {
    /// None where the server has no such key.
    value: Option<Arc<[u8]>>,
    until: Instant,
}

impl Entry {
    fn size(&self, key: &[u8]) -> usize {
        key.len() + self.value.as_ref().map_or(0, |value| value.len()) + OVERHEAD
    }
}

struct Flight {
    id: u64,
    landing: watch::Receiver<Option<Landing>>,
}

/// What there is of a key.
pub(super) enum Found {
    Value(Option<Arc<[u8]>>),
    /// The server is being asked already.
    Flight(watch::Receiver<Option<Landing>>),
    /// The caller has to ask the server, and to [`Shelf::land`].
    Nothing(Departure),
}

/// A flight that was registered for its caller.
pub(super) struct Departure {
    pub(super) key: Arc<[u8]>,
    pub(super) id: u64,
    pub(super) landing: watch::Sender<Option<Landing>>,
}

impl Shelf {
    pub(super) fn new(size: usize, metrics: NearMetrics) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: DefaultHasher::default(),
            room: size / SHARDS,
            metrics,
        }
    }

    fn shard(&self, key: &[u8]) -> &Mutex<Shard> {
        // The tables within the shards go by the lower and the uppermost bits.
        let hash = self.hasher.hash_one(key) >> 32;
        &self.shards[hash as usize % SHARDS]
    }

    pub(super) fn find(&self, key: &[u8], now: Instant) -> Found {
        let mut shard = self.shard(key).lock();
        if let Some(entry) = shard.entries.0.get(key) {
            if now < entry.until {
                return Found::Value(entry.value.clone());
            }
            self.remove(&mut shard, key, Reason::Expired);
        }
        if let Some(flight) = shard.flights.get(key) {
            return Found::Flight(flight.landing.clone());
        }
        let key: Arc<[u8]> = key.into();
        let (sender, landing) = watch::channel(None);
        let id = shard.next;
        shard.next += 1;
        shard
            .flights
            .insert(Arc::clone(&key), Flight { id, landing });
        Found::Nothing(Departure {
            key,
            id,
            landing: sender,
        })
    }

    /// Ends a flight, and keeps its answer where there is one, unless the key
    /// may have changed since the flight began or `still` says no.
    pub(super) fn land(
        &self,
        key: &Arc<[u8]>,
        id: u64,
        answer: Option<(Option<Arc<[u8]>>, Instant)>,
        still: impl FnOnce() -> bool,
    ) {
        let mut shard = self.shard(key).lock();
        if shard.flights.get(key).is_none_or(|flight| flight.id != id) {
            return;
        }
        shard.flights.remove(key);
        let Some((value, until)) = answer else { return };
        let entry = Entry { value, until };
        let size = entry.size(key);
        if size > self.room / LARGEST || !still() {
            return;
        }
        shard.bytes += size;
        self.metrics.added(size);
        // A flight begins only where there is no entry.
        shard.entries.0.put(Arc::clone(key), entry);
        while shard.bytes > self.room
            && let Some((key, entry)) = shard.entries.0.pop_lru()
        {
            let size = entry.size(&key);
            shard.bytes -= size;
            self.metrics.dropped(Reason::Evicted, 1, size);
        }
    }

    /// Forgets a key, and keeps a flight that began before from telling of it.
    pub(super) fn invalidate(&self, key: &[u8]) {
        let mut shard = self.shard(key).lock();
        shard.flights.remove(key);
        self.remove(&mut shard, key, Reason::Invalidated);
    }

    /// Forgets everything.
    pub(super) fn clear(&self, reason: Reason) {
        for shard in &self.shards {
            let gone = {
                let mut shard = shard.lock();
                let next = shard.next;
                std::mem::replace(
                    &mut *shard,
                    Shard {
                        next,
                        ..Shard::default()
                    },
                )
            };
            self.metrics
                .dropped(reason, gone.entries.0.len(), gone.bytes);
        }
    }

    fn remove(&self, shard: &mut Shard, key: &[u8], reason: Reason) {
        if let Some(entry) = shard.entries.0.pop(key) {
            let size = entry.size(key);
            shard.bytes -= size;
            self.metrics.dropped(reason, 1, size);
        }
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        self.clear(Reason::Lost);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::metrics::Families;
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn shelf(size: usize) -> Shelf {
        Shelf::new(size, Families::default().of("server"))
    }

    fn depart(shelf: &Shelf, key: &str) -> Departure {
        match shelf.find(key.as_bytes(), Instant::now()) {
            Found::Nothing(departure) => departure,
            Found::Value(value) => panic!("{key}: {value:?}"),
            Found::Flight(_) => panic!("{key}: on its way"),
        }
    }

    fn land(shelf: &Shelf, departure: &Departure, value: Option<&[u8]>) {
        let answer = (value.map(Arc::from), Instant::now() + MINUTE);
        shelf.land(&departure.key, departure.id, Some(answer), || true);
    }

    fn put(shelf: &Shelf, key: &str, value: &[u8]) {
        land(shelf, &depart(shelf, key), Some(value));
    }

    fn get(shelf: &Shelf, key: &str) -> Option<Option<Vec<u8>>> {
        match shelf.find(key.as_bytes(), Instant::now()) {
            Found::Value(value) => Some(value.map(|value| value.to_vec())),
            Found::Flight(_) => None,
            Found::Nothing(departure) => {
                shelf.land(&departure.key, departure.id, None, || true);
                None
            }
        }
    }

    #[test]
    fn what_landed_is_found_and_so_is_what_is_not_there() {
        let shelf = shelf(1 << 20);
        put(&shelf, "a", b"1");
        land(&shelf, &depart(&shelf, "b"), None);
        assert_eq!(get(&shelf, "a"), Some(Some(b"1".to_vec())));
        assert_eq!(get(&shelf, "b"), Some(None));
        assert_eq!(get(&shelf, "c"), None);
        let size = 2 * OVERHEAD + 3;
        assert_eq!(shelf.metrics.held(), (2, size as i64));
    }

    #[test]
    fn the_bound_is_in_bytes_and_the_latest_stay() {
        let shelf = shelf(1 << 20);
        let value = vec![0; 1000];
        for n in 0..5000 {
            put(&shelf, &format!("key {n}"), &value);
            let (_, bytes) = shelf.metrics.held();
            assert!(bytes <= 1 << 20, "{bytes}");
        }
        let (entries, bytes) = shelf.metrics.held();
        let each = i64::try_from(value.len() + OVERHEAD).unwrap();
        assert!(bytes >= entries * each && bytes > (1 << 20) * 8 / 10);
        assert_eq!(get(&shelf, "key 4999"), Some(Some(value)));
        assert_eq!(get(&shelf, "key 0"), None);
    }

    #[test]
    fn what_is_read_outlives_what_is_not() {
        let shelf = shelf(1 << 20);
        put(&shelf, "read", b"");
        for n in 0..5000 {
            put(&shelf, &format!("key {n}"), &[0; 1000]);
            assert!(get(&shelf, "read").is_some(), "after {n}");
        }
    }

    #[test]
    fn a_value_too_large_is_not_kept() {
        let shelf = shelf(1 << 20);
        let most = (1 << 20) / SHARDS / LARGEST - OVERHEAD - 1;
        put(&shelf, "a", &vec![0; most + 1]);
        assert_eq!(get(&shelf, "a"), None);
        put(&shelf, "a", &vec![0; most]);
        assert!(get(&shelf, "a").is_some());
    }

    #[test]
    fn one_flight_is_for_all_and_an_invalidated_one_for_nobody_else() {
        let shelf = shelf(1 << 20);
        let first = depart(&shelf, "a");
        assert!(matches!(shelf.find(b"a", Instant::now()), Found::Flight(_)));
        shelf.invalidate(b"a");
        let second = depart(&shelf, "a");
        land(&shelf, &first, Some(b"old"));
        assert!(
            matches!(shelf.find(b"a", Instant::now()), Found::Flight(_)),
            "the first leaves the second alone"
        );
        land(&shelf, &second, Some(b"new"));
        assert_eq!(get(&shelf, "a"), Some(Some(b"new".to_vec())));
        land(&shelf, &first, Some(b"old"));
        assert_eq!(get(&shelf, "a"), Some(Some(b"new".to_vec())));
    }

    #[test]
    fn nothing_lands_after_a_flush_or_on_a_closed_connection() {
        let shelf = shelf(1 << 20);
        let flight = depart(&shelf, "a");
        put(&shelf, "b", b"1");
        shelf.clear(Reason::Flushed);
        land(&shelf, &flight, Some(b"1"));
        assert_eq!(get(&shelf, "a"), None);
        assert_eq!(get(&shelf, "b"), None);
        let flight = depart(&shelf, "a");
        let answer = (None, Instant::now() + MINUTE);
        shelf.land(&flight.key, flight.id, Some(answer), || false);
        assert_eq!(get(&shelf, "a"), None);
        assert_eq!(shelf.metrics.held(), (0, 0));
    }

    #[test]
    fn an_entry_ends_with_its_time() {
        let shelf = shelf(1 << 20);
        let departure = depart(&shelf, "a");
        let until = Instant::now() + MINUTE;
        let answer = (Some(Arc::from(&b"1"[..])), until);
        shelf.land(&departure.key, departure.id, Some(answer), || true);
        let found = shelf.find(b"a", until - Duration::from_millis(1));
        assert!(matches!(found, Found::Value(Some(_))));
        let Found::Nothing(gone) = shelf.find(b"a", until) else {
            panic!("it is told beyond its time");
        };
        shelf.land(&gone.key, gone.id, None, || true);
        assert_eq!(shelf.metrics.held(), (0, 0));
    }

    #[test]
    fn an_entry_is_no_larger_than_stated() {
        let node = std::mem::size_of::<(Arc<[u8]>, Entry, usize, usize)>();
        assert!(node <= 64, "{node}");
    }
}
