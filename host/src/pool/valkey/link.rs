//! A place for one shared connection: who keeps it up, and what state it is in.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::error::{ConnectError, Error};
use super::metrics::{Counted, PoolMetrics};
use super::target::Target;
use super::wire::{Connector, News, Wire};
use crate::pool::placement::Placement;

/// The wait before the second attempt to connect; the first has none.
const FIRST_PAUSE: Duration = Duration::from_millis(25);

/// The longest wait between two attempts. Two attempts a second from each of a
/// few connections are nothing to a server, and a server that came back is in
/// use within half a second.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A connection that was up for less than this does not make the next attempt
/// immediate: a server that accepts and hangs up would be called without pause.
const STABLE: Duration = Duration::from_secs(1);

/// The state of a link.
#[derive(Clone)]
pub(super) enum Phase {
    /// A first attempt is under way, and worth waiting for.
    Connecting,
    Connected(Wire),
    /// The first attempt has failed, or the server was silent; attempts go on.
    Reconnecting(ConnectError),
}

/// The moments at which the server is reached.
pub struct Arrivals(watch::Receiver<Phase>);

impl Arrivals {
    /// Waits until the server was reached once more; at first, until it is
    /// reached at all. Never, once the pool is gone.
    pub async fn next(&mut self) {
        loop {
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            if matches!(*self.0.borrow_and_update(), Phase::Connected(_)) {
                return;
            }
        }
    }
}

impl std::fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arrivals").finish_non_exhaustive()
    }
}

/// How the connection of a link is made, and what is done with it while it is
/// up.
pub(super) trait Keeper: Send + Sync + 'static {
    fn connect(
        &self,
        connector: &Connector,
    ) -> impl Future<Output = Result<Wire, ConnectError>> + Send;

    /// Ends once the connection is lost or not worth keeping, and says how.
    fn keep(&self, wire: Wire) -> impl Future<Output = (News, ConnectError)> + Send;
}

/// One shared connection that replaces itself. Dropping it closes the
/// connection and ends the attempts.
pub(super) struct Link {
    phase: watch::Receiver<Phase>,
    _supervisor: AbortOnDropHandle<()>,
}

impl Link {
    /// Starts connecting on the runtime of `core`, where the connection will
    /// live.
    pub(super) fn start(
        placement: &Placement,
        core: usize,
        target: Target,
        connector: Arc<Connector>,
        keeper: impl Keeper,
        metrics: PoolMetrics,
    ) -> Self {
        let (publish, phase) = watch::channel(Phase::Connecting);
        let supervisor = Supervisor {
            target,
            connector,
            keeper,
            metrics,
            publish,
        };
        Self {
            phase,
            _supervisor: AbortOnDropHandle::new(placement.spawn(core, supervisor.run())),
        }
    }

    pub(super) fn arrivals(&self) -> Arrivals {
        let mut phase = self.phase.clone();
        // What it is now counts as the first change.
        phase.mark_changed();
        Arrivals(phase)
    }

    /// The connection, if it is up.
    pub(super) fn wire(&self) -> Option<Wire> {
        match &*self.phase.borrow() {
            Phase::Connected(wire) => Some(wire.clone()),
            Phase::Connecting | Phase::Reconnecting(_) => None,
        }
    }

    /// The connection, once the first attempt has succeeded or failed.
    pub(super) async fn decided(&self, until: Instant) -> Result<Wire, Error> {
        match self
            .phase_when(until, |phase| !matches!(phase, Phase::Connecting))
            .await
        {
            Phase::Connected(wire) => Ok(wire),
            Phase::Reconnecting(ConnectError { cause, .. }) => Err(Error::Unavailable { cause }),
            Phase::Connecting => Err(Error::Unavailable {
                cause: "still connecting".into(),
            }),
        }
    }

    /// Waits until the connection is up, or cannot come up as things are.
    pub(super) async fn warm(&self, until: Instant) -> Result<(), Error> {
        let settled = |phase: &Phase| match phase {
            Phase::Connected(_) => true,
            Phase::Reconnecting(error) => error.permanent,
            Phase::Connecting => false,
        };
        match self.phase_when(until, settled).await {
            Phase::Connected(_) => Ok(()),
            Phase::Reconnecting(ConnectError {
                cause,
                permanent: true,
            }) => Err(Error::Rejected { cause }),
            Phase::Reconnecting(ConnectError { cause, .. }) => Err(Error::Unavailable { cause }),
            Phase::Connecting => Err(Error::Unavailable {
                cause: "still connecting".into(),
            }),
        }
    }

    /// The first phase that will do, or the one there is at `until`.
    async fn phase_when(&self, until: Instant, will_do: impl FnMut(&Phase) -> bool) -> Phase {
        let mut phase = self.phase.clone();
        let found = match timeout_at(until, phase.wait_for(will_do)).await {
            Ok(Ok(phase)) => Some(phase.clone()),
            Ok(Err(_)) | Err(_) => None,
        };
        found.unwrap_or_else(|| self.phase.borrow().clone())
    }
}

