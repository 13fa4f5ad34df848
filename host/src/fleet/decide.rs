//! From what nodes say of a proposal to its end.

use super::node::NodeReport;
use super::state::State;
use std::time::Duration;

/// Of a node's reason, this much is passed on, in characters.
const REASON: usize = 300;

/// What is to become of the proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the nodes switch.
    pub accepted: bool,
    /// The nodes that did not prepare it, each with its reason.
    pub reason: Option<String>,
}

/// What a node says of the proposal.
enum Said<'a> {
    Prepared,
    Refused(&'a str),
    Nothing,
}

impl State {
    /// What is to become of the proposal, which is as old as `age`, by what the
    /// live nodes that have `manifest` report. Until `limit` all of them are
    /// waited for; after it, whoever said nothing counts as refusing.
    ///
    /// `None` while there is something to wait for, and where there is no
    /// proposal.
    #[must_use]
    pub fn decide(
        &self,
        manifest: &str,
        nodes: &[NodeReport],
        age: Duration,
        limit: Duration,
    ) -> Option<Verdict> {
        let proposal = self.proposal.as_ref()?;
        let mut prepared = 0;
        let mut unprepared = Vec::new();
        let mut silent = false;
        for node in nodes {
            if !node.live || node.manifest != manifest {
                continue;
            }
            match said(node, proposal.id) {
                Said::Prepared => prepared += 1,
                Said::Refused(reason) => {
                    unprepared.push(format!("{}: {}", node.node, shortened(reason)));
                }
                Said::Nothing => {
                    silent = true;
                    unprepared.push(format!("{}: did not prepare in time", node.node));
                }
            }
        }
        // The proposer is a node as well, and is to be seen soon.
        let nobody = prepared == 0 && unprepared.is_empty();
        if (silent || nobody) && age <= limit {
            return None;
        }
        if nobody {
            unprepared.push("no live node prepared it in time".to_owned());
        }
        Some(Verdict {
            accepted: prepared > 0 && (proposal.force || unprepared.is_empty()),
            reason: (!unprepared.is_empty()).then(|| unprepared.join("; ")),
        })
    }

    /// The state after `verdict` on its proposal.
    #[must_use]
    pub fn settle(&self, verdict: Verdict) -> Self {
        self.concluded(verdict.accepted, verdict.reason)
    }
}

fn said(node: &NodeReport, proposal: i64) -> Said<'_> {
    match &node.report.proposal {
        Some((id, Ok(()))) if *id == proposal => Said::Prepared,
        Some((id, Err(reason))) if *id == proposal => Said::Refused(reason),
        _ => Said::Nothing,
    }
}

/// Reasons are kept with the decisions: one node may not fill the state.
fn shortened(reason: &str) -> &str {
    match reason.char_indices().nth(REASON) {
        Some((end, _)) => &reason[..end],
        None => reason,
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
