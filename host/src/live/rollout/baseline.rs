//! What the manifest says, before anything is deployed over it.

use crate::engine::Digest;
use crate::manifest::Spec;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The next number of a component's configuration. None is given twice: one that
/// was tried and failed may have left revisions behind.
static EPOCH: AtomicU64 = AtomicU64::new(1);

/// A manifest and the bytes that it names, as they were read.
#[derive(Debug)]
pub struct Baseline {
    /// Its text.
    text: String,
    /// What it comes to.
    pub spec: Arc<Spec>,
    /// The digest of all of it: two nodes share desired state if they share this.
    pub id: String,
    /// The revision of each component.
    pub digests: BTreeMap<String, Digest>,
    /// For each component, a number that changes with how its revisions are
    /// configured: the same bytes under other limits have to be loaded again.
    epochs: BTreeMap<String, u64>,
}

impl Baseline {
    /// The manifest `text`, that comes to `spec`, with these revisions.
    pub fn new(text: &str, spec: Arc<Spec>, digests: BTreeMap<String, Digest>) -> Self {
        let mut hash = Sha256::new_with_prefix(text);
        for (component, digest) in &digests {
            hash.update(format!("\n{component} {}", digest.0));
        }
        let epochs = digests.keys().map(|id| (id.clone(), 0)).collect();
        Self {
            text: text.to_owned(),
            spec,
            id: hex::encode(hash.finalize()),
            digests,
            epochs,
        }
    }

    /// The same manifest with another revision of `component`.
    #[must_use]
    pub fn with(&self, component: &str, digest: Digest) -> Self {
        let mut digests = self.digests.clone();
        digests.insert(component.to_owned(), digest);
        Self::new(&self.text, self.spec.clone(), digests)
    }

    /// The same, as what comes after `before`.
    #[must_use]
    pub fn after(mut self, before: &Self) -> Self {
        // Where stores are is granted to components by the application.
        let stores_moved = self.spec.key_value != before.spec.key_value;
        for (id, epoch) in &mut self.epochs {
            let configured = |spec: &Spec| spec.components.get(id).cloned();
            let changed = stores_moved || configured(&self.spec) != configured(&before.spec);
            *epoch = if changed {
                EPOCH.fetch_add(1, Relaxed)
            } else {
                before.epoch(id)
            };
        }
        self
    }

    /// The number of a component's configuration.
    pub fn epoch(&self, component: &str) -> u64 {
        self.epochs.get(component).copied().unwrap_or_default()
    }

    /// The revision that the manifest names; empty for a component it has not.
    pub fn digest(&self, component: &str) -> &str {
        self.digests
            .get(component)
            .map_or("", |digest| digest.0.as_ref())
    }
}
