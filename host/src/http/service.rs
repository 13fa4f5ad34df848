//! A request's way through the host: pin the table, route, admit, hand over.

use super::asking::{Asking, REVISION_HEADER};
use super::clients::{self, Clients};
use super::exchange::Exchange;
use super::forwarded::Proxies;
use super::io::Shared;
use super::request::{self, Upload};
use super::respond::{self, ResponseBody};
use super::traced;
use crate::capability::Call;
use crate::engine::{GuestBody, Permits, Places, Revision, Shed};
use crate::error::{Failure, Kind};
use crate::live::LiveTable;
use crate::manifest::HostLimits;
use crate::router::{Match, spin_headers};
use crate::telemetry::trace::{Span, Tracer};
use crate::telemetry::{Exposition, Metrics, ShedLabels};
use http::header::{ACCEPT, CONNECTION, HeaderValue};
use http::{HeaderMap, Method, Request, Response, Version};
use hyper::body::{Body, Incoming};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

/// Longest request id taken over from a client, in bytes.
const REQUEST_ID_BYTES: usize = 64;

/// What every connection shares.
#[derive(Debug)]
pub struct Service {
    live: Arc<LiveTable>,
    limits: HostLimits,
    places: Arc<Places>,
    metrics: Arc<Metrics>,
    metrics_path: Option<String>,
    asking: Option<Asking>,
    clients: Clients,
    tracer: Tracer,
}

/// Where a request comes from.
#[derive(Debug, Clone)]
pub struct Client {
    /// The core that serves its connection.
    pub core: usize,
    /// The other end.
    pub peer: SocketAddr,
    /// Whether it is a proxy that says whom its requests are from.
    pub proxied: bool,
    /// The other end, as guests are told of it.
    pub address: HeaderValue,
    /// Its connection.
    pub connection: Arc<Shared>,
}

impl Service {
    /// A service that answers from `live`. Requests may ask for a revision where
    /// there is a way of `asking`, are counted as `clients` says, and traced by `tracer`.
    pub fn new(
        live: Arc<LiveTable>,
        limits: HostLimits,
        metrics: Arc<Metrics>,
        metrics_path: Option<String>,
        asking: Option<Asking>,
        clients: Clients,
        tracer: Tracer,
    ) -> Self {
        Self {
            places: Arc::new(Places::new(
                limits.in_flight.get() as usize,
                endpoints(&live),
                limits.queue.map(|queue| queue as usize),
                limits.queue_wait,
            )),
            live,
            limits,
            metrics,
            metrics_path,
            asking,
            clients,
            tracer,
        }
    }

    /// The node's places.
    pub fn places(&self) -> &Arc<Places> {
        &self.places
    }

    /// The node's limits.
    pub fn limits(&self) -> &HostLimits {
        &self.limits
    }

    /// The proxies that are believed.
    pub fn proxies(&self) -> &Proxies {
        &self.clients.proxies
    }

