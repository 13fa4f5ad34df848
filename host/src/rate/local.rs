//! What a node knows of its clients: a bounded number of them, those seen last.

use super::Counted;
use super::bucket::{Bucket, Standing};
use super::client::Id;
use lru::LruCache;
use parking_lot::Mutex;
use std::num::NonZeroUsize;

/// Parts with a lock each, so that cores do not wait for one another.
const SHARDS: usize = 16;

/// Clients of one part: 65,536 in all, which is 4 MiB. A flood from more addresses
/// than that is not one that counting by address holds off.
const CLIENTS: NonZeroUsize = NonZeroUsize::new(4096).expect("4096 is not 0");

/// Clients that are looked at for being long gone, whenever a new one comes.
const SWEPT: usize = 2;

/// Buckets by client.
#[derive(Debug)]
pub(super) struct Local(Box<[Mutex<LruCache<Id, Entry>>]>);

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// When the client's bucket is whole.
    whole_at: u64,
    /// Whose word for it that is.
    counted: Counted,
}

impl Default for Local {
    fn default() -> Self {
        let shard = || Mutex::new(LruCache::new(CLIENTS));
        Self(std::iter::repeat_with(shard).take(SHARDS).collect())
    }
}

impl Local {
    fn shard(&self, id: Id) -> &Mutex<LruCache<Id, Entry>> {
        // The bits of a digest are as good as random.
        &self.0[usize::from(id.0[0]) % self.0.len()]
    }

    /// Counts a request here.
    pub(super) fn take(&self, id: Id, bucket: &Bucket, now: u64) -> Standing {
        let mut clients = self.shard(id).lock();
        let known = clients.get_mut(&id);
        let (standing, whole_at) = bucket.take(known.as_ref().map_or(0, |it| it.whole_at), now);
        let counted = Counted::Local;
        match known {
            Some(entry) if entry.whole_at != whole_at => *entry = Entry { whole_at, counted },
            Some(_) => {}
            None => insert(&mut clients, id, Entry { whole_at, counted }, now),
        }
        standing
    }

    /// How a client stands that is beyond the limit already, and who says so. A
    /// client that may be within it is not counted.
    pub(super) fn beyond(&self, id: Id, bucket: &Bucket, now: u64) -> Option<(Standing, Counted)> {
        let mut clients = self.shard(id).lock();
        let known = clients.get(&id)?;
        let (standing, _) = bucket.take(known.whole_at, now);
        (!standing.allowed).then_some((standing, known.counted))
    }

    /// Keeps what the fleet says of a client: what was counted here meanwhile is
    /// not forgiven.
    pub(super) fn learn(&self, id: Id, whole_at: u64, now: u64) {
        let counted = Counted::Valkey;
        let mut clients = self.shard(id).lock();
        match clients.get_mut(&id) {
            Some(entry) if entry.whole_at > whole_at => {}
            Some(entry) => *entry = Entry { whole_at, counted },
            None => insert(&mut clients, id, Entry { whole_at, counted }, now),
        }
    }
}

/// Adds a client, in place of those seen longest ago where they are gone, or
/// where there is no room.
fn insert(clients: &mut LruCache<Id, Entry>, id: Id, entry: Entry, now: u64) {
    for _ in 0..SWEPT {
        match clients.peek_lru() {
            // As if it had never been there.
            Some((_, oldest)) if oldest.whole_at <= now => clients.pop_lru(),
            _ => break,
        };
    }
    clients.put(id, entry);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const HOUR: u64 = 3_600_000_000;

    fn bucket() -> Bucket {
        Bucket::new(2, Duration::from_secs(3600), 2)
    }

    fn id(number: usize) -> Id {
        let mut id = [0; 16];
        id[8..].copy_from_slice(&number.to_be_bytes());
        // Spread as digests are.
        id[0] = number as u8;
        Id(id)
    }

    fn held(local: &Local) -> usize {
        local.0.iter().map(|shard| shard.lock().len()).sum()
    }

    #[test]
    fn each_client_has_a_bucket_of_its_own() {
        let local = Local::default();
        for client in [id(1), id(2)] {
            let allowed: Vec<_> = (0..3)
                .map(|_| local.take(client, &bucket(), 5).allowed)
                .collect();
            assert_eq!(allowed, [true, true, false]);
        }
        assert!(local.take(id(1), &bucket(), 5 + HOUR).allowed);
    }

    #[test]
    fn clients_are_bounded_and_those_seen_last_are_kept() {
        let local = Local::default();
        let most = SHARDS * CLIENTS.get();
        for number in 0..2 * most {
            local.take(id(0), &bucket(), 5);
            local.take(id(number), &bucket(), 5);
        }
        assert_eq!(held(&local), most);
        assert!(local.beyond(id(0), &bucket(), 5).is_some(), "never gone");
    }

    #[test]
    fn clients_that_are_long_gone_make_room_by_themselves() {
        let local = Local::default();
        for number in 0..10_000 {
            local.take(id(number), &bucket(), 5);
        }
        assert_eq!(held(&local), 10_000);
        for number in 0..20_000 {
            local.take(
                id(1_000_000 + number),
                &bucket(),
                5 + (number as u64) * HOUR,
            );
        }
        assert!(held(&local) <= 3 * SHARDS, "{}", held(&local));
    }

    #[test]
    fn the_higher_count_is_kept_with_whose_it_is() {
        let local = Local::default();
        assert!(local.beyond(id(1), &bucket(), 5).is_none());
        local.learn(id(1), 5 + HOUR, 5);
        let (standing, counted) = local.beyond(id(1), &bucket(), 5).unwrap();
        assert_eq!((standing.remaining, counted), (0, Counted::Valkey));
        local.learn(id(1), 5, 5);
        assert!(local.beyond(id(1), &bucket(), 5).is_some());
        assert!(local.beyond(id(1), &bucket(), 5 + HOUR).is_none());
        local.take(id(1), &bucket(), 5 + HOUR);
        local.take(id(1), &bucket(), 5 + HOUR);
        let (_, counted) = local.beyond(id(1), &bucket(), 5 + HOUR).unwrap();
        assert_eq!(counted, Counted::Local);
    }
}
