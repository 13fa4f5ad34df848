//! Traces: what one request took, and where, sent by OTLP.
//!
//! A [`Tracer`] decides once per request whether it is recorded, and gives it a
//! [`Span`]; what is done for the request are children of that. Where nothing is
//! recorded a span is a word that says so, and costs no more. What is recorded ends
//! up in a bounded queue of the SDK's, which a thread of its own sends: a collector
//! that is slow or away costs spans, never a request.
//!
//! Spans hold no URL, code, key or parameter of a statement: whoever reads traces
//! could follow links that were not meant for everybody.

mod context;
mod export;
mod sampling;
mod span;

use std::time::Duration;

pub use opentelemetry::trace::TraceId;

pub use export::{LAST, SpanMetrics, Tracer};
pub use sampling::{Sampler, SamplerError};
pub use span::{Span, Start, method, method_name, trace_of};

/// Where traces go, which, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where they are posted to, in protobuf.
    pub endpoint: url::Url,
    /// Longest wait for the answer.
    pub timeout: Duration,
    /// Spans that wait to be sent; more are dropped.
    pub queue: usize,
    /// Spans that are sent at once, at most.
    pub batch: usize,
    /// How long the first of them waits for others.
    pub delay: Duration,
    /// Which requests are recorded.
    pub sampler: Sampler,
    /// This node, as the resource's `service.instance.id`.
    pub node: String,
}
