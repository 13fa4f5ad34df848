//! Keeping in step: report, read, converge, decide; at a notice, every second,
//! and again whenever something was loaded.

use super::backend::Backend;
use super::shared::Shared;
use super::{Baseline, Inner, Said};
use crate::fleet::{Changes, Error, Report, Snapshot};
use crate::live::Table;
use rand::Rng;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Between two looks at desired state. Whoever missed a notice is this late; and
/// five of these pass before a node counts as gone.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long nodes may take to prepare a proposal: the slowest compilation there
/// is, on a machine that is busy.
const PREPARE: Duration = Duration::from_secs(60);

/// First and longest pause between attempts to reach the control database.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// How long what was read is good to decide by.
const FRESH: Duration = Duration::from_secs(1);

/// Steps without a pause. Each is for something that the one before brought up;
/// more than this, and two nodes are at odds.
const STEPS: usize = 16;

impl Inner {
    /// Runs for as long as the node does.
    pub(super) async fn keep_in_step(self: Arc<Self>) {
        match &self.backend {
            Backend::Alone(_) => loop {
                // Nothing here can fail: there is no one to ask.
                let _ = self.step().await;
                self.poke.notified().await;
            },
            Backend::Shared(shared) => self.keep_in_step_with(shared).await,
        }
    }

    async fn keep_in_step_with(self: &Arc<Self>, shared: &Shared) {
        let (mut pause, longest) = BACKOFF;
        loop {
            let error = match shared.connect().await {
                Ok(changes) => {
                    pause = BACKOFF.0;
                    self.while_connected(shared, changes).await
                }
                Err(error) => error,
            };
            if shared.take_rebased() {
                continue;
            }
            if shared.went(Some(&error)) {
                tracing::warn!("serving on without the control database: {error}");
            }
            let jitter = rand::rng().random_range(0.5..1.5);
            tokio::time::sleep(pause.mul_f64(jitter)).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// Keeps in step until the connection is lost.
    async fn while_connected(self: &Arc<Self>, shared: &Shared, mut changes: Changes) -> Error {
        loop {
            match self.step().await {
                Ok(()) => {
                    if shared.went(None) {
                        tracing::info!("in step with the control database");
                    }
                }
                // These are about the state, which somebody has to mend.
                Err(error @ (Error::Forged | Error::Stale { .. } | Error::Unknown)) => {
                    if shared.went(Some(&error)) {
                        tracing::error!("what is to be served is not known: {error}");
                    }
                }
                Err(error) => return error,
            }
            tokio::select! {
                open = changes.changed() => if !open {
                    return Error::Unavailable("the connection has ended".to_owned());
                },
                () = self.poke.notified() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    /// Does all that there is to do now.
    async fn step(self: &Arc<Self>) -> Result<(), Error> {
        let baseline = self.baseline();
        for _ in 0..STEPS {
            if self.leaving.load(Relaxed) {
                return Ok(());
            }
            let report = self.report(&baseline);
            self.backend.report(&report).await?;
            let asked = Instant::now();
            let snapshot = self.backend.read().await?;
            if snapshot.manifest != self.baseline().id {
                // It was replaced meanwhile: what was read is of another.
                self.poke.notify_one();
                return Ok(());
            }
            self.forget_condemned(&snapshot);
            self.notice_rollbacks(&snapshot);
            self.converge(&snapshot);
            self.view.send_replace(snapshot.clone());
            if self.withdraw(&snapshot).await? {
                continue;
            }
            // What was true before a process was stopped in its tracks may not be
            // any more, of nodes that have come since.
            if asked.elapsed() > FRESH {
                continue;
            }
            if self.decide(&baseline, &snapshot).await? {
                continue;
            }
            if self.report(&baseline) == report {
                break;
            }
        }
        Ok(())
    }

    /// What this node says of itself.
    pub(super) fn report(self: &Arc<Self>, baseline: &Arc<Baseline>) -> Report {
        let table = self.swapper.live.pin();
        let revisions = table
            .endpoints()
            .map(|it| (it.id().to_string(), it.active().digest().0.to_string()));
        self.say(baseline, &table);
        let errors = self.errors.lock();
        Report {
            generation: table.generation().number(),
            revisions: revisions.collect(),
            version: self.ran.load(Relaxed),
            // Also when it is decided: who could not is not waited for.
            proposal: self.said.lock().clone().map(|said| (said.id, said.outcome)),
            error: errors.values().next().cloned(),
        }
    }

    /// Notes what this node has to say of the proposal, once it knows.
    fn say(self: &Arc<Self>, baseline: &Arc<Baseline>, table: &Table) {
        let Some(proposal) = self.view.borrow().state.proposal.clone() else {
            return;
        };
        // Of another, in case a database that lost its last moments counts again.
        self.said
            .lock()
            .take_if(|said| said.id == proposal.id && said.revision != proposal.prepare);
        let current = table.endpoint(&proposal.component);
        let loaded = self.revision(baseline, &proposal.component, &proposal.prepare, current);
        let outcome = match loaded {
            None => return,
            // No answer is better than a no that a moment later would be a yes.
            Some(Err(error)) if error.away => return,
            Some(Err(error)) => Err(format!("{}: {}", error.step, error.reason)),
            Some(Ok(_)) => Ok(()),
        };
        *self.said.lock() = Some(Said {
            id: proposal.id,
            revision: proposal.prepare,
            outcome,
        });
    }

    /// Decides the proposal, if all that have a say have said it.
    async fn decide(&self, baseline: &Baseline, snapshot: &Snapshot) -> Result<bool, Error> {
        let Snapshot {
            version,
            state,
            nodes,
            age_of_proposal,
            ..
        } = snapshot;
        let Some(verdict) = state.decide(&baseline.id, nodes, *age_of_proposal, PREPARE) else {
            return Ok(false);
        };
        // Whether this was the write that counted or another's: read again.
        let first = self
            .backend
            .write(*version, &state.settle(verdict.clone()))
            .await?;
        if first && let Some(proposal) = &state.proposal {
            tracing::info!(
                component = proposal.component,
                revision = proposal.prepare,
                accepted = verdict.accepted,
                reason = verdict.reason,
                "rollout decided"
            );
        }
        Ok(true)
    }
}
