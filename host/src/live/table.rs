//! Routes and endpoints as one immutable whole. A request pins one table and
//! never sees another, so it can never be routed by one and served by the next.

use crate::engine::Endpoint;
use crate::router::{Match, Router};
use arc_swap::ArcSwap;
use indexmap::IndexMap;
use std::sync::Arc;

/// Everything a request needs to find its component.
#[derive(Debug)]
pub struct Table {
    generation: u64,
    router: Router,
    /// For each of the router's patterns, the endpoint's position.
    targets: Vec<usize>,
    endpoints: IndexMap<Arc<str>, Arc<Endpoint>>,
}

impl Table {
    /// A table of these endpoints. `targets` names, for each of the router's
    /// patterns, the component behind it.
    ///
    /// # Errors
    ///
    /// The name of a component that has a route and no endpoint.
    pub fn new(
        generation: u64,
        router: Router,
        targets: &[String],
        endpoints: IndexMap<Arc<str>, Arc<Endpoint>>,
    ) -> Result<Self, String> {
        let targets = targets
            .iter()
            .map(|id| {
                endpoints
                    .get_index_of(id.as_str())
                    .ok_or_else(|| id.clone())
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            generation,
            router,
            targets,
            endpoints,
        })
    }

    /// The number of this table; each published one is higher than the last.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The route of a path, and the position of the endpoint behind it.
    pub fn route<'t, 'p>(&'t self, path: &'p str) -> Option<(Match<'t, 'p>, usize)> {
        let matched = self.router.route(path)?;
        let endpoint = *self.targets.get(matched.index)?;
        Some((matched, endpoint))
    }

    /// The endpoint at a position that [`Table::route`] gave.
    pub fn endpoint(&self, position: usize) -> Option<&Endpoint> {
        self.endpoints
            .get_index(position)
            .map(|(_, endpoint)| endpoint.as_ref())
    }

    /// All endpoints, routed or private.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.endpoints.values()
    }

    /// Every route as the manifest spells it, with its component.
    pub fn routes(&self) -> impl Iterator<Item = (&str, &Arc<str>)> {
        self.router
            .patterns()
            .iter()
            .zip(&self.targets)
            .filter_map(|(pattern, &target)| {
                let (id, _) = self.endpoints.get_index(target)?;
                Some((pattern.raw(), id))
            })
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
}
