//! Who gets which connection: the pool's decisions, without any I/O.
//!
//! One value of [`Lanes`] sits behind the pool's lock. Times are given to it,
//! so its rules can be tested by themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::slot::{Counts, Grant, Lane, Limits, Released, Slot, SlotId, State};

/// What it costs to hand a statement to another core and the answer back: two
/// wake-ups of a sleeping thread. Found by measurement, as [`super::slot`]'s.
const CROSSING: Duration = Duration::from_micros(300);

pub(super) type Ticket = u64;

#[derive(Debug)]
struct Waiting<W> {
    core: usize,
    waiter: W,
}

/// The connections and the callers that wait for one.
#[derive(Debug)]
pub(super) struct Lanes<C, W> {
    limits: Limits,
    slots: Vec<Slot<C>>,
    shared: BTreeMap<Ticket, Waiting<W>>,
    exclusive: BTreeMap<Ticket, Waiting<W>>,
    next_slot: SlotId,
    next_ticket: Ticket,
    /// A statement had to queue half-way down a pipeline: another connection
    /// would do good.
    crowded: bool,
    closed: bool,
}

impl<C: Clone, W> Lanes<C, W> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            slots: Vec::with_capacity(limits.max),
            shared: BTreeMap::new(),
            exclusive: BTreeMap::new(),
            next_slot: 0,
            next_ticket: 0,
            crowded: false,
            closed: false,
        }
    }

    // --- callers -----------------------------------------------------------

    /// A place at once, if there is one and nobody waits for it.
    pub(super) fn acquire(&mut self, lane: Lane, core: usize, now: Instant) -> Option<Grant<C>> {
        if self.closed || !self.queue(lane).is_empty() {
            return None;
        }
        let at = self.pick(lane, core, self.next_ticket, now)?;
        Some(self.give(at, lane, now))
    }

    /// Puts a caller at the end of its lane's queue.
    pub(super) fn enqueue(&mut self, lane: Lane, core: usize, waiter: W) -> Ticket {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.queue(lane).insert(ticket, Waiting { core, waiter });
        self.reserve();
        ticket
    }

    /// Takes a caller out of the queue, if it still stands there.
    pub(super) fn leave(&mut self, lane: Lane, ticket: Ticket) -> Option<W> {
        let waiting = self.queue(lane).remove(&ticket)?;
        self.reserve();
        Some(waiting.waiter)
    }

    /// Gives what is free to those who wait, in the order they came. To be
    /// called after anything became free.
    pub(super) fn pump(&mut self, now: Instant) -> Vec<(Lane, W, Grant<C>)> {
        let mut granted = Vec::new();
        if self.shared.is_empty() && self.exclusive.is_empty() {
            return granted;
        }
        while let Some((lane, at)) = self.next_grant(now) {
            let Some((_, waiting)) = self.queue(lane).pop_first() else {
                break;
            };
            let grant = self.give(at, lane, now);
            granted.push((lane, waiting.waiter, grant));
            self.reserve();
        }
        granted
    }

    /// The older of the two heads first; the other one if that cannot be served.
    fn next_grant(&self, now: Instant) -> Option<(Lane, usize)> {
        let head = |queue: &BTreeMap<Ticket, Waiting<W>>| {
            queue
                .first_key_value()
                .map(|(ticket, waiting)| (*ticket, waiting.core))
        };
        let mut heads = [
            (Lane::Shared, head(&self.shared)),
            (Lane::Exclusive, head(&self.exclusive)),
        ];
        heads.sort_by_key(|(_, head)| head.map_or(Ticket::MAX, |(ticket, _)| ticket));
        heads.into_iter().find_map(|(lane, head)| {
            let (ticket, core) = head?;
            Some((lane, self.pick(lane, core, ticket, now)?))
        })
    }

    /// Gives a place back; `None` if the connection is gone. `begun` is when the
    /// statement was sent, if it ended well.
    pub(super) fn release(
        &mut self,
        slot: SlotId,
        lane: Lane,
        begun: Option<Instant>,
        now: Instant,
    ) -> Option<Released> {
        let slot = self.slot(slot)?;
        slot.in_flight -= 1;
        if lane == Lane::Exclusive {
            slot.held = false;
        }
        let moved = std::mem::replace(&mut slot.moved, now);
        let run = begun.map(|begun| now.duration_since(begun.max(moved)));
        if let (Some(run), Lane::Shared) = (run, lane) {
            slot.keep_pace(run);
        }
        Some(Released {
            run,
            whole: begun.is_some_and(|begun| begun >= moved),
            idle: slot.in_flight == 0,
            deserted: slot.abandoned > 0 && slot.in_flight == slot.abandoned,
        })
    }

    /// Turns a place in a pipeline into the whole connection: those behind are
    /// still served, nobody is added.
    pub(super) fn promote(&mut self, slot: SlotId) {
        if let Some(slot) = self.slot(slot) {
            slot.held = true;
            slot.reserved = false;
        }
        self.reserve();
    }

    /// Whether other statements stand on the same connection.
    pub(super) fn has_company(&self, slot: SlotId) -> bool {
        self.find(slot).is_some_and(|slot| slot.in_flight > 1)
    }

    /// Whether one caller has the connection to itself.
    pub(super) fn is_held(&self, slot: SlotId) -> bool {
        self.find(slot).is_some_and(|slot| slot.held)
    }

    // --- statements whose caller has gone ----------------------------------

    /// The caller of a statement went away; its place stays taken.
    pub(super) fn abandon(&mut self, slot: SlotId) {
        if let Some(slot) = self.slot(slot) {
            slot.abandoned += 1;
        }
    }

    /// The abandoned statement has ended.
    pub(super) fn settle(&mut self, slot: SlotId) {
        if let Some(slot) = self.slot(slot) {
            slot.abandoned -= 1;
            if slot.abandoned == 0 {
                slot.suspect = false;
            }
        }
    }

    /// Lets nothing new onto the connection until it is settled or gone.
    pub(super) fn suspect(&mut self, slot: SlotId) {
        if let Some(slot) = self.slot(slot) {
            slot.suspect = true;
            slot.reserved = false;
        }
        self.reserve();
    }

    /// Lets nothing onto the connection ever again: it is about to be closed.
    pub(super) fn condemn(&mut self, slot: SlotId) {
        if let Some(slot) = self.slot(slot) {
            slot.condemned = true;
            slot.reserved = false;
        }
        self.reserve();
    }

    /// Whether all statements on the connection are abandoned ones.
    pub(super) fn only_abandoned(&self, slot: SlotId) -> bool {
        self.find(slot)
            .is_none_or(|slot| slot.in_flight == slot.abandoned)
    }

    // --- connections -------------------------------------------------------

    /// How many connections to start opening: up to `min`, then as many as the
    /// waiting callers need, never beyond `max`.
    pub(super) fn wanted(&self) -> usize {
        if self.closed {
            return 0;
        }
        let size = self.slots.len();
        let opening = self.opening();
        let callers = self.exclusive.len() + self.shared.len().div_ceil(self.limits.depth);
        let demand = callers
            .max(usize::from(self.crowded))
            .saturating_sub(opening);
        let missing = self.limits.min.saturating_sub(size);
        demand
            .max(missing)
            .min(self.limits.max.saturating_sub(size))
    }

    /// Takes a slot for a connection that is being opened.
    pub(super) fn begin_opening(&mut self, core: usize, now: Instant) -> SlotId {
        let id = self.next_slot;
        self.next_slot += 1;
        self.slots.push(Slot::opening(id, core, now));
        id
    }

    /// The connection is there. `false` if the pool was closed meanwhile.
    pub(super) fn opened(&mut self, slot: SlotId, connection: C, now: Instant) -> bool {
        let closed = self.closed;
        let Some(slot) = self.slot(slot) else {
            return false;
        };
        if closed {
            slot.state = State::Closing;
            return false;
        }
        slot.state = State::Open(connection);
        slot.moved = now;
        self.crowded = false;
        self.reserve();
        true
    }

    /// Starts closing a connection; its slot counts until [`Self::remove`].
    pub(super) fn retire(&mut self, slot: SlotId) -> Option<C> {
        let slot = self.slot(slot)?;
        slot.reserved = false;
        match std::mem::replace(&mut slot.state, State::Closing) {
            State::Open(connection) => Some(connection),
            before => {
                slot.state = before;
                None
            }
        }
    }

    /// The connection is gone, or was never opened.
    pub(super) fn remove(&mut self, slot: SlotId) -> Option<C> {
        let at = self.slots.iter().position(|known| known.id == slot)?;
        let slot = self.slots.swap_remove(at);
        self.reserve();
        match slot.state {
            State::Open(connection) => Some(connection),
            State::Opening | State::Closing => None,
        }
    }

    /// Starts closing what is open beyond `min` and idle since before `since`.
    pub(super) fn retire_idle(&mut self, since: Instant) -> Vec<C> {
        let mut excess = self.counts().open.saturating_sub(self.limits.min);
        let idle: Vec<_> = self
            .slots
            .iter()
            .filter(|slot| slot.is_idle() && slot.moved < since)
            .map(|slot| slot.id)
            .take_while(|_| {
                let take = excess > 0;
                excess = excess.saturating_sub(1);
                take
            })
            .collect();
        idle.into_iter()
            .filter_map(|slot| self.retire(slot))
            .collect()
    }

    /// Refuses callers from now on and starts closing what is idle. Those in
    /// the queue are returned.
    pub(super) fn close(&mut self) -> (Vec<W>, Vec<C>) {
        self.closed = true;
        let waiting = std::mem::take(&mut self.shared)
            .into_values()
            .chain(std::mem::take(&mut self.exclusive).into_values())
            .map(|waiting| waiting.waiter)
            .collect();
        let idle: Vec<_> = self
            .slots
            .iter()
            .filter(|slot| slot.in_flight == 0)
            .map(|slot| slot.id)
            .collect();
        let idle = idle
            .into_iter()
            .filter_map(|slot| self.retire(slot))
            .collect();
        (waiting, idle)
    }

    /// Those that are open.
    pub(super) fn connections(&self) -> Vec<C> {
        let open = |slot: &Slot<C>| match &slot.state {
            State::Open(connection) => Some(connection.clone()),
            State::Opening | State::Closing => None,
        };
        self.slots.iter().filter_map(open).collect()
    }

    /// Whether the connection has nothing to do and the pool is closed.
    pub(super) fn is_over(&self, slot: SlotId) -> bool {
        self.closed && self.find(slot).is_some_and(|slot| slot.in_flight == 0)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn counts(&self) -> Counts {
        let open = |slot: &&Slot<C>| matches!(slot.state, State::Open(_));
        Counts {
            size: self.slots.len(),
            opening: self.opening(),
            open: self.slots.iter().filter(open).count(),
            idle: self.slots.iter().filter(|slot| slot.is_idle()).count(),
            held: self.held(),
            waiting: self.shared.len() + self.exclusive.len(),
        }
    }

    // --- rules -------------------------------------------------------------

    fn pick(&self, lane: Lane, core: usize, ticket: Ticket, now: Instant) -> Option<usize> {
        match lane {
            Lane::Shared => self.pick_shared(core, ticket, now),
            Lane::Exclusive => self.pick_exclusive(core),
        }
    }

    /// The connection on which the statement will run the soonest. Quick ones
    /// so gather on few connections, and others spread. One whose head has been
    /// running for long is none: in the pool's queue the caller gets the first
    /// place that comes free anywhere.
    fn pick_shared(&self, core: usize, ticket: Ticket, now: Instant) -> Option<usize> {
        let first_exclusive = self.exclusive.keys().next().copied();
        let open = |slot: &Slot<C>| {
            slot.is_usable()
                && slot.in_flight < self.limits.depth
                && (!slot.reserved || first_exclusive.is_none_or(|other| ticket < other))
                && (slot.in_flight == 0 || now.duration_since(slot.moved) <= self.limits.slow_after)
        };
        let cost = |slot: &Slot<C>| {
            let crossing = if slot.core == core {
                Duration::ZERO
            } else {
                CROSSING
            };
            // What has run for a while already says more than the average of
            // others: it may well run for as long again.
            let head = match slot.in_flight {
                0 => Duration::ZERO,
                _ => now.duration_since(slot.moved),
            };
            (slot.expected_wait().max(head) + crossing, slot.in_flight)
        };
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| open(slot))
            .min_by_key(|(_, slot)| cost(slot))
            .map(|(at, _)| at)
    }

    fn pick_exclusive(&self, core: usize) -> Option<usize> {
        if self.held() >= self.limits.exclusive {
            return None;
        }
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.is_idle())
            .min_by_key(|(_, slot)| slot.core != core)
            .map(|(at, _)| at)
    }

    fn give(&mut self, at: usize, lane: Lane, now: Instant) -> Grant<C> {
        let slot = &mut self.slots[at];
        let State::Open(connection) = &slot.state else {
            unreachable!("only open connections are picked")
        };
        let connection = connection.clone();
        if slot.in_flight == 0 {
            slot.moved = now;
        }
        slot.in_flight += 1;
        if lane == Lane::Exclusive {
            slot.held = true;
            slot.reserved = false;
        }
        let grant = Grant {
            slot: slot.id,
            connection,
        };
        if slot.in_flight > self.limits.depth / 2 && !self.slots.iter().any(Slot::is_idle) {
            self.crowded = true;
        }
        grant
    }

    /// Keeps as many connections from filling up again as there are callers
    /// waiting for a whole one, within what may be held.
    fn reserve(&mut self) {
        let allowed = self.limits.exclusive.saturating_sub(self.held());
        let wanted = self.exclusive.len().min(allowed);
        let mut reserved = self.slots.iter().filter(|slot| slot.reserved).count();
        while reserved > wanted {
            if let Some(slot) = self.slots.iter_mut().find(|slot| slot.reserved) {
                slot.reserved = false;
            }
            reserved -= 1;
        }
        while reserved < wanted {
            let Some(slot) = self
                .slots
                .iter_mut()
                .filter(|slot| slot.is_usable() && !slot.reserved)
                .min_by_key(|slot| slot.in_flight)
            else {
                return;
            };
            slot.reserved = true;
            reserved += 1;
        }
    }

    fn queue(&mut self, lane: Lane) -> &mut BTreeMap<Ticket, Waiting<W>> {
        match lane {
            Lane::Shared => &mut self.shared,
            Lane::Exclusive => &mut self.exclusive,
        }
    }

    fn find(&self, id: SlotId) -> Option<&Slot<C>> {
        self.slots.iter().find(|slot| slot.id == id)
    }

    fn slot(&mut self, id: SlotId) -> Option<&mut Slot<C>> {
        self.slots.iter_mut().find(|slot| slot.id == id)
    }

    fn held(&self) -> usize {
        self.slots.iter().filter(|slot| slot.held).count()
    }

    fn opening(&self) -> usize {
        self.slots
            .iter()
            .filter(|slot| matches!(slot.state, State::Opening))
            .count()
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
