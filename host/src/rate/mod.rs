//! How many requests each client may send: counted for the whole fleet in a
//! Valkey, and on this node alone for as long as there is none to ask.
//!
//! - `bucket` is the arithmetic.
//! - `fleet` asks the Valkey, and knows when not to.
//! - `local` is what this node knows of its clients.
//! - `client` is who they are, in a form that gives nobody away.

mod bucket;
mod client;
mod fleet;
mod local;
mod metrics;

pub use self::bucket::Standing;
pub use self::client::Client;
pub use self::fleet::Fleet;
pub use self::metrics::Metrics;

use self::bucket::Bucket;
use self::client::Hasher;
use self::local::Local;
use self::metrics::Counts;
use crate::manifest::{RateKey, RateSpec};
use crate::signature::Key;
use http::{HeaderName, HeaderValue};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where a request was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// In the Valkey, for the fleet.
    Valkey,
    /// On this node alone.
    Local,
}

/// The limits of a node's components, by their names.
#[derive(Debug)]
pub struct Rates(HashMap<Box<str>, Rate>);

impl Rates {
    /// The limits of these components; none where there are none.
    pub fn new(rates: impl IntoIterator<Item = (Box<str>, Rate)>) -> Option<Self> {
        let rates: HashMap<_, _> = rates.into_iter().collect();
        (!rates.is_empty()).then_some(Self(rates))
    }

    /// The limit of a component.
    pub fn of(&self, component: &str) -> Option<&Rate> {
        self.0.get(component)
    }
}

/// The limit of one component's clients.
#[derive(Debug)]
pub struct Rate {
    limiter: Arc<Limiter>,
    counts: Counts,
}

impl Rate {
    /// `component` under `limiter`, which it may share with others.
    pub fn new(component: &str, limiter: Arc<Limiter>, metrics: &Metrics) -> Self {
        Self {
            limiter,
            counts: metrics.of(component),
        }
    }

    /// The header whose value a client is known by; none where its address is.
    pub fn header(&self) -> Option<&HeaderName> {
        self.limiter.header.as_ref()
    }

    /// The limit in the words of `RateLimit-Policy`.
    pub fn policy(&self) -> &HeaderValue {
        &self.limiter.policy
    }

    /// What the limit is called there.
    pub fn name(&self) -> &str {
        &self.limiter.name
    }

    /// Counts one request of `client`, and says whether it is within the limit.
    /// Takes no longer than the limit's `wait`.
    pub async fn take(&self, client: Client<'_>) -> Standing {
        let (standing, counted) = self.limiter.take(client).await;
        self.counts.count(standing.allowed, counted);
        standing
    }
}

/// What all limits of a node have in common.
#[derive(Debug)]
pub struct Counting {
    local: Local,
    key: Key,
    application: String,
    /// This node's clock: times here are microseconds since then.
    began: Instant,
}

impl Counting {
    /// For `application`, with clients hidden under `key`: nodes count together
    /// where both are the same.
    pub fn new(application: &str, key: Key) -> Arc<Self> {
        Arc::new(Self {
            local: Local::default(),
            key,
            application: application.to_owned(),
            began: Instant::now(),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// One limit, of one component or of several together.
#[derive(Debug)]
pub struct Limiter {
    bucket: Bucket,
    header: Option<HeaderName>,
    name: String,
    policy: HeaderValue,
    hasher: Hasher,
    fleet: Option<Fleet>,
    counting: Arc<Counting>,
}

impl Limiter {
    /// The limit of `component`, or, with none, of the application: of all
    /// components that have none of their own. Without a `fleet` each node counts
    /// for itself.
    pub fn new(
        component: Option<&str>,
        spec: &RateSpec,
        fleet: Option<Fleet>,
        counting: Arc<Counting>,
    ) -> Self {
        let bucket = Bucket::new(spec.requests.get(), spec.per, spec.burst.get());
        let name = component.unwrap_or("application").to_owned();
        let window = seconds(bucket.whole());
        let policy = format!("\"{name}\";q={};w={window}", spec.burst);
        Self {
            bucket,
            header: match &spec.key {
                RateKey::Address => None,
                RateKey::Header(name) => HeaderName::try_from(&**name).ok(),
            },
            // A component's name is letters, digits and '-'.
            policy: HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("")),
            name,
            hasher: Hasher::new(&counting.key, &counting.application, component),
            fleet,
            counting,
        }
    }

    async fn take(&self, client: Client<'_>) -> (Standing, Counted) {
        let Counting { local, .. } = &*self.counting;
        let id = self.hasher.id(client);
        let now = self.counting.now();
        let Some(fleet) = &self.fleet else {
            return (local.take(id, &self.bucket, now), Counted::Local);
        };
        // Who is beyond the limit by what is known here is so everywhere: a flood
        // ends at this node, and Valkey does not hear of it.
        if let Some(known) = local.beyond(id, &self.bucket, now) {
            return known;
        }
        match fleet.take(id, &self.bucket, self.counting.began).await {
            Some(standing) => {
                // As of when it was asked: time that the answer took only makes
                // for less.
                local.learn(id, now + standing.ahead, now);
                (standing, Counted::Valkey)
            }
            None => {
                let now = self.counting.now();
                (local.take(id, &self.bucket, now), Counted::Local)
            }
        }
    }
}

/// Whole seconds, the last one begun included.
pub fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
