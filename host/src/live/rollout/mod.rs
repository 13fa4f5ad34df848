//! Rollouts: from what somebody asks for to what this node serves, in step with
//! all other nodes.
//!
//! ```text
//!  command ─► load here ─► propose ─► every node prepares ─► active | refused
//!                                                              │
//!  desired state ◄── read at a notice, every second, at boot ──┘
//!        │
//!        └─► converge: what is desired and loaded becomes the live table
//! ```
//!
//! All of it runs on one thread, the control thread, and nothing of it on those
//! that serve. Only [`converge`] publishes tables.

mod alone;
mod backend;
mod baseline;
mod command;
mod converge;
mod follow;
mod loading;
mod rebase;
mod resolve;
mod shared;
mod shelf;
mod status;
mod sync;
mod verdicts;

pub use baseline::Baseline;
pub use command::{Action, Deploy, Request};

use self::alone::Alone;
use self::backend::Backend;
use self::shared::Shared;
use self::shelf::{Key, Shelf};
use super::Swapper;
use super::load::Loader;
use crate::control::{Event, Refusal, RefusalKind, Revisions, Status};
use crate::fleet::{Settings, Snapshot};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot, watch};

/// How long a start waits for desired state before it serves what the manifest
/// says.
const BOOT_PATIENCE: Duration = Duration::from_secs(3);

/// How long it waits, once that is known, until it is loaded: as long as nodes may
/// take to prepare a proposal.
const BOOT_LOADING: Duration = Duration::from_secs(60);

/// How long an end waits to be told to the others.
const FAREWELL: Duration = Duration::from_millis(500);

/// What rollouts are made of.
#[derive(Debug)]
pub struct Parts {
    /// This node's name.
    pub node: String,
    /// Loads revisions.
    pub loader: Arc<Loader>,
    /// Publishes tables.
    pub swapper: Swapper,
    /// What the manifest says; it is what the live table serves.
    pub baseline: Baseline,
    /// The control database; none where this node is alone.
    pub fleet: Option<Settings>,
    /// Notified when a canary was found wanting.
    pub told: Arc<Notify>,
}

#[derive(Debug)]
struct Inner {
    node: String,
    /// What this process is called among the nodes.
    instance: String,
    application: String,
    loader: Arc<Loader>,
    swapper: Swapper,
    backend: Backend,
    baseline: RwLock<Arc<Baseline>>,
    shelf: Arc<Shelf>,
    /// What was read last.
    view: watch::Sender<Snapshot>,
    /// The version that this node runs, as far as it can.
    ran: AtomicI64,
    /// It does not take part any more.
    leaving: AtomicBool,
    /// Asks for a look at desired state, now.
    poke: Notify,
    told: Arc<Notify>,
    /// Canaries that this node called off, by component: the revision and why.
    condemned: Mutex<BTreeMap<String, (String, String)>>,
    /// What this node said of a proposal last.
    said: Mutex<Option<Said>>,
    /// The configuration of what is served, by component.
    epochs: Mutex<BTreeMap<String, u64>>,
    /// What keeps this node from running what it is to run, by component.
    errors: Mutex<BTreeMap<String, String>>,
}

/// What a node said of a proposal.
#[derive(Debug, Clone)]
struct Said {
    id: i64,
    revision: String,
    outcome: Result<(), String>,
}

/// How far a node is with what it is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether the control database answers; none where the node is alone.
    pub reachable: Option<bool>,
    /// The version of desired state that was read last,
    pub desired: i64,
    /// and the one that this node runs.
    pub running: i64,
    /// Since the proposal that is under way was made; zero with none.
    pub proposal: Duration,
    /// Nodes that were seen of late.
    pub live: usize,
    /// Nodes that were not.
    pub lost: usize,
    /// Components that cannot run what they are to run.
    pub failing: usize,
}

/// Where commands go. Clones are handles to the same rollouts.
#[derive(Debug, Clone)]
pub struct Rollouts {
    inner: Arc<Inner>,
    control: Handle,
}

