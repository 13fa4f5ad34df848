//! The clock that interrupts guests that do not yield.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use wasmtime::{Store, UpdateDeadline};

/// The length of an epoch. A spinning guest gives way to its core's other
/// requests this often, so it bounds what one guest adds to another's latency.
pub const TICK: Duration = Duration::from_millis(10);

/// The thread that advances the epoch, ended with its owner.
#[derive(Debug)]
pub struct Ticker {
    stop: Arc<AtomicBool>,
}

impl Ticker {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// When the system refuses another thread.
    pub fn start(engine: &wasmtime::Engine) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let engine = engine.weak();
        std::thread::Builder::new()
            .name("epoch".into())
            .spawn(move || {
                while !stopped.load(Relaxed) {
                    std::thread::sleep(TICK);
                    match engine.upgrade() {
                        Some(engine) => engine.increment_epoch(),
                        None => return,
                    }
                }
            })?;
        Ok(Self { stop })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

/// How many epochs a guest has run without giving up the thread.
#[derive(Debug, Default)]
pub struct Slices {
    used: AtomicU32,
    interrupted: AtomicBool,
}

impl Slices {
    /// Makes `store` yield at each epoch, and trap once it has used `limit`
    /// of CPU time without having waited for anything.
    pub fn attach<T>(self: &Arc<Self>, store: &mut Store<T>, limit: Duration) {
        // One epoch may begin the moment a guest is entered, so the first is
        // not held against it.
        let allowed = limit.as_millis().div_ceil(TICK.as_millis()).max(1) as u32 + 1;
        let slices = self.clone();
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| {
            slices.interrupted.store(true, Relaxed);
            if slices.used.fetch_add(1, Relaxed) >= allowed {
                return Err(wasmtime::Error::from(CpuLimit { limit }));
            }
            // wasmtime's own yield would be back in the queue at once, and tokio
            // looks for I/O only every 61 turns of a queue that is never empty:
            // a spinning guest kept its core deaf for over half a second.
            Ok(UpdateDeadline::YieldCustom(
                1,
                Box::pin(tokio::task::yield_now()),
            ))
        });
    }

    /// The guest gave up the thread: by waiting, which earns it a new
    /// allowance, or because its epoch was over, which does not.
    pub fn gave_way(&self) {
        if !self.interrupted.swap(false, Relaxed) {
            self.used.store(0, Relaxed);
        }
    }

    /// The guest took on another request, and with it a new allowance.
    pub fn renew(&self) {
        self.used.store(0, Relaxed);
    }
}

/// A guest ran past its CPU limit without waiting for anything.
#[derive(Debug, thiserror::Error)]
#[error("the guest ran for {} ms without yielding", limit.as_millis())]
pub struct CpuLimit {
    limit: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_renews_the_allowance_and_an_epoch_does_not() {
        let slices = Slices::default();
        slices.used.store(7, Relaxed);
        slices.interrupted.store(true, Relaxed);
        slices.gave_way();
        assert_eq!(slices.used.load(Relaxed), 7, "interrupted, not waiting");
        slices.gave_way();
        assert_eq!(slices.used.load(Relaxed), 0, "waiting");
    }
}
