//! What was promised, held against what happened. Pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::load::{Kind, Outcome, Sample};

/// All that is asked for in so long has to be answered for the service to be back.
pub(crate) const WINDOW: Duration = Duration::from_secs(1);

/// What holds while a fault lasts, and after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promises {
    /// What is answered all the same, each time.
    pub(crate) works: &'static [Kind],
    /// From the fault on until it is: a server that is taken from under a
    /// statement leaves nobody to answer it.
    pub(crate) settles: Duration,
    /// What must be refused at least once: else there was no fault.
    pub(crate) bites: &'static [Kind],
    /// What some answer must take at least, for the same reason.
    pub(crate) delays: Duration,
    /// The statuses of a refusal.
    pub(crate) refusals: &'static [u16],
    /// The place whose connections may break.
    pub(crate) breaks: Option<usize>,
    /// The slowest answer, whatever it says.
    pub(crate) slowest: Duration,
    /// From the fault's end until everything is answered.
    pub(crate) recovery: Duration,
}

/// When what happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// The fault began to be made,
    pub(crate) inject: Instant,
    /// was there,
    pub(crate) injected: Instant,
    /// and was over: what was away answers.
    pub(crate) healed: Instant,
    /// Nothing more was asked for.
    pub(crate) end: Instant,
}

/// What a run's requests came to.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) asked: usize,
    pub(crate) answered: usize,
    pub(crate) refused: usize,
    pub(crate) failed: usize,
    pub(crate) slowest: Duration,
    /// None where it did not come.
    pub(crate) recovery: Option<Duration>,
}

/// Counts, and says which promises were broken, each once.
pub(crate) fn judge(
    samples: &[Sample],
    times: &Times,
    promises: &Promises,
) -> (Figures, Vec<String>) {
    let mut samples: Vec<&Sample> = samples.iter().collect();
    samples.sort_by_key(|sample| sample.begun);
    let recovered = recovered(&samples, times);
    let figures = Figures {
        asked: samples.len(),
        answered: count(&samples, |it| *it == Outcome::Answered),
        refused: count(&samples, |it| matches!(it, Outcome::Refused(_))),
        failed: count(&samples, |it| matches!(it, Outcome::Failed(_))),
        slowest: samples.iter().map(|it| it.took()).max().unwrap_or_default(),
        recovery: recovered.map(|moment| moment - times.healed),
    };
    let mut broken = Vec::new();
    // Until when refusals are borne; after the promised time they are not, though
    // the service may take longer.
    let borne = recovered.map_or(times.healed, |moment| {
        moment.min(times.healed + promises.recovery)
    });
    let mut wrong: Vec<(String, usize)> = Vec::new();
    for sample in &samples {
        if let Some(what) = sample.breaks(times, promises, borne) {
            match wrong.iter_mut().find(|(known, _)| *known == what) {
                Some((_, count)) => *count += 1,
                None => wrong.push((what, 1)),
            }
        }
    }
    broken.extend(
        wrong
            .into_iter()
            .map(|(what, count)| format!("{count} × {what}")),
    );
    match figures.recovery {
        None => broken.push("everything was never answered again".to_owned()),
        Some(took) if took > promises.recovery => broken.push(format!(
            "recovery took {took:.1?}, not {:?}",
            promises.recovery
        )),
        Some(_) => {}
    }
    if figures.slowest > promises.slowest {
        let slowest = samples.iter().max_by_key(|it| it.took());
        let kind = slowest.map(|it| it.kind);
        broken.push(format!(
            "an answer took {:.2?}, not {:?} ({kind:?})",
            figures.slowest, promises.slowest
        ));
    }
    for kind in promises.bites {
        let bitten = |it: &&&Sample| it.kind == *kind && matches!(it.outcome, Outcome::Refused(_));
        if samples.iter().find(bitten).is_none() {
            broken.push(format!("no fault was felt: no {kind:?} was refused"));
        }
    }
    if figures.slowest < promises.delays {
        broken.push(format!(
            "no fault was felt: no answer took {:?}",
            promises.delays
        ));
    }
    (figures, broken)
}

impl Sample {
    fn took(&self) -> Duration {
        self.ended - self.begun
    }

    /// The promise that this one's outcome breaks, if it does.
    fn breaks(&self, times: &Times, promises: &Promises, borne: Instant) -> Option<String> {
        let what = match &self.outcome {
            Outcome::Answered => return None,
            Outcome::Refused(status) => status.to_string(),
            Outcome::Failed(what) => what.clone(),
        };
        let kind = self.kind;
        if self.ended < times.inject {
            return Some(format!("{kind:?} before the fault: {what}"));
        }
        if self.begun >= borne {
            return Some(format!("{kind:?} after the fault: {what}"));
        }
        match &self.outcome {
            Outcome::Failed(_) if promises.breaks == Some(self.place) => None,
            Outcome::Refused(status) if promises.refusals.contains(status) => {
                let settled = self.begun >= times.injected + promises.settles;
                let works = settled && promises.works.contains(&kind);
                works.then(|| format!("{kind:?} in spite of the fault: {what}"))
            }
            _ => Some(format!("{kind:?} during the fault: {what}")),
        }
    }
}

fn count(samples: &[&Sample], which: impl Fn(&Outcome) -> bool) -> usize {
    samples.iter().filter(|it| which(&it.outcome)).count()
}

