//! The memory of all instances of a node, and that no component can have it all.

use crate::telemetry::metrics::MemoryMetrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wasmtime::{ResourceLimiter, StoreLimits};

/// Of so much memory one part is kept for revisions that have little.
const KEPT: u64 = 4;

/// What the instances of a node may hold together, in bytes of linear memory.
///
/// Each component has a limit for one instance, and one for how many there are; both are
/// as large as one that is alone may need, and their product is more than any machine
/// has. A quarter of this is kept, an equal share for each component, as of the node's
/// places: what one takes, the others are not without.
#[derive(Debug)]
pub struct Memory {
    limit: u64,
    /// All but what is kept.
    many: u64,
    /// A component's share of that.
    few: u64,
    held: AtomicU64,
}

/// What a revision's instances hold of it.
#[derive(Debug)]
pub(super) struct Share {
    node: Arc<Memory>,
    held: AtomicU64,
    metrics: MemoryMetrics,
}

impl Memory {
    /// `limit` bytes for so many `components`.
    pub fn new(limit: u64, components: usize) -> Self {
        let few = limit / KEPT / components.max(1) as u64;
        Self {
            limit,
            many: if components > 1 {
                limit - limit / KEPT
            } else {
                limit
            },
            few,
            held: AtomicU64::new(0),
        }
    }
}

impl Share {
    pub(super) fn new(node: Arc<Memory>, metrics: MemoryMetrics) -> Self {
        Self {
            node,
            held: AtomicU64::new(0),
            metrics,
        }
    }

    /// Takes so many bytes, if there are.
    fn take(&self, bytes: u64) -> bool {
        let node = &*self.node;
        let held = &node.held;
        let mine = self.held.fetch_add(bytes, Relaxed) + bytes;
        let all = held.fetch_add(bytes, Relaxed) + bytes;
        let most = if mine > node.few {
            node.many
        } else {
            node.limit
        };
        if all > most {
            self.held.fetch_sub(bytes, Relaxed);
            held.fetch_sub(bytes, Relaxed);
            self.metrics.refused.inc();
            return false;
        }
        self.metrics.held.inc_by(signed(bytes));
        true
    }

    fn give_back(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Relaxed);
        self.node.held.fetch_sub(bytes, Relaxed);
        self.metrics.held.dec_by(signed(bytes));
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// The limits of one instance: its component's, and what the node has left.
#[derive(Debug)]
pub(super) struct Limiter {
    own: StoreLimits,
    share: Arc<Share>,
    held: u64,
}

impl Limiter {
    pub(super) fn new(own: StoreLimits, share: Arc<Share>) -> Self {
        Self {
            own,
            share,
            held: 0,
        }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // Beyond its own maximum it fails later, and would be held all the same.
        if maximum.is_some_and(|maximum| desired > maximum)
            || !self.own.memory_growing(current, desired, maximum)?
        {
            return Ok(false);
        }
        let more = desired.saturating_sub(current) as u64;
        if !self.share.take(more) {
            return Ok(false);
        }
        self.held += more;
        Ok(true)
    }

    /// What the system then does not give stays held until the instance ends: growth
    /// that was never asked about is told here as well, and a guest could have the one
    /// taken for the other.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.own.memory_grow_failed(error)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.own.table_growing(current, desired, maximum)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.own.table_grow_failed(error)
    }

    fn instances(&self) -> usize {
        self.own.instances()
    }

    fn tables(&self) -> usize {
        self.own.tables()
    }

    fn memories(&self) -> usize {
        self.own.memories()
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.share.give_back(self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmtime::StoreLimitsBuilder;

    fn share(node: &Arc<Memory>) -> Arc<Share> {
        Arc::new(Share::new(node.clone(), MemoryMetrics::default()))
    }

    fn limiter(share: &Arc<Share>) -> Limiter {
        let own = StoreLimitsBuilder::new().memory_size(300).build();
        Limiter::new(own, share.clone())
    }

    fn grows(limiter: &mut Limiter, from: usize, to: usize) -> bool {
        limiter.memory_growing(from, to, None).unwrap()
    }

    #[test]
    fn one_revision_leaves_a_quarter_and_others_have_it() {
        let node = Arc::new(Memory::new(1_600, 4));
        let (greedy, other) = (share(&node), share(&node));
        let mut instances: Vec<_> = (0..4).map(|_| limiter(&greedy)).collect();
        assert!(instances.iter_mut().all(|one| grows(one, 0, 300)));
        let mut fifth = limiter(&greedy);
        assert!(!grows(&mut fifth, 0, 10), "1,200 are all but the kept ones");
        let mut small = limiter(&other);
        assert!(grows(&mut small, 0, 100), "its share");
        assert!(
            !grows(&mut small, 100, 101),
            "beyond that it has to be free"
        );
        // What an instance held is free with its end, and others may have it.
        drop(instances);
        assert!(grows(&mut small, 100, 300));
        assert!(
            !grows(&mut small, 300, 301),
            "more than the component's own limit"
        );
        drop((small, fifth));
        assert_eq!(node.held.load(Relaxed), 0);
        assert_eq!(greedy.metrics.held.get(), 0);
        assert_eq!(
            (greedy.metrics.refused.get(), other.metrics.refused.get()),
            (1, 1)
        );
    }

    /// A guest that asks for what it cannot have, again and again, neither fills the
    /// books nor empties them.
    #[test]
    fn what_cannot_be_had_is_not_held() {
        let node = Arc::new(Memory::new(1_600, 1));
        let share = share(&node);
        let mut one = limiter(&share);
        assert!(one.memory_growing(0, 50, Some(100)).unwrap());
        assert!(!one.memory_growing(50, 101, Some(100)).unwrap());
        one.memory_grow_failed(wasmtime::format_err!("beyond all addresses"))
            .unwrap();
        assert_eq!(node.held.load(Relaxed), 50);
        drop(one);
        assert_eq!(node.held.load(Relaxed), 0);
    }
}
