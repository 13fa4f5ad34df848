//! How long a scenario takes: minutes are there for all of them where that is what was
//! asked for, and seconds where every change waits for them.

use std::time::Duration;

use crate::judge::WINDOW;
use crate::scenario::{DEADLINE, Deed, Scenario, TOLD};
use crate::world::Stage;

/// How long each part of a run is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) before: Duration,
    pub(crate) hold: Duration,
    /// Long enough for the promised recovery and a good second after it.
    pub(crate) after: Duration,
}

/// The deadline of the components in a short form that waits for it. It is later than
/// what a pool waits for a connection, as the application's own is: both are seen.
pub(crate) const HASTE: Duration = Duration::from_secs(3);
/// For what is to be felt to be felt more than once.
const FELT: Duration = Duration::from_millis(1_500);
/// The same of those who waited in vain, which is long enough in itself.
const IN_VAIN: Duration = Duration::from_millis(500);
/// The least of a load, in which it is known to be answered.
const BEFORE: Duration = Duration::from_millis(500);
/// A recovery that takes as long as it may is one: the load's end is later than that.
const AFTER: Duration = Duration::from_millis(200);

impl Extent {
    /// In which what comes late is seen, too.
    pub(crate) fn long(scenario: &Scenario) -> Self {
        Self {
            before: Duration::from_secs(2),
            hold: scenario.hold,
            after: Duration::from_secs(6),
        }
    }

    /// In which all is seen that is promised.
    pub(crate) fn short(scenario: &Scenario) -> Self {
        let hold = scenario.hold;
        match scenario.what {
            // Its ratios are of five pieces of each part, and of a hundred answers.
            Deed::Overload(_) => Self {
                before: Duration::from_millis(400),
                hold,
                after: Duration::from_millis(2_100),
            },
            Deed::Fault(_) | Deed::Terminate => Self {
                before: BEFORE,
                hold,
                after: scenario.promises.recovery + WINDOW + AFTER,
            },
        }
    }

    pub(crate) fn length(&self) -> Duration {
        self.before + self.hold + self.after
    }
}

impl Scenario {
    /// The same, where the fault is held no longer than it takes to be felt. What is
    /// promised stays; a deadline that has to come comes sooner.
    pub(crate) fn short(&self) -> Self {
        let mut short = *self;
        if matches!(self.what, Deed::Overload(_)) {
            short.hold = Duration::from_secs(2);
            return short;
        }
        if self.hold > DEADLINE {
            short.stage = Stage::Hasty;
            short.promises.slowest = HASTE + TOLD;
        }
        let promises = &short.promises;
        let felt = if promises.bites.is_empty() {
            promises.delays + FELT
        } else {
            promises.slowest + IN_VAIN
        };
        short.hold = self.hold.min(felt);
        short
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{SCENARIOS, named};

    #[test]
    fn a_short_form_is_shorter_and_promises_the_same() {
        for scenario in SCENARIOS {
            let short = scenario.short();
            let length = Extent::short(&short).length();
            assert!(length < Extent::long(scenario).length(), "{short:?}");
            let mut promises = short.promises;
            if short.stage == Stage::Hasty {
                assert!(short.hold > HASTE, "{short:?}");
                promises.slowest = scenario.promises.slowest;
            } else {
                assert_eq!(short.stage, scenario.stage);
            }
            assert_eq!(
                format!("{promises:?}"),
                format!("{:?}", scenario.promises),
                "{}",
                scenario.name
            );
        }
    }

    #[test]
    fn whoever_waits_for_an_answer_is_waited_for() {
        for (name, hold) in [
            ("postgres-restarted", 0),
            ("postgres-killed", 3_500),
            ("postgres-frozen", 3_750),
            ("postgres-cut", 5_000),
            ("valkey-frozen", 1_700),
        ] {
            let short = named(name).unwrap().short();
            assert_eq!(short.hold.as_millis(), hold, "{name}");
        }
    }
}
