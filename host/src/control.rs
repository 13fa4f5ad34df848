//! What the admin port and the commands say to each other, as JSON.
//!
//! ```text
//! GET  /v1/status                        → Status
//! GET  /v1/components/NAME/revisions     → Revisions
//! POST /v1/components/NAME/deploy        component's bytes → Events
//!      ?digest=HEX&canary=PERCENT&note=TEXT&force=true&wait=true
//! POST /v1/components/NAME/promote       ?force=true&wait=true → Events
//! POST /v1/components/NAME/rollback      ?revision=HEX&force=true&wait=true → Events
//! ```
//!
//! What is refused before anything began is a status and a [`Refusal`]. What
//! has begun is answered `200` with one [`Event`] a line, as they happen, the
//! last of them [`Event::Done`] or [`Event::Failed`].

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The content type of a component's bytes.
pub const COMPONENT_TYPE: &str = "application/wasm";

/// The content type of a stream of [`Event`]s.
pub const EVENTS_TYPE: &str = "application/x-ndjson";

/// Why a command was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// A malformed request: a bad parameter, an upload that ended early.
    BadRequest,
    /// The token is missing or wrong.
    Unauthorized,
    /// No token is configured, and the command came from elsewhere.
    Forbidden,
    /// There is no such component or revision.
    NotFound,
    /// The component's file is over the size limit.
    TooLarge,
    /// The component cannot serve: the step and the reason say why.
    Component,
    /// Some node could not prepare the revision, and nobody switched.
    Refused,
    /// Another rollout came first, or there is nothing to promote or to go
    /// back to.
    Conflict,
    /// Not all nodes run it in time, though it is what they are to run.
    Timeout,
    /// The node is not ready, or its control database is away.
    Unavailable,
    /// A fault of the host's own.
    Internal,
}

impl RefusalKind {
    /// The HTTP status, by number.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::TooLarge => 413,
            Self::Component => 422,
            Self::Refused | Self::Conflict => 409,
            Self::Timeout => 504,
            Self::Unavailable => 503,
            Self::Internal => 500,
        }
    }
}

/// A command that was not carried out; what served before serves on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{error}")]
pub struct Refusal {
    /// What happened.
    pub kind: RefusalKind,
    /// The same in words.
    pub error: String,
    /// Which component it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// The step that failed: `read`, `compile`, `verify`, `configure`, `warm`
    /// or `probe`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}

impl Refusal {
    /// A refusal in these words.
    pub fn new(kind: RefusalKind, error: impl Into<String>) -> Self {
        Self {
            kind,
            error: error.into(),
            component: None,
            step: None,
        }
    }

    /// The same, about `component`.
    #[must_use]
    pub fn about(mut self, component: impl Into<String>) -> Self {
        self.component = Some(component.into());
        self
    }
}

/// Where a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nodes load, verify and warm the revision; all still serve the old one.
    Proposed,
    /// Nodes switch to it.
    Active,
    /// It was called off; nobody switched.
    Refused,
}

/// A step of a rollout, or its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Where each node is.
    Progress {
        /// The rollout's phase.
        phase: Phase,
        /// The live nodes, and whether each is done with this phase.
        nodes: BTreeMap<String, bool>,
    },
    /// Carried out.
    Done(Outcome),
    /// Not carried out.
    Failed(Refusal),
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The component.
    pub component: String,
    /// The revision that it is about, as 64 hexadecimal digits.
    pub revision: String,
    /// The share of requests that it gets, in percent; none for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<f64>,
    /// This node's table.
    pub generation: u64,
    /// Seconds from the command's arrival to its end.
    pub seconds: f64,
    /// The nodes that were told, and whether each runs it.
    pub nodes: BTreeMap<String, bool>,
}

/// What a node runs and knows of the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The application's name.
    pub application: String,
    /// This node's name.
    pub node: String,
    /// This node's table.
    pub generation: u64,
    /// The digest of what this node's manifest says, as hexadecimal digits.
    pub manifest: String,
    /// Where desired state is kept.
    pub control: Control,
    /// The components, in the manifest's order.
    pub components: Vec<ComponentStatus>,
    /// What was deployed against another manifest, and is not run here.
    pub set_aside: Vec<SetAside>,
    /// Every node that was seen lately, by name; only this one where there is
    /// no control database.
    pub nodes: BTreeMap<String, NodeStatus>,
    /// The rollout under way.
    pub rollout: Option<RolloutStatus>,
}

/// Where desired state is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// Whether there is a control database; without one, what is deployed is
    /// this node's alone and ends with its process.
    pub shared: bool,
    /// Whether it is reached now.
    pub reachable: bool,
    /// What went wrong with it last, while it is not reached.
    pub error: Option<String>,
}

/// A component on this node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComponentStatus {
    /// Its name.
    pub name: String,
    /// The revision that serves.
    pub active: String,
    /// Whether that is the one that the manifest names.
    pub from_manifest: bool,
    /// The revision that is tried out.
    pub canary: Option<CanaryStatus>,
    /// Retired revisions that still have requests.
    pub draining: usize,
    /// Why the last canary was called off.
    pub last_verdict: Option<String>,
    /// Why it is not what it is to be, on this node.
    pub error: Option<String>,
}

/// A canary and how it fares, on this node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CanaryStatus {
    /// Its revision.
    pub revision: String,
    /// Its share of requests, in percent.
    pub percent: f64,
    /// Requests it was given and that are over.
    pub requests: u64,
    /// Those that failed.
    pub failures: u64,
    /// Requests to the active revision meanwhile.
    pub baseline_requests: u64,
    /// Those that failed.
    pub baseline_failures: u64,
}

/// A deployed revision that this node does not run, because it was made against
/// another manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// The component.
    pub component: String,
    /// The revision.
    pub revision: String,
    /// The manifest that it was made against.
    pub manifest: String,
}

/// What a node reported last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Whether its last report is young enough for rollouts to wait for it.
    pub live: bool,
    /// Seconds since its last report.
    pub seen: f64,
    /// Its table.
    pub generation: u64,
    /// The digest of what its manifest says.
    pub manifest: String,
    /// Its active revisions, by component.
    pub revisions: BTreeMap<String, String>,
    /// What went wrong there last.
    pub error: Option<String>,
}

/// A rollout that is not decided yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolloutStatus {
    /// The component.
    pub component: String,
    /// The revision.
    pub revision: String,
    /// The share of requests it is to get, in percent; none for all of them.
    pub canary: Option<f64>,
    /// Who proposed it.
    pub node: String,
    /// The live nodes, and whether each is prepared.
    pub nodes: BTreeMap<String, bool>,
}

/// The revisions of a component, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revisions {
    /// The component.
    pub component: String,
    /// Its revisions.
    pub revisions: Vec<RevisionRow>,
}

/// What a revision is to its component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevisionState {
    /// It serves.
    Active,
    /// It is tried out.
    Canary,
    /// `rollback` would go back to it.
    Previous,
    /// It can be gone back to by name.
    Kept,
}

/// A revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RevisionRow {
    /// Its SHA-256.
    pub revision: String,
    /// What it is now.
    pub state: RevisionState,
    /// A canary's share of requests, in percent.
    pub percent: Option<f64>,
    /// Whether the manifest names it.
    pub from_manifest: bool,
    /// Its size in bytes; none where the manifest names it.
    pub bytes: Option<u64>,
    /// When it was deployed, in RFC 3339.
    pub deployed: Option<String>,
    /// Through which node.
    pub node: Option<String>,
    /// What its deployer said of it.
    pub note: Option<String>,
}
