//! The pools of a node: one for each target, whoever asks and however the
//! address is spelled.

use super::placement::Placement;
use super::postgres::{self, PostgresPool};
use super::valkey::{self, ValkeyPool};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

/// All pools, declared and not.
pub struct Pools {
    placement: Placement,
    postgres: Targets<postgres::Target, PostgresPool>,
    valkey: Targets<valkey::Target, ValkeyPool>,
    postgres_metrics: postgres::Metrics,
    valkey_metrics: valkey::Metrics,
    /// What a pool that nobody declared is made with: nothing kept open.
    undeclared: postgres::Settings,
}

type Targets<Target, Pool> = Mutex<HashMap<Target, Pool>>;

impl Pools {
    /// No pool yet; connections will live on `placement`.
    pub fn new(
        placement: Placement,
        postgres_metrics: postgres::Metrics,
        valkey_metrics: valkey::Metrics,
        undeclared: postgres::Settings,
    ) -> Self {
        Self {
            placement,
            postgres: Mutex::default(),
            valkey: Mutex::default(),
            postgres_metrics,
            valkey_metrics,
            undeclared,
        }
    }

    /// The pool of `target`, made with `settings` if it is the first to be
    /// asked for.
    pub fn declare_postgres(
        &self,
        target: postgres::Target,
        settings: postgres::Settings,
    ) -> PostgresPool {
        find_or(&self.postgres, &target, |target| {
            PostgresPool::new(
                target,
                settings,
                self.placement.clone(),
                &self.postgres_metrics,
            )
        })
    }

    /// The pool of `target`, made with `settings` if it is the first to be
    /// asked for.
    pub fn declare_valkey(&self, target: valkey::Target, settings: valkey::Settings) -> ValkeyPool {
        find_or(&self.valkey, &target, |target| {
            ValkeyPool::new(
                target,
                settings,
                self.placement.clone(),
                &self.valkey_metrics,
            )
        })
    }

    /// The pool of `target`: the declared one, or a small one that opens its
    /// connections as they are needed. No I/O.
    pub fn postgres(&self, target: &postgres::Target) -> PostgresPool {
        find_or(&self.postgres, target, |target| {
            PostgresPool::new(
                target,
                self.undeclared.clone(),
                self.placement.clone(),
                &self.postgres_metrics,
            )
        })
    }

    /// Whether there is a pool of `target` already.
    pub fn has_postgres(&self, target: &postgres::Target) -> bool {
        self.postgres.lock().contains_key(target)
    }

    /// The pool of `target`: the declared one, or one of usual size. No I/O by
    /// the caller.
    pub fn valkey(&self, target: &valkey::Target) -> ValkeyPool {
        find_or(&self.valkey, target, |target| {
            ValkeyPool::new(
                target,
                valkey::Settings::default(),
                self.placement.clone(),
                &self.valkey_metrics,
            )
        })
    }
}

fn find_or<Target, Pool>(
    pools: &Targets<Target, Pool>,
    target: &Target,
    make: impl FnOnce(Target) -> Pool,
) -> Pool
where
    Target: Clone + Eq + Hash,
    Pool: Clone,
{
    let mut pools = pools.lock();
    if let Some(pool) = pools.get(target) {
        return pool.clone();
    }
    let pool = make(target.clone());
    pools.insert(target.clone(), pool.clone());
    pool
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools")
            .field("postgres", &self.postgres.lock().len())
            .field("valkey", &self.valkey.lock().len())
            .finish_non_exhaustive()
    }
}
