//! W3C's `traceparent` and `tracestate`.

use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// The names that are written.
const NAMES: [&str; 2] = ["traceparent", "tracestate"];

/// The span that the sender of a request made it in; none where it says nothing, or
/// nothing sensible.
pub(super) fn read(headers: &HeaderMap) -> Option<SpanContext> {
    if !headers.contains_key(NAMES[0]) {
        return None;
    }
    let context = TraceContextPropagator::new()
        .extract_with_context(&Context::new(), &HeaderExtractor(headers));
    let span = context.span().span_context().clone();
    span.is_valid().then_some(span)
}

/// Has a request say which span it is made in, whatever it said before.
pub(super) fn write(span: &SpanContext, headers: &mut HeaderMap) {
    for name in NAMES {
        headers.remove(name);
    }
    let context = parent(span.clone());
    TraceContextPropagator::new().inject_context(&context, &mut HeaderInjector(headers));
    // The SDK writes an empty one.
    if headers.get(NAMES[1]).is_some_and(|state| state.is_empty()) {
        headers.remove(NAMES[1]);
    }
}

/// `span` as the parent of others.
pub(super) fn parent(span: SpanContext) -> Context {
    Context::new().with_remote_span_context(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(parent: &str) -> HeaderMap {
        HeaderMap::from_iter([(
            http::HeaderName::from_static("traceparent"),
            parent.parse().unwrap(),
        )])
    }

    #[test]
    fn what_is_read_is_written() {
        let mut sent = headers(PARENT);
        sent.insert("tracestate", "vendor=1".parse().unwrap());
        let span = read(&sent).unwrap();
        assert!(span.is_sampled());
        let mut written = HeaderMap::new();
        write(&span, &mut written);
        assert_eq!(written, sent);
    }

    #[test]
    fn what_was_said_before_is_replaced() {
        let span = read(&headers(PARENT)).unwrap();
        let mut written = headers("00-11111111111111111111111111111111-2222222222222222-00");
        written.append("traceparent", "another".parse().unwrap());
        written.insert("tracestate", "vendor=1".parse().unwrap());
        write(&span, &mut written);
        assert_eq!(written, headers(PARENT));
    }

    #[test]
    fn what_makes_no_sense_is_no_parent() {
        for text in [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        ] {
            assert!(read(&headers(text)).is_none(), "{text:?}");
        }
        assert!(read(&HeaderMap::new()).is_none());
    }
}