    /// The node's metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Answers one request, always.
    pub async fn respond(
        &self,
        client: Client,
        request: Request<Incoming>,
    ) -> Response<ResponseBody> {
        let is_scrape = self.metrics_path.as_deref() == Some(request.uri().path());
        let id = request_id(request.headers());
        let span = if is_scrape {
            Span::OFF
        } else {
            let start = || traced::arrived(&request, &id);
            self.tracer
                .request(request.headers(), client.proxied, start)
        };
        let mut exchange = Exchange::begin(id, span);
        client.connection.answering();
        client
            .connection
            .set_unread(!request.body().is_end_stream());
        let head_only = request.method() == Method::HEAD;
        let http1 = request.version() < Version::HTTP_2;
        let mut response = if is_scrape {
            self.public_metrics(&request, exchange)
        } else {
            match self.dispatch(&client, request, &mut exchange).await {
                Ok(response) => match respond::from_guest(response, head_only, exchange).await {
                    Ok(response) => response,
                    Err((failure, exchange)) => self.fail(&failure, exchange),
                },
                Err(failure) => self.fail(&failure, exchange),
            }
        };
        if http1 && client.connection.is_ending() {
            // hyper closes after such an answer.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        respond::on(client.connection, head_only, response)
    }

    async fn dispatch(
        &self,
        client: &Client,
        request: Request<Incoming>,
        exchange: &mut Exchange,
    ) -> Result<Response<GuestBody>, Failure> {
        let table = self.live.pin();
        let target = request::absolute_target(&request)
            .ok_or_else(|| Failure::new(Kind::BadRequest, "no usable request target"))?;
        let (matched, endpoint) = table.route(target.path()).ok_or(Kind::NoRoute)?;
        traced::routed(exchange.span(), request.method(), &matched);
        let forwarded = client
            .proxied
            .then(|| self.clients.proxies.client(client.peer, request.headers()));
        if let Some(rate) = self.clients.rate(endpoint.id()) {
            let address = forwarded.unwrap_or(client.peer).ip();
            // Apart: what waits for a server would make every request's task larger.
            let told = Box::pin(clients::count(rate, address, request.headers())).await;
            let limited = told.is_limited();
            exchange.counted(told);
            if limited {
                return Err(Kind::RateLimited.into());
            }
        }
        let asked = match &self.asking {
            None => None,
            Some(asking) => asking.revision(request.headers(), endpoint.id())?,
        };

        let limits = endpoint.active().limits();
        if request.body().size_hint().lower() > limits.request_body {
            return Err(Kind::BodyTooLarge.into());
        }
        let deadline = exchange.arrived() + limits.deadline;
        // The endpoint's own share first: a place of the node's is never held
        // while waiting for one busy endpoint.
        let shed = |shed, places| self.shed(endpoint.id(), shed, places);
        let of_endpoint = endpoint.admission().admit(deadline).await;
        let of_endpoint = of_endpoint.map_err(|error| shed(error, "component"))?;
        let held = endpoint.admission().in_flight();
        let of_node = self.places.admit(held, deadline).await;
        let of_node = of_node.map_err(|error| shed(error, "node"))?;
        let mut chosen = match asked {
            None => endpoint.choose(request.headers()),
            Some(digits) => endpoint.asked(&digits).map_err(|_| Kind::NoRevision)?,
        };
        let permits = Permits {
            endpoint: of_endpoint,
            node: of_node,
            canary: chosen.permit.take(),
        };
        exchange.span().event("admitted");
        let work = traced::guest(exchange.span(), &chosen);
        let revision = chosen.revision.clone();
        exchange.admitted(chosen, table.generation().clone());

        let limits = revision.limits();
        let call = Arc::new(Call::new(
            deadline,
            limits.body_total,
            exchange.request_id().clone(),
            work,
        ));
        let (mut request, upload) = self.for_guest(
            request,
            target.clone(),
            &matched,
            &revision,
            client,
            forwarded,
        );
        call.span.pass_on(request.headers_mut());
        // The request goes on with its own revision alone, however long it takes.
        drop(table);
        let result = revision.handle(client.core, request, call, permits).await;
        // A body that broke a limit is what the answer is about, whatever the
        // guest made of it; and one that was still awaited explains a deadline.
        match (upload.get(), &result) {
            (Upload::TooLarge, _) => Err(Kind::BodyTooLarge.into()),
            (Upload::TooSlow, _) => Err(Kind::RequestTimeout.into()),
            (Upload::Broken, _) => Err(Failure::new(Kind::BadRequest, "a broken body")),
            (Upload::Awaited, Err(failure)) if failure.kind == Kind::Deadline => {
                Err(Kind::RequestTimeout.into())
            }
            (Upload::Awaited | Upload::Settled, _) => result,
        }
    }

    fn shed(&self, component: &str, shed: Shed, places: &'static str) -> Failure {
        let labels = ShedLabels {
            component: component.to_owned(),
            places,
        };
        self.metrics.shed.get_or_create(&labels).inc();
        Failure::new(Kind::Shed, format!("{component}: {shed}"))
    }

    fn for_guest(
        &self,
        request: Request<Incoming>,
        target: http::Uri,
        matched: &Match<'_, '_>,
        revision: &Revision,
        client: &Client,
        forwarded: Option<SocketAddr>,
    ) -> (Request<wasmtime_wasi_http::WasiBody>, request::UploadWatch) {
        let (mut parts, body) = request.into_parts();
        // A signature is for the host, and good for as long as it says.
        parts.headers.remove(REVISION_HEADER);
        if revision.spin_headers() {
            let address = match forwarded {
                Some(address) => spin_headers::client_addr(address),
                None => client.address.clone(),
            };
            spin_headers::set(&mut parts.headers, &target, matched, address);
        } else {
            spin_headers::clear(&mut parts.headers);
        }
        parts.uri = target;
        let most = revision.limits().request_body;
        let (body, upload) =
            request::bounded(body, most, self.limits.body_time, client.connection.clone());
        (Request::from_parts(parts, body), upload)
    }

    fn public_metrics<B>(
        &self,
        request: &Request<B>,
        exchange: Exchange,
    ) -> Response<ResponseBody> {
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            let form = Exposition::accepted(request.headers().get(ACCEPT));
            respond::text(form.content_type(), self.metrics.render(form), exchange)
        } else {
            let response = self.fail(&Kind::MethodNotAllowed.into(), exchange);
            respond::allowing("GET, HEAD", response)
        }
    }

    fn fail(&self, failure: &Failure, exchange: Exchange) -> Response<ResponseBody> {
        self.metrics.count_failure(failure.kind);
        tracing::debug!(
            request_id = %exchange.request_id(),
            trace_id = exchange.span().trace_id().map(tracing::field::display),
            "{failure}"
        );
        respond::from_failure(failure, exchange)
    }
}

/// How many components routes lead to.
fn endpoints(live: &LiveTable) -> usize {
    let table = live.pin();
    let routed: HashSet<_> = table.routes().map(|(_, component)| component).collect();
    routed.len()
}

/// The client's own id for the request where it sent a sensible one, else a
/// new one of 16 hexadecimal digits.
fn request_id(headers: &HeaderMap) -> Arc<str> {
    headers
        .get("x-request-id")
        .and_then(|id| id.to_str().ok())
        .filter(|id| {
            !id.is_empty()
                && id.len() <= REQUEST_ID_BYTES
                && id.bytes().all(|byte| byte.is_ascii_graphic())
        })
        .map_or_else(
            || format!("{:016x}", rand::random::<u64>()).into(),
            Arc::from,
        )
}
