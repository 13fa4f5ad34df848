//! The scenarios, as values.

use std::time::Duration;

use crate::fault::Fault;
use crate::judge::Promises;
use crate::load::Kind;
use crate::overload::Scarce;
use crate::world::Stage;

/// A fault under load, and what is promised of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) what: Deed,
    pub(crate) stage: Stage,
    /// How long the fault lasts.
    pub(crate) hold: Duration,
    pub(crate) promises: Promises,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// A mix of requests, and something that fails for a while.
    Fault(Fault),
    /// A host that is told to end while it is busy.
    Terminate,
    /// More requests than there is room for.
    Overload(Scarce),
}

/// The deadline of the components that are asked,
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// and what it takes to say so.
pub(crate) const TOLD: Duration = Duration::from_millis(250);
/// A pool that finds no server says so after two seconds.
const AWAY: Duration = Duration::from_secs(3);
/// A command to Valkey is given up after 250 ms; a redirect has up to four, and
/// then the database.
const WITHOUT_CACHE: Duration = Duration::from_secs(2);
const RECOVERY: Duration = Duration::from_secs(2);
/// A command to Valkey that is given up.
const TIMEOUT: Duration = Duration::from_millis(200);

const ALL: &[Kind] = &Kind::ALL;
const READS: &[Kind] = &[Kind::Cached, Kind::Read, Kind::List];

/// Longer than any deadline.
const LONG: u64 = 13;

/// PostgreSQL is away: what is cached redirects, all else is refused.
const WITHOUT_DATABASE: Promises = Promises {
    works: &[Kind::Cached],
    settles: Duration::ZERO,
    bites: &[Kind::Create, Kind::Read],
    delays: Duration::ZERO,
    refusals: &[503],
    breaks: None,
    slowest: AWAY,
    recovery: RECOVERY,
};

/// It is there and says nothing: that is found out at the deadline.
const FROZEN: Promises = Promises {
    refusals: &[503, 504],
    slowest: DEADLINE.saturating_add(TOLD),
    ..WITHOUT_DATABASE
};

/// Away for less than a deadline: who asks has to wait.
const LATE: Promises = Promises {
    bites: &[],
    delays: Duration::from_secs(4),
    ..FROZEN
};

/// Nobody notices.
const UNNOTICED: Promises = Promises {
    works: ALL,
    settles: Duration::ZERO,
    bites: &[],
    delays: Duration::ZERO,
    refusals: &[],
    breaks: None,
    slowest: WITHOUT_CACHE,
    recovery: Duration::ZERO,
};

/// Who redirects waits for it, not long.
const SLOWED: Promises = Promises {
    delays: TIMEOUT,
    ..UNNOTICED
};

/// Each answer takes the way there and back once at least.
const FAR: Promises = Promises {
    delays: Duration::from_millis(100),
    ..UNNOTICED
};

const fn scenario(name: &'static str, fault: Fault, hold: u64, promises: Promises) -> Scenario {
    Scenario {
        name,
        what: Deed::Fault(fault),
        stage: Stage::Plain,
        hold: Duration::from_secs(hold),
        promises,
    }
}

const fn at(stage: Stage, scenario: Scenario) -> Scenario {
    Scenario { stage, ..scenario }
}

