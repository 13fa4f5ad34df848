//! What an overload may cost, held against what it did. Pure.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::Instant;

use super::TIMES;
use super::crowd::{Answer, Came};
use crate::judge::Figures;

/// The slowest of a hundred that are served, of what it was without the overload.
const SLOWER: f64 = 2.0;
/// Of what can be done, so much is done while more is asked for.
const DONE: f64 = 0.8;
/// From the overload's end until everything is served.
const RECOVERY: Duration = Duration::from_secs(1);
/// All that is asked for in so long has to be served for that.
const WINDOW: Duration = Duration::from_secs(1);
/// A load that falls short of what was to be offered by more than a tenth shows nothing.
const OFFERED: f64 = 0.9;

/// What was measured.
#[derive(Debug)]
pub(super) struct Seen {
    /// By as many clients as there are places, each of which asks again when answered,
    pub(super) capacity: Vec<Answer>,
    /// for so long.
    pub(super) length: Duration,
    /// A quarter of that, then the flood, then a quarter again.
    pub(super) flooded: Vec<Answer>,
    /// Of the other endpoint, all the while.
    pub(super) beside: Vec<Answer>,
    pub(super) times: Times,
    pub(super) guests: Guests,
}

/// When what happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) flood: Instant,
    pub(super) over: Instant,
    /// Nothing more was asked for.
    pub(super) end: Instant,
}

/// What the flooded component was bothered with, ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guests {
    /// Requests that were served.
    pub(super) served: u64,
    /// Requests that came to a guest.
    pub(super) reached: u64,
    /// Instances that were made,
    pub(super) made: u64,
    /// and how many there may be.
    pub(super) most: u64,
}

/// What a run came to.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) figures: Figures,
    /// The figures that have no column.
    pub(super) note: String,
    pub(super) broken: Vec<String>,
}

/// Answers a second.
pub(super) fn rate(answers: &[Answer], length: Duration) -> f64 {
    let served = answers.iter().filter(|it| it.came == Came::Served).count();
    served as f64 / length.as_secs_f64()
}

/// Says which promises were broken, each once.
///
/// # Errors
/// Where there was no overload to speak of.
pub(super) fn judge(seen: &Seen) -> anyhow::Result<Judged> {
    let Times { flood, over, end } = seen.times;
    let before = asked(&seen.flooded, |at| at < flood);
    let during = asked(&seen.flooded, |at| (flood..over).contains(&at));
    let after = asked(&seen.flooded, |at| at >= over);
    let beside_before = asked(&seen.beside, |at| at < flood);
    let beside_during = asked(&seen.beside, |at| (flood..over).contains(&at));

    let held = (over - flood).as_secs_f64();
    let capacity = rate(&seen.capacity, seen.length);
    let offered = during.len() as f64 / held;
    ensure!(
        offered >= capacity * TIMES * OFFERED,
        "{offered:.0} requests a second were offered, not {TIMES} times {capacity:.0}"
    );
    let done = seen
        .flooded
        .iter()
        .filter(|it| it.came == Came::Served && (flood..over).contains(&it.ended));
    let done = done.count() as f64 / held;
    let usual = p99(seen.capacity.iter(), &Came::Served);
    let served = p99(during.iter().copied(), &Came::Served);
    let shed = p99(during.iter().copied(), &Came::Shed);
    let recovered = recovered(&after, over, end);
    let calm = p99(before.iter().copied(), &Came::Served);
    let back = after.iter().copied();
    let back = back.filter(|it| recovered.is_none_or(|from| it.begun >= from));
    let back = p99(back, &Came::Served);
    let beside = p99(beside_before.iter().copied(), &Came::Served);
    let disturbed = p99(beside_during.iter().copied(), &Came::Served);

    let all = || {
        seen.capacity
            .iter()
            .chain(&seen.flooded)
            .chain(&seen.beside)
    };
    let count = |which: fn(&Came) -> bool| all().filter(|it| which(&it.came)).count();
    let figures = Figures {
        asked: all().count(),
        answered: count(|it| *it == Came::Served),
        refused: count(|it| *it == Came::Shed),
        failed: count(|it| matches!(it, Came::Wrong(_))),
        slowest: all().map(Answer::took).max().unwrap_or_default(),
        recovery: recovered.map(|moment| moment - over),
    };

    let mut broken = wrong(all());
    let mut unserved = |answers: &mut dyn Iterator<Item = &Answer>, when: &str| {
        let count = answers.filter(|it| it.came == Came::Shed).count();
        if count > 0 {
            broken.push(format!("{count} were shed {when}"));
        }
    };
    unserved(&mut seen.capacity.iter(), "at capacity");
    unserved(&mut before.iter().copied(), "before the flood");
    unserved(&mut seen.beside.iter(), "of another endpoint");
    let mut at_most = |what: &str, took: Option<Duration>, times: f64, of: Option<Duration>| {
        let (Some(took), Some(of)) = (took, of) else {
            broken.push(format!(
                "nobody knows the p99 {what}: there is none, or none before"
            ));
            return;
        };
        if took > of.mul_f64(times) {
            broken.push(format!(
                "the p99 {what} was {took:.1?}, not {times} × {of:.1?}"
            ));
        }
    };
    at_most("of what was served", served, SLOWER, usual);
    // Without any, nobody was overloaded.
    at_most("of what was shed", shed, 1.0, usual);
    at_most("of another endpoint", disturbed, SLOWER, beside);
    at_most("after the flood", back, SLOWER, calm);
    if done < capacity * DONE {
        broken.push(format!(
            "{done:.0} requests a second were served, not {DONE} × {capacity:.0}"
        ));
    }
    match figures.recovery {
        None => broken.push("everything was never served again".to_owned()),
        Some(took) if took > RECOVERY => {
            broken.push(format!("recovery took {took:.1?}, not {RECOVERY:?}"));
        }
        Some(_) => {}
    }
    let Guests {
        served: answered,
        reached,
        made,
        most,
    } = seen.guests;
    if reached != answered {
        broken.push(format!(
            "{reached} requests came to a guest, {answered} were served"
        ));
    }
    if made > most {
        broken.push(format!("{made} instances were made, not {most}"));
    }
    let note = format!(
        "of {capacity:.0}/s: offered {offered:.0}/s, served {done:.0}/s; p99 {} at capacity, {} \
         flooded, {} shed; before and after {}, {}; beside {}, {}; {made} instances",
        shown(usual),
        shown(served),
        shown(shed),
        shown(calm),
        shown(back),
        shown(beside),
        shown(disturbed),
    );
    Ok(Judged {
        figures,
        note,
        broken,
    })
}

