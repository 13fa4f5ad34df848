//! A component revision, ready to serve.

use super::admission::{Admission, Permit};
use super::body::{BodyLimits, GuestBody};
use super::config::Engine;
use super::epoch::Slices;
use super::guest::Guest;
use super::stdio::GuestLog;
use super::ticket::{Ticket, WorkerLink};
use super::worker::{CoreCount, Expiration, Worker};
use crate::capability::outbound_http::Outbound;
use crate::capability::{Call, Capabilities, Grants};
use crate::error::{Failure, Kind};
use crate::manifest::ComponentLimits;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::{ComponentLabels, RequestLabels, StatusClass};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::time::timeout_at;
use wasmtime::{Store, StoreLimitsBuilder};
use wasmtime_wasi::{FsPerms, WasiCtx};
use wasmtime_wasi_http::handler::{
    ExpirationError, HandlerState, Instance, InstantiationError, ProxyHandler, ProxyPre,
    TrapOrPanicError,
};
use wasmtime_wasi_http::{WasiBody, WasiHttpView};

/// One build of a component: the SHA-256 of its bytes, in hex.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Revision(pub Arc<str>);

impl fmt::Display for Revision {
    /// The first twelve digits, which is what people and logs need.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..12).unwrap_or(&self.0))
    }
}

/// What an endpoint is made of.
pub struct Parts {
    /// The component's name in the manifest.
    pub id: Arc<str>,
    /// Which build of it.
    pub revision: Revision,
    /// The compiled component, its imports resolved.
    pub pre: ProxyPre<Guest>,
    /// What it may use.
    pub grants: Arc<Grants>,
    /// Its limits.
    pub limits: ComponentLimits,
    /// Its environment variables.
    pub environment: Vec<(String, String)>,
    /// Host folders it may read, and where it sees them.
    pub mounts: Vec<(PathBuf, String)>,
    /// The queue before it: how many may wait, and how long.
    pub queue: (usize, std::time::Duration),
}

pub(super) struct Shared {
    pub(super) id: Arc<str>,
    pub(super) revision: Revision,
    pub(super) limits: ComponentLimits,
    pub(super) metrics: EndpointMetrics,
    engine: Arc<Engine>,
    pre: ProxyPre<Guest>,
    grants: Arc<Grants>,
    environment: Vec<(String, String)>,
    mounts: Vec<(PathBuf, String)>,
}

/// The metrics of one component, looked up once.
#[derive(Debug)]
pub struct EndpointMetrics {
    pub(super) instances: Gauge,
    pub(super) instantiations: Counter,
    pub(super) instance_failures: Counter,
    aborted_bodies: Counter,
    requests: [Counter; 5],
    /// Requests admitted and not yet over.
    pub in_flight: Gauge,
    /// Seconds from arrival to the body's end.
    pub latency: Histogram,
}

impl EndpointMetrics {
    fn new(metrics: &Metrics, component: &str) -> Self {
        let labels = ComponentLabels {
            component: component.to_owned(),
        };
        let requests = [
            StatusClass::Informational,
            StatusClass::Success,
            StatusClass::Redirect,
            StatusClass::ClientError,
            StatusClass::ServerError,
        ]
        .map(|class| {
            metrics.requests.get_or_create_owned(&RequestLabels {
                component: component.to_owned(),
                class,
            })
        });
        Self {
            instances: metrics.instances.get_or_create_owned(&labels),
            instantiations: metrics.instantiations.get_or_create_owned(&labels),
            instance_failures: metrics.instance_failures.get_or_create_owned(&labels),
            aborted_bodies: metrics.aborted_bodies.get_or_create_owned(&labels),
            requests,
            in_flight: metrics.in_flight.get_or_create_owned(&labels),
            latency: metrics.latency.get_or_create_owned(&labels),
        }
    }

    /// Counts a response by the class of its status.
    pub fn count_response(&self, status: http::StatusCode) {
        let [informational, success, redirect, client, server] = &self.requests;
        match StatusClass::from(status) {
            StatusClass::Informational => informational,
            StatusClass::Success => success,
            StatusClass::Redirect => redirect,
            StatusClass::ClientError => client,
            StatusClass::ServerError => server,
        }
        .inc();
    }
}

/// A component revision with its instances, on every core.
pub struct Endpoint {
    shared: Arc<Shared>,
    admission: Admission,
    cores: Vec<ProxyHandler<Core>>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("id", &self.shared.id)
            .field("revision", &self.shared.revision)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// An endpoint with no instance yet, on `cores` cores.
    pub fn new(engine: Arc<Engine>, parts: Parts, cores: usize, metrics: &Metrics) -> Self {
        let (queue, queue_wait) = parts.queue;
        let admission = Admission::new(parts.limits.in_flight.get() as usize, queue, queue_wait);
        let warm = parts.limits.warm as usize;
        let shared = Arc::new(Shared {
            metrics: EndpointMetrics::new(metrics, &parts.id),
            id: parts.id,
            revision: parts.revision,
            limits: parts.limits,
            engine,
            pre: parts.pre,
            grants: parts.grants,
            environment: parts.environment,
            mounts: parts.mounts,
        });
        let cores = (0..cores)
            .map(|core| {
                // `warm` is per node: the first cores take what does not divide.
                let keep = warm / cores + usize::from(core < warm % cores);
                ProxyHandler::new(Core {
                    shared: shared.clone(),
                    stash: Mutex::new(Vec::new()),
                    count: Arc::new(CoreCount {
                        keep,
                        ..CoreCount::default()
                    }),
                })
            })
            .collect();
        Self {
            shared,
            admission,
            cores,
        }
    }

