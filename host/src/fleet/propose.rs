//! From what an operator asks for to a proposal, and the one change that needs
//! none: calling a canary off.

use super::state::{Canary, Desired, FULL, Proposal, State};

/// A command to one component, whatever the command.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The version that the next state will be written as.
    pub version: i64,
    /// The component.
    pub component: &'a str,
    /// The revision that the manifest says.
    pub baseline: &'a str,
    /// Whether one prepared node is enough.
    pub force: bool,
    /// The node that was asked.
    pub node: &'a str,
}

/// Why a command makes no proposal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another proposal comes first.
    #[error("a rollout of `{component}` is under way, proposed by {node}")]
    Busy {
        /// Its component.
        component: String,
        /// The node that was asked for it.
        node: String,
    },
    /// Nothing would change.
    #[error("{revision} is what serves already")]
    ServesAlready {
        /// The revision.
        revision: String,
    },
    /// There is no canary to promote.
    #[error("there is no canary to promote")]
    NoCanary,
    /// There is nothing to go back to.
    #[error("there is no earlier revision to go back to")]
    NothingBefore,
    /// A canary is not gone back to.
    #[error("{revision} is the canary: promote it instead")]
    IsCanary {
        /// The revision.
        revision: String,
    },
    /// A canary's share is some of the requests, not none and not all.
    #[error("a canary's share is more than 0% and less than 100%, to a hundredth of a percent")]
    Share,
}

impl State {
    /// Proposes `revision` for all requests, or as a canary for so many basis
    /// points of them. A canary that runs gives way.
    ///
    /// # Errors
    /// [`Refused::Busy`], [`Refused::ServesAlready`], [`Refused::Share`].
    pub fn propose_deploy(
        &self,
        ask: &Ask<'_>,
        revision: &str,
        canary: Option<u32>,
    ) -> Result<Self, Refused> {
        self.not_busy()?;
        let now = self.desired(ask.component, ask.baseline);
        let next = match canary {
            None if now.active == revision => now.without_canary(),
            None => now.replaced_by(revision),
            Some(share) if !(1..FULL).contains(&share) => return Err(Refused::Share),
            Some(_) if now.active == revision => return Err(serves_already(revision)),
            Some(basis_points) => Desired {
                canary: Some(Canary {
                    revision: revision.to_owned(),
                    basis_points,
                }),
                verdict: None,
                ..now.clone()
            },
        };
        if (&next.active, &next.canary) == (&now.active, &now.canary) {
            return Err(serves_already(revision));
        }
        Ok(self.proposing(ask, next, revision))
    }

    /// Proposes the canary for all requests.
    ///
    /// # Errors
    /// [`Refused::Busy`], [`Refused::NoCanary`].
    pub fn propose_promote(&self, ask: &Ask<'_>) -> Result<Self, Refused> {
        self.not_busy()?;
        let now = self.desired(ask.component, ask.baseline);
        let canary = now.canary.as_ref().ok_or(Refused::NoCanary)?;
        Ok(self.proposing(ask, now.replaced_by(&canary.revision), &canary.revision))
    }

    /// Proposes to go back: to `revision`; or, without one, from a canary to
    /// what is active, else to the newest of what was active before, else to
    /// what the manifest says. That `revision` exists is for the caller to see
    /// to.
    ///
    /// # Errors
    /// [`Refused::Busy`], [`Refused::NothingBefore`], [`Refused::ServesAlready`],
    /// [`Refused::IsCanary`].
    pub fn propose_rollback(&self, ask: &Ask<'_>, revision: Option<&str>) -> Result<Self, Refused> {
        self.not_busy()?;
        let now = self.desired(ask.component, ask.baseline);
        let next = match (revision, &now.canary) {
            (Some(revision), Some(canary)) if canary.revision == revision => {
                return Err(Refused::IsCanary {
                    revision: revision.to_owned(),
                });
            }
            (Some(revision), None) if now.active == revision => {
                return Err(serves_already(revision));
            }
            (Some(revision), _) if now.active == revision => now.without_canary(),
            (Some(revision), _) => now.back_to(revision),
            (None, Some(_)) => now.without_canary(),
            (None, None) => match now.previous.first() {
                Some(newest) => now.back_to(newest),
                None if now.active != ask.baseline => now.back_to(ask.baseline),
                None => return Err(Refused::NothingBefore),
            },
        };
        let prepare = next.active.clone();
        Ok(self.proposing(ask, next, &prepare))
    }

    /// Calls the canary `revision` off because of `why`, at once. A proposal
    /// that would give the same revision any requests is refused with it.
    ///
    /// `None` where `revision` is not, or is no longer, the canary.
    #[must_use]
    pub fn withdraw_canary(&self, component: &str, revision: &str, why: &str) -> Option<Self> {
        let now = self.components.get(component)?;
        if now.canary.as_ref()?.revision != revision {
            return None;
        }
        let verdict = Some(why.to_owned());
        let mut next = match &self.proposal {
            Some(proposal) if proposal.component == component && proposal.gives(revision) => {
                self.concluded(false, verdict.clone())
            }
            _ => self.clone(),
        };
        if let Some(proposal) = &mut next.proposal
            && proposal.component == component
            && proposal.desired.active == now.active
            && proposal.desired.canary.is_none()
        {
            // An operator is calling it off, too: the verdict stands.
            proposal.desired.verdict.clone_from(&verdict);
        }
        let entry = Desired {
            verdict,
            ..now.without_canary()
        };
        next.components.insert(component.to_owned(), entry);
        Some(next)
    }

    fn not_busy(&self) -> Result<(), Refused> {
        match &self.proposal {
            None => Ok(()),
            Some(proposal) => Err(Refused::Busy {
                component: proposal.component.clone(),
                node: proposal.node.clone(),
            }),
        }
    }

    fn proposing(&self, ask: &Ask<'_>, desired: Desired, prepare: &str) -> Self {
        Self {
            proposal: Some(Proposal {
                id: ask.version,
                component: ask.component.to_owned(),
                desired,
                prepare: prepare.to_owned(),
                force: ask.force,
                node: ask.node.to_owned(),
            }),
            ..self.clone()
        }
    }
}

impl Proposal {
    /// Whether `revision` would get requests.
    fn gives(&self, revision: &str) -> bool {
        let canary = self.desired.canary.as_ref();
        self.desired.active == revision || canary.is_some_and(|canary| canary.revision == revision)
    }
}

fn serves_already(revision: &str) -> Refused {
    Refused::ServesAlready {
        revision: revision.to_owned(),
    }
}