/// What is promised of it is in `overload`.
const fn overload(name: &'static str, scarce: Scarce) -> Scenario {
    Scenario {
        name,
        what: Deed::Overload(scarce),
        stage: Stage::FewPlaces,
        hold: Duration::from_secs(6),
        promises: UNNOTICED,
    }
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario(
        "postgres-stopped",
        Fault::PostgresStopped,
        6,
        WITHOUT_DATABASE,
    ),
    scenario(
        "postgres-killed",
        Fault::PostgresKilled,
        6,
        WITHOUT_DATABASE,
    ),
    scenario(
        "postgres-restarted",
        Fault::PostgresStopped,
        0,
        Promises {
            bites: &[],
            ..WITHOUT_DATABASE
        },
    ),
    scenario("postgres-frozen", Fault::PostgresFrozen, LONG, FROZEN),
    at(
        Stage::Small,
        scenario(
            "postgres-crowded",
            Fault::PostgresCrowded,
            6,
            WITHOUT_DATABASE,
        ),
    ),
    at(
        Stage::Standby,
        scenario(
            "postgres-read-only",
            Fault::PostgresReadOnly,
            6,
            Promises {
                works: READS,
                settles: Duration::from_secs(1),
                bites: &[Kind::Create],
                ..WITHOUT_DATABASE
            },
        ),
    ),
    at(
        Stage::Pair,
        scenario(
            "postgres-failover",
            Fault::PostgresFailover,
            3,
            WITHOUT_DATABASE,
        ),
    ),
    at(
        Stage::SmallDisk,
        scenario(
            "postgres-disk-full",
            Fault::PostgresDiskFull,
            6,
            Promises {
                works: READS,
                bites: &[Kind::Create],
                ..WITHOUT_DATABASE
            },
        ),
    ),
    scenario("valkey-stopped", Fault::ValkeyStopped, 6, UNNOTICED),
    scenario("valkey-killed", Fault::ValkeyKilled, 6, UNNOTICED),
    scenario("valkey-frozen", Fault::ValkeyFrozen, 6, SLOWED),
    scenario("valkey-emptied", Fault::ValkeyEmptied, 3, UNNOTICED),
    at(
        Stage::Small,
        scenario("valkey-full", Fault::ValkeyFull, 6, UNNOTICED),
    ),
    at(
        Stage::Sentinels,
        scenario("valkey-failover", Fault::ValkeyFailover, 0, UNNOTICED),
    ),
    scenario(
        "both-killed",
        Fault::BothKilled,
        6,
        Promises {
            works: &[],
            bites: ALL,
            ..WITHOUT_DATABASE
        },
    ),
    scenario(
        "both-frozen",
        Fault::BothFrozen,
        LONG,
        Promises {
            works: &[],
            bites: ALL,
            ..FROZEN
        },
    ),
    at(
        Stage::Relays,
        scenario("postgres-far", Fault::PostgresFar, 6, FAR),
    ),
    at(
        Stage::Relays,
        scenario("valkey-far", Fault::ValkeyFar, 6, FAR),
    ),
    at(
        Stage::Network,
        scenario("postgres-cut", Fault::PostgresCut, 5, LATE),
    ),
    at(
        Stage::Network,
        scenario("valkey-cut", Fault::ValkeyCut, 5, SLOWED),
    ),
    at(
        Stage::TwoHosts,
        scenario(
            "host-killed",
            Fault::HostKilled,
            2,
            Promises {
                works: ALL,
                breaks: Some(0),
                ..UNNOTICED
            },
        ),
    ),
    overload("overload-endpoint", Scarce::Endpoint),
    overload("overload-node", Scarce::Node),
    overload("overload-database", Scarce::Database),
    Scenario {
        name: "host-terminated",
        what: Deed::Terminate,
        stage: Stage::Plain,
        hold: Duration::ZERO,
        promises: UNNOTICED,
    },
];

/// The one of this name.
///
/// # Errors
/// Where there is none: then it says which there are.
pub(crate) fn named(name: &str) -> Result<&'static Scenario, String> {
    let found = SCENARIOS.iter().find(|it| it.name == name);
    found.ok_or_else(|| {
        let names: Vec<_> = SCENARIOS.iter().map(|it| it.name).collect();
        format!("there is no {name}; there are {}", names.join(", "))
    })
}

impl Scenario {
    /// Whether it takes root: to mount, or to lay wires.
    pub(crate) fn needs_root(&self) -> bool {
        matches!(self.stage, Stage::SmallDisk | Stage::Network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_of_its_own() {
        for scenario in SCENARIOS {
            assert_eq!(named(scenario.name).unwrap().what, scenario.what);
        }
        assert!(named("x").unwrap_err().contains("postgres-frozen"));
    }
}
