//! From a component's bytes to a revision that can serve: read, compile,
//! verify, configure, warm, probe. All of it off the request path.

use super::{artifacts::Artifacts, fetch, probe, verify};
use crate::capability::Grants;
use crate::capability::key_value::KeyValueStore;
use crate::engine::guest::Guest;
use crate::engine::revision::Parts;
use crate::engine::{Compiler, Digest, Revision};
use crate::manifest::{ComponentSpec, Source, Spec};
use crate::pool::{Pools, valkey};
use crate::telemetry::Metrics;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Handle;
use wasmtime::component::{Component, Linker};

/// A step of loading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each case says it all")]
pub enum Step {
    Read,
    Compile,
    Verify,
    Configure,
    Warm,
    Probe,
}

impl Step {
    /// Its name, as people and metrics have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Compile => "compile",
            Self::Verify => "verify",
            Self::Configure => "configure",
            Self::Warm => "warm",
            Self::Probe => "probe",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a revision is loaded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// The node starts. There is no other revision to serve in its place, so it
    /// is not probed: a probe that needs a dependency which is away would keep
    /// the node from starting.
    Start,
    /// It is to replace one that serves.
    Swap,
}

/// A component that cannot serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("component `{component}` could not be loaded ({step}): {reason}")]
pub struct LoadError {
    /// The component's name in the manifest.
    pub component: String,
    /// Where it failed.
    pub step: Step,
    /// What was wrong.
    pub reason: String,
    /// Whether it is only that its bytes cannot be reached now.
    pub away: bool,
}

/// Loads components for one node.
pub struct Loader {
    /// Compiles, or finds compiled.
    pub compiler: Compiler,
    /// What components may import.
    pub linker: Linker<Guest>,
    /// The node's pools.
    pub pools: Arc<Pools>,
    /// The runtimes that a revision's instances spread over.
    pub cores: Vec<Handle>,
    /// The node's metrics.
    pub metrics: Arc<Metrics>,
    /// The folder that the manifest's paths are relative to.
    pub base: PathBuf,
    /// Where fetched components are kept.
    pub artifacts: Artifacts,
    /// Where deployed ones are kept, for as long as this process runs, while
    /// there is no control database.
    pub deployed: Artifacts,
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").finish_non_exhaustive()
    }
}

impl Loader {
    /// The bytes that the manifest names, and their digest.
    ///
    /// # Errors
    ///
    /// A [`LoadError`] where there are none, or others than it names.
    pub async fn source(&self, spec: &ComponentSpec) -> Result<(Digest, Vec<u8>), LoadError> {
        let bytes = self.timed(spec, Step::Read, self.read(spec)).await?;
        Ok((Digest::of(&bytes), bytes))
    }

    /// The revision of `spec` that `digest` names, warm and, for a swap, probed. Its bytes are
    /// only asked for where it was not compiled before.
    ///
    /// # Errors
    ///
    /// A [`LoadError`] with the step that failed; nothing has changed then.
    pub async fn load(
        &self,
        spec: &ComponentSpec,
        application: &Spec,
        digest: &Digest,
        occasion: Occasion,
        bytes: impl Future<Output = Result<Vec<u8>, String>>,
    ) -> Result<Arc<Revision>, LoadError> {
        let component = match self.compiled(digest).await {
            Some(component) => component,
            None => {
                let bytes = self.timed(spec, Step::Read, bytes).await?;
                self.timed(spec, Step::Compile, self.compile(bytes, digest))
                    .await?
            }
        };
        let pre = self
            .timed(spec, Step::Verify, async {
                verify::grants(&component, spec)?;
                verify::link(&self.linker, &component)
            })
            .await?;
        let grants = self
            .timed(spec, Step::Configure, async {
                self.grants(spec, application)
            })
            .await?;
        let revision = Arc::new(Revision::new(
            self.compiler.engine().clone(),
            Parts {
                id: spec.id.as_str().into(),
                digest: digest.clone(),
                pre,
                grants: Arc::new(grants),
                limits: spec.limits.clone(),
                spin_headers: spec.spin_headers,
                environment: spec
                    .environment
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect(),
                mounts: self.mounts(spec),
            },
            self.cores.len(),
            &self.metrics,
        ));
        if spec.limits.warm == 0 && occasion == Occasion::Swap {
            self.timed(spec, Step::Warm, async {
                started(revision.rehearse().await)
            })
            .await?;
        }
        self.warm(spec, &revision).await?;
        if let Some(path) = &spec.probe
            && occasion == Occasion::Swap
        {
            self.timed(
                spec,
                Step::Probe,
                probe::run(&revision, path, application, &self.cores),
            )
            .await?;
            // The probe has used an instance, and perhaps used it up.
            self.warm(spec, &revision).await?;
        }
        tracing::info!(
            component = %revision.id(),
            revision = %revision.digest(),
            "component loaded"
        );
        Ok(revision)
    }

