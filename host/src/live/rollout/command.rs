//! What somebody asks for: loaded here first, then proposed to all.

use super::shelf::Loaded;
use super::{Inner, Rollouts};
use crate::control::{Event, Refusal, RefusalKind};
use crate::engine::Digest;
use crate::fleet::{self, Ask, Error, Refused, State};
use crate::live::load::LoadError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// How long a command waits for the rollouts before it: one of them takes its
/// own minute at worst.
const TURN: Duration = Duration::from_secs(90);

/// Between two looks at whether it is this command's turn.
const LOOK: Duration = Duration::from_secs(1);

/// How long it is looked for whether a proposal was written, when the answer to
/// that was lost: the database's restart.
const UNSURE: Duration = Duration::from_secs(20);

/// How long the end of a command waits for whoever listens.
const LISTEN: Duration = Duration::from_secs(10);

/// Events that may wait for whoever reads them.
const EVENTS: usize = 64;

/// A new revision of a component.
#[derive(Debug)]
pub struct Deploy {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its share of requests in hundredths of a percent; none for all of them.
    pub canary: Option<u32>,
    /// What its deployer says of it.
    pub note: Option<String>,
}

/// A command to one component.
#[derive(Debug)]
pub struct Request {
    /// The component's name.
    pub component: String,
    /// When it arrived.
    pub arrived: Instant,
    /// Goes ahead with the nodes that could, if any.
    pub force: bool,
    /// Is over only when every live node runs it.
    pub wait: bool,
    /// What is asked for.
    pub action: Action,
}

/// What is asked for.
#[derive(Debug)]
pub enum Action {
    /// A new revision.
    Deploy(Deploy),
    /// The canary for all requests.
    Promote,
    /// An earlier revision, by the beginning of its digest; or the one before.
    Rollback(Option<String>),
}

/// A proposal that was made, or the state that makes one needless.
pub(super) struct Proposed {
    /// The proposal's id.
    pub(super) id: i64,
    /// The revision that it is about.
    pub(super) revision: String,
    /// The share it is to get, in hundredths of a percent.
    pub(super) canary: Option<u32>,
}

/// A command on its way, from when it was proposed.
pub(super) struct Followed<'c> {
    pub(super) component: &'c str,
    pub(super) proposed: &'c Proposed,
    pub(super) arrived: Instant,
    /// Is over only when every live node runs it.
    pub(super) wait: bool,
}

impl Proposed {
    /// Whether `state` has it, decided or not.
    fn is_in(&self, state: &State) -> bool {
        let proposal = state.proposal.as_ref();
        let pending = proposal.is_some_and(|it| it.id == self.id && it.prepare == self.revision);
        let decision = state.decision(self.id);
        pending || decision.is_some_and(|it| it.revision == self.revision)
    }
}

impl Rollouts {
    /// Whether there is such a component.
    ///
    /// # Errors
    ///
    /// A refusal that names those that there are.
    pub fn known(&self, component: &str) -> Result<(), Refusal> {
        self.inner.known(component)
    }

    /// Largest component that may be deployed, in bytes.
    pub fn component_size(&self) -> usize {
        self.inner.loader.artifacts.limit()
    }
}

impl Inner {
    pub(super) async fn carry_out(
        self: Arc<Self>,
        request: Request,
        begun: oneshot::Sender<Result<mpsc::Receiver<Event>, Refusal>>,
    ) {
        let component = request.component.clone();
        let Request {
            arrived,
            force,
            wait,
            action,
            ..
        } = request;
        let deployed = matches!(action, Action::Deploy(_));
        let proposed = match self.propose(&component, force, action).await {
            Ok(proposed) => proposed,
            Err(refusal) => {
                tracing::warn!(component, step = refusal.step, "refused: {refusal}");
                // Whoever asked may be gone.
                let _ = begun.send(Err(refusal.about(component)));
                return;
            }
        };
        let (events, receiver) = mpsc::channel(EVENTS);
        let _ = begun.send(Ok(receiver));
        self.poke.notify_one();
        let followed = Followed {
            component: &component,
            proposed: &proposed,
            arrived,
            wait,
        };
        let ended = self.follow(&followed, &events).await;
        if deployed {
            self.prune(&component).await;
        }
        // Whoever has stopped listening is not waited for.
        let _ = tokio::time::timeout(LISTEN, events.send(ended)).await;
    }

    pub(super) fn known(&self, component: &str) -> Result<(), Refusal> {
        let baseline = self.baseline();
        let components = &baseline.spec.components;
        if components.contains_key(component) {
            return Ok(());
        }
        let names: Vec<_> = components.keys().map(String::as_str).collect();
        let text = format!(
            "there is no component {component:?}; there are {}",
            names.join(", ")
        );
        Err(Refusal::new(RefusalKind::NotFound, text))
    }

