//! How a canary is judged: by how often it fails, beside how often the active
//! revision does in the same time.

use crate::manifest::CanarySpec;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Instant;
use tokio::sync::Notify;

/// Which of an endpoint's revisions served a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The active one.
    Active,
    /// The canary.
    Canary,
}

/// Requests that are over, and those of them that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// All of them.
    pub requests: u64,
    /// Traps, deadlines, broken bodies and 5xx.
    pub failures: u64,
}

impl Tally {
    /// Failures among a hundred requests; none where there were no requests.
    fn percent(self) -> f64 {
        if self.requests == 0 {
            0.0
        } else {
            self.failures as f64 * 100.0 / self.requests as f64
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (requests, failures) = (self.requests, self.failures);
        write!(
            f,
            "{failures} of {requests} requests ({:.1} %)",
            self.percent()
        )
    }
}

impl Tally {
    fn add(&mut self, failed: bool) {
        self.requests += 1;
        self.failures += u64::from(failed);
    }

    fn and(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            failures: self.failures + other.failures,
        }
    }
}

/// What both sides came to in the same time.
#[derive(Debug, Clone, Copy, Default)]
struct Sides {
    canary: Tally,
    active: Tally,
}

impl Sides {
    fn and(self, other: Self) -> Self {
        Self {
            canary: self.canary.and(other.canary),
            active: self.active.and(other.active),
        }
    }
}

/// All of a trial, and the two latest windows of it: a canary that was good for an
/// hour is judged by what it is now.
#[derive(Debug, Default)]
struct Windows {
    all: Sides,
    before: Sides,
    now: Sides,
}

/// A canary's trial, from when it takes traffic until it is promoted or called
/// off.
#[derive(Debug)]
pub struct Trial {
    rules: CanarySpec,
    began: Instant,
    windows: Mutex<Windows>,
    verdict: OnceLock<String>,
    told: Arc<Notify>,
}

impl Trial {
    /// A trial by `rules`; `told` is notified of a verdict.
    pub fn new(rules: CanarySpec, told: Arc<Notify>) -> Self {
        Self {
            rules,
            began: Instant::now(),
            windows: Mutex::default(),
            verdict: OnceLock::new(),
            told,
        }
    }

    /// Counts a request that is over, and judges the canary by it.
    pub fn record(&self, side: Side, failed: bool) {
        let recent = {
            let mut windows = self.windows.lock();
            let Windows { all, before, now } = &mut *windows;
            for sides in [all, &mut *now] {
                match side {
                    Side::Active => sides.active.add(failed),
                    Side::Canary => sides.canary.add(failed),
                }
            }
            let recent = before.and(*now);
            if now.canary.requests >= u64::from(self.rules.requests) {
                *before = std::mem::take(now);
            }
            recent
        };
        // Nothing but a failure of its own makes a canary worse.
        if side == Side::Active || !failed || self.is_over() {
            return;
        }
        let Sides { canary, active } = recent;
        if is_worse(&self.rules, canary, active) {
            let verdict = format!(
                "it failed {canary}, the active revision {active}, in {:.1} s; \
                 allowed are {} % more, over {} requests",
                self.began.elapsed().as_secs_f64(),
                f64::from(self.rules.margin) / 100.0,
                self.rules.requests,
            );
            if self.verdict.set(verdict).is_ok() {
                self.told.notify_one();
            }
        }
    }

    /// Whether the canary was found wanting; it gets no more requests then.
    pub fn is_over(&self) -> bool {
        self.verdict.get().is_some()
    }

    /// Why it was.
    pub fn verdict(&self) -> Option<&str> {
        self.verdict.get().map(String::as_str)
    }

    /// What both sides have come to: the canary's, and the active revision's.
    pub fn tallies(&self) -> (Tally, Tally) {
        let all = self.windows.lock().all;
        (all.canary, all.active)
    }
}

/// Requests of the active revision without which nothing is said before the
/// canary has had its own: what fails both is not to be held against one.
const BASELINE: u64 = 5;

/// Whether a canary fails more often than the active revision by more than the
/// margin. Before it has had its number of requests, it is judged as though all
/// that are left would succeed: what cannot become good need not go on.
fn is_worse(rules: &CanarySpec, canary: Tally, active: Tally) -> bool {
    let few = canary.requests < u64::from(rules.requests);
    if few && active.requests < BASELINE {
        return false;
    }
    let least = Tally {
        requests: canary.requests.max(u64::from(rules.requests)),
        failures: canary.failures,
    };
    least.percent() > active.percent() + f64::from(rules.margin) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> CanarySpec {
        CanarySpec {
            margin: 500,
            requests: 100,
            sticky: None,
        }
    }

    fn tally(requests: u64, failures: u64) -> Tally {
        Tally { requests, failures }
    }

    #[test]
    fn a_canary_is_judged_by_the_margin() {
        let rules = rules();
        assert!(!is_worse(&rules, tally(1_000, 50), tally(9_000, 0)));
        assert!(is_worse(&rules, tally(1_000, 51), tally(9_000, 0)));
        assert!(!is_worse(&rules, tally(1_000, 51), tally(9_000, 90)));
    }

    #[test]
    fn it_is_called_off_early_only_where_nothing_can_save_it() {
        let rules = rules();
        assert!(!is_worse(&rules, tally(5, 5), tally(50, 0)));
        assert!(is_worse(&rules, tally(6, 6), tally(50, 0)));
    }

    #[test]
    fn a_dependency_that_fails_both_is_not_held_against_it() {
        let rules = rules();
        assert!(!is_worse(&rules, tally(100, 60), tally(900, 540)));
    }

    #[test]
    fn without_a_baseline_it_is_given_its_requests() {
        let rules = rules();
        assert!(!is_worse(&rules, tally(60, 60), tally(0, 0)));
        assert!(is_worse(&rules, tally(100, 60), tally(0, 0)));
    }

    #[test]
    fn one_that_was_good_for_long_is_judged_by_what_it_is_now() {
        let trial = Trial::new(rules(), Arc::default());
        for _ in 0..100_000 {
            trial.record(Side::Canary, false);
            trial.record(Side::Active, false);
        }
        let mut failures = 0;
        while !trial.is_over() {
            trial.record(Side::Canary, true);
            failures += 1;
        }
        assert!(failures < 20, "{failures}");
    }

    #[tokio::test]
    async fn a_verdict_is_given_once_and_told() {
        let told = Arc::new(Notify::new());
        let trial = Trial::new(rules(), told.clone());
        for _ in 0..94 {
            trial.record(Side::Canary, false);
            trial.record(Side::Active, false);
        }
        for _ in 0..5 {
            trial.record(Side::Canary, true);
        }
        assert!(!trial.is_over());
        trial.record(Side::Canary, true);
        told.notified().await;
        let verdict = trial.verdict().unwrap();
        assert!(verdict.contains("6 of 100 requests (6.0 %)"), "{verdict}");
        assert!(verdict.contains("0 of 94 requests (0.0 %)"), "{verdict}");
    }
}
