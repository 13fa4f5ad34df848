//! A component as requests meet it: the revision that serves, the one that is
//! tried out, and which of the two a request gets.

use super::trial::{Side, Trial};
use crate::engine::{Admission, Permit, Revision};
use crate::manifest::{CanarySpec, HostLimits, Sticky};
use http::HeaderMap;
use http::header::{COOKIE, HeaderName};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// Shares are of ten thousand: hundredths of a percent.
pub const WHOLE: u32 = 10_000;

/// A component's place in a table. Immutable: a swap makes another one, which
/// shares what the swap left alone.
#[derive(Debug)]
pub struct Endpoint {
    id: Arc<str>,
    admission: Arc<Admission>,
    /// The node's places. With more than these, an endpoint would have its requests
    /// wait in the node's queue, before all others'.
    most: usize,
    active: Arc<Revision>,
    canary: Option<Canary>,
}

/// A revision that is tried out on a share of the requests.
#[derive(Debug, Clone)]
pub struct Canary {
    /// The revision.
    pub revision: Arc<Revision>,
    /// Its share of [`WHOLE`].
    pub share: u32,
    /// How it fares.
    pub trial: Arc<Trial>,
    admission: Arc<Admission>,
    sticky: Option<Sticky>,
}

impl Canary {
    /// A canary that is given `share` of [`WHOLE`] of the requests and holds no
    /// more than that share of the component's places in flight: one that hangs
    /// takes none from the active revision.
    pub fn new(revision: Arc<Revision>, share: u32, rules: &CanarySpec, trial: Trial) -> Self {
        let places = u64::from(revision.limits().in_flight.get()) * u64::from(share);
        let places = places.div_ceil(u64::from(WHOLE)).max(1) as usize;
        Self {
            revision,
            share,
            trial: Arc::new(trial),
            admission: Arc::new(Admission::new(places, Some(0), Duration::ZERO)),
            sticky: rules.sticky.clone(),
        }
    }
}

/// The revision that a request gets.
#[derive(Debug)]
pub struct Chosen {
    /// The revision.
    pub revision: Arc<Revision>,
    /// The trial that the request counts for.
    pub trial: Option<(Arc<Trial>, Side)>,
    /// Its place among the canary's requests.
    pub permit: Option<Permit>,
    /// A cookie, by name and value, that will bring its client to the same side
    /// again.
    pub cookie: Option<(Arc<str>, String)>,
}

/// A request asked for a revision that does not serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotServing;

impl Endpoint {
    /// An endpoint that `active` serves alone, with the node's queue before it.
    pub fn new(active: Arc<Revision>, node: &HostLimits) -> Self {
        let most = node.in_flight.get() as usize;
        let limit = most.min(active.limits().in_flight.get() as usize);
        Self {
            id: active.id().clone(),
            most,
            admission: Arc::new(Admission::new(
                limit,
                node.queue.map(|queue| queue as usize),
                node.queue_wait,
            )),
            active,
            canary: None,
        }
    }

    /// The same endpoint with these revisions. Its requests in flight go on
    /// counting against the same limit, unless the limit is another one.
    #[must_use]
    pub fn with(&self, active: Arc<Revision>, canary: Option<Canary>) -> Self {
        let limit = self.most.min(active.limits().in_flight.get() as usize);
        let admission = if limit == self.admission.limit() {
            self.admission.clone()
        } else {
            Arc::new(self.admission.resized(limit))
        };
        Self {
            id: self.id.clone(),
            most: self.most,
            admission,
            active,
            canary,
        }
    }

    /// The component's name in the manifest.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The revision that serves.
    pub fn active(&self) -> &Arc<Revision> {
        &self.active
    }

    /// The revision that is tried out.
    pub fn canary(&self) -> Option<&Canary> {
        self.canary.as_ref()
    }

    /// Every revision that may be given a request.
    pub fn revisions(&self) -> impl Iterator<Item = &Arc<Revision>> {
        let canary = self.canary.as_ref().map(|canary| &canary.revision);
        std::iter::once(&self.active).chain(canary)
    }

    /// The component's share of what may be in flight.
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Chooses the revision for a request with these headers.
    pub fn choose(&self, headers: &HeaderMap) -> Chosen {
        let Some(canary) = self.canary.as_ref().filter(|it| !it.trial.is_over()) else {
            return self.unweighed(&self.active);
        };
        let (point, cookie) = canary.point(headers);
        // A canary whose places are taken is passed over: its clients are not
        // to wait for what may never move.
        let permit = (point < canary.share)
            .then(|| canary.admission.try_admit())
            .flatten();
        let (revision, side) = match permit {
            Some(_) => (&canary.revision, Side::Canary),
            None => (&self.active, Side::Active),
        };
        Chosen {
            revision: revision.clone(),
            trial: Some((canary.trial.clone(), side)),
            permit,
            cookie,
        }
    }

    /// The revision whose digest begins with `digits`, for a request that asks
    /// for it. It counts for no trial.
    ///
    /// # Errors
    ///
    /// Where that revision does not serve.
    pub fn asked(&self, digits: &str) -> Result<Chosen, NotServing> {
        self.revisions()
            .find(|revision| revision.digest().0.starts_with(digits))
            .map(|revision| self.unweighed(revision))
            .ok_or(NotServing)
    }

    fn unweighed(&self, revision: &Arc<Revision>) -> Chosen {
        Chosen {
            revision: revision.clone(),
            trial: None,
            permit: None,
            cookie: None,
        }
    }
}

impl Canary {
    /// Where a request lies among [`WHOLE`] points: chance, or what its client
    /// is known by; and the cookie that the client is to be known by from now on.
    fn point(&self, headers: &HeaderMap) -> (u32, Option<(Arc<str>, String)>) {
        match &self.sticky {
            None => (rand::random_range(0..WHOLE), None),
            Some(Sticky::Header(name)) => {
                let value = HeaderName::try_from(name.as_ref())
                    .ok()
                    .and_then(|name| headers.get(name));
                match value {
                    Some(value) => (self.point_of(value.as_bytes()), None),
                    None => (rand::random_range(0..WHOLE), None),
                }
            }
            Some(Sticky::Cookie(name)) => match cookie(headers, name) {
                Some(value) => (self.point_of(value.as_bytes()), None),
                None => {
                    let value = format!("{:016x}", rand::random::<u64>());
                    (self.point_of(value.as_bytes()), Some((name.clone(), value)))
                }
            },
        }
    }

    /// The same for one client on every node, and other clients with every
    /// canary.
    fn point_of(&self, client: &[u8]) -> u32 {
        let hash = Sha256::new()
            .chain_update(self.revision.digest().0.as_bytes())
            .chain_update(client)
            .finalize();
        let mut first = [0; 4];
        first.copy_from_slice(&hash[..4]);
        u32::from_be_bytes(first) % WHOLE
    }
}

/// The value of the cookie `name`, as the client sent it.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(found, value)| (found == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others_and_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "a=1; xname=2".parse().unwrap());
        headers.append(COOKIE, "b=3;name=4=5".parse().unwrap());
        assert_eq!(cookie(&headers, "name"), Some("4=5"));
        assert_eq!(cookie(&headers, "nam"), None);
        assert_eq!(cookie(&HeaderMap::new(), "name"), None);
    }
}
