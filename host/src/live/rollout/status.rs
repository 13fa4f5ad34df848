//! What this node tells of itself and of the others.

use super::command::unavailable;
use super::follow::prepared;
use super::{Baseline, Inner};
use crate::control::{
    CanaryStatus, ComponentStatus, Control, NodeStatus, Refusal, RevisionRow, RevisionState,
    Revisions, RolloutStatus, SetAside, Status,
};
use crate::fleet::{Desired, Snapshot, StoredRevision};
use crate::live::endpoint::Canary;
use std::collections::BTreeMap;

impl Inner {
    pub(super) async fn status(&self) -> Status {
        let baseline = self.baseline();
        // What others reported since the last look is asked for. Where nobody
        // answers, that is in the status too.
        let read = self.backend.read().await.ok();
        let view = read.unwrap_or_else(|| self.view.borrow().clone());
        let table = self.swapper.live.pin();
        let error = self.backend.error();
        Status {
            application: self.application.clone(),
            node: self.node.clone(),
            generation: table.generation().number(),
            manifest: baseline.id.clone(),
            control: Control {
                shared: self.backend.is_shared(),
                reachable: error.is_none(),
                error,
            },
            components: self.components(&baseline, &view),
            set_aside: view
                .set_aside
                .iter()
                .map(|aside| SetAside {
                    component: aside.component.clone(),
                    revision: aside.revision.clone(),
                    manifest: aside.manifest.clone(),
                })
                .collect(),
            nodes: self.nodes(&view),
            rollout: view.state.proposal.as_ref().map(|proposal| {
                let canary = proposal.desired.canary.as_ref();
                RolloutStatus {
                    component: proposal.component.clone(),
                    revision: proposal.prepare.clone(),
                    canary: canary.map(|canary| percent(canary.basis_points)),
                    node: proposal.node.clone(),
                    nodes: prepared(&view, proposal.id),
                }
            }),
        }
    }

    fn components(&self, baseline: &Baseline, view: &Snapshot) -> Vec<ComponentStatus> {
        let table = self.swapper.live.pin();
        let condemned = self.condemned.lock();
        table
            .endpoints()
            .map(|endpoint| {
                let id = endpoint.id().as_ref();
                let active = endpoint.active().digest().0.to_string();
                let desired = view.state.components.get(id);
                let verdict = desired.and_then(|desired| desired.verdict.clone());
                ComponentStatus {
                    name: id.to_owned(),
                    from_manifest: baseline.digest(id) == active,
                    active,
                    canary: endpoint.canary().map(canary_status),
                    draining: self.swapper.draining(id),
                    last_verdict: condemned.get(id).map(|(_, why)| why.clone()).or(verdict),
                    error: self.errors.lock().get(id).cloned(),
                }
            })
            .collect()
    }

    fn nodes(&self, view: &Snapshot) -> BTreeMap<String, NodeStatus> {
        view.nodes
            .iter()
            .map(|node| {
                let status = NodeStatus {
                    live: node.live,
                    seen: node.seen.as_secs_f64(),
                    generation: node.report.generation,
                    manifest: node.manifest.clone(),
                    revisions: node.report.revisions.clone(),
                    error: node.report.error.clone(),
                };
                (node.node.clone(), status)
            })
            .collect()
    }

    pub(super) async fn revisions(&self, component: &str) -> Result<Revisions, Refusal> {
        self.known(component)?;
        let stored = self.backend.revisions(component).await;
        let stored = stored.map_err(unavailable)?;
        let baseline = self.baseline();
        let manifest = baseline.digest(component);
        let desired = {
            let view = self.view.borrow();
            view.state.desired(component, manifest)
        };
        let mut rows: Vec<_> = stored
            .iter()
            .map(|revision| row(&desired, manifest, &revision.digest, Some(revision)))
            .collect();
        if rows.iter().all(|row| row.revision != manifest) {
            rows.push(row(&desired, manifest, manifest, None));
        }
        Ok(Revisions {
            component: component.to_owned(),
            revisions: rows,
        })
    }
}

fn row(
    desired: &Desired,
    manifest: &str,
    digest: &str,
    stored: Option<&StoredRevision>,
) -> RevisionRow {
    let canary = desired
        .canary
        .as_ref()
        .filter(|canary| canary.revision == digest);
    let state = if desired.active == digest {
        RevisionState::Active
    } else if canary.is_some() {
        RevisionState::Canary
    } else if desired.previous.first().is_some_and(|it| it == digest) {
        RevisionState::Previous
    } else {
        RevisionState::Kept
    };
    RevisionRow {
        revision: digest.to_owned(),
        state,
        percent: canary.map(|canary| percent(canary.basis_points)),
        from_manifest: digest == manifest,
        bytes: stored.map(|stored| stored.bytes),
        deployed: stored.map(|stored| stored.deployed_at.clone()),
        node: stored.map(|stored| stored.node.clone()),
        note: stored.and_then(|stored| stored.note.clone()),
    }
}

fn canary_status(canary: &Canary) -> CanaryStatus {
    let (tried, baseline) = canary.trial.tallies();
    CanaryStatus {
        revision: canary.revision.digest().0.to_string(),
        percent: percent(canary.share),
        requests: tried.requests,
        failures: tried.failures,
        baseline_requests: baseline.requests,
        baseline_failures: baseline.failures,
    }
}

fn percent(share: u32) -> f64 {
    f64::from(share) / 100.0
}