impl Rollouts {
    /// Begins to keep the node in step, on the runtime `control`, and waits for
    /// a first look at desired state, though not long.
    pub async fn start(parts: Parts, control: Handle) -> Self {
        let Parts {
            node,
            loader,
            swapper,
            baseline,
            fleet,
            told,
        } = parts;
        let instance = fleet.as_ref().map(|fleet| fleet.instance.clone());
        let backend = match fleet {
            Some(settings) => Backend::Shared(Shared::new(settings)),
            None => {
                let keep = baseline.spec.limits.kept_revisions.get() as usize;
                let deployed = loader.deployed.clone();
                // Of a process before this one, which nobody can go back to.
                deployed.clear().await;
                Backend::Alone(Alone::new(&node, &baseline.id, deployed, keep))
            }
        };
        let view = empty(&baseline.id);
        let inner = Arc::new(Inner {
            node,
            instance: instance.unwrap_or_default(),
            application: baseline.spec.name.clone(),
            loader,
            swapper,
            backend,
            epochs: Mutex::default(),
            baseline: RwLock::new(Arc::new(baseline)),
            shelf: Arc::default(),
            view: watch::Sender::new(view),
            ran: AtomicI64::new(-1),
            leaving: AtomicBool::new(false),
            poke: Notify::new(),
            told,
            condemned: Mutex::default(),
            errors: Mutex::default(),
            said: Mutex::default(),
        });
        let mut view = inner.view.subscribe();
        control.spawn(inner.clone().watch_canaries());
        control.spawn(inner.clone().keep_in_step());
        let known = tokio::time::timeout(BOOT_PATIENCE, view.changed()).await;
        let running = inner.clone();
        let in_step =
            async { while running.ran.load(Relaxed) < 0 && view.changed().await.is_ok() {} };
        if known.is_err() {
            tracing::warn!("serving what the manifest says: desired state is not known yet");
        } else if tokio::time::timeout(BOOT_LOADING, in_step).await.is_err() {
            tracing::warn!("serving what the manifest says until what is deployed is loaded");
        }
        Self { inner, control }
    }

    /// Begins what `request` asks for. It goes on to its end, whether or not its
    /// events are listened to.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] where nothing was begun.
    pub async fn begin(&self, request: Request) -> Result<mpsc::Receiver<Event>, Refusal> {
        let (begun, has_begun) = oneshot::channel();
        self.control
            .spawn(self.inner.clone().carry_out(request, begun));
        has_begun
            .await
            .unwrap_or_else(|_| Err(Refusal::new(RefusalKind::Internal, "the command broke off")))
    }

    /// What this node runs, and knows of the others.
    ///
    /// # Errors
    ///
    /// Where the node ends meanwhile.
    pub async fn status(&self) -> Result<Status, Refusal> {
        let inner = self.inner.clone();
        let told = self.control.spawn(async move { inner.status().await });
        told.await
            .map_err(|error| Refusal::new(RefusalKind::Internal, error.to_string()))
    }

    /// The revisions of a component.
    ///
    /// # Errors
    ///
    /// Where there is no such component, or the control database is away.
    pub async fn revisions(&self, component: &str) -> Result<Revisions, Refusal> {
        let (inner, component) = (self.inner.clone(), component.to_owned());
        let listed = self
            .control
            .spawn(async move { inner.revisions(&component).await });
        listed
            .await
            .unwrap_or_else(|error| Err(Refusal::new(RefusalKind::Internal, error.to_string())))
    }

    /// How far this node is with what it is to run, as it was seen last. No I/O.
    pub fn standing(&self) -> Standing {
        let view = self.inner.view.borrow();
        let count = |live: bool| view.nodes.iter().filter(|node| node.live == live).count();
        Standing {
            reachable: self
                .inner
                .backend
                .is_shared()
                .then(|| self.inner.backend.error().is_none()),
            desired: view.version,
            running: self.inner.ran.load(Relaxed),
            proposal: view.age_of_proposal,
            live: count(true),
            lost: count(false),
            failing: self.inner.errors.lock().len(),
        }
    }

    /// What the manifest says, as it was read last.
    pub fn baseline(&self) -> Arc<Baseline> {
        self.inner.baseline()
    }

    /// Tells the others that this node goes, and follows them no more.
    pub async fn leave(&self) {
        let inner = self.inner.clone();
        inner.leaving.store(true, Relaxed);
        let left = self
            .control
            .spawn(async move { inner.backend.leave().await });
        match tokio::time::timeout(FAREWELL, left).await {
            Ok(Ok(Ok(()))) => {}
            // They will see for themselves, in a few seconds.
            missed => tracing::debug!("not signed off: {missed:?}"),
        }
    }
}

impl Inner {
    fn baseline(&self) -> Arc<Baseline> {
        self.baseline.read().clone()
    }

    fn key(&self, baseline: &Baseline, component: &str, digest: &str) -> Key {
        Key {
            component: component.to_owned(),
            digest: digest.to_owned(),
            epoch: baseline.epoch(component),
        }
    }
}

fn empty(manifest: &str) -> Snapshot {
    Snapshot {
        manifest: manifest.to_owned(),
        version: 0,
        state: crate::fleet::State::default(),
        age_of_proposal: Duration::ZERO,
        nodes: Vec::new(),
        set_aside: Vec::new(),
    }
}