    async fn propose(
        self: &Arc<Self>,
        component: &str,
        force: bool,
        action: Action,
    ) -> Result<Proposed, Refusal> {
        self.known(component)?;
        match action {
            Action::Deploy(deploy) => {
                let Deploy {
                    bytes,
                    canary,
                    note,
                } = deploy;
                let digest = Digest::of(&bytes).0.to_string();
                let _claim = self.load_here(component, &digest, Some(&bytes)).await?;
                self.backend
                    .put_revision(component, &digest, bytes, note.as_deref())
                    .await
                    .map_err(unavailable)?;
                self.proposed(component, force, |state, ask| {
                    state.propose_deploy(ask, &digest, canary)
                })
                .await
            }
            Action::Promote => {
                self.proposed(component, force, |state, ask| state.propose_promote(ask))
                    .await
            }
            Action::Rollback(None) => {
                self.proposed(component, force, |state, ask| {
                    state.propose_rollback(ask, None)
                })
                .await
            }
            Action::Rollback(Some(digits)) => {
                let digest = self.resolve(component, &digits).await?;
                let _claim = self.load_here(component, &digest, None).await?;
                self.proposed(component, force, |state, ask| {
                    state.propose_rollback(ask, Some(&digest))
                })
                .await
            }
        }
    }

    /// Loads a revision on this node, which is to know before any other hears of
    /// it whether it can serve.
    async fn load_here(
        self: &Arc<Self>,
        component: &str,
        digest: &str,
        bytes: Option<&Vec<u8>>,
    ) -> Result<super::shelf::Claim, Refusal> {
        let baseline = self.baseline();
        let key = self.key(&baseline, component, digest);
        let claim = self.shelf.claim(key.clone());
        let mut loaded = self.load(&baseline, key, bytes.cloned());
        let outcome: Option<Loaded> = match loaded.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone(),
            Err(_) => None,
        };
        match outcome {
            Some(Ok(_)) => Ok(claim),
            Some(Err(error)) => Err(not_served(error)),
            None => Err(Refusal::new(RefusalKind::Internal, "loading it broke off")),
        }
    }

    /// Proposes what `make` makes of the state, once it is this command's turn.
    async fn proposed(
        self: &Arc<Self>,
        component: &str,
        force: bool,
        make: impl Fn(&State, &Ask<'_>) -> Result<State, Refused>,
    ) -> Result<Proposed, Refusal> {
        let until = Instant::now() + TURN;
        let mut view = self.view.subscribe();
        // One that may have been written, though nobody said so.
        let mut unsure: Option<(Proposed, Instant)> = None;
        loop {
            view.mark_unchanged();
            let baseline = self.baseline();
            let snapshot = match (self.backend.read().await, &unsure) {
                (Ok(snapshot), _) => snapshot,
                (Err(Error::Unavailable(_)), Some((_, since))) if since.elapsed() < UNSURE => {
                    let _ = tokio::time::timeout(LOOK, view.changed()).await;
                    continue;
                }
                (Err(_), Some(_)) => {
                    let text = "the control database broke off, and it is not known whether the \
                                rollout has begun; see `warmlink status`";
                    return Err(Refusal::new(RefusalKind::Unavailable, text));
                }
                (Err(error), None) => return Err(unavailable(error)),
            };
            if snapshot.manifest != baseline.id {
                // The manifest was read again meanwhile.
                continue;
            }
            if let Some((proposed, _)) = unsure.take()
                && proposed.is_in(&snapshot.state)
            {
                return Ok(proposed);
            }
            let ask = Ask {
                version: snapshot.version + 1,
                component,
                baseline: baseline.digest(component),
                force,
                node: &self.node,
            };
            match make(&snapshot.state, &ask) {
                Ok(state) => match self.backend.write(snapshot.version, &state).await {
                    Ok(true) => return Ok(proposal(ask.version, &state)),
                    // Somebody else was first: what they wrote comes before this.
                    Ok(false) => {}
                    Err(Error::Unavailable(_)) => {
                        unsure = Some((proposal(ask.version, &state), Instant::now()));
                    }
                    Err(error) => return Err(unavailable(error)),
                },
                Err(Refused::Busy { .. }) if Instant::now() < until => {
                    let _ = tokio::time::timeout(LOOK, view.changed()).await;
                }
                Err(refused) => {
                    return Err(Refusal::new(RefusalKind::Conflict, refused.to_string()));
                }
            }
        }
    }

    async fn prune(&self, component: &str) {
        let baseline = self.baseline();
        let keep = baseline.spec.limits.kept_revisions.get() as usize;
        let desired = {
            let view = self.view.borrow();
            view.state.desired(component, baseline.digest(component))
        };
        if let Err(error) = self.backend.prune(component, &desired.names(keep)).await {
            tracing::warn!(component, "old revisions are still kept: {error}");
        }
    }
}

fn proposal(id: i64, state: &State) -> Proposed {
    let proposal = state.proposal.as_ref();
    let canary = proposal.and_then(|it| it.desired.canary.as_ref());
    let revision = proposal.map(|it| it.prepare.clone()).unwrap_or_default();
    Proposed {
        id,
        canary: canary
            .filter(|canary| canary.revision == revision)
            .map(|canary| canary.basis_points),
        revision,
    }
}

fn not_served(error: LoadError) -> Refusal {
    Refusal {
        kind: RefusalKind::Component,
        error: error.reason,
        component: Some(error.component),
        step: Some(error.step.name().to_owned()),
    }
}

pub(super) fn unavailable(error: fleet::Error) -> Refusal {
    let kind = match error {
        Error::Unavailable(_) => RefusalKind::Unavailable,
        Error::Forged | Error::Stale { .. } | Error::Unknown => RefusalKind::Conflict,
        Error::Schema(_) | Error::Refused(_) | Error::Damaged(_) => RefusalKind::Internal,
    };
    Refusal::new(kind, error.to_string())
}
