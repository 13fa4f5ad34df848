//! Revisions that are loaded, or being loaded, and not served.

use crate::engine::Revision;
use crate::live::load::LoadError;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long a failure stands before loading is tried again: what failed by
/// itself will fail again, what failed for lack of something may not.
const RETRY: Duration = Duration::from_secs(30);

/// The same where only the bytes could not be reached.
const RETRY_AWAY: Duration = Duration::from_millis(200);

/// A revision under one configuration of its component.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) component: String,
    pub(super) digest: String,
    pub(super) epoch: u64,
}

/// What loading came to.
pub(super) type Loaded = Result<Arc<Revision>, LoadError>;

/// The shelf.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    slots: Mutex<HashMap<Key, Slot>>,
    claims: Mutex<HashMap<Key, usize>>,
}

#[derive(Debug)]
struct Slot {
    loaded: watch::Receiver<Option<Loaded>>,
    since: Instant,
}

/// Keeps a revision on the shelf until this is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    shelf: Arc<Shelf>,
    key: Key,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claims = self.shelf.claims.lock();
        if let Some(count) = claims.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                claims.remove(&self.key);
            }
        }
    }
}

impl Shelf {
    /// Keeps `key` from being cleared away.
    pub(super) fn claim(self: &Arc<Self>, key: Key) -> Claim {
        *self.claims.lock().entry(key.clone()).or_default() += 1;
        Claim {
            shelf: self.clone(),
            key,
        }
    }

    /// Begins to load `key`, unless that was begun already; what failed is begun
    /// again when it is `fresh`, or a while ago. `work` is run on the runtime
    /// that is calling, and `done` called at its end.
    pub(super) fn load<W>(
        &self,
        key: Key,
        fresh: bool,
        work: impl FnOnce() -> W,
        done: impl FnOnce() + Send + 'static,
    ) -> watch::Receiver<Option<Loaded>>
    where
        W: Future<Output = Loaded> + Send + 'static,
    {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.get(&key) {
            let again = match &*slot.loaded.borrow() {
                None | Some(Ok(_)) => None,
                Some(Err(error)) if error.away => Some(RETRY_AWAY),
                Some(Err(_)) => Some(RETRY),
            };
            let due = again.is_some_and(|after| fresh || slot.since.elapsed() > after);
            if !due {
                return slot.loaded.clone();
            }
        }
        let (sender, loaded) = watch::channel(None);
        let work = work();
        tokio::spawn(async move {
            sender.send_replace(Some(work.await));
            done();
        });
        let slot = Slot {
            loaded: loaded.clone(),
            since: Instant::now(),
        };
        slots.insert(key, slot);
        loaded
    }

    /// Clears away what is neither `wanted` nor claimed, and what is `served`.
    pub(super) fn clear(&self, wanted: impl Fn(&Key) -> bool, served: impl Fn(&Key) -> bool) {
        let claims = self.claims.lock();
        self.slots.lock().retain(|key, slot| {
            if served(key) {
                return false;
            }
            let keep = wanted(key) || claims.contains_key(key);
            if !keep && let Some(Ok(revision)) = &*slot.loaded.borrow() {
                // Its instances would stay idle for a while otherwise.
                revision.retire();
            }
            keep
        });
    }
}
