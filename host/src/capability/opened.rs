//! Addresses that a guest has opened before.

use crate::pool::Found;
use crate::pool::postgres::PostgresPool;
use crate::pool::valkey::ValkeyPool;

/// Addresses remembered of one kind. A component names one or two.
const REMEMBERED: usize = 4;

/// The pools behind the addresses that one store's guest has named: most guests
/// open the same ones with every request, and to understand an address, to check
/// it against what is granted and to find its pool takes longer than all the rest
/// of opening. Only declared pools are remembered, which are there for good.
#[derive(Debug, Default)]
pub struct Opened {
    /// Of `spin:postgres`, without root certificates of the guest's own.
    pub postgres: Addresses<PostgresPool>,
    /// Of `spin:redis`.
    pub valkey: Addresses<ValkeyPool>,
}

/// Pools of one kind, by the address as the guest wrote it.
#[derive(Debug)]
pub struct Addresses<Pool>(Vec<(Box<str>, Pool)>);

impl<Pool> Default for Addresses<Pool> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<Pool: Clone> Addresses<Pool> {
    /// The pool of an address that was opened before.
    pub fn get(&self, address: &str) -> Option<&Pool> {
        let found = self.0.iter().find(|(known, _)| **known == *address);
        found.map(|(_, pool)| pool)
    }

    /// Remembers a pool that the address was found to be granted for.
    pub fn remember(&mut self, address: &str, found: &Found<Pool>) {
        if found.declared && self.0.len() < REMEMBERED {
            self.0.push((address.into(), found.pool.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_declared_pools_are_remembered() {
        let mut addresses = Addresses::default();
        let found = |pool, declared| Found { pool, declared };
        addresses.remember("undeclared", &found(0, false));
        for pool in 1..10 {
            addresses.remember(&pool.to_string(), &found(pool, true));
        }
        assert_eq!(addresses.get("undeclared"), None);
        assert_eq!(addresses.get("1"), Some(&1));
        assert_eq!(addresses.get("4"), Some(&4));
        assert_eq!(addresses.get("5"), None);
    }
}
