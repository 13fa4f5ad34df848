//! A node's places, and that none of its endpoints can have them all.

use super::admission::{Admission, Permit, Shed};
use std::time::Duration;
use tokio::time::Instant;

/// Of so many places one is kept for those that have few.
const KEPT: usize = 4;

/// The places of a node, of which its endpoints take one for each request.
///
/// A quarter of them is kept, an equal share for each endpoint: what that holds beyond
/// its share comes out of the other three quarters. However many endpoints are
/// overloaded, or hang, and whatever places they may have of their own, the others go
/// on. Those that hold more wait apart, so that the queue before the kept places is not
/// theirs either. An endpoint that is alone has all there are.
#[derive(Debug)]
pub struct Places {
    all: Admission,
    /// Those that endpoints may hold beyond a few.
    many: Admission,
    few: usize,
    queue_wait: Duration,
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
    /// `limit` places for so many `endpoints`, before each kind of which `queue` wait; as
    /// of [`Admission::new`]. Nobody waits for more than `queue_wait`.
    ///
    /// Where there are more endpoints than places to keep, none are kept.
    pub fn new(limit: usize, endpoints: usize, queue: Option<usize>, queue_wait: Duration) -> Self {
        let few = if endpoints > 1 {
            limit / KEPT / endpoints
        } else {
            0
        };
        Self {
            all: Admission::new(limit, queue, queue_wait),
            many: Admission::new(limit - few * endpoints, queue, queue_wait),
            few,
            queue_wait,
        }
    }

    /// Waits for a place, no longer than `deadline`, for an endpoint that has `held`
    /// requests in flight, this one among them.
    ///
    /// # Errors
    ///
    /// As of [`Admission::admit`].
    pub async fn admit(&self, held: usize, deadline: Instant) -> Result<PlacePermit, Shed> {
        if held <= self.few {
            return self.all.admit(deadline).await.map(PlacePermit::from);
        }
        let deadline = deadline.min(Instant::now() + self.queue_wait);
        let many = self.many.admit(deadline).await?;
        Ok(PlacePermit {
            _all: self.all.admit(deadline).await?,
            _many: Some(many),
        })
    }

    /// All of them: how many there are, and are taken.
    pub fn all(&self) -> &Admission {
        &self.all
    }

    /// Those that endpoints may hold beyond a few.
    pub fn many(&self) -> &Admission {
        &self.many
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
    async fn whoever_hangs_the_last_one_has_its_share() {
        let places = Places::new(32, 4, Some(0), Duration::ZERO);
        let mut held = vec![fill(&places).await];
        assert_eq!(held[0].len(), 2 + 24, "its share, and all that is not kept");
        for _ in 1..4 {
            held.push(fill(&places).await);
            assert_eq!(held.last().unwrap().len(), 2);
        }
        assert_eq!(places.all().in_flight(), 32, "none is kept for nobody");
        // What is given back comes back as what it was.
        drop(held.remove(0));
        assert_eq!(fill(&places).await.len(), 2 + 24);
        drop(held);
        assert_eq!(places.all().in_flight(), 0);
        assert_eq!(places.many().in_flight(), 0);
    }

    #[tokio::test]
    async fn one_that_is_alone_has_them_all_and_so_it_is_of_a_handful() {
        for (limit, endpoints) in [(32, 1), (32, 0), (1, 2), (7, 2), (32, 9)] {
            let places = Places::new(limit, endpoints, Some(0), Duration::ZERO);
            assert_eq!(fill(&places).await.len(), limit);
        }
    }
}
