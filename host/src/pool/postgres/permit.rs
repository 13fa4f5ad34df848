//! A place on a connection, given back by its drop.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;
use super::inner::Inner;
use super::known::Text;
use super::line::Turn;
use super::recover;
use super::slot::{Lane, SlotId};

/// The right to use a connection: a place in its pipeline, or all of it.
///
/// Between [`Self::begin`] and [`Self::finish`] a statement may be running. A
/// permit that is dropped then is not given back before the statement has ended
/// or was cancelled.
pub(super) struct Permit {
    place: Option<Place>,
    running: Option<Instant>,
}

pub(super) struct Place {
    pub(super) pool: Arc<Inner>,
    pub(super) connection: Arc<Connection>,
    pub(super) slot: SlotId,
    pub(super) lane: Lane,
    pub(super) turn: Turn,
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place();
        write!(f, "Permit({:?} on {})", place.lane, place.slot)
    }
}

impl Permit {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place: Some(place),
            running: None,
        }
    }

    pub(super) fn place(&self) -> &Place {
        self.place.as_ref().expect("taken only by drop")
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.place().connection
    }

    pub(super) fn pool(&self) -> &Arc<Inner> {
        &self.place().pool
    }

    pub(super) fn is_exclusive(&self) -> bool {
        self.place().lane == Lane::Exclusive
    }

    /// From here on a statement may be on the wire.
    pub(super) fn begin(&mut self) {
        self.running = Some(Instant::now());
    }

    /// The statement has ended.
    pub(super) fn finish(&mut self) {
        if let Some(begun) = self.running.take() {
            let took = begun.elapsed().as_secs_f64();
            self.pool().metrics.statement.observe(took);
        }
    }

    /// Keeps the whole connection for a result that is too large to buffer.
    pub(super) fn promote(&mut self) {
        let place = self.place.as_mut().expect("taken only by drop");
        if place.lane == Lane::Shared {
            place.pool.lanes.lock().promote(place.slot);
            place.lane = Lane::Exclusive;
        }
    }

    /// Gives the place back after a statement that went well, and notes how
    /// long it took.
    pub(super) fn complete(mut self, text: &Text) {
        let begun = self.running.take();
        let Some(place) = self.place.take() else {
            return;
        };
        if let Some(begun) = begun {
            let took = begun.elapsed().as_secs_f64();
            place.pool.metrics.statement.observe(took);
        }
        let slow = place.pool.settings.slow_statement;
        if let Some(run) = place.give_back(begun) {
            text.note_run(run, slow);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else {
            return;
        };
        if self.running.is_some() {
            recover::settle_later(place);
        } else {
            place.give_back(None);
        }
    }
}

impl Place {
    /// Frees the place for whoever waits. Returns how long the statement ran
    /// that was sent at `begun`.
    pub(super) fn give_back(self, begun: Option<Instant>) -> Option<Duration> {
        self.connection.line.leave(&self.turn);
        self.pool
            .release(self.slot, self.lane, &self.connection, begun)
    }
}
