//! The desired state of one application against one manifest. Pure.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// All requests, in basis points.
pub const FULL: u32 = 10_000;

/// How many formerly active revisions a component remembers.
const PREVIOUS: usize = 8;
/// How many decisions are kept, so that a proposer that looks late still finds
/// its own.
const DECISIONS: usize = 16;

/// What the nodes of an application that have one manifest are to run.
///
/// It does not change in place: every transition gives the next state, which
/// counts when it was written under the version that it was made for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// By name. A component without an entry runs what the manifest says, its
    /// *baseline*.
    pub components: BTreeMap<String, Desired>,
    /// The change under way; one at a time.
    pub proposal: Option<Proposal>,
    /// What became of the last proposals, newest first.
    pub decided: Vec<Decision>,
}

/// What a component is to run. Revisions are SHA-256 digests, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// The revision that serves.
    pub active: String,
    /// One that is tried out beside it.
    #[serde(default)]
    pub canary: Option<Canary>,
    /// What was active before and would be gone back to, newest first, each
    /// once.
    #[serde(default)]
    pub previous: Vec<String>,
    /// Why the last canary was called off.
    #[serde(default)]
    pub verdict: Option<String>,
}

/// A revision that gets a share of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// Its digest.
    pub revision: String,
    /// Its share, from 1 to 9999 of [`FULL`].
    pub basis_points: u32,
}

/// A change that nodes are to prepare for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The version of the state that it came with.
    pub id: i64,
    /// The component.
    pub component: String,
    /// The component's entry, if it is accepted.
    pub desired: Desired,
    /// The revision that nodes must have ready.
    pub prepare: String,
    /// Whether one prepared node is enough.
    pub force: bool,
    /// The node that was asked for it.
    pub node: String,
}

/// What became of a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The proposal's.
    pub id: i64,
    /// The component.
    pub component: String,
    /// The revision that nodes were to have ready.
    pub revision: String,
    /// Whether the nodes switch.
    pub accepted: bool,
    /// Why not; or, where it was forced, which nodes could not.
    pub reason: Option<String>,
}

impl State {
    /// What `component` is to run, if its manifest's revision is `baseline`.
    #[must_use]
    pub fn desired(&self, component: &str, baseline: &str) -> Desired {
        self.components
            .get(component)
            .cloned()
            .unwrap_or_else(|| Desired::baseline(baseline))
    }

    /// What became of the proposal `id`, unless it is too long ago.
    #[must_use]
    pub fn decision(&self, id: i64) -> Option<&Decision> {
        self.decided.iter().find(|decision| decision.id == id)
    }

    /// The same without its proposal, of which `accepted` and `reason` say what
    /// became. An accepted one takes effect.
    pub(super) fn concluded(&self, accepted: bool, reason: Option<String>) -> Self {
        let mut next = self.clone();
        let Some(proposal) = next.proposal.take() else {
            return next;
        };
        next.decided.insert(
            0,
            Decision {
                id: proposal.id,
                component: proposal.component.clone(),
                revision: proposal.prepare,
                accepted,
                reason,
            },
        );
        next.decided.truncate(DECISIONS);
        if accepted {
            next.components.insert(proposal.component, proposal.desired);
        }
        next
    }
}

impl Desired {
    /// What the manifest says, and nothing else.
    #[must_use]
    pub fn baseline(revision: &str) -> Self {
        Self {
            active: revision.to_owned(),
            canary: None,
            previous: Vec::new(),
            verdict: None,
        }
    }

    /// `revision` for all requests; what is active now is remembered.
    pub(super) fn replaced_by(&self, revision: &str) -> Self {
        let mut previous = vec![self.active.clone()];
        previous.extend(self.previous.iter().cloned());
        previous.retain(|old| old != revision);
        previous.truncate(PREVIOUS);
        Self {
            previous,
            ..Self::baseline(revision)
        }
    }

    /// `revision` for all requests, as before what came after it: that is not
    /// gone back to again, so that going back twice goes two steps.
    pub(super) fn back_to(&self, revision: &str) -> Self {
        let place = self.previous.iter().position(|old| old == revision);
        let older = place.map_or(0, |place| place + 1);
        Self {
            previous: self.previous[older..].to_vec(),
            ..Self::baseline(revision)
        }
    }

    /// Every revision that it names, of those that were active before the newest
    /// `keep`.
    #[must_use]
    pub fn names(&self, keep: usize) -> BTreeSet<String> {
        let canary = self.canary.iter().map(|canary| &canary.revision);
        std::iter::once(&self.active)
            .chain(canary)
            .chain(self.previous.iter().take(keep))
            .cloned()
            .collect()
    }

    /// The same without its canary.
    pub(super) fn without_canary(&self) -> Self {
        Self {
            canary: None,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests;
