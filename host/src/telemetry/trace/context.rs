//! W3C's `traceparent` and `tracestate`.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use std::str::FromStr;

const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");

/// Bytes of `tracestate` that are taken over: as many as W3C asks to pass on. It is kept
/// with every span.
const STATE_BYTES: usize = 512;

/// The span that the sender of a request made it in; none where it says nothing, or
/// nothing sensible. What others have added to it is taken over from those that are
/// `believed` alone.
pub(super) fn read(headers: &HeaderMap, believed: bool) -> Option<SpanContext> {
    let mut parents = headers.get_all(PARENT).iter();
    let parent = parents.next()?;
    if parents.next().is_some() {
        return None;
    }
    let (trace, span, flags) = parse(parent.to_str().ok()?)?;
    let state = if believed { state(headers) } else { None };
    let state = state.unwrap_or(TraceState::NONE);
    let context = SpanContext::new(trace, span, flags, true, state);
    context.is_valid().then_some(context)
}

/// `VERSION-TRACE-SPAN-FLAGS`, in lower-case digits; later versions may have more behind.
fn parse(text: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let mut parts = text.splitn(5, '-');
    let mut digits = |count: usize| {
        let part = parts.next()?;
        let are_digits = part
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (part.len() == count && are_digits).then_some(part)
    };
    let (version, trace, span, flags) = (digits(2)?, digits(32)?, digits(16)?, digits(2)?);
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    Some((
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED,
    ))
}

fn state(headers: &HeaderMap) -> Option<TraceState> {
    let values: Option<Vec<_>> = headers
        .get_all(STATE)
        .iter()
        .map(|value| value.to_str().ok())
        .collect();
    let joined = values?.join(",");
    if joined.is_empty() || joined.len() > STATE_BYTES {
        return None;
    }
    TraceState::from_str(&joined).ok()
}

/// Has a request say which span it is made in, whatever it said before.
pub(super) fn write(span: &SpanContext, headers: &mut HeaderMap) {
    let (trace, id, flags) = (span.trace_id(), span.span_id(), span.trace_flags());
    let parent = format!("00-{trace}-{id}-{:02x}", flags.to_u8());
    if let Ok(parent) = HeaderValue::from_str(&parent) {
        headers.insert(PARENT, parent);
    }
    headers.remove(STATE);
    if *span.trace_state() != TraceState::NONE
        && let Ok(state) = HeaderValue::from_str(&span.trace_state().header())
    {
        headers.insert(STATE, state);
    }
}

/// `span` as the parent of others.
pub(super) fn parent(span: SpanContext) -> Context {
    Context::new().with_remote_span_context(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(parent: &str) -> HeaderMap {
        HeaderMap::from_iter([(PARENT, parent.parse().unwrap())])
    }

    #[test]
    fn what_is_read_is_written() {
        let mut sent = headers(TEXT);
        sent.insert(STATE, "vendor=1".parse().unwrap());
        let span = read(&sent, true).unwrap();
        assert!(span.is_sampled());
        let mut written = HeaderMap::new();
        write(&span, &mut written);
        assert_eq!(written, sent);
        // A stranger fills no memory with it.
        write(&read(&sent, false).unwrap(), &mut written);
        assert_eq!(written, headers(TEXT));
    }

    #[test]
    fn what_was_said_before_is_replaced() {
        let span = read(&headers(TEXT), true).unwrap();
        let mut written = headers("00-11111111111111111111111111111111-2222222222222222-00");
        written.append(PARENT, "another".parse().unwrap());
        written.insert(STATE, "vendor=1".parse().unwrap());
        write(&span, &mut written);
        assert_eq!(written, headers(TEXT));
    }

    #[test]
    fn several_states_are_one_and_one_that_is_too_long_is_none() {
        let mut sent = headers(TEXT);
        sent.append(STATE, "a=1".parse().unwrap());
        sent.append(STATE, "b=2".parse().unwrap());
        let state = read(&sent, true).unwrap().trace_state().header();
        assert_eq!(state, "a=1,b=2");
        sent.append(
            STATE,
            format!("c={}", "x".repeat(STATE_BYTES)).parse().unwrap(),
        );
        assert_eq!(*read(&sent, true).unwrap().trace_state(), TraceState::NONE);
    }

    #[test]
    fn a_later_version_is_understood_as_far_as_it_goes() {
        let later = TEXT.replace("00-0af", "01-0af") + "-more";
        assert!(read(&headers(&later), true).unwrap().is_sampled());
    }

    #[test]
    fn what_makes_no_sense_is_no_parent() {
        let trailing = format!("{TEXT}-");
        for text in [
            "",
            "00",
            "00-42-1-1",
            "+0-+42-+1-+1",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            &trailing,
        ] {
            assert!(read(&headers(text), true).is_none(), "{text:?}");
        }
        let mut twice = headers(TEXT);
        twice.append(PARENT, TEXT.parse().unwrap());
        assert!(read(&twice, true).is_none());
        assert!(read(&HeaderMap::new(), true).is_none());
    }
}
