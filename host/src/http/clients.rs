//! Clients: whom a request is from, and how it stands with their limits.

use super::forwarded::Proxies;
use crate::rate::{self, Rate, Rates, Standing};
use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use std::net::IpAddr;

static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What is known of clients.
#[derive(Debug, Default)]
pub struct Clients {
    /// Who may say whom a request is from.
    pub proxies: Proxies,
    /// The components' limits.
    pub rates: Option<Rates>,
}

/// How a response's client stands, in the words of the IETF's draft of
/// `RateLimit` fields (draft-ietf-httpapi-ratelimit-headers-10).
#[derive(Debug)]
pub struct Told {
    policy: HeaderValue,
    standing: HeaderValue,
    /// Seconds; where the request was beyond the limit.
    retry_after: Option<u64>,
}

impl Clients {
    /// The limit of a component's clients.
    pub fn rate(&self, component: &str) -> Option<&Rate> {
        self.rates.as_ref()?.of(component)
    }
}

/// Counts a request from `address` with these headers; answers what its client is
/// to be told.
pub async fn count(rate: &Rate, address: IpAddr, headers: &HeaderMap) -> Box<Told> {
    let standing = rate.take(client(rate, address, headers)).await;
    Box::new(Told::new(rate, &standing))
}

/// What the client is known by.
fn client<'h>(rate: &Rate, address: IpAddr, headers: &'h HeaderMap) -> rate::Client<'h> {
    let value = rate.header().and_then(|name| headers.get(name));
    match value.filter(|value| !value.is_empty()) {
        Some(value) => rate::Client::Header(value.as_bytes()),
        None => rate::Client::Address(address),
    }
}

impl Told {
    fn new(rate: &Rate, standing: &Standing) -> Self {
        // With nothing left it is the next request that is waited for, which is
        // when `Retry-After` says to come again.
        let reset = match standing.remaining {
            0 => rate::seconds(standing.again).max(1),
            _ => rate::seconds(standing.whole),
        };
        let text = format!("\"{}\";r={};t={reset}", rate.name(), standing.remaining);
        Self {
            policy: rate.policy().clone(),
            // As the policy, it holds a component's name and numbers.
            standing: HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("")),
            retry_after: (!standing.allowed).then_some(reset),
        }
    }

    /// Whether the request was beyond the limit.
    pub fn is_limited(&self) -> bool {
        self.retry_after.is_some()
    }

    /// Tells it. A component may tell of limits of its own beside it.
    pub fn tell(&self, headers: &mut HeaderMap) {
        headers.append(RATE_LIMIT_POLICY.clone(), self.policy.clone());
        headers.append(RATE_LIMIT.clone(), self.standing.clone());
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
    }
}
