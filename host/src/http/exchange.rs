//! One request and its response, recorded exactly once: when the response's
//! body ends or is dropped.

use super::clients::Told;
use crate::error::Kind;
use crate::live::endpoint::Chosen;
use crate::live::table::Generation;
use crate::telemetry::trace::Span;
use prometheus_client::metrics::gauge::Gauge;
use std::sync::Arc;
use tokio::time::Instant;

/// What is observed of a request. A canary is judged by it; nothing else
/// decides by it.
#[derive(Debug)]
pub struct Exchange {
    arrived: Instant,
    request_id: Arc<str>,
    span: Span,
    served: Option<Served>,
    /// How its client stands with a limit.
    told: Option<Box<Told>>,
    status: http::StatusCode,
    failed: bool,
    /// Whether there was an answer before the client was gone.
    settled: bool,
}

#[derive(Debug)]
struct Served {
    chosen: Chosen,
    in_flight: Gauge,
    /// Of the table that the request was routed by, which counts as live until
    /// the request is over.
    _generation: Arc<Generation>,
}

impl Exchange {
    /// A request that arrived now.
    pub fn begin(request_id: Arc<str>, span: Span) -> Self {
        Self {
            arrived: Instant::now(),
            request_id,
            span,
            served: None,
            told: None,
            status: http::StatusCode::OK,
            failed: false,
            settled: false,
        }
    }

    /// When the request arrived.
    pub fn arrived(&self) -> Instant {
        self.arrived
    }

    /// The id that the client is told.
    pub fn request_id(&self) -> &Arc<str> {
        &self.request_id
    }

    /// What is traced of it.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// The request was admitted, and a revision chosen for it: all that it keeps
    /// of its endpoint.
    pub fn admitted(&mut self, chosen: Chosen, generation: Arc<Generation>) {
        let in_flight = chosen.revision.metrics().in_flight.clone();
        in_flight.inc();
        self.served = Some(Served {
            chosen,
            in_flight,
            _generation: generation,
        });
    }

    /// The request was counted against its client's limit.
    pub fn counted(&mut self, told: Box<Told>) {
        self.told = Some(told);
    }

    /// What its client is to be told of the limit, once.
    pub fn take_told(&mut self) -> Option<Box<Told>> {
        self.told.take()
    }

    /// The cookie, by name and value, that keeps the client with its revision.
    pub fn cookie(&self) -> Option<&(Arc<str>, String)> {
        self.served.as_ref()?.chosen.cookie.as_ref()
    }

    /// The status that the guest answered with.
    pub fn answered(&mut self, status: http::StatusCode) {
        self.status = status;
        self.settled = true;
        if status.is_server_error() {
            self.failed = true;
            self.span.fail(status.as_str().to_owned());
        }
    }

    /// The status that stands for a failure of this kind.
    pub fn refused(&mut self, kind: Kind, status: http::StatusCode) {
        self.status = status;
        self.settled = true;
        self.failed |= kind.is_guests();
        if status.is_server_error() {
            self.span.fail(kind.label());
        } else {
            self.span.set("error.type", kind.label());
        }
    }

    /// The body broke off.
    pub fn aborted(&mut self) {
        self.failed = true;
        self.span.fail("aborted");
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let status = if self.settled { self.status } else { gone() };
        if self.settled {
            let code = i64::from(status.as_u16());
            self.span.set("http.response.status_code", code);
        } else {
            self.span.set("error.type", "client_gone");
        }
        self.span.end();
        let Some(served) = &self.served else { return };
        let elapsed = self.arrived.elapsed();
        let revision = &served.chosen.revision;
        revision.metrics().record(status, self.failed, elapsed);
        if let Some((trial, side)) = &served.chosen.trial {
            // A client that gave up waiting says something of who kept it waiting.
            // As many give up on either side for reasons of their own.
            trial.record(*side, self.failed || !self.settled);
        }
        served.in_flight.dec();
        tracing::debug!(
            request_id = %self.request_id,
            trace_id = self.span.trace_id().map(tracing::field::display),
            component = %revision.id(),
            revision = %revision.digest(),
            status = status.as_u16(),
            micros = elapsed.as_micros() as u64,
            "served"
        );
    }
}

/// What nginx writes where the client was gone before there was an answer; no
/// client ever sees it.
fn gone() -> http::StatusCode {
    http::StatusCode::from_u16(499).unwrap_or(http::StatusCode::BAD_REQUEST)
}
