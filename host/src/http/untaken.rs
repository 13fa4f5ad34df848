//! Bodies that an h2 client leaves no room for.
//!
//! A stream whose window is closed is written to no more, and a connection that has
//! nothing to write never stalls: a client that opens no window would keep its
//! requests' places for as long as it answers a ping. The other streams of a
//! connection may be other people's, so it is the body that is given up.

use crate::engine::GuestBody;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// A body that is shared with whoever may give it up; none once that was done.
pub type Shared<B> = Arc<Mutex<Option<B>>>;

/// A guest's.
pub type Rest = Shared<GuestBody>;

/// A piece of a body that was handed out.
#[derive(Debug)]
pub struct Piece(u64);

/// The bodies of one connection of which a piece is on its way.
#[derive(Debug)]
pub struct Untaken<B = GuestBody>(Mutex<Pieces<B>>);

#[derive(Debug)]
struct Pieces<B> {
    handed_out: u64,
    /// By number, and so by age.
    left: BTreeMap<u64, (Instant, Shared<B>)>,
}

impl<B> Default for Untaken<B> {
    fn default() -> Self {
        Self(Mutex::new(Pieces {
            handed_out: 0,
            left: BTreeMap::new(),
        }))
    }
}

impl<B> Untaken<B> {
    /// A piece of `body` goes out now.
    pub fn hand_out(&self, body: Shared<B>) -> Piece {
        self.hand_out_at(body, Instant::now())
    }

    fn hand_out_at(&self, body: Shared<B>, now: Instant) -> Piece {
        let mut pieces = self.0.lock();
        pieces.handed_out += 1;
        let number = pieces.handed_out;
        pieces.left.insert(number, (now, body));
        Piece(number)
    }

    /// There was room for it, or there is no stream for it any more.
    pub fn taken(&self, piece: &Piece) {
        let taken = self.0.lock().left.remove(&piece.0);
        drop(taken);
    }

    /// Hands each body of which a piece was left for `limit` to `give_up`.
    pub async fn watch(&self, limit: Duration, mut give_up: impl FnMut(B)) -> Infallible {
        loop {
            let due = self.oldest().unwrap_or_else(Instant::now) + limit;
            sleep_until(due).await;
            while let Some(body) = self.left_since(due - limit) {
                let body = body.lock().take();
                if let Some(body) = body {
                    give_up(body);
                }
            }
        }
    }

    fn oldest(&self) -> Option<Instant> {
        self.0.lock().left.values().next().map(|(since, _)| *since)
    }

    fn left_since(&self, then: Instant) -> Option<Shared<B>> {
        let mut pieces = self.0.lock();
        let oldest = pieces.left.first_entry()?;
        (oldest.get().0 <= then).then(|| oldest.remove().1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    fn body(name: &'static str) -> Arc<Mutex<Option<&'static str>>> {
        Arc::new(Mutex::new(Some(name)))
    }

    #[test]
    fn what_is_left_has_its_whole_time_and_no_more() {
        let untaken = Untaken::default();
        let begun = Instant::now();
        let after = |seconds: u64| begun + Duration::from_secs(seconds);
        let taken = untaken.hand_out_at(body("taken"), after(20));
        let _first = untaken.hand_out_at(body("left"), after(35));
        assert_eq!(untaken.oldest(), Some(after(20)));
        untaken.taken(&taken);
        let _second = untaken.hand_out_at(body("left later"), after(36));
        let left = |seconds: u64| Some(untaken.left_since(after(seconds) - LIMIT)?.lock().take());
        assert_eq!(left(64), None);
        assert_eq!(left(65), Some(Some("left")));
        assert_eq!(left(65), None);
        assert_eq!(untaken.oldest(), Some(after(36)));
        assert_eq!(left(100), Some(Some("left later")));
        assert_eq!(untaken.oldest(), None);
    }

    #[tokio::test]
    async fn what_is_left_is_given_up() {
        let untaken = Untaken::default();
        let limit = Duration::from_millis(20);
        let begun = Instant::now();
        let left = body("left");
        let piece = untaken.hand_out(left.clone());
        let (given_up, mut told) = tokio::sync::mpsc::unbounded_channel();
        let watch = untaken.watch(limit, |name| given_up.send(name).unwrap());
        tokio::select! {
            never = watch => match never {},
            name = told.recv() => assert_eq!(name, Some("left")),
        }
        assert!(begun.elapsed() >= limit);
        assert!(left.lock().is_none());
        // Whoever had it may still say so.
        untaken.taken(&piece);
    }
}
