//! The headers by which Spin tells a component how its request was routed.

use super::Match;
use http::Uri;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use std::net::SocketAddr;

/// Replaces whatever `spin-*` headers the client sent with the host's own.
pub fn set(headers: &mut HeaderMap, target: &Uri, matched: &Match<'_, '_>, peer: SocketAddr) {
    let forged: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("spin-"))
        .cloned()
        .collect();
    for name in forged {
        headers.remove(name);
    }
    let mut set = |name: HeaderName, value: &str| {
        // A path holds nothing that a header cannot; what does is left out.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    let pattern = matched.pattern;
    set(HeaderName::from_static("spin-path-info"), matched.path_info);
    set(
        HeaderName::from_static("spin-full-url"),
        &target.to_string(),
    );
    set(
        HeaderName::from_static("spin-matched-route"),
        &pattern.based(),
    );
    set(HeaderName::from_static("spin-base-path"), Match::BASE);
    set(
        HeaderName::from_static("spin-component-route"),
        pattern.raw_or_prefix(),
    );
    set(
        HeaderName::from_static("spin-raw-component-route"),
        pattern.raw(),
    );
    set(
        HeaderName::from_static("spin-client-addr"),
        &peer.to_string(),
    );
    for (name, value) in matched.params() {
        if let Ok(name) = HeaderName::try_from(format!("spin-path-match-{name}")) {
            set(name, value);
        }
    }
}
