//! One current-thread runtime per core. A connection, its requests and the
//! guests that answer them stay on one of them, so that nothing on a
//! request's path crosses a thread.

use crate::pool::placement;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// The runtimes that serve requests.
#[derive(Debug)]
pub struct Cores {
    cores: Vec<Core>,
    stop: Vec<oneshot::Sender<()>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Core {
    handle: Handle,
    connections: Arc<AtomicUsize>,
}

/// A connection's place on a core, given back when dropped.
#[derive(Debug)]
pub struct Seat {
    /// Which core.
    pub core: usize,
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
    ///
    /// When the system refuses a thread or a runtime.
    pub fn start(count: usize) -> std::io::Result<Self> {
        let mut started = Self {
            cores: Vec::with_capacity(count),
            stop: Vec::with_capacity(count),
            threads: Vec::with_capacity(count),
        };
        for core in 0..count {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let (stop, stopped) = oneshot::channel::<()>();
            started.cores.push(Core {
                handle: runtime.handle().clone(),
                connections: Arc::default(),
            });
            started.stop.push(stop);
            started.threads.push(
                std::thread::Builder::new()
                    .name(format!("core-{core}"))
                    .spawn(move || {
                        let _entered = placement::enter(core);
                        runtime.block_on(async {
                            // Either way the host is done with this core.
                            let _ = stopped.await;
                        });
                    })?,
            );
        }
        Ok(started)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.cores.len()
    }

    /// Their runtimes, in order.
    pub fn handles(&self) -> Vec<Handle> {
        self.cores.iter().map(|core| core.handle.clone()).collect()
    }

    /// The core with the fewest connections, and a seat on it. A kernel's
    /// spreading by hash is uneven with few keep-alive connections.
    pub fn seat(&self) -> (Seat, &Handle) {
        let (index, core) = self
            .cores
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

    /// Ends the runtimes, and with them whatever still runs there.
    pub fn stop(self) {
        drop(self.stop);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a core's thread panicked");
            }
        }
    }
}
