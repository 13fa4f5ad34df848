//! What an overload may cost, held against what it did. Pure.

use std::time::Duration;

use anyhow::ensure;

use super::TIMES;
use super::crowd::{Answer, Came};
use super::measure::{Measured, P99, Seen, Times, asked};
use crate::judge::Figures;

/// The slowest of a hundred that are served, of what it was without the overload.
const SLOWER: f64 = 2.0;
/// Of what can be done, so much is done while more is asked for.
const DONE: f64 = 0.8;
/// From the overload's end until everything is served.
const RECOVERY: Duration = Duration::from_secs(1);
/// A load that falls short of what was to be offered by more than a tenth shows nothing.
const OFFERED: f64 = 0.9;
/// Where even at capacity the slowest of a hundred take so many times what the work
/// takes, they wait for the machine and not for a place.
const BUSY: f64 = 2.0;

/// What a run came to.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) figures: Figures,
    pub(super) measured: Measured,
    pub(super) broken: Vec<String>,
}

/// Says which promises were broken, each once.
///
/// # Errors
/// Where there was no overload to speak of.
pub(super) fn judge(seen: &Seen) -> anyhow::Result<Judged> {
    let measured = Measured::of(seen);
    let Measured {
        capacity, offered, ..
    } = measured;
    ensure!(
        offered >= capacity * TIMES * OFFERED,
        "{offered:.0} requests a second were offered, not {TIMES} times {capacity:.0}"
    );
    if let Some(usual) = measured.usual {
        let work = seen.work;
        ensure!(
            usual.middle <= work.mul_f64(BUSY),
            "this machine is busy: work of {work:?} took {usual} at capacity"
        );
    }
    let figures = figures(seen, &measured);
    let mut broken = wrong(seen);
    broken.extend(slow(&measured));
    if measured.done < capacity * DONE {
        let done = measured.done;
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
    let guests = seen.guests;
    if guests.reached != guests.served {
        broken.push(format!(
            "{} requests came to a guest, {} were served",
            guests.reached, guests.served
        ));
    }
    if guests.made > guests.most {
        broken.push(format!(
            "{} instances were made, not {}",
            guests.made, guests.most
        ));
    }
    Ok(Judged {
        figures,
        measured,
        broken,
    })
}

fn all(seen: &Seen) -> impl Iterator<Item = &Answer> {
    seen.capacity
        .iter()
        .chain(&seen.flooded)
        .chain(&seen.beside)
}

fn figures(seen: &Seen, measured: &Measured) -> Figures {
    let count = |which: fn(&Came) -> bool| all(seen).filter(|it| which(&it.came)).count();
    let over = seen.times.over;
    Figures {
        asked: all(seen).count(),
        answered: count(|it| *it == Came::Served),
        refused: count(|it| *it == Came::Shed),
        failed: count(|it| matches!(it, Came::Wrong(_))),
        slowest: all(seen).map(Answer::took).max().unwrap_or_default(),
        recovery: measured.recovered.map(|moment| moment - over),
    }
}

/// What came that nothing promises, each once.
fn wrong(seen: &Seen) -> Vec<String> {
    let mut found: Vec<(&str, usize)> = Vec::new();
    for answer in all(seen) {
        if let Came::Wrong(what) = &answer.came {
            match found.iter_mut().find(|(known, _)| known == what) {
                Some((_, count)) => *count += 1,
                None => found.push((what, 1)),
            }
        }
    }
    let mut wrong: Vec<_> = found
        .into_iter()
        .map(|(what, count)| format!("{count} × {what}"))
        .collect();
    let Times { calm, flood, .. } = seen.times;
    let shed = |it: &&Answer| it.came == Came::Shed;
    let counts = [
        (seen.capacity.iter().filter(shed).count(), "at capacity"),
        (
            asked(&seen.flooded, calm..flood).filter(shed).count(),
            "before the flood",
        ),
        (
            seen.beside.iter().filter(shed).count(),
            "of another endpoint",
        ),
    ];
    for (count, which) in counts {
        if count > 0 {
            wrong.push(format!("{count} were shed {which}"));
        }
    }
    wrong
}

/// What took longer than it may.
fn slow(measured: &Measured) -> Vec<String> {
    let rules: [(&str, Option<P99>, f64, Option<P99>); 4] = [
        (
            "of what was served",
            measured.served,
            SLOWER,
            measured.usual,
        ),
        // Without any, nobody was overloaded.
        ("of what was shed", measured.shed, 1.0, measured.usual),
        (
            "of another endpoint",
            measured.disturbed,
            SLOWER,
            measured.beside,
        ),
        ("after the flood", measured.back, SLOWER, measured.before),
    ];
    let mut slow = Vec::new();
    for (what, took, times, of) in rules {
        let (Some(took), Some(of)) = (took, of) else {
            slow.push(format!(
                "there is no p99 {what}, or nothing to hold it against"
            ));
            continue;
        };
        if took.middle > of.middle.mul_f64(times) {
            slow.push(format!("the p99 {what} was {took}, not {times} × {of}"));
        }
    }
    slow
}

#[cfg(test)]
mod tests {
    use super::super::measure::Guests;
    use super::*;
    use tokio::time::Instant;

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
                    work: Duration::from_millis(30),
                    flooded: Vec::new(),
                    beside: Vec::new(),
                    times: Times {
                        busy: zero,
                        calm: zero,
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

    /// A moment in each piece of the flood, or of what follows it.
    fn pieces(from: u64) -> impl Iterator<Item = u64> {
        (0..5).map(move |number| from + 200 + number * 400)
    }

    #[test]
    fn each_kind_of_answer_has_its_time() {
        let mut run = Run::new();
        for begun in pieces(1_000) {
            run.flooded(begun, 81, Came::Served);
        }
        run.breaks("of what was served was 81.0 ms");
        let mut run = Run::new();
        // Of 160 in each.
        for begun in pieces(1_000).chain(pieces(1_001)) {
            run.flooded(begun, 41, Came::Shed);
        }
        run.breaks("of what was shed was 41.0 ms");
        let mut run = Run::new();
        for begun in pieces(1_000) {
            run.beside(begun, 81, Came::Served);
        }
        run.breaks("of another endpoint was 81.0 ms");
        let mut run = Run::new();
        for begun in pieces(3_000) {
            run.flooded(begun, 81, Came::Served);
        }
        run.breaks("after the flood was 81.0 ms");
    }

    #[test]
    fn what_holds_up_everything_now_and_then_is_not_the_hosts() {
        let mut run = Run::new();
        for begun in pieces(1_000).take(2) {
            run.flooded(begun, 500, Came::Served);
            run.beside(begun, 500, Came::Served);
        }
        let judged = run.judged();
        assert!(judged.broken.is_empty(), "{:?}", judged.broken);
        assert_eq!(judged.figures.slowest, Duration::from_millis(500));
        for begun in pieces(1_000).take(3) {
            run.flooded(begun, 500, Came::Served);
        }
        run.breaks("of what was served was 500.0 ms");
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
    fn a_busy_machine_says_nothing() {
        let mut run = Run::new();
        run.seen.work = Duration::from_millis(19);
        assert!(judge(&run.seen).is_err());
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