    async fn warm(&self, spec: &ComponentSpec, revision: &Revision) -> Result<(), LoadError> {
        self.timed(spec, Step::Warm, async { started(revision.warm().await) })
            .await
    }

    /// Runs a step, and records how long it took and whether it failed.
    async fn timed<T>(
        &self,
        spec: &ComponentSpec,
        step: Step,
        work: impl Future<Output = Result<T, String>>,
    ) -> Result<T, LoadError> {
        let began = Instant::now();
        let done = work.await;
        let swaps = &self.metrics.swaps;
        swaps.took(step.name(), began.elapsed().as_secs_f64());
        done.map_err(|reason| {
            swaps.failed(step.name());
            LoadError {
                component: spec.id.clone(),
                step,
                reason,
                away: false,
            }
        })
    }

    async fn compiled(&self, digest: &Digest) -> Option<Component> {
        let (compiler, digest) = (self.compiler.clone(), digest.clone());
        // A task that panicked has compiled nothing.
        tokio::task::spawn_blocking(move || compiler.compiled(&digest.0))
            .await
            .ok()
            .flatten()
    }

    async fn compile(&self, bytes: Vec<u8>, digest: &Digest) -> Result<Component, String> {
        let (compiler, digest) = (self.compiler.clone(), digest.clone());
        let compiled = tokio::task::spawn_blocking(move || compiler.compile(&bytes, &digest.0));
        let compiled = compiled.await.map_err(|error| error.to_string())?;
        compiled.map_err(|error| error.to_string())
    }

    async fn read(&self, spec: &ComponentSpec) -> Result<Vec<u8>, String> {
        match &spec.source {
            Source::Path(path) => {
                let path = self.base.join(path);
                tokio::fs::read(&path).await.map_err(|error| {
                    let hint = if spec.build.is_some() {
                        "; has it been built?"
                    } else {
                        ""
                    };
                    format!("{}: {error}{hint}", path.display())
                })
            }
            Source::Url { url, digest } => fetch::component(url, digest, &self.artifacts).await,
        }
    }

    fn grants(&self, spec: &ComponentSpec, application: &Spec) -> Result<Grants, String> {
        let mut key_value = BTreeMap::new();
        for label in &spec.key_value_stores {
            // The store is absent where the node has no Valkey: opening it is
            // then the interface's own error.
            let Some(store) = application.key_value.get(label) else {
                continue;
            };
            let target = valkey::Target::parse(store.address.expose())
                .map_err(|error| format!("key-value store `{label}`: {error}"))?;
            let store = KeyValueStore {
                pool: self
                    .pools
                    .valkey(&target)
                    .map_err(|error| error.to_string())?
                    .pool,
                prefix: store.prefix.clone(),
            };
            key_value.insert(label.clone(), store);
        }
        Ok(Grants {
            component: spec.id.as_str().into(),
            variables: spec.variables.clone(),
            hosts: spec.allowed_outbound_hosts.clone(),
            key_value,
            pools: self.pools.clone(),
        })
    }

    fn mounts(&self, spec: &ComponentSpec) -> Vec<(PathBuf, String)> {
        spec.files
            .iter()
            .map(|mount| (self.base.join(&mount.source), mount.destination.clone()))
            .collect()
    }
}

/// Why a guest did not start: not the whole error, which holds a trace of its stack.
fn started(made: wasmtime::Result<()>) -> Result<(), String> {
    made.map_err(|error| error.root_cause().to_string())
}