    /// Makes the instances that are to exist before the first request.
    ///
    /// # Errors
    ///
    /// When one cannot be made, such as a guest that traps as it starts.
    pub async fn warm(&self) -> wasmtime::Result<()> {
        for core in &self.cores {
            let core = core.state();
            // Not in the loop's head, where the lock would be held throughout.
            let made = core.stash.lock().len();
            for _ in made..core.count.keep {
                let instance = core.make().await?;
                core.stash.lock().push(instance);
            }
        }
        Ok(())
    }

    /// The component's name in the manifest.
    pub fn id(&self) -> &Arc<str> {
        &self.shared.id
    }

    /// Which build of the component this is.
    pub fn revision(&self) -> &Revision {
        &self.shared.revision
    }

    /// The component's limits.
    pub fn limits(&self) -> &ComponentLimits {
        &self.shared.limits
    }

    /// The component's metrics.
    pub fn metrics(&self) -> &EndpointMetrics {
        &self.shared.metrics
    }

    /// The endpoint's own share of what may be in flight.
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Has the guest answer `request` on this thread's core.
    ///
    /// The future may be dropped at any time: the guest goes on, and holds the
    /// request's permits until it is done or ended.
    ///
    /// # Errors
    ///
    /// A [`Failure`] whose kind is the answer.
    pub async fn handle(
        &self,
        core: usize,
        request: http::Request<WasiBody>,
        call: Arc<Call>,
        permits: [Permit; 2],
    ) -> Result<http::Response<GuestBody>, Failure> {
        let handler = self
            .cores
            .get(core)
            .ok_or_else(|| Failure::new(Kind::Internal, "no such core"))?;
        let deadline = call.deadline;
        let ticket = Arc::new(Ticket::new(call, permits));
        // The handler's own clock starts when a worker accepts; this one has
        // been running since the request arrived.
        let response = timeout_at(deadline, handler.handle(ticket.clone(), request))
            .await
            .map_err(|_elapsed| Failure::from(Kind::Deadline))?
            .map_err(|error| failure(&error, &ticket))?;
        ticket.call().answered();
        let limits = BodyLimits {
            idle: self.shared.limits.body_idle,
            total: self.shared.limits.body_total,
        };
        let aborted = self.shared.metrics.aborted_bodies.clone();
        Ok(response.map(|body| GuestBody::new(body, ticket, limits, aborted)))
    }
}

fn failure(error: &wasmtime::Error, ticket: &Ticket) -> Failure {
    if let Some(error) = error.downcast_ref::<InstantiationError<Arc<Ticket>>>() {
        Failure::new(Kind::Instantiation, format!("{:#}", error.error))
    } else if error.downcast_ref::<ExpirationError>().is_some() {
        Kind::Deadline.into()
    } else if error.downcast_ref::<TrapOrPanicError>().is_some() {
        // The worker has logged why, once for all its requests.
        ticket.fate().kind().into()
    } else if error
        .downcast_ref::<wasmtime_wasi_http::p3::bindings::http::types::ErrorCode>()
        .is_some()
        || error
            .downcast_ref::<wasmtime_wasi_http::p2::bindings::http::types::ErrorCode>()
            .is_some()
    {
        Failure::new(Kind::GuestError, format!("{error:#}"))
    } else {
        Failure::new(ticket.fate().kind(), format!("{error:#}"))
    }
}

/// One core's instances of a component.
struct Core {
    shared: Arc<Shared>,
    stash: Mutex<Vec<Instance<Guest, Expiration, Worker>>>,
    count: Arc<CoreCount>,
}

impl Core {
    async fn make(&self) -> wasmtime::Result<Instance<Guest, Expiration, Worker>> {
        let shared = &self.shared;
        let limits = &shared.limits;
        let guest = Guest::new(
            shared.wasi()?,
            Outbound::new(shared.grants.clone(), limits.deadline),
            Capabilities::new(shared.grants.clone()),
            StoreLimitsBuilder::new()
                .memory_size(limits.memory)
                .table_elements(limits.table_elements)
                .build(),
            limits.handles,
        );
        let mut store = Store::new(shared.engine.inner(), guest);
        store.limiter(Guest::limiter);
        let slices = Arc::new(Slices::default());
        slices.attach(&mut store, limits.cpu);
        // A guest's start is held to the same clock as its answers.
        let proxy = tokio::time::timeout(limits.deadline, shared.pre.instantiate_async(&mut store))
            .await
            .map_err(|_elapsed| wasmtime::format_err!("the guest did not start in time"))??;
        let link = Arc::new(WorkerLink::new(slices));
        Ok(Instance {
            store,
            proxy,
            view: Guest::http,
            expiration: Expiration::new(limits, link.clone(), self.count.clone()),
            state: Worker::new(shared.clone(), link, self.count.clone()),
        })
    }
}

impl HandlerState for Core {
    type StoreData = Guest;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<Guest, Expiration, Worker>> {
        let stashed = self.stash.lock().pop();
        match stashed {
            Some(instance) => Ok(instance),
            None => self.make().await,
        }
    }
}

impl Shared {
    fn wasi(&self) -> wasmtime::Result<WasiCtx> {
        let mut wasi = WasiCtx::builder();
        wasi.stdout(GuestLog::new(self.id.clone(), "stdout"))
            .stderr(GuestLog::new(self.id.clone(), "stderr"))
            .envs(&self.environment);
        for (host, guest) in &self.mounts {
            wasi.preopened_dir(host, guest, FsPerms::ReadOnly)?;
        }
        Ok(wasi.build())
    }
}
