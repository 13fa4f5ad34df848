use std::future::pending;
use std::sync::Arc;

use tokio::sync::watch;

use super::State;
use super::trust::Standing;

/// A time that the server was away, and what was written meanwhile has not
/// reached it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(u64);

/// The duty to repair what a server missed while it was away. While anybody has
/// it, values of the near cache's prefixes are told only after a repair: until
/// then a `GET` of them fails with
/// [`Error::Unavailable`](super::super::Error::Unavailable). Dropping this gives
/// the duty up.
pub struct Repairs {
    state: Arc<State>,
    standing: watch::Receiver<Standing>,
}

impl Repairs {
    pub(super) fn new(state: Arc<State>) -> Self {
        state.trust.join();
        state.doubt();
        let standing = state.trust.watch();
        Self { state, standing }
    }

    /// Waits until a repair is due and the server answers: at first, and after
    /// each time it was away. Gives the same epoch again until that is
    /// [`done`](Self::done).
    pub async fn wanted(&mut self) -> Epoch {
        let due = |standing: &Standing| standing.answers && !standing.repaired;
        let epoch = self.standing.wait_for(due).await.map(|it| it.epoch);
        match epoch {
            Ok(epoch) => Epoch(epoch),
            Err(_) => pending().await,
        }
    }

    /// Says that a repair is done that began after [`wanted`](Self::wanted)
    /// gave this epoch. Has no effect if the server was away once more since.
    pub fn done(&self, epoch: Epoch) {
        self.state.trust.repaired(epoch.0);
    }
}

impl Drop for Repairs {
    fn drop(&mut self) {
        self.state.trust.leave();
    }
}
