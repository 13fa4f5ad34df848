//! Where desired state is kept: in the control database, or in this process
//! alone.

use super::alone::Alone;
use super::shared::Shared;
use crate::fleet::{Error, Report, Snapshot, State, StoredRevision};
use std::collections::BTreeSet;

/// Either way, the same steps lead to the same states.
#[derive(Debug)]
pub(super) enum Backend {
    Alone(Alone),
    Shared(Shared),
}

impl Backend {
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }

    pub(super) async fn read(&self) -> Result<Snapshot, Error> {
        match self {
            Self::Alone(alone) => Ok(alone.read()),
            Self::Shared(shared) => shared.read().await,
        }
    }

    pub(super) async fn write(&self, expected: i64, state: &State) -> Result<bool, Error> {
        match self {
            Self::Alone(alone) => Ok(alone.write(expected, state)),
            Self::Shared(shared) => shared.store()?.write(expected, state).await,
        }
    }

    pub(super) async fn report(&self, report: &Report) -> Result<(), Error> {
        match self {
            Self::Alone(alone) => {
                alone.report(report);
                Ok(())
            }
            Self::Shared(shared) => shared.store()?.report(report).await,
        }
    }

    pub(super) async fn put_revision(
        &self,
        component: &str,
        digest: &str,
        bytes: Vec<u8>,
        note: Option<&str>,
    ) -> Result<(), Error> {
        match self {
            Self::Alone(alone) => alone.put_revision(component, digest, bytes, note).await,
            Self::Shared(shared) => {
                let store = shared.store_for(bytes.len() as u64).await?;
                store.put_revision(component, digest, &bytes, note).await
            }
        }
    }

    pub(super) async fn bytes(
        &self,
        component: &str,
        digest: &str,
    ) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Self::Alone(alone) => Ok(alone.bytes(digest).await),
            Self::Shared(shared) => {
                let stored = shared.store()?.revisions(component).await?;
                let Some(stored) = stored.iter().find(|stored| stored.digest == digest) else {
                    return Ok(None);
                };
                let store = shared.store_for(stored.bytes).await?;
                store.bytes(component, digest).await
            }
        }
    }

    pub(super) async fn revisions(&self, component: &str) -> Result<Vec<StoredRevision>, Error> {
        match self {
            Self::Alone(alone) => Ok(alone.revisions(component)),
            Self::Shared(shared) => shared.store()?.revisions(component).await,
        }
    }

    /// Forgets the oldest revisions of `component`, and none in `named`.
    pub(super) async fn prune(
        &self,
        component: &str,
        named: &BTreeSet<String>,
    ) -> Result<(), Error> {
        match self {
            Self::Alone(alone) => alone.prune(component, named).await,
            Self::Shared(shared) => {
                let removed = shared.store()?.prune(component, named).await?;
                tracing::debug!(component, removed, "old revisions forgotten");
            }
        }
        Ok(())
    }

    /// Begins anew for another manifest.
    pub(super) fn rebase(&self, manifest: &str) {
        match self {
            Self::Alone(alone) => alone.rebase(manifest),
            Self::Shared(shared) => shared.rebase(manifest),
        }
    }

    /// Takes this node's report back.
    pub(super) async fn leave(&self) -> Result<(), Error> {
        match self {
            Self::Alone(_) => Ok(()),
            Self::Shared(shared) => shared.store()?.leave().await,
        }
    }

    /// What is wrong with it, while something is.
    pub(super) fn error(&self) -> Option<String> {
        match self {
            Self::Alone(_) => None,
            Self::Shared(shared) => shared.error(),
        }
    }
}
