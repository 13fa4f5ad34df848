//! Another manifest, or another file that it names: what a developer changes.

use super::{Baseline, Inner, Rollouts, empty};
use crate::live::load::{LoadError, Step};
use crate::manifest::Spec;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Rollouts {
    /// Serves another baseline: what the manifest, or a file that it names, has
    /// become. Everything deployed over the former one is set aside.
    ///
    /// # Errors
    ///
    /// Why some component of it cannot be loaded; what serves serves on.
    pub async fn rebase(&self, baseline: Baseline) -> Result<(), LoadError> {
        let inner = self.inner.clone();
        let rebased = self
            .control
            .spawn(async move { inner.rebase(baseline).await });
        rebased.await.unwrap_or_else(|_| {
            Err(LoadError {
                component: String::new(),
                step: Step::Configure,
                reason: "the swap broke off".to_owned(),
                away: false,
            })
        })
    }

    /// The manifest with what its component `component` has become.
    ///
    /// # Errors
    ///
    /// Where its file cannot be read.
    pub async fn rebuilt(&self, component: &str) -> Result<Baseline, LoadError> {
        let baseline = self.baseline();
        let Some(spec) = baseline.spec.components.get(component) else {
            return Err(LoadError {
                component: component.to_owned(),
                step: Step::Read,
                reason: "the manifest has no such component".to_owned(),
                away: false,
            });
        };
        let (digest, _) = self.inner.loader.source(spec).await?;
        Ok(baseline.with(component, digest))
    }

    /// Another manifest, with what its components are.
    ///
    /// # Errors
    ///
    /// The first component that cannot be read.
    pub async fn reread(&self, text: &str, spec: Arc<Spec>) -> Result<Baseline, LoadError> {
        let mut digests = BTreeMap::new();
        for (id, component) in &spec.components {
            let (digest, _) = self.inner.loader.source(component).await?;
            digests.insert(id.clone(), digest);
        }
        Ok(Baseline::new(text, spec, digests))
    }
}

impl Inner {
    async fn rebase(self: &Arc<Self>, baseline: Baseline) -> Result<(), LoadError> {
        let baseline = Arc::new(baseline.after(&self.baseline()));
        let mut claims = Vec::new();
        let mut loading = Vec::new();
        for (component, digest) in &baseline.digests {
            let table = self.swapper.live.pin();
            let current = table.endpoint(component);
            let key = self.key(&baseline, component, &digest.0);
            claims.push(self.shelf.claim(key.clone()));
            if self
                .revision(&baseline, component, &digest.0, current)
                .is_none_or(|loaded| loaded.is_err())
            {
                loading.push(self.load(&baseline, key, None));
            }
        }
        for mut loaded in loading {
            if let Ok(Some(Err(error))) = loaded.wait_for(Option::is_some).await.as_deref() {
                return Err(error.clone());
            }
        }
        let view = empty(&baseline.id);
        self.backend.rebase(&baseline.id);
        *self.baseline.write() = baseline;
        self.condemned.lock().clear();
        self.errors.lock().clear();
        // Proposals are numbered anew.
        *self.said.lock() = None;
        self.converge(&view);
        self.view.send_replace(view);
        drop(claims);
        self.poke.notify_one();
        Ok(())
    }
}
