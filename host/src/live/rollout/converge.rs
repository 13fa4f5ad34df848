//! From desired state to the live table.

use super::{Baseline, Inner};
use crate::engine::Revision;
use crate::fleet::{Desired, Snapshot};
use crate::live::Endpoint;
use crate::live::endpoint::Canary;
use crate::live::load::LoadError;
use crate::live::table::Table;
use crate::live::trial::Trial;
use crate::router::Router;
use indexmap::IndexMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

impl Inner {
    /// Brings the live table as near to `snapshot` as what is loaded allows, and
    /// has the rest loaded. Called again when that is done.
    pub(super) fn converge(self: &Arc<Self>, snapshot: &Snapshot) {
        let baseline = self.baseline();
        let table = self.swapper.live.pin();
        let mut endpoints = IndexMap::new();
        let (mut changed, mut in_step) = (false, true);
        for id in baseline.spec.components.keys() {
            let desired = snapshot.state.desired(id, baseline.digest(id));
            let current = table.endpoint(id);
            let found = self.endpoint(&baseline, id, &desired, current);
            in_step &= !found.loading;
            changed |= found.next.is_some();
            let endpoint = found.next.or_else(|| current.cloned());
            endpoints.extend(endpoint.map(|it| (it.id().clone(), it)));
        }
        changed |= table.endpoints().any(|it| !endpoints.contains_key(it.id()));
        let routed = baseline
            .spec
            .routes
            .iter()
            .map(|route| (route.pattern.raw(), route.component.as_str()))
            .eq(table.routes().map(|(path, id)| (path, id.as_ref())));
        if changed || !routed {
            match next(&table, &baseline, endpoints, routed) {
                Ok(next) => self.publish(&baseline, next),
                // A component that is new and not loaded yet.
                Err(component) => {
                    tracing::debug!(component, "not published yet");
                    in_step = false;
                }
            }
        }
        self.clear_shelf(&baseline, snapshot);
        if in_step {
            self.ran.store(snapshot.version, Relaxed);
        }
    }

    fn publish(&self, baseline: &Baseline, table: Table) {
        let generation = table.generation().number();
        for endpoint in table.endpoints() {
            let canary = endpoint.canary().map(|it| it.revision.digest().to_string());
            tracing::debug!(
                component = %endpoint.id(),
                revision = %endpoint.active().digest(),
                canary,
                generation,
                "to serve"
            );
        }
        let mut epochs = self.epochs.lock();
        epochs.clear();
        for endpoint in table.endpoints() {
            let id = endpoint.id().as_ref();
            epochs.insert(id.to_owned(), baseline.epoch(id));
        }
        drop(epochs);
        self.swapper.publish(table);
        tracing::info!(generation, "table published");
    }

    /// What `component` is to be, if that is loaded.
    fn endpoint(
        self: &Arc<Self>,
        baseline: &Arc<Baseline>,
        component: &str,
        desired: &Desired,
        current: Option<&Arc<Endpoint>>,
    ) -> Found {
        let mut loading = false;
        let mut failed = false;
        let mut look = |digest: &str| match self.revision(baseline, component, digest, current) {
            Some(Ok(revision)) => Some(revision),
            Some(Err(error)) => {
                // It stays as it is, and this node says so.
                self.failed(component, &error);
                failed = true;
                None
            }
            None => {
                loading = true;
                None
            }
        };
        // What is called off is called off, whatever is to come after it.
        let active = look(&desired.active).or_else(|| current.map(|it| it.active().clone()));
        let wanted = desired.canary.as_ref().filter(|canary| {
            let condemned = self.condemned.lock();
            condemned
                .get(component)
                .is_none_or(|(revision, _)| *revision != canary.revision)
        });
        let canary = wanted.and_then(|wanted| Some((look(&wanted.revision)?, wanted.basis_points)));
        if !loading && !failed {
            self.errors.lock().remove(component);
        }
        let Some(active) = active else {
            return Found {
                next: None,
                loading,
            };
        };
        let canary = canary
            .filter(|(revision, _)| !Arc::ptr_eq(revision, &active))
            .and_then(|(revision, share)| self.canary(baseline, revision, share, current));
        let next = match current {
            Some(current) if same(current, &active, canary.as_ref()) => None,
            Some(current) => Some(current.with(active, canary)),
            None => {
                let limits = &baseline.spec.limits;
                let alone = Endpoint::new(active.clone(), limits);
                Some(alone.with(active, canary))
            }
        };
        Found {
            next: next.map(Arc::new),
            loading,
        }
    }

    /// The canary of `current`, if it is this one; its trial goes on then.
    fn canary(
        &self,
        baseline: &Baseline,
        revision: Arc<Revision>,
        share: u32,
        current: Option<&Arc<Endpoint>>,
    ) -> Option<Canary> {
        let running = current
            .and_then(|current| current.canary())
            .filter(|canary| Arc::ptr_eq(&canary.revision, &revision) && canary.share == share);
        if let Some(canary) = running {
            return Some(canary.clone());
        }
        let rules = &baseline.spec.components.get(revision.id().as_ref())?.canary;
        let trial = Trial::new(rules.clone(), self.told.clone());
        Some(Canary::new(revision, share, rules, trial))
    }

    fn failed(&self, component: &str, error: &LoadError) {
        let text = error.to_string();
        let mut errors = self.errors.lock();
        if errors.get(component) != Some(&text) {
            tracing::error!(component, "what is to be served cannot be: {text}");
            errors.insert(component.to_owned(), text);
        }
    }
}

/// What a component is to be.
struct Found {
    /// Where that is another than now.
    next: Option<Arc<Endpoint>>,
    /// Whether more is to come of it, once it is loaded.
    loading: bool,
}

fn same(current: &Endpoint, active: &Arc<Revision>, canary: Option<&Canary>) -> bool {
    let canaries = match (current.canary(), canary) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(&one.trial, &other.trial),
        (Some(_), None) | (None, Some(_)) => false,
    };
    Arc::ptr_eq(current.active(), active) && canaries
}

/// The table after `table`, of `endpoints`. `routed`: with the same routes.
fn next(
    table: &Table,
    baseline: &Baseline,
    endpoints: IndexMap<Arc<str>, Arc<Endpoint>>,
    routed: bool,
) -> Result<Table, String> {
    if routed && endpoints.len() == table.endpoints().count() {
        return Ok(table.with(endpoints.into_values()));
    }
    let spec = &baseline.spec;
    let router = Router::new(spec.routes.iter().map(|route| route.pattern.clone()));
    let targets: Vec<_> = spec
        .routes
        .iter()
        .map(|route| route.component.clone())
        .collect();
    table.rerouted(router, &targets, endpoints)
}
