//! What a run came to, in figures. Pure.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

use super::crowd::{Answer, Came};

/// All that is asked for in so long has to be served for a recovery.
const WINDOW: Duration = Duration::from_secs(1);
/// Each part of a run is looked at in so many pieces, and the middle one counts. What
/// else a machine does can hold up everything on it for longer than an answer takes,
/// now and then; what the host does to its answers is in every piece.
const PIECES: u32 = 5;

/// What was seen.
#[derive(Debug)]
pub(super) struct Seen {
    /// By as many clients as there are places, each of which asks again when answered,
    pub(super) capacity: Vec<Answer>,
    /// for so long.
    pub(super) length: Duration,
    /// The longest that the work itself takes, where nothing else is in its way.
    pub(super) work: Duration,
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
    /// The clients of [`Seen::capacity`] began.
    pub(super) busy: Instant,
    pub(super) calm: Instant,
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

/// A run's figures: answers a second, and how long the slowest of a hundred took.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) capacity: f64,
    pub(super) offered: f64,
    pub(super) done: f64,
    /// Served, at capacity
    pub(super) usual: Option<P99>,
    /// and in the flood,
    pub(super) served: Option<P99>,
    /// shed in it,
    pub(super) shed: Option<P99>,
    /// and served before it
    pub(super) before: Option<P99>,
    /// and from the recovery on.
    pub(super) back: Option<P99>,
    /// Of the other endpoint, before the flood
    pub(super) beside: Option<P99>,
    /// and in it.
    pub(super) disturbed: Option<P99>,
    /// None where it did not come.
    pub(super) recovered: Option<Instant>,
}

impl Measured {
    pub(super) fn of(seen: &Seen) -> Self {
        let Times {
            busy,
            calm,
            flood,
            over,
            end,
        } = seen.times;
        let held = (over - flood).as_secs_f64();
        let in_time = |it: &&Answer| it.came == Came::Served && (flood..over).contains(&it.ended);
        let recovered = recovered(&seen.flooded, over, end);
        let flooded = |when, came| p99(&seen.flooded, when, came);
        Self {
            capacity: rate(&seen.capacity, seen.length),
            offered: asked(&seen.flooded, flood..over).count() as f64 / held,
            done: seen.flooded.iter().filter(in_time).count() as f64 / held,
            usual: p99(&seen.capacity, busy..busy + seen.length, Came::Served),
            served: flooded(flood..over, Came::Served),
            shed: flooded(flood..over, Came::Shed),
            before: flooded(calm..flood, Came::Served),
            back: flooded(recovered.unwrap_or(over)..end, Came::Served),
            beside: p99(&seen.beside, calm..flood, Came::Served),
            disturbed: p99(&seen.beside, flood..over, Came::Served),
            recovered,
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rates = [self.capacity, self.offered, self.done];
        let [capacity, offered, done] = rates.map(|rate| format!("{rate:.0}/s"));
        let times = [
            ("at capacity", self.usual),
            ("served", self.served),
            ("shed", self.shed),
            ("before", self.before),
            ("after", self.back),
            ("beside before", self.beside),
            ("beside", self.disturbed),
        ];
        write!(f, "of {capacity} offered {offered}, served {done}; p99")?;
        for (what, p99) in times {
            match p99 {
                Some(p99) => write!(f, ", {what} {p99}")?,
                None => write!(f, ", {what} none")?,
            }
        }
        Ok(())
    }
}

/// Served, a second.
pub(super) fn rate(answers: &[Answer], length: Duration) -> f64 {
    let served = answers.iter().filter(|it| it.came == Came::Served).count();
    served as f64 / length.as_secs_f64()
}

/// Those that were asked for in that time.
pub(super) fn asked(answers: &[Answer], when: Range<Instant>) -> impl Iterator<Item = &Answer> {
    answers.iter().filter(move |it| when.contains(&it.begun))
}

/// The slowest of a hundred, in each piece of some time.
#[derive(Clone, Copy, Debug)]
pub(super) struct P99 {
    pub(super) middle: Duration,
    least: Duration,
    most: Duration,
}

impl fmt::Display for P99 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [middle, least, most] =
            [self.middle, self.least, self.most].map(|it| it.as_secs_f64() * 1e3);
        write!(f, "{middle:.1} ms ({least:.1} to {most:.1})")
    }
}

/// Of those that came so.
fn p99(answers: &[Answer], when: Range<Instant>, came: Came) -> Option<P99> {
    let piece = (when.end - when.start) / PIECES;
    let pieces = (0..PIECES).filter_map(|number| {
        let from = when.start + piece * number;
        let mut took: Vec<_> = asked(answers, from..from + piece)
            .filter(|it| it.came == came)
            .map(Answer::took)
            .collect();
        took.sort_unstable();
        let rank = (took.len() * 99).div_ceil(100);
        took.get(rank.checked_sub(1)?).copied()
    });
    let mut pieces: Vec<_> = pieces.collect();
    pieces.sort_unstable();
    Some(P99 {
        middle: *pieces.get(pieces.len() / 2)?,
        least: *pieces.first()?,
        most: *pieces.last()?,
    })
}

/// The first moment from which on all that was asked for in [`WINDOW`] was served.
fn recovered(answers: &[Answer], over: Instant, end: Instant) -> Option<Instant> {
    let unserved = asked(answers, over..end).filter(|it| it.came != Came::Served);
    let mut unserved: Vec<_> = unserved.map(|it| it.begun).collect();
    unserved.sort_unstable();
    let mut from = over;
    for begun in unserved {
        if begun >= from + WINDOW {
            break;
        }
        // The next one is asked for later than this.
        from = begun + Duration::from_micros(1);
    }
    (from + WINDOW <= end).then_some(from)
}
