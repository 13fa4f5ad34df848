//! A batch on its way to the component: whole at first, in halves once it
//! fails, until what fails is alone.

use super::entry::Entry;
use super::metrics::StreamMetrics;
use crate::error::Kind;
use crate::live::Private;
use crate::pause::Pauses;
use bytes::Bytes;
use http::StatusCode;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// Pauses between deliveries of the same entries.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    /// Before what the component could not take now is offered again.
    pub(super) later: Pauses,
    /// Before an entry that failed alone is tried again.
    pub(super) again: Pauses,
}

impl Patience {
    /// No pause outlasts `keep`, which is what others wait before they take over.
    pub(super) fn within(keep: Duration) -> Self {
        let longest = Duration::from_secs(3);
        Self {
            later: Pauses::new(Duration::from_millis(20), longest.min(keep)),
            again: Pauses::new(Duration::from_millis(50), longest),
        }
    }
}

/// What became of entries, for the keeper to carry out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Settle {
    /// The component took them, or they are not there any more.
    Taken(Vec<String>),
    /// The component never takes it.
    Dead(Entry, String),
    /// They are still being worked on: nobody is to take them over.
    Keep(Vec<String>),
}

/// What the component made of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Taken,
    Later,
    Failed(String),
}

/// Who takes deliveries.
pub(super) trait Consumer: Send + Sync {
    /// Delivers `body`, a JSON list of entries.
    fn deliver(&self, body: Bytes) -> impl Future<Output = Outcome> + Send;
    /// The most bytes that a delivery may have.
    fn room(&self) -> usize;
}

impl Consumer for Private {
    async fn deliver(&self, body: Bytes) -> Outcome {
        match self.post(body).await {
            Ok(answer) if answer.status.is_success() => Outcome::Taken,
            Ok(answer) if answer.status == StatusCode::SERVICE_UNAVAILABLE => Outcome::Later,
            Ok(answer) => Outcome::Failed(format!("{}: {}", answer.status, answer.text)),
            Err(failure) => match failure.kind {
                // Nothing of the component's was reached, or it is being replaced.
                Kind::Shed | Kind::NotReady | Kind::Instantiation => Outcome::Later,
                _ => Outcome::Failed(failure.to_string()),
            },
        }
    }

    fn room(&self) -> usize {
        let room = Private::room(self).unwrap_or(u64::MAX);
        usize::try_from(room).unwrap_or(usize::MAX)
    }
}

/// Delivers batches, one at a time.
pub(super) struct Delivery<C> {
    pub(super) consumer: C,
    pub(super) attempts: u32,
    /// How long the entries in hand may go without a word to the server.
    pub(super) keep: Duration,
    pub(super) patience: Patience,
    pub(super) settle: mpsc::Sender<Settle>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) metrics: StreamMetrics,
}

/// Entries that are delivered together.
struct Part {
    entries: Vec<Entry>,
    /// How often it failed, alone.
    failures: u32,
    due: Instant,
    again: Pauses,
}

impl Part {
    fn new(entries: Vec<Entry>, again: Pauses) -> Self {
        Self {
            entries,
            failures: 0,
            due: Instant::now(),
            again,
        }
    }

    fn ids(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.id.clone()).collect()
    }
}

impl<C: Consumer> Delivery<C> {
    /// Delivers `entries` to the end, whatever that is for each of them. Once
    /// the node is to stop, what cannot be delivered at once is left.
    pub(super) async fn run(&mut self, entries: Vec<Entry>) {
        let mut parts: VecDeque<_> = portions(entries, self.consumer.room())
            .into_iter()
            .map(|entries| Part::new(entries, self.patience.again.clone()))
            .collect();
        let mut later = self.patience.later.clone();
        let mut kept = Instant::now();
        while let Some(mut part) = parts.pop_front() {
            if part.due > Instant::now() && !self.wait(part.due).await {
                return;
            }
            if kept.elapsed() >= self.keep {
                kept = Instant::now();
                let held = std::iter::once(&part).chain(&parts);
                let ids = held.flat_map(Part::ids).collect();
                self.tell(Settle::Keep(ids)).await;
            }
            match self.consumer.deliver(body(&part.entries)).await {
                Outcome::Taken => {
                    self.metrics.taken.inc();
                    self.metrics.entries.inc_by(part.entries.len() as u64);
                    self.tell(Settle::Taken(part.ids())).await;
                    later.reset();
                }
                Outcome::Later => {
                    self.metrics.later.inc();
                    part.due = Instant::now() + later.another();
                    parts.push_front(part);
                }
                Outcome::Failed(reason) => {
                    self.metrics.failed.inc();
                    if part.entries.len() > 1 {
                        let second = part.entries.split_off(part.entries.len() / 2);
                        let again = self.patience.again.clone();
                        parts.push_front(Part::new(second, again.clone()));
                        parts.push_front(Part::new(part.entries, again));
                        continue;
                    }
                    part.failures += 1;
                    if part.failures < self.attempts {
                        // The others do not wait for it.
                        part.due = Instant::now() + part.again.another();
                        parts.push_back(part);
                    } else if let Some(entry) = part.entries.pop() {
                        self.tell(Settle::Dead(entry, reason)).await;
                    }
                }
            }
        }
    }

    /// Waits until `due`; false where the node is to stop first.
    async fn wait(&mut self, due: Instant) -> bool {
        tokio::select! {
            () = sleep_until(due) => true,
            // An error: whoever might have said so is gone.
            _ = self.stop.wait_for(|stop| *stop) => false,
        }
    }

    pub(super) async fn tell(&self, settle: Settle) {
        // The keeper only ends before the reader when the node ends at once.
        let _ = self.settle.send(settle).await;
    }
}

/// `entries` in portions whose bodies have no more than `room` bytes, but for
/// those of one entry.
fn portions(entries: Vec<Entry>, room: usize) -> Vec<Vec<Entry>> {
    let mut portions: Vec<Vec<Entry>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        // With what is between entries, and around them.
        let length = entry.json.len() + 2;
        match portions.last_mut() {
            Some(portion) if bytes + length <= room => portion.push(entry),
            _ => {
                bytes = 0;
                portions.push(vec![entry]);
            }
        }
        bytes += length;
    }
    portions
}

/// A JSON list.
fn body(entries: &[Entry]) -> Bytes {
    let length: usize = entries.iter().map(|entry| entry.json.len() + 1).sum();
    let mut body = Vec::with_capacity(length + 1);
    body.push(b'[');
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(entry.json.as_bytes());
    }
    body.push(b']');
    body.into()
}

#[cfg(test)]
mod tests;