impl Answer {
    fn took(&self) -> Duration {
        self.ended - self.begun
    }
}

fn asked(answers: &[Answer], when: impl Fn(Instant) -> bool) -> Vec<&Answer> {
    let mut found: Vec<_> = answers.iter().filter(|it| when(it.begun)).collect();
    found.sort_by_key(|it| it.begun);
    found
}

/// Of those that came so.
fn p99<'a>(answers: impl Iterator<Item = &'a Answer>, came: &Came) -> Option<Duration> {
    let mut took: Vec<_> = answers
        .filter(|it| it.came == *came)
        .map(Answer::took)
        .collect();
    took.sort_unstable();
    let rank = (took.len() * 99).div_ceil(100);
    took.get(rank.checked_sub(1)?).copied()
}

/// What else came than is promised, each once.
fn wrong<'a>(answers: impl Iterator<Item = &'a Answer>) -> Vec<String> {
    let mut found: Vec<(&str, usize)> = Vec::new();
    for answer in answers {
        if let Came::Wrong(what) = &answer.came {
            match found.iter_mut().find(|(known, _)| known == what) {
                Some((_, count)) => *count += 1,
                None => found.push((what, 1)),
            }
        }
    }
    let found = found.into_iter();
    found
        .map(|(what, count)| format!("{count} × {what}"))
        .collect()
}

/// The first moment from which on all that was asked for in [`WINDOW`] was served. The
/// answers are in order.
fn recovered(after: &[&Answer], over: Instant, end: Instant) -> Option<Instant> {
    let mut from = over;
    for answer in after {
        if answer.came == Came::Served {
            continue;
        }
        if answer.begun >= from + WINDOW {
            break;
        }
        // The next one is asked for later than this.
        from = answer.begun + Duration::from_micros(1);
    }
    (from + WINDOW <= end).then_some(from)
}

