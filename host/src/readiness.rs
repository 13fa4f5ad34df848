//! Ready when nothing is waited for any more, and from then on until a drain.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the host still waits for.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<String, usize>,
    draining: bool,
}

/// One thing that is waited for; dropped when it is there.
#[derive(Debug)]
pub struct Latch {
    name: String,
    state: Arc<Mutex<State>>,
}

impl Readiness {
    /// Not ready until the latch is dropped.
    pub fn latch(&self, name: impl Into<String>) -> Latch {
        let name = name.into();
        *self.state.lock().waiting.entry(name.clone()).or_default() += 1;
        Latch {
            name,
            state: self.state.clone(),
        }
    }

    /// Not ready from now on: the host drains.
    pub fn drain(&self) {
        self.state.lock().draining = true;
    }

    /// Whether the host drains.
    pub fn is_draining(&self) -> bool {
        self.state.lock().draining
    }

    /// What is waited for; empty when ready.
    pub fn waiting(&self) -> Vec<String> {
        let state = self.state.lock();
        let mut waiting: Vec<_> = state.waiting.keys().cloned().collect();
        if state.draining {
            waiting.push("draining".into());
        }
        waiting
    }
}

impl Drop for Latch {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        if let Some(count) = state.waiting.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                state.waiting.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_every_latch_is_dropped_and_never_while_draining() {
        let readiness = Readiness::default();
        let first = readiness.latch("postgres");
        let second = readiness.latch("postgres");
        let third = readiness.latch("components");
        assert_eq!(readiness.waiting(), ["components", "postgres"]);
        drop(first);
        drop(third);
        assert_eq!(readiness.waiting(), ["postgres"]);
        drop(second);
        assert!(readiness.waiting().is_empty());
        readiness.drain();
        assert_eq!(readiness.waiting(), ["draining"]);
    }
}
