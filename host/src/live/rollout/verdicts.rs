//! Canaries that are called off: by this node's own verdict, or by another's.

use super::Inner;
use crate::fleet::{Error, Snapshot};
use crate::telemetry::swaps::{RollbackCause, RollbackLabels};
use std::sync::Arc;

impl Inner {
    /// Writes this node's verdicts on canaries for all others.
    pub(super) async fn withdraw(&self, snapshot: &Snapshot) -> Result<bool, Error> {
        let condemned = self.condemned.lock().clone();
        for (component, (revision, why)) in condemned {
            let withdrawn = snapshot.state.withdraw_canary(&component, &revision, &why);
            if let Some(state) = withdrawn {
                self.backend.write(snapshot.version, &state).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Acts on verdicts as they are given, whether or not there is a database.
    pub(super) async fn watch_canaries(self: Arc<Self>) {
        loop {
            self.told.notified().await;
            let table = self.swapper.live.pin();
            for endpoint in table.endpoints() {
                let Some(canary) = endpoint.canary() else {
                    continue;
                };
                let Some(verdict) = canary.trial.verdict() else {
                    continue;
                };
                let (component, digest) = (endpoint.id().to_string(), canary.revision.digest());
                tracing::error!(component, revision = %digest, "canary rolled back: {verdict}");
                self.rolled_back(&component, RollbackCause::Verdict);
                let verdict = format!("canary {digest} on {}: {verdict}", self.node);
                let condemned = (digest.0.to_string(), verdict);
                self.condemned.lock().insert(component, condemned);
            }
            drop(table);
            let view = self.view.borrow().clone();
            self.converge(&view);
            self.poke.notify_one();
        }
    }

    /// A verdict is over once its canary is not desired any more.
    pub(super) fn forget_condemned(&self, snapshot: &Snapshot) {
        self.condemned.lock().retain(|component, (revision, _)| {
            let desired = snapshot.state.components.get(component);
            let canary = desired.and_then(|desired| desired.canary.as_ref());
            canary.is_some_and(|canary| canary.revision == *revision)
        });
    }

    /// Counts canaries that others called off.
    pub(super) fn notice_rollbacks(&self, snapshot: &Snapshot) {
        let table = self.swapper.live.pin();
        for endpoint in table.endpoints() {
            let Some(canary) = endpoint.canary() else {
                continue;
            };
            let component = endpoint.id().as_ref();
            let Some(desired) = snapshot.state.components.get(component) else {
                continue;
            };
            let digest = &canary.revision.digest().0;
            let still = desired.canary.as_ref();
            let goes_on =
                desired.active == **digest || still.is_some_and(|still| still.revision == **digest);
            if goes_on {
                continue;
            }
            let cause = match &desired.verdict {
                Some(verdict) => {
                    tracing::error!(component, "canary rolled back: {verdict}");
                    RollbackCause::Fleet
                }
                None => RollbackCause::Command,
            };
            self.rolled_back(component, cause);
        }
    }

    fn rolled_back(&self, component: &str, cause: RollbackCause) {
        let labels = RollbackLabels {
            component: component.to_owned(),
            cause,
        };
        let rollbacks = &self.swapper.metrics.swaps.rollbacks;
        rollbacks.get_or_create(&labels).inc();
    }
}
