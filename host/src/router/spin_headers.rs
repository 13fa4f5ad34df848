//! The headers by which Spin tells a component how its request was routed.

use super::{Match, RoutePattern};
use http::Uri;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use std::net::SocketAddr;

/// The values that are the same for every request of a route.
#[derive(Clone, Debug)]
pub struct OfRoute([(HeaderName, Option<HeaderValue>); 4]);

impl OfRoute {
    pub(super) fn new(pattern: &RoutePattern) -> Self {
        // A route is a path, and holds nothing that a header cannot.
        let value = |text: &str| HeaderValue::from_str(text).ok();
        let name = HeaderName::from_static;
        Self([
            (name("spin-matched-route"), value(&pattern.based())),
            (name("spin-base-path"), value(Match::BASE)),
            (name("spin-component-route"), value(pattern.raw_or_prefix())),
            (name("spin-raw-component-route"), value(pattern.raw())),
        ])
    }
}

/// Whom a request is from, as Spin writes it: address and port, always. The port of
/// a client that a proxy told nothing of is 0.
pub fn client_addr(peer: SocketAddr) -> HeaderValue {
    HeaderValue::try_from(peer.to_string()).unwrap_or(HeaderValue::from_static(""))
}

/// Removes whatever `spin-*` headers a client sent: a component takes them for the
/// host's word.
pub fn clear(headers: &mut HeaderMap) {
    let forged: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("spin-"))
        .cloned()
        .collect();
    for name in forged {
        headers.remove(name);
    }
}

/// Replaces whatever `spin-*` headers the client sent with the host's own; the
/// client's address is as [`client_addr`] gives it.
pub fn set(headers: &mut HeaderMap, target: &Uri, matched: &Match<'_, '_>, peer: HeaderValue) {
    clear(headers);
    headers.reserve(matched.constant.0.len() + 3);
    for (name, value) in &matched.constant.0 {
        if let Some(value) = value {
            headers.insert(name, value.clone());
        }
    }
    headers.insert(HeaderName::from_static("spin-client-addr"), peer);
    let mut set = |name: HeaderName, value: &str| {
        // A path holds nothing that a header cannot; what does is left out.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(HeaderName::from_static("spin-path-info"), matched.path_info);
    set(
        HeaderName::from_static("spin-full-url"),
        &target.to_string(),
    );
    for (name, value) in matched.params() {
        if let Ok(name) = HeaderName::try_from(format!("spin-path-match-{name}")) {
            set(name, value);
        }
    }
}
