//! Routes and endpoints as one immutable whole. A request pins one table and
//! never sees another, so it can never be routed by one and served by the next.

use super::endpoint::Endpoint;
use crate::router::{Match, Router};
use arc_swap::ArcSwap;
use indexmap::IndexMap;
use prometheus_client::metrics::gauge::Gauge;
use std::sync::Arc;

/// Everything a request needs to find its component.
#[derive(Debug)]
pub struct Table {
    generation: Arc<Generation>,
    routes: Arc<Routes>,
    endpoints: IndexMap<Arc<str>, Arc<Endpoint>>,
}

/// The number of a table. A request keeps it to its end, in place of the table:
/// so it is known which tables are still at work, and a request that never ends
/// holds on to no revision but its own.
#[derive(Debug)]
pub struct Generation {
    number: u64,
    live: Gauge,
}

/// Paths, and the positions of the endpoints behind them.
#[derive(Debug)]
struct Routes {
    router: Router,
    /// For each of the router's patterns.
    targets: Vec<usize>,
}

impl Generation {
    fn new(number: u64, live: Gauge) -> Arc<Self> {
        live.inc();
        Arc::new(Self { number, live })
    }

    /// Its number; each published table's is higher than the last.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.live.dec();
    }
}

impl Table {
    /// The first table, of these endpoints. `targets` names, for each of the
    /// router's patterns, the component behind it. `live` counts the tables that
    /// are at work.
    ///
    /// # Errors
    ///
    /// The name of a component that has a route and no endpoint.
    pub fn new(
        router: Router,
        targets: &[String],
        endpoints: IndexMap<Arc<str>, Arc<Endpoint>>,
        live: Gauge,
    ) -> Result<Self, String> {
        let routes = Routes::new(router, targets, &endpoints)?;
        Ok(Self {
            generation: Generation::new(1, live),
            routes: Arc::new(routes),
            endpoints,
        })
    }

    /// The next table: these endpoints in place of those of the same names.
    #[must_use]
    pub fn with(&self, changed: impl IntoIterator<Item = Arc<Endpoint>>) -> Self {
        let mut endpoints = self.endpoints.clone();
        for endpoint in changed {
            endpoints.insert(endpoint.id().clone(), endpoint);
        }
        Self {
            generation: self.next(),
            routes: self.routes.clone(),
            endpoints,
        }
    }

    /// The next table, with other routes.
    ///
    /// # Errors
    ///
    /// The name of a component that has a route and no endpoint.
    pub fn rerouted(
        &self,
        router: Router,
        targets: &[String],
        endpoints: IndexMap<Arc<str>, Arc<Endpoint>>,
    ) -> Result<Self, String> {
        let routes = Routes::new(router, targets, &endpoints)?;
        Ok(Self {
            generation: self.next(),
            routes: Arc::new(routes),
            endpoints,
        })
    }

    fn next(&self) -> Arc<Generation> {
        Generation::new(self.generation.number + 1, self.generation.live.clone())
    }

    /// The number of this table.
    pub fn generation(&self) -> &Arc<Generation> {
        &self.generation
    }

    /// The route of a path, and the endpoint behind it.
    pub fn route<'t, 'p>(&'t self, path: &'p str) -> Option<(Match<'t, 'p>, &'t Arc<Endpoint>)> {
        let matched = self.routes.router.route(path)?;
        let target = *self.routes.targets.get(matched.index)?;
        let (_, endpoint) = self.endpoints.get_index(target)?;
        Some((matched, endpoint))
    }

    /// The endpoint of a component.
    pub fn endpoint(&self, id: &str) -> Option<&Arc<Endpoint>> {
        self.endpoints.get(id)
    }

    /// All endpoints, routed or private.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.endpoints.values()
    }

    /// Every route as the manifest spells it, with its component.
    pub fn routes(&self) -> impl Iterator<Item = (&str, &Arc<str>)> {
        let Routes { router, targets } = self.routes.as_ref();
        router
            .patterns()
            .iter()
            .zip(targets)
            .filter_map(|(pattern, &target)| {
                let (id, _) = self.endpoints.get_index(target)?;
                Some((pattern.raw(), id))
            })
    }
}

impl Routes {
    fn new(
        router: Router,
        targets: &[String],
        endpoints: &IndexMap<Arc<str>, Arc<Endpoint>>,
    ) -> Result<Self, String> {
        let targets = targets
            .iter()
            .map(|id| {
                endpoints
                    .get_index_of(id.as_str())
                    .ok_or_else(|| id.clone())
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { router, targets })
    }
}

/// The table that is being served.
#[derive(Debug)]
pub struct LiveTable(ArcSwap<Table>);

impl LiveTable {
    /// Serves `table`.
    pub fn new(table: Table) -> Self {
        Self(ArcSwap::from_pointee(table))
    }

    /// The table of this moment, for as long as the caller keeps it.
    pub fn pin(&self) -> Arc<Table> {
        self.0.load_full()
    }

    /// Serves `table` from now on. Answers the one that was served before.
    pub fn publish(&self, table: Table) -> Arc<Table> {
        self.0.swap(Arc::new(table))
    }
}
