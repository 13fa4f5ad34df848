//! From a component's entry in the manifest to an endpoint that can serve:
//! read, compile, verify, configure, warm. All of it off the request path.

use super::fetch;
use crate::capability::Grants;
use crate::capability::key_value::KeyValueStore;
use crate::engine::endpoint::Parts;
use crate::engine::guest::Guest;
use crate::engine::{Compiler, Endpoint, Revision};
use crate::manifest::{ComponentSpec, HostLimits, Source, Spec};
use crate::pool::{Pools, valkey};
use crate::telemetry::Metrics;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use wasmtime::component::{Component, Linker};
use wasmtime_wasi_http::handler::ProxyPre;

/// A step of loading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each case says it all")]
pub enum Step {
    Read,
    Compile,
    Verify,
    Configure,
    Warm,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Compile => "compile",
            Self::Verify => "verify",
            Self::Configure => "configure",
            Self::Warm => "warm",
        })
    }
}

/// A component that cannot serve.
#[derive(Debug, thiserror::Error)]
#[error("component `{component}` could not be loaded ({step}): {reason}")]
pub struct LoadError {
    /// The component's name in the manifest.
    pub component: String,
    /// Where it failed.
    pub step: Step,
    /// What was wrong.
    pub reason: String,
}

/// Loads components for one node.
pub struct Loader {
    /// Compiles, or finds compiled.
    pub compiler: Compiler,
    /// What components may import.
    pub linker: Linker<Guest>,
    /// The node's pools.
    pub pools: Arc<Pools>,
    /// How many cores an endpoint spreads over.
    pub cores: usize,
    /// The node's metrics.
    pub metrics: Arc<Metrics>,
    /// The folder that the manifest's paths are relative to.
    pub base: PathBuf,
    /// Where fetched components are kept.
    pub downloads: PathBuf,
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").finish_non_exhaustive()
    }
}

impl Loader {
    /// An endpoint for `spec`, with its warm instances.
    ///
    /// # Errors
    ///
    /// A [`LoadError`] with the step that failed; nothing has changed then.
    pub async fn load(
        &self,
        spec: &ComponentSpec,
        application: &Spec,
    ) -> Result<Endpoint, LoadError> {
        let failed = |step| {
            move |reason: String| LoadError {
                component: spec.id.clone(),
                step,
                reason,
            }
        };
        let bytes = self.read(spec).await.map_err(failed(Step::Read))?;
        let digest = hex::encode(Sha256::digest(&bytes));
        let component = {
            let compiler = self.compiler.clone();
            let digest = digest.clone();
            tokio::task::spawn_blocking(move || compiler.component(&bytes, &digest))
                .await
                .map_err(|error| error.to_string())
                .and_then(|compiled| compiled.map_err(|error| error.to_string()))
                .map_err(failed(Step::Compile))?
        };
        verify_grants(&component, spec).map_err(failed(Step::Verify))?;
        let pre = self.link(&component).map_err(failed(Step::Verify))?;
        let grants = self
            .grants(spec, application)
            .map_err(failed(Step::Configure))?;
        let HostLimits {
            queue, queue_wait, ..
        } = application.limits;
        let endpoint = Endpoint::new(
            self.compiler.engine().clone(),
            Parts {
                id: spec.id.as_str().into(),
                revision: Revision(digest.into()),
                pre,
                grants: Arc::new(grants),
                limits: spec.limits.clone(),
                environment: spec
                    .environment
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect(),
                mounts: self.mounts(spec),
                queue: (queue as usize, queue_wait),
            },
            self.cores,
            &self.metrics,
        );
        endpoint
            .warm()
            .await
            .map_err(|error| failed(Step::Warm)(format!("{error:#}")))?;
        tracing::info!(
            component = %endpoint.id(),
            revision = %endpoint.revision(),
            "component loaded"
        );
        Ok(endpoint)
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
            Source::Url { url, digest } => fetch::component(url, digest, &self.downloads).await,
        }
    }

    fn link(&self, component: &Component) -> Result<ProxyPre<Guest>, String> {
        let ty = component.component_type();
        let engine = component.engine();
        let exports = |prefix: &str| ty.exports(engine).any(|(name, _)| name.starts_with(prefix));
        let is_p3 = exports("wasi:http/handler@0.3");
        if !is_p3 && !exports("wasi:http/incoming-handler@0.2") {
            return Err(
                "it exports no HTTP handler (wasi:http/handler@0.3 or incoming-handler@0.2)".into(),
            );
        }
        let pre = self
            .linker
            .instantiate_pre(component)
            .map_err(|error| unprovided(&format!("{error:#}")))?;
        let pre = if is_p3 {
            wasmtime_wasi_http::p3::bindings::ServicePre::new(pre).map(ProxyPre::P3)
        } else {
            wasmtime_wasi_http::p2::bindings::ProxyPre::new(pre).map(ProxyPre::P2)
        };
        pre.map_err(|error| unprovided(&format!("{error:#}")))
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
                    .map_err(|error| error.to_string())?,
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

/// A release candidate of `wasi:http` has another shape under the same name.
fn unprovided(reason: &str) -> String {
    if reason.contains("@0.3.0-rc") {
        format!(
            "it was built for a release candidate of WASI 0.3 (spin-sdk 6 or older); \
             build it with spin-sdk 7: {reason}"
        )
    } else {
        format!("this host does not provide what it imports: {reason}")
    }
}

/// Refuses a component that imports what its manifest entry does not grant:
/// it could only ever fail.
fn verify_grants(component: &Component, spec: &ComponentSpec) -> Result<(), String> {
    let engine = component.engine();
    for (name, _) in component.component_type().imports(engine) {
        let missing = if name.starts_with("spin:postgres/") {
            !spec.allowed_outbound_hosts.has_scheme("postgres")
        } else if name.starts_with("spin:redis/") || name.starts_with("fermyon:spin/redis@") {
            !spec.allowed_outbound_hosts.has_scheme("redis")
        } else {
            false
        };
        if missing {
            return Err(format!(
                "it imports {name}, and component.{}.allowed_outbound_hosts names no host for it",
                spec.id
            ));
        }
        let key_value =
            name.starts_with("spin:key-value/") || name.starts_with("fermyon:spin/key-value@");
        if key_value && spec.key_value_stores.is_empty() {
            return Err(format!(
                "it imports {name}, and component.{}.key_value_stores is empty",
                spec.id
            ));
        }
    }
    Ok(())
}
