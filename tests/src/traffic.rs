//! Clients that go on until they are told to stop, and none of whose requests
//! may fail.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use tokio::task::JoinHandle;

/// A crowd of clients.
#[derive(Default)]
pub struct Traffic {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<(String, JoinHandle<anyhow::Result<()>>)>,
}

impl Traffic {
    /// Adds `count` clients, each of which does what `round` does, again and
    /// again. `start` makes what a client keeps between rounds.
    pub fn add<S, F, R, G>(&mut self, what: &str, count: usize, start: F, round: R)
    where
        S: Send + 'static,
        F: Fn() -> S,
        R: Fn(S) -> G + Clone + Send + Sync + 'static,
        G: Future<Output = anyhow::Result<S>> + Send,
    {
        for number in 0..count {
            let (stop, answered) = (self.stop.clone(), self.answered.clone());
            let (mut state, round) = (start(), round.clone());
            let client = tokio::spawn(async move {
                while !stop.load(Relaxed) {
                    state = round(state).await?;
                    answered.fetch_add(1, Relaxed);
                }
                Ok(())
            });
            self.clients.push((format!("{what} {number}"), client));
        }
    }

    /// Rounds that are over.
    pub fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }

    /// Lets every client finish its round; the rounds that there were.
    ///
    /// # Panics
    /// Where one of them failed.
    pub async fn stop(self) -> u64 {
        self.stop.store(true, Relaxed);
        let mut failed = Vec::new();
        for (what, client) in self.clients {
            match client.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failed.push(format!("{what}: {error:#}")),
                Err(error) => failed.push(format!("{what}: {error}")),
            }
        }
        assert!(failed.is_empty(), "clients failed:\n{}", failed.join("\n"));
        self.answered.load(Relaxed)
    }
}
