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

/// What metrics call pools that nobody declared: their addresses are their
/// components' choice, and would make series without end.
const UNDECLARED_SERIES: &str = "undeclared";

/// Pools that nobody declared, of one kind, at once. A guest may name as many
/// addresses as it likes; what it costs the node is bounded.
const UNDECLARED: usize = 64;

/// A pool, and whether somebody declared it: such a one is there for good.
#[derive(Debug, Clone)]
pub struct Found<Pool> {
    /// The pool.
    pub pool: Pool,
    /// Whether it was declared.
    pub declared: bool,
}

/// There are as many undeclared pools as there may be, all of them in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{UNDECLARED} pools that nobody declared are in use already")]
pub struct TooManyPools;

type Targets<Target, Pool> = Mutex<HashMap<Target, Entry<Pool>>>;

struct Entry<Pool> {
    pool: Pool,
    declared: bool,
}

/// A pool that can say whether anybody holds it besides the registry.
trait Held {
    fn is_held(&self) -> bool;
}

impl Held for PostgresPool {
    fn is_held(&self) -> bool {
        Self::is_held(self)
    }
}

impl Held for ValkeyPool {
    fn is_held(&self) -> bool {
        Self::is_held(self)
    }
}

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
            undeclared: postgres::Settings {
                series: Some(UNDECLARED_SERIES),
                ..undeclared
            },
        }
    }

    /// The pool of `target`, made with `settings` if it is the first to be
    /// asked for.
    pub fn declare_postgres(
        &self,
        target: postgres::Target,
        settings: postgres::Settings,
    ) -> PostgresPool {
        declare(&self.postgres, target, |target| {
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
        declare(&self.valkey, target, |target| {
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
    ///
    /// # Errors
    /// [`TooManyPools`].
    pub fn postgres(&self, target: &postgres::Target) -> Result<Found<PostgresPool>, TooManyPools> {
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
    ///
    /// # Errors
    /// [`TooManyPools`].
    pub fn valkey(&self, target: &valkey::Target) -> Result<Found<ValkeyPool>, TooManyPools> {
        find_or(&self.valkey, target, |target| {
            ValkeyPool::new(
                target,
                valkey::Settings {
                    series: Some(UNDECLARED_SERIES),
                    ..valkey::Settings::default()
                },
                self.placement.clone(),
                &self.valkey_metrics,
            )
        })
    }
}

fn declare<Target, Pool>(
    pools: &Targets<Target, Pool>,
    target: Target,
    make: impl FnOnce(Target) -> Pool,
) -> Pool
where
    Target: Clone + Eq + Hash,
    Pool: Clone,
{
    let entry = |pool| Entry {
        pool,
        declared: true,
    };
    let mut pools = pools.lock();
    let entry = pools
        .entry(target.clone())
        .or_insert_with(|| entry(make(target)));
    entry.declared = true;
    entry.pool.clone()
}

fn find_or<Target, Pool>(
    pools: &Targets<Target, Pool>,
    target: &Target,
    make: impl FnOnce(Target) -> Pool,
) -> Result<Found<Pool>, TooManyPools>
where
    Target: Clone + Eq + Hash,
    Pool: Clone + Held,
{
    let mut pools = pools.lock();
    if let Some(entry) = pools.get(target) {
        return Ok(Found {
            pool: entry.pool.clone(),
            declared: entry.declared,
        });
    }
    let undeclared =
        |pools: &HashMap<_, Entry<Pool>>| pools.values().filter(|entry| !entry.declared).count();
    if undeclared(&pools) >= UNDECLARED {
        pools.retain(|_, entry| entry.declared || entry.pool.is_held());
        if undeclared(&pools) >= UNDECLARED {
            return Err(TooManyPools);
        }
    }
    let pool = make(target.clone());
    let entry = Entry {
        pool: pool.clone(),
        declared: false,
    };
    pools.insert(target.clone(), entry);
    Ok(Found {
        pool,
        declared: false,
    })
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools")
            .field("postgres", &self.postgres.lock().len())
            .field("valkey", &self.valkey.lock().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[derive(Clone)]
    struct Fake(Arc<()>);

    impl Held for Fake {
        fn is_held(&self) -> bool {
            Arc::strong_count(&self.0) > 1
        }
    }

    fn fake(_: usize) -> Fake {
        Fake(Arc::new(()))
    }

    #[test]
    fn one_target_has_one_pool() {
        let pools = Mutex::default();
        let first = find_or(&pools, &1, fake).unwrap();
        let again = find_or(&pools, &1, fake).unwrap();
        let declared = declare(&pools, 1, fake);
        let same = |it: &Fake| Arc::ptr_eq(&first.pool.0, &it.0);
        assert!(same(&again.pool) && same(&declared));
        assert!(!again.declared && find_or(&pools, &1, fake).unwrap().declared);
    }

    #[test]
    fn undeclared_pools_are_bounded_and_make_room_when_nobody_holds_them() {
        let pools = Mutex::default();
        let declared = declare(&pools, 0, fake);
        let mut held: Vec<_> = (1..=UNDECLARED)
            .map(|target| find_or(&pools, &target, fake).unwrap().pool)
            .collect();
        assert!(find_or(&pools, &1000, fake).is_err());
        assert!(find_or(&pools, &1, fake).is_ok(), "one that is there");
        held.pop();
        assert!(find_or(&pools, &1000, fake).is_ok());
        drop(declared);
        assert!(pools.lock().contains_key(&0), "declared ones stay");
    }
}
