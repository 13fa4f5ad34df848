//! One connection's place in the pool, as the rules of [`super::lanes`] see it.

use std::time::Duration;

use tokio::time::Instant;

/// What it costs to wake an idle connection: the switches to its task here and
/// to its process on the server and back, which a statement that joins others
/// does not cause. With this, eight callers of a point query got 1.5 times as
/// many answers out of eight connections on two cores as with an even spread,
/// at two thirds of the latency; a statement is never put behind more than this
/// much of expected work while there is an idle connection.
const WAKE: Duration = Duration::from_micros(150);

pub(super) type SlotId = u64;

/// What a caller needs of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// A place in its pipeline.
    Shared,
    /// All of it.
    Exclusive,
}

/// The bounds that the rules keep.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) min: usize,
    pub(super) max: usize,
    /// Connections that may be held at once.
    pub(super) exclusive: usize,
    /// Statements on one shared connection.
    pub(super) depth: usize,
    /// A connection that has not moved for this long gets no more statements.
    pub(super) slow_after: Duration,
}

/// A place on a connection.
#[derive(Debug)]
pub(super) struct Grant<C> {
    pub(super) slot: SlotId,
    pub(super) connection: C,
}

/// What a connection is like after a place on it was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Released {
    /// How long the statement took: not the time that it stood behind others.
    pub(super) run: Option<Duration>,
    /// Whether that includes the way: nothing stood before it when it was sent.
    pub(super) whole: bool,
    /// Nothing runs on it.
    pub(super) idle: bool,
    /// What runs on it has no caller any more.
    pub(super) deserted: bool,
}

#[derive(Debug)]
pub(super) enum State<C> {
    Opening,
    Open(C),
    Closing,
}

#[derive(Debug)]
pub(super) struct Slot<C> {
    pub(super) id: SlotId,
    pub(super) core: usize,
    pub(super) state: State<C>,
    /// Places given, that of an exclusive holder included.
    pub(super) in_flight: usize,
    /// Of these, statements whose caller has gone.
    pub(super) abandoned: usize,
    /// One caller's alone.
    pub(super) held: bool,
    /// Takes no new statements until it is settled.
    pub(super) suspect: bool,
    /// Takes none ever again.
    pub(super) condemned: bool,
    /// Kept free for the callers that wait for a whole connection.
    pub(super) reserved: bool,
    /// What a statement takes here, on the average of the last few.
    pub(super) pace: Duration,
    /// When a statement last ended here, or the first of a batch began.
    pub(super) moved: Instant,
}

impl<C> Slot<C> {
    pub(super) fn opening(id: SlotId, core: usize, now: Instant) -> Self {
        Self {
            id,
            core,
            state: State::Opening,
            in_flight: 0,
            abandoned: 0,
            held: false,
            suspect: false,
            condemned: false,
            reserved: false,
            pace: WAKE,
            moved: now,
        }
    }

    /// How long a statement that is added now would wait before it runs.
    pub(super) fn expected_wait(&self) -> Duration {
        match u32::try_from(self.in_flight) {
            Ok(0) => WAKE,
            Ok(ahead) => self.pace * ahead,
            Err(_) => Duration::MAX / 2,
        }
    }

    /// Learns from a statement that took `run`.
    pub(super) fn keep_pace(&mut self, run: Duration) {
        self.pace = (self.pace * 7 + run) / 8;
    }

    /// Open, and not one caller's or on its way out.
    pub(super) fn is_usable(&self) -> bool {
        matches!(self.state, State::Open(_)) && !self.held && !self.suspect && !self.condemned
    }

    pub(super) fn is_idle(&self) -> bool {
        self.is_usable() && self.in_flight == 0
    }
}

/// How many of what there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) size: usize,
    pub(super) opening: usize,
    pub(super) open: usize,
    pub(super) idle: usize,
    pub(super) held: usize,
    pub(super) waiting: usize,
}
