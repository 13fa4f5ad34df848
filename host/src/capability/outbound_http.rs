//! Requests that components send: `wasi:http/client@0.3` and
//! `wasi:http/outgoing-handler@0.2`, held to the component's allowed hosts.

use super::{Call, Grants, traced};
use crate::telemetry::trace::{Span, trace_of};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks, default_send_request};

/// A store's way out over HTTP.
#[derive(Debug)]
pub struct Outbound {
    grants: Arc<Grants>,
    longest: Duration,
    /// What the store's guest is at work on, where it is traced.
    calls: Vec<Arc<Call>>,
}

type Sent = (
    http::Response<WasiBody>,
    Box<dyn Future<Output = Result<(), Error>> + Send>,
);

impl Outbound {
    /// A way to the hosts that `grants` allow. No answer is waited for longer
    /// than `longest`, the deadline of the requests that ask for it.
    pub fn new(grants: Arc<Grants>, longest: Duration) -> Self {
        Self {
            grants,
            longest,
            calls: Vec::new(),
        }
    }

    /// The guest begins to work on a request.
    pub fn begin(&mut self, call: &Arc<Call>) {
        if call.span.is_on() {
            self.calls.retain(|call| !call.is_over());
            self.calls.push(call.clone());
        }
    }

    /// A span for a request of the guest's. Which of its own requests it is for is known
    /// where it hands on a `traceparent`, or else works on one request alone: the hook is
    /// not told. (What a guest still sends for a request that is over, while it works on
    /// another, is taken for the other's.)
    fn span(&self, request: &http::Request<WasiBody>) -> Span {
        let headers = request.headers();
        let mut calls = self.calls.iter().filter(|call| !call.is_over());
        let of = match trace_of(headers) {
            Some(trace) => calls.find(|call| call.span.trace_id() == Some(trace)),
            None => calls.next().filter(|_| calls.next().is_none()),
        };
        of.map_or(Span::OFF, |call| {
            call.span.child_by(headers, || traced::request(request))
        })
    }

    fn allows(&self, uri: &http::Uri) -> bool {
        let Some(host) = uri.host() else { return false };
        let scheme = uri.scheme_str().unwrap_or("https");
        let port = uri
            .port_u16()
            .unwrap_or(if scheme == "http" { 80 } else { 443 });
        self.grants.hosts.allows(scheme, host, port)
    }
}

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        mut request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _transmitted: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        if !self.allows(request.uri()) {
            tracing::warn!(
                component = %self.grants.component,
                host = request.uri().host().unwrap_or_default(),
                "request refused: not among the component's allowed_outbound_hosts"
            );
            return Box::new(async { Err(Error::HttpRequestDenied) });
        }
        let longest = self.longest;
        let asked = options.unwrap_or_default();
        let bound = |asked: Option<Duration>| Some(asked.unwrap_or(longest).min(longest));
        let options = RequestOptions {
            connect_timeout: bound(asked.connect_timeout),
            first_byte_timeout: bound(asked.first_byte_timeout),
            between_bytes_timeout: bound(asked.between_bytes_timeout),
        };
        let span = self.span(&request);
        span.pass_on(request.headers_mut());
        Box::new(async move {
            let sent = default_send_request(request, Some(options)).await;
            let sent = sent.inspect_err(|error| traced::unanswered(&span, error));
            let (response, io) = sent?;
            traced::answered(&span, response.status());
            Ok((
                response.map(BodyExt::boxed_unsync),
                Box::new(io) as Box<dyn Future<Output = _> + Send>,
            ))
        })
    }
}
