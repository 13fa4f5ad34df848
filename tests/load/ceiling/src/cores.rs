//! One current-thread runtime per core, as the host has them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::runtime::{Builder, Handle};

/// The runtimes; they run until the process ends.
pub(crate) struct Cores(Vec<Core>);

struct Core {
    handle: Handle,
    connections: Arc<AtomicUsize>,
}

/// A connection's place on a core, given back when dropped.
pub(crate) struct Seat {
    pub(crate) core: usize,
    connections: Arc<AtomicUsize>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Relaxed);
    }
}

impl Cores {
    /// Starts `count` runtimes, each on a thread of its own.
    ///
    /// # Errors
    /// Where the system refuses a thread or a runtime.
    pub(crate) fn start(count: usize) -> std::io::Result<Self> {
        let start = |core| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            std::thread::Builder::new()
                .name(format!("core-{core}"))
                .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
            Ok(Core {
                handle,
                connections: Arc::default(),
            })
        };
        (0..count).map(start).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Runs `work` on a core, with whatever it spawns, and awaits it here. Cores
    /// are counted round.
    ///
    /// # Errors
    /// Where the work fails.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        core: usize,
        work: impl Future<Output = anyhow::Result<T>> + Send + 'static,
    ) -> anyhow::Result<T> {
        let handle = &self.0[core % self.0.len()].handle;
        handle.block_on(handle.spawn(work))?
    }

    /// The core with the fewest connections, and a seat on it.
    pub(crate) fn seat(&self) -> (Seat, &Handle) {
        let (index, core) = self
            .0
            .iter()
            .enumerate()
            .min_by_key(|(_, core)| core.connections.load(Relaxed))
            .expect("there is at least one core");
        core.connections.fetch_add(1, Relaxed);
        let seat = Seat {
            core: index,
            connections: core.connections.clone(),
        };
        (seat, &core.handle)
    }
}
