//! What is loaded and not served: asked for, waited for, and cleared away.

use super::shelf::{Key, Loaded};
use super::{Baseline, Inner};
use crate::engine::Digest;
use crate::fleet::{Error, Snapshot};
use crate::live::Endpoint;
use crate::live::load::{LoadError, Occasion, Step};
use std::sync::Arc;
use tokio::sync::watch;

impl Inner {
    /// A revision of `component` that is served or on the shelf; it is loaded if
    /// it is neither.
    pub(super) fn revision(
        self: &Arc<Self>,
        baseline: &Arc<Baseline>,
        component: &str,
        digest: &str,
        current: Option<&Arc<Endpoint>>,
    ) -> Option<Loaded> {
        let epoch = self.epochs.lock().get(component).copied();
        if epoch.unwrap_or_default() == baseline.epoch(component)
            && let Some(current) = current
            && let Some(found) = current.revisions().find(|it| *it.digest().0 == *digest)
        {
            return Some(Ok(found.clone()));
        }
        let key = self.key(baseline, component, digest);
        let loaded = self.load(baseline, key, None);
        let loaded = loaded.borrow();
        loaded.clone()
    }

    /// Loads a revision onto the shelf, from `bytes` or from wherever it is kept.
    pub(super) fn load(
        self: &Arc<Self>,
        baseline: &Arc<Baseline>,
        key: Key,
        bytes: Option<Vec<u8>>,
    ) -> watch::Receiver<Option<Loaded>> {
        let fresh = bytes.is_some();
        let (inner, wanted, baseline) = (self.clone(), key.clone(), baseline.clone());
        // On the heap: a future of 18 KB is moved about otherwise.
        let work = || async move { Box::pin(inner.loaded(&baseline, wanted, bytes)).await };
        let inner = self.clone();
        self.shelf
            .load(key, fresh, work, move || inner.poke.notify_one())
    }

    async fn loaded(&self, baseline: &Baseline, key: Key, bytes: Option<Vec<u8>>) -> Loaded {
        let Some(spec) = baseline.spec.components.get(&key.component) else {
            return Err(LoadError {
                component: key.component,
                step: Step::Configure,
                reason: "the manifest has no such component".to_owned(),
                away: false,
            });
        };
        let digest = Digest(key.digest.as_str().into());
        let from_manifest = baseline.digest(&key.component) == key.digest;
        let mut away = false;
        let bytes = async {
            if let Some(bytes) = bytes {
                return Ok(bytes);
            }
            if from_manifest {
                let (found, bytes) = self
                    .loader
                    .source(spec)
                    .await
                    .map_err(|error| error.reason)?;
                return if found == digest {
                    Ok(bytes)
                } else {
                    Err("its file has changed since the manifest was read".to_owned())
                };
            }
            match self.backend.bytes(&key.component, &key.digest).await {
                Ok(Some(bytes)) => Ok(bytes),
                Ok(None) => Err("its bytes are not kept any more".to_owned()),
                Err(error) => {
                    away = matches!(error, Error::Unavailable(_));
                    Err(error.to_string())
                }
            }
        };
        let loading = self
            .loader
            .load(spec, &baseline.spec, &digest, Occasion::Swap, bytes);
        let loaded = Box::pin(loading).await;
        loaded.map_err(|error| LoadError { away, ..error })
    }

    /// Clears away what neither `snapshot` nor a command asks for.
    pub(super) fn clear_shelf(&self, baseline: &Baseline, snapshot: &Snapshot) {
        let table = self.swapper.live.pin();
        let state = &snapshot.state;
        let wanted = |key: &Key| {
            let desired = state.desired(&key.component, baseline.digest(&key.component));
            let canary = desired.canary.as_ref();
            let proposed = state.proposal.as_ref().is_some_and(|proposal| {
                proposal.component == key.component && proposal.prepare == key.digest
            });
            let to_serve = desired.active == key.digest
                || canary.is_some_and(|canary| canary.revision == key.digest);
            key.epoch == baseline.epoch(&key.component) && (proposed || to_serve)
        };
        let epochs = self.epochs.lock();
        let served = |key: &Key| {
            epochs.get(&key.component).copied().unwrap_or_default() == key.epoch
                && table.endpoint(&key.component).is_some_and(|endpoint| {
                    let mut digests = endpoint.revisions().map(|it| &it.digest().0);
                    digests.any(|digest| **digest == *key.digest)
                })
        };
        self.shelf.clear(wanted, served);
    }
}
