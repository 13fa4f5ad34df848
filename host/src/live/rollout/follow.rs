//! A proposal on its way: decided, and then run by one node after the other.

use super::Inner;
use super::command::Followed;
use crate::control::{Event, Outcome, Phase, Refusal, RefusalKind};
use crate::fleet::{Decision, NodeReport, Snapshot};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Longest time from a proposal to its end: the minute that nodes may take to
/// prepare, and as long again for all of them to run it.
const LIMIT: Duration = Duration::from_secs(120);

/// How often other nodes are looked at while they are waited for. They announce
/// nothing when they have switched.
const LOOK: Duration = Duration::from_millis(50);

/// Longest silence toward whoever listens.
const SPEAK: Duration = Duration::from_secs(2);

impl Inner {
    /// Tells of a proposal until it has come to its end, which is returned.
    pub(super) async fn follow(
        self: &Arc<Self>,
        followed: &Followed<'_>,
        events: &mpsc::Sender<Event>,
    ) -> Event {
        let proposed = followed.proposed;
        let until = Instant::now() + LIMIT;
        let mut view = self.view.subscribe();
        let mut told: Option<(Event, Instant)> = None;
        loop {
            let snapshot = view.borrow_and_update().clone();
            let decision = snapshot.state.decision(proposed.id);
            if let Some(end) = self.end(followed, &snapshot, decision) {
                return end;
            }
            let event = self.progress(&snapshot, proposed.id, decision);
            let stale = told
                .as_ref()
                .is_none_or(|(last, since)| *last != event || since.elapsed() > SPEAK);
            if stale {
                // Whoever listens too slowly, or not at all, misses a step.
                let _ = events.try_send(event.clone());
                told = Some((event, Instant::now()));
            }
            if Instant::now() > until {
                return Event::Failed(self.too_late(decision));
            }
            if decision.is_some() {
                self.poke.notify_one();
            }
            let _ = tokio::time::timeout(LOOK, view.changed()).await;
        }
    }

    fn end(
        &self,
        followed: &Followed<'_>,
        snapshot: &Snapshot,
        decision: Option<&Decision>,
    ) -> Option<Event> {
        let component = followed.component.to_owned();
        let proposed = followed.proposed;
        let decision = match decision {
            Some(decision) => decision,
            // Too many came after it to tell; or there is another manifest.
            None if snapshot
                .state
                .proposal
                .as_ref()
                .is_none_or(|it| it.id != proposed.id)
                && snapshot.version > proposed.id =>
            {
                let text = "what became of it is not known any more; see `warmlink status`";
                return Some(Event::Failed(
                    Refusal::new(RefusalKind::Conflict, text).about(component),
                ));
            }
            None => return None,
        };
        if !decision.accepted {
            let reason = decision.reason.as_deref().unwrap_or("no reason was given");
            let text = format!("nobody switched: {reason}");
            return Some(Event::Failed(
                Refusal::new(RefusalKind::Refused, text).about(component),
            ));
        }
        let here = self.ran.load(Relaxed) > proposed.id;
        let nodes = self.running(snapshot, proposed.id);
        let over = if followed.wait {
            here && nodes.values().all(|runs| *runs)
        } else {
            here
        };
        over.then(|| {
            Event::Done(Outcome {
                component,
                revision: proposed.revision.clone(),
                canary: proposed.canary.map(|share| f64::from(share) / 100.0),
                generation: self.swapper.live.pin().generation().number(),
                seconds: followed.arrived.elapsed().as_secs_f64(),
                nodes,
            })
        })
    }

    fn too_late(&self, decision: Option<&Decision>) -> Refusal {
        match (decision, self.backend.error()) {
            (None, Some(error)) => Refusal::new(
                RefusalKind::Timeout,
                format!("it was proposed, and what became of it is not known: {error}"),
            ),
            (None, None) => Refusal::new(RefusalKind::Timeout, "it was not decided in time"),
            (Some(_), _) => Refusal::new(
                RefusalKind::Timeout,
                "decided, but not all nodes run it yet; see `warmlink status`",
            ),
        }
    }

    fn progress(&self, snapshot: &Snapshot, id: i64, decision: Option<&Decision>) -> Event {
        match decision {
            None => Event::Progress {
                phase: Phase::Proposed,
                nodes: prepared(snapshot, id),
            },
            Some(decision) => Event::Progress {
                phase: if decision.accepted {
                    Phase::Active
                } else {
                    Phase::Refused
                },
                nodes: self.running(snapshot, id),
            },
        }
    }

    /// The live nodes that are to run what was decided, and whether each does. One
    /// that could not prepare what was forced is not waited for.
    fn running(&self, snapshot: &Snapshot, id: i64) -> BTreeMap<String, bool> {
        let runs = |node: &NodeReport| {
            // What this node does is known before it was reported.
            let own = node.instance == self.instance;
            let version = if own {
                self.ran.load(Relaxed)
            } else {
                node.report.version
            };
            version > id
        };
        peers(snapshot)
            .filter(|node| !matches!(&node.report.proposal, Some((said, Err(_))) if *said == id))
            .map(|node| (node.node.clone(), runs(node)))
            .collect()
    }
}

/// The live nodes that are asked, and whether each has said something.
pub(super) fn prepared(snapshot: &Snapshot, id: i64) -> BTreeMap<String, bool> {
    let said = |node: &NodeReport| {
        let said = node.report.proposal.as_ref();
        said.is_some_and(|(said, _)| *said == id)
    };
    peers(snapshot)
        .map(|node| (node.node.clone(), said(node)))
        .collect()
}

/// The live nodes with this node's manifest.
fn peers(snapshot: &Snapshot) -> impl Iterator<Item = &NodeReport> {
    snapshot
        .nodes
        .iter()
        .filter(|node| node.live && snapshot.is_peer(node))
}
