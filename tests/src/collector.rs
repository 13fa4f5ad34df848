//! A collector of traces: takes OTLP over HTTP, and keeps what it takes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message as _;

use crate::answering::answering;
use crate::eventually;

/// A batch is sent well within this where the host is told to send often.
const SOON: Duration = Duration::from_secs(20);

/// One span, in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub name: String,
    pub kind: otlp::span::SpanKind,
    /// 32 digits.
    pub trace: String,
    /// 16 digits.
    pub id: String,
    /// 16 digits; empty for the root of its trace.
    pub parent: String,
    /// Nanoseconds since 1970.
    pub begun: u64,
    pub ended: u64,
    pub failed: bool,
    pub attributes: BTreeMap<String, String>,
    /// Their names, in order.
    pub events: Vec<String>,
    /// What is said of the process.
    pub resource: BTreeMap<String, String>,
}

impl Span {
    /// The attribute, empty where there is none.
    pub fn get(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    Taken,
    /// Says that it is not there.
    Refused,
    /// Takes the request, and never says anything.
    Never,
}

/// The collector; clones share it.
#[derive(Clone)]
pub struct Collector {
    port: u16,
    state: Arc<State>,
}

struct State {
    answers: Answers,
    spans: Mutex<Vec<Span>>,
    requests: Mutex<Vec<http::request::Parts>>,
}

impl Collector {
    /// On a free port of the loopback.
    ///
    /// # Panics
    /// Where there is none.
    pub async fn start(answers: Answers) -> Self {
        let state = Arc::new(State {
            answers,
            spans: Mutex::default(),
            requests: Mutex::default(),
        });
        let takes = Arc::clone(&state);
        let port = answering(|| (), move |request| take(Arc::clone(&takes), request)).await;
        Self { port, state }
    }

    /// Without a path.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All that it has.
    pub fn spans(&self) -> Vec<Span> {
        locked(&self.state.spans).clone()
    }

    /// The heads of what it was sent.
    pub fn requests(&self) -> Vec<http::request::Parts> {
        locked(&self.state.requests).clone()
    }

    /// Waits until there is a span of this kind in words: `name`, and all of `with`.
    ///
    /// # Panics
    /// Where none comes.
    pub async fn span(&self, name: &str, with: &[(&str, &str)]) -> Span {
        let of = |span: &Span| {
            span.name == name && with.iter().all(|(key, value)| span.get(key) == *value)
        };
        let found = || async { self.spans().into_iter().find(of) };
        let what = format!("a span {name} with {with:?}");
        eventually(&what, SOON, found).await
    }

    /// Waits until there are so many spans of a trace, and answers all that there are, in
    /// the order that they began.
    ///
    /// # Panics
    /// Where they do not come.
    pub async fn trace(&self, id: &str, count: usize) -> Vec<Span> {
        let found = || async {
            let mut spans = self.spans();
            spans.retain(|span| span.trace == id);
            spans.sort_by_key(|span| span.begun);
            (spans.len() >= count).then_some(spans)
        };
        eventually(&format!("{count} spans of {id}"), SOON, found).await
    }
}

async fn take(state: Arc<State>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    locked(&state.requests).push(head);
    let mut response = Response::new(Full::default());
    match state.answers {
        Answers::Never => std::future::pending::<()>().await,
        Answers::Refused => *response.status_mut() = StatusCode::FORBIDDEN,
        Answers::Taken => match ExportTraceServiceRequest::decode(body) {
            Ok(sent) => locked(&state.spans).extend(spans(sent)),
            Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
        },
    }
    response
}

fn spans(sent: ExportTraceServiceRequest) -> Vec<Span> {
    let mut found = Vec::new();
    for of_process in sent.resource_spans {
        let resource = attributes(of_process.resource.unwrap_or_default().attributes);
        for span in of_process.scope_spans.into_iter().flat_map(|of| of.spans) {
            found.push(Span {
                kind: span.kind(),
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                begun: span.start_time_unix_nano,
                ended: span.end_time_unix_nano,
                failed: span
                    .status
                    .is_some_and(|status| status.code() == otlp::status::StatusCode::Error),
                attributes: attributes(span.attributes),
                events: span.events.into_iter().map(|event| event.name).collect(),
                name: span.name,
                resource: resource.clone(),
            });
        }
    }
    found
}

fn attributes(sent: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: any_value::Value| match value {
        any_value::Value::StringValue(text) => text,
        any_value::Value::IntValue(number) => number.to_string(),
        any_value::Value::BoolValue(is) => is.to_string(),
        other => format!("{other:?}"),
    };
    let value = |of: KeyValue| of.value.and_then(|value| value.value);
    sent.into_iter()
        .map(|of| (of.key.clone(), value(of).map(text).unwrap_or_default()))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