/// The first moment after the fault from which on all that was asked for in
/// [`WINDOW`] was answered. The samples are in order.
fn recovered(samples: &[&Sample], times: &Times) -> Option<Instant> {
    let mut from = times.healed;
    for sample in samples {
        if sample.begun < times.healed || sample.outcome == Outcome::Answered {
            continue;
        }
        if sample.begun >= from + WINDOW {
            break;
        }
        // The next one is asked for later than this.
        from = sample.begun + Duration::from_micros(1);
    }
    (from + WINDOW <= times.end).then_some(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMISES: Promises = Promises {
        works: &[Kind::Cached],
        settles: Duration::ZERO,
        bites: &[Kind::Create],
        delays: Duration::ZERO,
        refusals: &[503],
        breaks: None,
        slowest: Duration::from_secs(3),
        recovery: Duration::from_secs(2),
    };

    /// A fault from second 2 to second 4 of a load of ten seconds.
    struct Run {
        zero: Instant,
        samples: Vec<Sample>,
        promises: Promises,
    }

    impl Run {
        fn new() -> Self {
            let mut run = Self {
                zero: Instant::now(),
                samples: Vec::new(),
                promises: PROMISES,
            };
            for tenth in 0..100 {
                run.add(tenth * 100, 5, Kind::Cached, Outcome::Answered);
            }
            run.add(2_500, 5, Kind::Create, Outcome::Refused(503));
            run
        }

        fn at(&self, millis: u64) -> Instant {
            self.zero + Duration::from_millis(millis)
        }

        fn add(&mut self, begun: u64, took: u64, kind: Kind, outcome: Outcome) {
            self.samples.push(Sample {
                kind,
                number: self.samples.len(),
                place: 0,
                begun: self.at(begun),
                ended: self.at(begun + took),
                outcome,
            });
        }

        fn broken(&self) -> Vec<String> {
            self.judged().1
        }

        fn judged(&self) -> (Figures, Vec<String>) {
            let times = Times {
                inject: self.at(2_000),
                injected: self.at(2_000),
                healed: self.at(4_000),
                end: self.at(10_000),
            };
            judge(&self.samples, &times, &self.promises)
        }
    }

    #[test]
    fn refusals_during_the_fault_are_as_promised() {
        let (figures, broken) = Run::new().judged();
        assert_eq!(broken, Vec::<String>::new());
        assert_eq!((figures.asked, figures.answered), (101, 100));
        assert_eq!(figures.recovery, Some(Duration::ZERO));
    }

    #[test]
    fn recovery_is_the_start_of_the_first_good_second() {
        let mut run = Run::new();
        run.add(4_300, 5, Kind::Read, Outcome::Refused(503));
        run.add(4_900, 5, Kind::Read, Outcome::Refused(503));
        let (figures, broken) = run.judged();
        assert_eq!(broken, Vec::<String>::new());
        assert_eq!(figures.recovery.map(|it| it.as_millis()), Some(900));
        run.add(5_800, 5, Kind::Read, Outcome::Refused(503));
        run.add(6_700, 5, Kind::Read, Outcome::Refused(503));
        let broken = run.broken();
        assert!(
            broken.iter().any(|it| it.contains("recovery took 2.7")),
            "{broken:?}"
        );
    }

    #[test]
    fn what_fails_again_after_a_good_second_is_no_part_of_recovery() {
        let mut run = Run::new();
        run.add(8_000, 5, Kind::Read, Outcome::Refused(503));
        let broken = run.broken();
        assert_eq!(broken, ["1 × Read after the fault: 503"]);
    }

    #[test]
    fn each_broken_promise_is_named() {
        let cases = [
            (
                1_000,
                5,
                Kind::Read,
                Outcome::Refused(503),
                "before the fault",
            ),
            (3_000, 5, Kind::Cached, Outcome::Refused(503), "in spite of"),
            (
                3_000,
                5,
                Kind::Read,
                Outcome::Refused(504),
                "during the fault: 504",
            ),
            (
                3_000,
                5,
                Kind::Read,
                Outcome::Failed("500".into()),
                "during the fault: 500",
            ),
            (
                3_000,
                3_500,
                Kind::Read,
                Outcome::Refused(503),
                "an answer took 3.50s",
            ),
            (
                9_500,
                5,
                Kind::Read,
                Outcome::Refused(503),
                "after the fault",
            ),
        ];
        for (begun, took, kind, outcome, named) in cases {
            let mut run = Run::new();
            run.add(begun, took, kind, outcome);
            let broken = run.broken();
            assert!(
                broken.len() == 1 && broken[0].contains(named),
                "{named}: {broken:?}"
            );
        }
    }

    #[test]
    fn a_fault_that_nobody_feels_is_none() {
        let mut run = Run::new();
        run.samples.retain(|it| it.kind != Kind::Create);
        assert!(run.broken()[0].contains("no Create was refused"));
        let mut run = Run::new();
        run.promises.delays = Duration::from_secs(1);
        assert!(run.broken()[0].contains("no answer took 1s"));
    }

    #[test]
    fn a_load_that_ends_too_soon_shows_no_recovery() {
        let mut run = Run::new();
        run.add(9_500, 5, Kind::Read, Outcome::Failed("cut".into()));
        for tenth in 41..95 {
            run.add(tenth * 100, 1, Kind::Read, Outcome::Failed("cut".into()));
        }
        assert!(
            run.broken()
                .iter()
                .any(|it| it.contains("never answered again"))
        );
    }

    #[test]
    fn the_connections_of_a_killed_host_may_break_and_no_others() {
        let mut run = Run::new();
        run.promises.breaks = Some(0);
        run.add(3_000, 5, Kind::Read, Outcome::Failed("reset".into()));
        assert!(run.broken().is_empty());
        run.promises.breaks = Some(1);
        assert_eq!(run.broken().len(), 1);
    }
}
