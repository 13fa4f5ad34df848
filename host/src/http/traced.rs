//! Spans of requests, named as OpenTelemetry's conventions for HTTP have it.

use crate::live::endpoint::Chosen;
use crate::router::Match;
use crate::telemetry::trace::{Span, Start, method, method_name};
use http::{Method, Request, Version};

/// A request that has arrived. What it asks for is not shown: a link's code is all that
/// it takes to follow the link.
pub(super) fn arrived<B>(request: &Request<B>, request_id: &str) -> Start {
    let version = match request.version() {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    };
    Start::server(method_name(request.method()))
        .with("http.request.method", method(request.method()))
        .with("url.scheme", "http")
        .with("network.protocol.version", version)
        .with("warmlink.request_id", request_id.to_owned())
}

/// It has found its route.
pub(super) fn routed(span: &Span, sent: &Method, matched: &Match<'_, '_>) {
    let route = matched.pattern.raw();
    span.rename(|| format!("{} {route}", method_name(sent)));
    span.set_with("http.route", || route.to_owned());
}

/// The work of the guest that was chosen for it.
pub(super) fn guest(span: &Span, chosen: &Chosen) -> Span {
    let revision = &chosen.revision;
    span.set_with("warmlink.component", || revision.id().to_string());
    span.set_with("warmlink.revision", || revision.digest().to_string());
    span.child(|| revision.work())
}
