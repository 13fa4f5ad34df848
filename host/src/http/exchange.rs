//! One request and its response, recorded exactly once: when the response's
//! body ends or is dropped.

use crate::engine::Endpoint;
use crate::live::Table;
use prometheus_client::metrics::gauge::Gauge;
use std::sync::Arc;
use tokio::time::Instant;

/// What is observed of a request. Nothing decides by it.
#[derive(Debug)]
pub struct Exchange {
    arrived: Instant,
    request_id: Arc<str>,
    served: Option<Served>,
    status: http::StatusCode,
}

#[derive(Debug)]
struct Served {
    /// The table the request was routed by stays as long as the request does.
    table: Arc<Table>,
    endpoint: usize,
    in_flight: Gauge,
}

impl Exchange {
    /// A request that arrived now.
    pub fn begin(request_id: Arc<str>) -> Self {
        Self {
            arrived: Instant::now(),
            request_id,
            served: None,
            status: http::StatusCode::OK,
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

    /// The request belongs to an endpoint of `table`, and was admitted.
    pub fn admitted(&mut self, table: Arc<Table>, endpoint: usize) {
        if let Some(found) = table.endpoint(endpoint) {
            let in_flight = found.metrics().in_flight.clone();
            in_flight.inc();
            self.served = Some(Served {
                table,
                endpoint,
                in_flight,
            });
        }
    }

    /// The status that is sent.
    pub fn answered(&mut self, status: http::StatusCode) {
        self.status = status;
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        let served = self.served.as_ref()?;
        served.table.endpoint(served.endpoint)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(endpoint) = self.endpoint() {
            let elapsed = self.arrived.elapsed();
            endpoint.metrics().count_response(self.status);
            endpoint.metrics().latency.observe(elapsed.as_secs_f64());
            tracing::debug!(
                request_id = %self.request_id,
                component = %endpoint.id(),
                status = self.status.as_u16(),
                micros = elapsed.as_micros() as u64,
                "served"
            );
        }
        if let Some(served) = &self.served {
            served.in_flight.dec();
        }
    }
}
