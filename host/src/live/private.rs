//! A component that the host itself asks: no route leads to it.

use super::LiveTable;
use crate::capability::Call;
use crate::engine::{Admission, Permits, Revision};
use crate::error::{Failure, Kind};
use crate::telemetry::trace::{Span, Start, Tracer};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use wasmtime_wasi_http::WasiBody;

/// What such a request is addressed to.
const AUTHORITY: &str = "warmlink.internal";
const TARGET: &str = "http://warmlink.internal/";

/// Bytes of an answer's body that are kept, for the log.
const KEPT: usize = 512;

/// Requests of the host's to one component at once.
const AT_ONCE: usize = 4;

/// A private component, by whichever revision serves.
#[derive(Debug)]
pub struct Private {
    id: Arc<str>,
    live: Arc<LiveTable>,
    /// Where its requests are served, and which core that is.
    core: (usize, Handle),
    /// Apart from the node's: what the public port is busy with must not keep
    /// what it has left behind from being worked off.
    admission: Arc<Admission>,
    tracer: Tracer,
}

/// What it answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The beginning of the body, as text.
    pub text: String,
}

impl Private {
    /// The component `id` of what is `live`, asked on `core`.
    pub fn new(id: Arc<str>, live: Arc<LiveTable>, core: (usize, Handle), tracer: Tracer) -> Self {
        Self {
            id,
            live,
            core,
            admission: Arc::new(Admission::new(AT_ONCE, Some(0), Duration::ZERO)),
            tracer,
        }
    }

    /// The component's name in the manifest.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Bytes that a request's body may have; none while nothing serves.
    pub fn room(&self) -> Option<u64> {
        let table = self.live.pin();
        let endpoint = table.endpoint(&self.id)?;
        Some(endpoint.active().limits().request_body)
    }

    /// Sends it `POST /` with a JSON body.
    ///
    /// # Errors
    ///
    /// A [`Failure`] as any request's; [`Kind::NotReady`] where the component
    /// does not serve.
    pub async fn post(&self, body: Bytes) -> Result<Answer, Failure> {
        let arrived = Instant::now();
        let table = self.live.pin();
        let endpoint = table
            .endpoint(&self.id)
            .ok_or_else(|| Failure::new(Kind::NotReady, "no such component serves"))?;
        let revision = endpoint.active().clone();
        let deadline = arrived + revision.limits().deadline;
        let shed = |shed| Failure::new(Kind::Shed, format!("{}: {shed}", self.id));
        let permits = Permits {
            endpoint: endpoint.admission().admit(deadline).await.map_err(shed)?,
            node: self.admission.admit(deadline).await.map_err(shed)?.into(),
            canary: None,
        };
        // It counts as live until the request is over.
        let generation = table.generation().clone();
        drop(table);
        let (core, runtime) = (self.core.0, &self.core.1);
        let span = self
            .tracer
            .own(|| Start::internal(format!("ask {}", self.id)));
        let asked = runtime.spawn(async move {
            let _generation = generation;
            let in_flight = InFlight::begin(revision, arrived);
            let to = (&*in_flight.revision, core);
            let asked = ask(to, body, deadline, permits, &span).await;
            told(&span, &asked);
            in_flight.over(&asked);
            asked
        });
        asked
            .await
            .unwrap_or_else(|error| Err(Failure::new(Kind::Internal, error.to_string())))
    }
}

async fn ask(
    (revision, core): (&Revision, usize),
    body: Bytes,
    deadline: Instant,
    permits: Permits,
    span: &Span,
) -> Result<Answer, Failure> {
    let id: Arc<str> = format!("{:016x}", rand::random::<u64>()).into();
    let mut request = request(body, &id)?;
    let work = span.child(|| revision.work());
    work.pass_on(request.headers_mut());
    let total = revision.limits().body_total;
    let call = Arc::new(Call::new(deadline, total, id, work));
    let response = revision.handle(core, request, call, permits).await?;
    let status = response.status();
    let mut body = response.into_body();
    let mut kept = Vec::new();
    while let Some(frame) = timeout_at(deadline + total, body.frame())
        .await
        .map_err(|_elapsed| Failure::from(Kind::Deadline))?
    {
        let frame = frame.map_err(|error| Failure::new(Kind::Trapped, error.to_string()))?;
        if let Some(data) = frame.data_ref() {
            let room = KEPT - kept.len();
            kept.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    Ok(Answer {
        status,
        text: String::from_utf8_lossy(&kept).into_owned(),
    })
}

fn told(span: &Span, asked: &Result<Answer, Failure>) {
    match asked {
        Ok(answer) => span.set(
            "http.response.status_code",
            i64::from(answer.status.as_u16()),
        ),
        Err(failure) => span.fail(failure.kind.label()),
    }
}

fn request(body: Bytes, id: &str) -> Result<Request<WasiBody>, Failure> {
    let internal = |error: http::Error| Failure::new(Kind::Internal, error.to_string());
    let length = body.len();
    let body = Full::new(body)
        .map_err(|never| match never {})
        .boxed_unsync();
    Request::post(TARGET)
        .header(HOST, HeaderValue::from_static(AUTHORITY))
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(CONTENT_LENGTH, length)
        .header("x-request-id", id)
        .body(body)
        .map_err(internal)
}

/// A request as the component's metrics see it.
struct InFlight {
    revision: Arc<Revision>,
    arrived: Instant,
}

impl InFlight {
    fn begin(revision: Arc<Revision>, arrived: Instant) -> Self {
        revision.metrics().in_flight.inc();
        Self { revision, arrived }
    }

    fn over(&self, asked: &Result<Answer, Failure>) {
        let (status, failed) = match asked {
            Ok(answer) => (answer.status, answer.status.is_server_error()),
            Err(failure) => (
                StatusCode::from_u16(failure.kind.status())
                    .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                failure.kind.is_guests(),
            ),
        };
        let elapsed = self.arrived.elapsed();
        self.revision.metrics().record(status, failed, elapsed);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.revision.metrics().in_flight.dec();
    }
}
