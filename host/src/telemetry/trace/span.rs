//! What takes time for a request.

use super::context;
use http::{HeaderMap, Method};
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
    Tracer as _,
};
use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_sdk::trace::{SdkTracer, Span as SdkSpan};
use parking_lot::Mutex;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::SystemTime;

/// Something that takes time for a request, from its making to its end: that of its
/// last clone, or [`Self::end`].
#[derive(Clone, Default)]
pub struct Span(State);

#[derive(Clone, Default)]
enum State {
    /// Nothing is traced.
    #[default]
    Off,
    /// Not recorded, but known: others are told of the trace, and that they need not
    /// record it either.
    Known(Arc<SpanContext>),
    Recorded(Arc<Recorded>),
}

struct Recorded {
    tracer: SdkTracer,
    context: SpanContext,
    span: Mutex<SdkSpan>,
    failed: AtomicBool,
}

/// The trace that `headers` name.
pub fn trace_of(headers: &HeaderMap) -> Option<TraceId> {
    context::read(headers, false).map(|parent| parent.trace_id())
}

/// A method as spans have it. Methods are a closed set: anybody may make up others.
pub fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::TRACE => "TRACE",
        Method::CONNECT => "CONNECT",
        _ => "_OTHER",
    }
}

/// The same as a span's name, or the beginning of one.
pub fn method_name(of: &Method) -> &'static str {
    match method(of) {
        "_OTHER" => "HTTP",
        known => known,
    }
}

/// How a span begins.
#[derive(Debug, Clone)]
pub struct Start {
    name: Cow<'static, str>,
    kind: SpanKind,
    attributes: Vec<KeyValue>,
}

impl Start {
    fn of(name: impl Into<Cow<'static, str>>, kind: SpanKind) -> Self {
        Self {
            name: name.into(),
            kind,
            attributes: Vec::new(),
        }
    }

    /// A request that somebody waits for.
    pub fn server(name: impl Into<Cow<'static, str>>) -> Self {
        Self::of(name, SpanKind::Server)
    }

    /// Something asked of another server.
    pub fn client(name: impl Into<Cow<'static, str>>) -> Self {
        Self::of(name, SpanKind::Client)
    }

    /// Something that happens in this process.
    pub fn internal(name: impl Into<Cow<'static, str>>) -> Self {
        Self::of(name, SpanKind::Internal)
    }

    /// With this attribute.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push(KeyValue::new(key, value));
        self
    }

    fn begin(self, tracer: &SdkTracer, parent: Option<&SpanContext>) -> Span {
        let builder = SpanBuilder::from_name(self.name)
            .with_kind(self.kind)
            .with_attributes(self.attributes);
        let parent = parent.cloned().map(context::parent).unwrap_or_default();
        let span = tracer.build_with_context(builder, &parent);
        Span(State::Recorded(Arc::new(Recorded {
            tracer: tracer.clone(),
            context: span.span_context().clone(),
            span: Mutex::new(span),
            failed: AtomicBool::new(false),
        })))
    }
}

impl Span {
    /// One that is nothing, and whose children are nothing.
    pub const OFF: Self = Self(State::Off);

    pub(super) fn begin(tracer: &SdkTracer, parent: Option<&SpanContext>, start: Start) -> Self {
        start.begin(tracer, parent)
    }

    /// One that is not recorded, of the trace of `parent` or a new one.
    pub(super) fn known(parent: Option<SpanContext>) -> Self {
        let (trace, state) = match parent {
            Some(parent) => (parent.trace_id(), parent.trace_state().clone()),
            None => (TraceId::from(rand::random::<u128>()), TraceState::NONE),
        };
        let span = SpanId::from(rand::random::<u64>());
        let context = SpanContext::new(trace, span, TraceFlags::NOT_SAMPLED, false, state);
        Self(State::Known(Arc::new(context)))
    }

    /// Whether anything is traced at all, recorded or not.
    pub fn is_on(&self) -> bool {
        !matches!(self.0, State::Off)
    }

    /// A part of this one, which begins now.
    pub fn child(&self, start: impl FnOnce() -> Start) -> Self {
        match &self.0 {
            State::Recorded(of) => start().begin(&of.tracer, Some(&of.context)),
            State::Off | State::Known(_) => self.clone(),
        }
    }

    /// A part of this one, or, where `headers` name a span of the same trace, of that:
    /// who wrote them does so with spans of its own.
    pub fn child_by(&self, headers: &HeaderMap, start: impl FnOnce() -> Start) -> Self {
        let State::Recorded(of) = &self.0 else {
            return self.clone();
        };
        let parent = context::read(headers, true)
            .filter(|parent| parent.trace_id() == of.context.trace_id() && parent.is_sampled());
        start().begin(&of.tracer, Some(parent.as_ref().unwrap_or(&of.context)))
    }

    /// What it is called from now on.
    pub fn rename(&self, name: impl FnOnce() -> String) {
        if let State::Recorded(of) = &self.0 {
            of.span.lock().update_name(name());
        }
    }

    /// Says something of it.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        if let State::Recorded(of) = &self.0 {
            let attribute = KeyValue::new(Key::from_static_str(key), value);
            of.span.lock().set_attribute(attribute);
        }
    }

    /// As [`Self::set`], for what takes work to say.
    pub fn set_with<V: Into<Value>>(&self, key: &'static str, value: impl FnOnce() -> V) {
        if self.is_recorded() {
            self.set(key, value());
        }
    }

    /// Something happens in it now.
    pub fn event(&self, name: &'static str) {
        if let State::Recorded(of) = &self.0 {
            of.span.lock().add_event(name, Vec::new());
        }
    }

    /// It did not go well; `kind` is of a closed set. What is said first stays.
    pub fn fail(&self, kind: impl Into<Cow<'static, str>>) {
        if let State::Recorded(of) = &self.0 {
            if of.failed.swap(true, Relaxed) {
                return;
            }
            let mut span = of.span.lock();
            span.set_attribute(KeyValue::new("error.type", Value::from(kind.into())));
            span.set_status(Status::error(""));
        }
    }

    /// It is over now, whoever still has a clone of it.
    pub fn end(&self) {
        if let State::Recorded(of) = &self.0 {
            of.span.lock().end_with_timestamp(SystemTime::now());
        }
    }

    /// Has a request say that it is made in this span.
    pub fn pass_on(&self, headers: &mut HeaderMap) {
        if let Some(context) = self.context() {
            context::write(context, headers);
        }
    }

    /// The trace, for log lines.
    pub fn trace_id(&self) -> Option<TraceId> {
        self.context().map(SpanContext::trace_id)
    }

    fn is_recorded(&self) -> bool {
        matches!(self.0, State::Recorded(_))
    }

    fn context(&self) -> Option<&SpanContext> {
        match &self.0 {
            State::Off => None,
            State::Known(context) => Some(context),
            State::Recorded(of) => Some(&of.context),
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.context() {
            None => f.write_str("Span(off)"),
            Some(context) => write!(f, "Span({}, {})", context.trace_id(), context.span_id()),
        }
    }
}
