//! Where a pool's connections live.
//!
//! The host runs one current-thread runtime per core. A connection's driver
//! task is bound to one of them for life, because its socket is registered
//! with that runtime's reactor; a checkout prefers a connection that lives on
//! the core that asks, which spares a wake-up across threads.

use std::cell::Cell;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

thread_local! {
    static CORE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Declares that the calling thread runs the runtime of `core`, until the
/// guard is dropped. The index is the one in the [`Placement`]'s list.
#[must_use = "the thread belongs to the core only while the guard lives"]
pub fn enter(core: usize) -> Entered {
    Entered {
        before: CORE.replace(Some(core)),
    }
}

/// The core whose runtime the calling thread runs, if it [`enter`]ed one.
#[must_use]
pub fn core() -> Option<usize> {
    CORE.get()
}

/// See [`enter`].
#[derive(Debug)]
pub struct Entered {
    before: Option<usize>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CORE.set(self.before);
    }
}

/// The runtimes that connections may be put on, one per core.
#[derive(Clone, Debug)]
pub struct Placement {
    cores: Arc<[Handle]>,
    next: Arc<AtomicUsize>,
}

impl Placement {
    /// `first` and `rest` are the runtimes in the order of their cores; a
    /// placement without any runtime cannot be made.
    #[must_use]
    pub fn new(first: Handle, rest: impl IntoIterator<Item = Handle>) -> Self {
        Self {
            cores: std::iter::once(first).chain(rest).collect(),
            next: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// Everything on the runtime that is calling.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn here() -> Self {
        Self::new(Handle::current(), [])
    }

    /// How many cores there are; at least one.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.cores.len()
    }

    /// The core that the next connection goes to: round robin.
    #[must_use]
    pub fn next_core(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed) % self.cores.len()
    }

    /// Runs `task` on the runtime of `core` (modulo the number of cores).
    pub fn spawn<F>(&self, core: usize, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.cores[core % self.cores.len()].spawn(task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_belongs_to_a_core_while_the_guard_lives() {
        assert_eq!(core(), None);
        let outer = enter(1);
        {
            let _inner = enter(2);
            assert_eq!(core(), Some(2));
        }
        assert_eq!(core(), Some(1));
        drop(outer);
        assert_eq!(core(), None);
    }

    #[tokio::test]
    async fn cores_are_taken_in_turn() {
        let here = Handle::current();
        let placement = Placement::new(here.clone(), [here.clone(), here]);
        let order: Vec<_> = (0..4).map(|_| placement.next_core()).collect();
        assert_eq!(order, [0, 1, 2, 0]);
        assert_eq!(placement.spawn(7, async { 5 }).await.unwrap(), 5);
    }
}