fn shown(time: Option<Duration>) -> String {
    time.map_or_else(|| "none".to_owned(), |time| format!("{time:.1?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second at capacity, one of calm, two of flood, two of calm.
    struct Run {
        zero: Instant,
        seen: Seen,
    }

    /// Of the flooded endpoint, in the second before the flood.
    const BEFORE: u64 = 500;
    const DURING: u64 = 2_000;
    const AFTER: u64 = 3_200;

    impl Run {
        fn new() -> Self {
            let zero = Instant::now();
            let at = |millis| zero + Duration::from_millis(millis);
            let mut run = Self {
                zero,
                seen: Seen {
                    capacity: Vec::new(),
                    length: Duration::from_secs(1),
                    flooded: Vec::new(),
                    beside: Vec::new(),
                    times: Times {
                        flood: at(1_000),
                        over: at(3_000),
                        end: at(5_000),
                    },
                    guests: Guests {
                        served: 600,
                        reached: 600,
                        made: 8,
                        most: 8,
                    },
                },
            };
            for tick in 0..100 {
                let answer = run.answer(tick * 10, 40, Came::Served);
                run.seen.capacity.push(answer);
            }
            for tick in 0..25 {
                run.flooded(tick * 40, 40, Came::Served);
            }
            for tick in 0..1_000 {
                let came = if tick % 5 == 0 {
                    (60, Came::Served)
                } else {
                    (1, Came::Shed)
                };
                run.flooded(1_000 + tick * 2, came.0, came.1);
            }
            for tick in 0..50 {
                run.flooded(3_000 + tick * 40, 40, Came::Served);
            }
            for tick in 0..100 {
                run.beside(tick * 50, 40, Came::Served);
            }
            run
        }

        fn answer(&self, begun: u64, took: u64, came: Came) -> Answer {
            let begun = self.zero + Duration::from_millis(begun);
            Answer {
                begun,
                ended: begun + Duration::from_millis(took),
                came,
            }
        }

        fn flooded(&mut self, begun: u64, took: u64, came: Came) {
            let answer = self.answer(begun, took, came);
            self.seen.flooded.push(answer);
        }

        fn beside(&mut self, begun: u64, took: u64, came: Came) {
            let answer = self.answer(begun, took, came);
            self.seen.beside.push(answer);
        }

        fn judged(&self) -> Judged {
            judge(&self.seen).unwrap()
        }

        /// It breaks one promise, whose text has this in it.
        #[track_caller]
        fn breaks(&self, named: &str) {
            let broken = self.judged().broken;
            assert!(
                broken.len() == 1 && broken[0].contains(named),
                "{named}: {broken:?}"
            );
        }
    }

    #[test]
    fn a_flood_that_costs_what_it_may_breaks_nothing() {
        let judged = Run::new().judged();
        assert!(judged.broken.is_empty(), "{:?}", judged.broken);
        let figures = judged.figures;
        assert_eq!((figures.asked, figures.refused), (1_275, 800));
        assert_eq!(figures.recovery, Some(Duration::ZERO));
    }

    #[test]
    fn a_wrong_answer_is_counted_wherever_it_comes() {
        for begun in [BEFORE, DURING, AFTER] {
            let mut run = Run::new();
            run.flooded(begun, 1, Came::Wrong("502".into()));
            run.flooded(begun, 1, Came::Wrong("502".into()));
            // After the flood it is no recovery, either.
            let broken = run.judged().broken;
            assert_eq!(broken[0], "2 × 502");
            let mut run = Run::new();
            run.beside(begun, 1, Came::Wrong("502".into()));
            run.breaks("1 × 502");
        }
    }

    #[test]
    fn shedding_is_for_the_flood_alone() {
        let mut run = Run::new();
        run.flooded(BEFORE, 1, Came::Shed);
        run.breaks("before the flood");
        for begun in [BEFORE, DURING, AFTER] {
            let mut run = Run::new();
            run.beside(begun, 1, Came::Shed);
            run.breaks("of another endpoint");
        }
        let mut run = Run::new();
        let shed = run.answer(0, 1, Came::Shed);
        run.seen.capacity.push(shed);
        run.breaks("at capacity");
    }

    #[test]
    fn each_kind_of_answer_has_its_time() {
        let mut run = Run::new();
        for _ in 0..3 {
            run.flooded(DURING, 81, Came::Served);
        }
        run.breaks("of what was served was 81.0ms, not 2 × 40.0ms");
        let mut run = Run::new();
        for _ in 0..10 {
            run.flooded(DURING, 41, Came::Shed);
        }
        run.breaks("of what was shed");
        let mut run = Run::new();
        for _ in 0..2 {
            run.beside(DURING, 81, Came::Served);
            run.flooded(AFTER, 80, Came::Served);
        }
        run.breaks("of another endpoint");
        let mut run = Run::new();
        for _ in 0..2 {
            run.flooded(AFTER, 81, Came::Served);
        }
        run.breaks("after the flood");
    }

    #[test]
    fn what_can_be_done_is_done_while_more_is_asked_for() {
        let mut run = Run::new();
        let mut kept = 0;
        run.seen.flooded.retain(|it| {
            let counts = it.came == Came::Served && it.begun >= run.seen.times.flood;
            kept += usize::from(counts);
            !counts || kept % 5 > 1
        });
        run.breaks("requests a second were served");
    }

    #[test]
    fn a_flood_that_is_none_says_nothing() {
        let mut run = Run::new();
        run.seen.flooded.retain(|it| it.came == Came::Served);
        assert!(judge(&run.seen).is_err(), "too little was offered");
        let mut run = Run::new();
        for answer in &mut run.seen.flooded {
            answer.came = Came::Served;
        }
        run.breaks("of what was shed");
    }

    #[test]
    fn everything_is_served_again_within_a_second_for_good() {
        let mut run = Run::new();
        run.flooded(3_900, 1, Came::Shed);
        let judged = run.judged();
        assert!(judged.broken.is_empty(), "{:?}", judged.broken);
        assert_eq!(judged.figures.recovery.unwrap().as_millis(), 900);
        let mut run = Run::new();
        for begun in [3_500, 4_100] {
            run.flooded(begun, 1, Came::Shed);
        }
        run.breaks("never served again");
        run.seen.times.end += Duration::from_secs(1);
        run.breaks("recovery took 1.1s");
    }

    #[test]
    fn what_is_shed_touches_no_guest() {
        let mut run = Run::new();
        run.seen.guests.reached += 1;
        run.breaks("601 requests came to a guest, 600 were served");
        let mut run = Run::new();
        run.seen.guests.made = 9;
        run.breaks("9 instances were made, not 8");
    }
}