struct Supervisor<K> {
    target: Target,
    connector: Arc<Connector>,
    keeper: K,
    metrics: PoolMetrics,
    publish: watch::Sender<Phase>,
}

impl<K: Keeper> Supervisor<K> {
    async fn run(self) {
        let mut pauses = Pauses::default();
        let mut outage = Outage::default();
        loop {
            let mut phase = Phase::Connecting;
            let lost = match Box::pin(self.keeper.connect(&self.connector)).await {
                Ok(wire) => {
                    if outage.over(&self.target) {
                        self.metrics.reconnects.inc();
                    }
                    let since = Instant::now();
                    let (news, lost) = self.serve(wire).await;
                    let stable = since.elapsed() >= STABLE;
                    if stable {
                        pauses = Pauses::default();
                    }
                    // One that was closed is mostly replaced within a round
                    // trip, which is worth waiting for.
                    if !stable || news != News::Closed {
                        phase = Phase::Reconnecting(lost.clone());
                    }
                    lost
                }
                Err(error) => {
                    phase = Phase::Reconnecting(error.clone());
                    error
                }
            };
            outage.goes_on(&self.target, &lost);
            self.publish.send_replace(phase);
            sleep(pauses.next()).await;
        }
    }

    /// Publishes the connection until it is lost, and says how.
    async fn serve(&self, wire: Wire) -> (News, ConnectError) {
        let _up = Counted::new(&self.metrics.connections);
        self.publish.send_replace(Phase::Connected(wire.clone()));
        self.keeper.keep(wire).await
    }
}

/// Keeps a connection that carries commands until it owes a reply.
pub(super) struct Probed {
    /// A connection that does not answer a `PING` for this long is replaced.
    pub(super) reply_timeout: Duration,
}

impl Keeper for Probed {
    async fn connect(&self, connector: &Connector) -> Result<Wire, ConnectError> {
        connector.connect().await
    }

    async fn keep(&self, wire: Wire) -> (News, ConnectError) {
        loop {
            match wire.signal.news().await {
                news @ News::Closed => return (news, ConnectError::closed()),
                news @ News::Suspect => {
                    if let Err(error) = self.probe(wire.clone()).await {
                        return (news, error);
                    }
                }
            }
        }
    }
}

impl Probed {
    /// Asks a connection that owes a reply whether it still lives. Replies come
    /// in the order of the commands, so one that answers late costs only those
    /// who wait; one that is silent would make everybody wait, and hold what
    /// they sent.
    async fn probe(&self, mut wire: Wire) -> Result<(), ConnectError> {
        match timeout(self.reply_timeout, wire.ping()).await {
            Ok(answer) => answer,
            Err(_) => Err(ConnectError::silent(self.reply_timeout)),
        }
    }
}

/// Pauses between attempts: doubling, capped, each shortened at random so that
/// those who lost the server together do not come back together.
#[derive(Debug, Default)]
struct Pauses {
    attempts: u32,
}

impl Pauses {
    fn next(&mut self) -> Duration {
        let attempts = self.attempts;
        self.attempts = attempts.saturating_add(1);
        let Some(doublings) = attempts.checked_sub(1) else {
            return Duration::ZERO;
        };
        let longest = FIRST_PAUSE
            .saturating_mul(1 << doublings.min(16))
            .min(LONGEST_PAUSE);
        longest.mul_f64(rand::random_range(0.5..=1.0))
    }
}

/// Tells the log once that a link went away, and once that it came back.
#[derive(Debug, Default)]
struct Outage {
    since: Option<Instant>,
}

impl Outage {
    fn goes_on(&mut self, target: &Target, error: &ConnectError) {
        if self.since.is_none() {
            self.since = Some(Instant::now());
            let cause = &*error.cause;
            if error.permanent {
                tracing::error!(server = %target, cause, "valkey refuses the connection");
            } else {
                tracing::warn!(server = %target, cause, "valkey connection lost, reconnecting");
            }
        }
    }

    /// Whether there was one.
    fn over(&mut self, target: &Target) -> bool {
        let Some(since) = self.since.take() else {
            return false;
        };
        let after_ms = since.elapsed().as_millis();
        tracing::info!(server = %target, after_ms, "valkey connection restored");
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        let mut pauses = Pauses::default();
        assert_eq!(pauses.next(), Duration::ZERO);
        for longest_ms in [25, 50, 100, 200, 400, 500, 500] {
            let longest = Duration::from_millis(longest_ms);
            let pause = pauses.next();
            assert!(
                pause <= longest && pause >= longest / 2,
                "{pause:?} of {longest:?}"
            );
        }
        pauses.attempts = u32::MAX;
        assert!(pauses.next() <= LONGEST_PAUSE);
    }
}
