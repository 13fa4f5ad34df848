//! A node's places, and that none of its endpoints can have them all.

use super::admission::{Admission, Permit, Shed};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Of so many places one is kept for those that have few.
const KEPT: usize = 4;

/// Few is up to one of so many places.
const FEW: usize = 16;

/// Fewest places of which any are kept: of less, a part is none.
const LEAST: usize = 8;

/// The places of a node, of which its endpoints take one for each request.
///
/// A quarter of them is kept for endpoints that hold less than a sixteenth: however many
/// endpoints are overloaded, or hang, and whatever places they may have of their own, the
/// others go on. Those that hold more wait apart, so that the queue before the kept places
/// is not theirs either.
#[derive(Debug)]
pub struct Places {
    all: Arc<Admission>,
    /// Those that endpoints may hold beyond a few.
    many: Admission,
    few: usize,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub struct PlacePermit {
    _all: Permit,
    _many: Option<Permit>,
}

/// A place of an admission that serves one endpoint alone.
impl From<Permit> for PlacePermit {
    fn from(place: Permit) -> Self {
        Self {
            _all: place,
            _many: None,
        }
    }
}

impl Places {
    /// `limit` places, before each kind of which `queue` wait for `queue_wait` at most; as
    /// of [`Admission::new`].
    pub fn new(limit: usize, queue: Option<usize>, queue_wait: Duration) -> Self {
        let kept = if limit < LEAST { 0 } else { limit / KEPT };
        Self {
            all: Arc::new(Admission::new(limit, queue, queue_wait)),
            many: Admission::new(limit - kept, queue, queue_wait),
            few: (limit / FEW).max(1),
        }
    }

    /// Waits for a place, no longer than `deadline`, for an endpoint that has `held`
    /// requests in flight, this one among them.
    ///
    /// # Errors
    ///
    /// As of [`Admission::admit`].
    pub async fn admit(&self, held: usize, deadline: Instant) -> Result<PlacePermit, Shed> {
        let many = if held > self.few {
            Some(self.many.admit(deadline).await?)
        } else {
            None
        };
        Ok(PlacePermit {
            _all: self.all.admit(deadline).await?,
            _many: many,
        })
    }

    /// All of them: how many there are, and are taken.
    pub fn all(&self) -> &Arc<Admission> {
        &self.all
    }

    /// How many requests wait for one.
    pub fn waiting(&self) -> usize {
        self.all.waiting() + self.many.waiting()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// Takes places for an endpoint until it is shed.
    async fn fill(places: &Places) -> Vec<PlacePermit> {
        let mut held = Vec::new();
        while let Ok(place) = places.admit(held.len() + 1, soon()).await {
            held.push(place);
        }
        held
    }

    #[tokio::test]
    async fn those_that_have_few_find_places_whatever_others_hold() {
        let places = Places::new(32, Some(0), Duration::ZERO);
        let first = fill(&places).await;
        assert_eq!(first.len(), 2 + 24, "a few, and all that is not kept");
        // The others still have a few each.
        let (second, third) = (fill(&places).await, fill(&places).await);
        assert_eq!((second.len(), third.len()), (2, 2));
        // What is given back comes back as what it was.
        drop(first);
        assert_eq!(fill(&places).await.len(), 2 + 24);
        drop((second, third));
        assert_eq!(places.all().in_flight(), 0);
    }

    #[tokio::test]
    async fn of_a_handful_none_is_kept() {
        for limit in [1, 2, 7] {
            let places = Places::new(limit, Some(0), Duration::ZERO);
            assert_eq!(fill(&places).await.len(), limit);
        }
    }
}
