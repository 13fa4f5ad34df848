//! One build of a component, ready to serve.

use super::admission::Permits;
use super::body::{BodyLimits, GuestBody};
use super::config::Engine;
use super::core::{Core, NoInstance};
use super::dispatch::Request;
use super::guest::Guest;
use super::memory::Share;
use super::retirement::Retirement;
use super::stdio::GuestLog;
use super::ticket::Ticket;
use crate::capability::{Call, Grants};
use crate::error::{Failure, Kind};
use crate::manifest::ComponentLimits;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::{ComponentLabels, RequestLabels, StatusClass};
use crate::telemetry::revisions::RevisionSeries;
use crate::telemetry::trace::Start;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout_at;
use wasmtime_wasi::{FsPerms, WasiCtx};
use wasmtime_wasi_http::handler::{ExpirationError, ProxyPre};

/// What names a revision: the SHA-256 of its bytes, in hex.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub Arc<str>);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(Sha256::digest(bytes)).into())
    }
}

impl fmt::Display for Digest {
    /// The first twelve digits, which is what people and logs need.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..12).unwrap_or(&self.0))
    }
}

/// What a revision is made of.
pub struct Parts {
    /// The component's name in the manifest.
    pub id: Arc<str>,
    /// Which build of it.
    pub digest: Digest,
    /// The compiled component, its imports resolved.
    pub pre: ProxyPre<Guest>,
    /// What it may use.
    pub grants: Arc<Grants>,
    /// Its limits.
    pub limits: ComponentLimits,
    /// Whether it is told in `spin-*` headers how its requests were routed.
    pub spin_headers: bool,
    /// Its environment variables.
    pub environment: Vec<(String, String)>,
    /// Host folders it may read, and where it sees them.
    pub mounts: Vec<(PathBuf, String)>,
}

pub(super) struct Shared {
    pub(super) id: Arc<str>,
    pub(super) digest: Digest,
    pub(super) limits: ComponentLimits,
    pub(super) metrics: RevisionMetrics,
    spin_headers: bool,
    pub(super) engine: Arc<Engine>,
    pub(super) memory: Arc<Share>,
    pub(super) pre: ProxyPre<Guest>,
    pub(super) grants: Arc<Grants>,
    environment: Vec<(String, String)>,
    mounts: Vec<(PathBuf, String)>,
    pub(super) retirement: Arc<Retirement>,
    /// Closed with the last of the revision.
    alive: watch::Sender<()>,
}

/// The metrics of one revision and of its component, looked up once.
#[derive(Debug)]
pub struct RevisionMetrics {
    series: Arc<RevisionSeries>,
    pub(super) instances: Gauge,
    pub(super) instantiations: Counter,
    pub(super) instance_failures: Counter,
    pub(super) cpu: Counter<f64, AtomicU64>,
    aborted_bodies: Counter,
    requests: [Counter; 5],
    /// Requests admitted and not yet over.
    pub in_flight: Gauge,
    latency: Histogram,
}

impl RevisionMetrics {
    fn new(metrics: &Metrics, component: &str, digest: &Digest) -> Self {
        metrics.begin(component);
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
            series: metrics.revisions.series(component, &digest.to_string()),
            instances: metrics.instances.get_or_create_owned(&labels),
            instantiations: metrics.instantiations.get_or_create_owned(&labels),
            instance_failures: metrics.instance_failures.get_or_create_owned(&labels),
            cpu: metrics.guest_cpu.get_or_create_owned(&labels),
            aborted_bodies: metrics.aborted_bodies.get_or_create_owned(&labels),
            requests,
            in_flight: metrics.in_flight.get_or_create_owned(&labels),
            latency: metrics.latency.get_or_create_owned(&labels),
        }
    }

    /// Counts a request that is over: the status that was sent, whether the
    /// guest failed it, and the time from arrival to the body's end.
    pub fn record(&self, status: http::StatusCode, failed: bool, elapsed: Duration) {
        let class = StatusClass::from(status);
        let [informational, success, redirect, client, server] = &self.requests;
        match class {
            StatusClass::Informational => informational,
            StatusClass::Success => success,
            StatusClass::Redirect => redirect,
            StatusClass::ClientError => client,
            StatusClass::ServerError => server,
        }
        .inc();
        let seconds = elapsed.as_secs_f64();
        self.latency.observe(seconds);
        self.series.record(failed, seconds);
    }
}

/// One build of a component with its instances, on every core.
pub struct Revision {
    shared: Arc<Shared>,
    cores: Vec<Arc<Core>>,
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revision")
            .field("id", &self.shared.id)
            .field("digest", &self.shared.digest)
            .finish_non_exhaustive()
    }
}

impl Revision {
    /// A revision with no instance yet, on `cores` cores.
    pub fn new(engine: Arc<Engine>, parts: Parts, cores: usize, metrics: &Metrics) -> Self {
        let warm = parts.limits.warm as usize;
        let memory = metrics.memory.of(&parts.id);
        let shared = Arc::new(Shared {
            metrics: RevisionMetrics::new(metrics, &parts.id, &parts.digest),
            retirement: Arc::new(Retirement::new(cores)),
            alive: watch::Sender::new(()),
            id: parts.id,
            digest: parts.digest,
            limits: parts.limits,
            spin_headers: parts.spin_headers,
            memory: Arc::new(Share::new(engine.memory().clone(), memory)),
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
                Arc::new(Core::new(core, shared.clone(), keep))
            })
            .collect();
        Self { shared, cores }
    }

    /// Makes the instances that are to exist before the first request.
    ///
    /// # Errors
    ///
    /// When one cannot be made, such as a guest that traps as it starts.
    pub async fn warm(&self) -> wasmtime::Result<()> {
        for core in &self.cores {
            core.warm().await?;
        }
        Ok(())
    }

    /// Makes an instance and lets go of it, to know that one can be made.
    ///
    /// # Errors
    ///
    /// When it cannot.
    pub async fn rehearse(&self) -> wasmtime::Result<()> {
        match self.cores.first() {
            Some(core) => core.make().await.map(drop),
            None => Ok(()),
        }
    }

    /// Keeps nothing idle from now on: what is at work finishes, and goes. The
    /// revision still answers those who hold it.
    pub fn retire(&self) -> Arc<Retirement> {
        self.shared.retirement.retire();
        for core in &self.cores {
            core.discard();
        }
        self.shared.retirement.clone()
    }

    /// Resolves once nothing of the revision is left: nobody holds it, and its
    /// last instance is gone.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut alive = self.shared.alive.subscribe();
        async move { while alive.changed().await.is_ok() {} }
    }

    /// The component's name in the manifest.
    pub fn id(&self) -> &Arc<str> {
        &self.shared.id
    }

    /// Which build of the component this is.
    pub fn digest(&self) -> &Digest {
        &self.shared.digest
    }

    /// The component's limits.
    pub fn limits(&self) -> &ComponentLimits {
        &self.shared.limits
    }

    /// Whether it is told in `spin-*` headers how its requests were routed.
    pub fn spin_headers(&self) -> bool {
        self.shared.spin_headers
    }

    /// How the span of a guest's work on a request begins.
    pub fn work(&self) -> Start {
        Start::internal(format!("guest {}", self.shared.id))
            .with("warmlink.component", self.shared.id.to_string())
            .with("warmlink.revision", self.shared.digest.to_string())
    }

    /// The component's metrics.
    pub fn metrics(&self) -> &RevisionMetrics {
        &self.shared.metrics
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
        request: Request,
        call: Arc<Call>,
        permits: Permits,
    ) -> Result<http::Response<GuestBody>, Failure> {
        let core = self
            .cores
            .get(core)
            .ok_or_else(|| Failure::new(Kind::Internal, "no such core"))?;
        let deadline = call.deadline;
        let ticket = Arc::new(Ticket::new(call, permits));
        // The worker's own clock starts when it takes the request; this one has been
        // running since the request arrived.
        let answer = match timeout_at(deadline, core.handle(ticket.clone(), request)).await {
            Err(_elapsed) => Err(Kind::Deadline.into()),
            // The worker has logged why, once for all its requests.
            Ok(Err(_ended)) => Err(ticket.fate().kind().into()),
            Ok(Ok(answer)) => answer.map_err(|error| failure(&error, &ticket)),
        };
        let response = answer.inspect_err(|failure: &Failure| {
            ticket.call().span.fail(failure.kind.label());
        })?;
        ticket.call().answered();
        let limits = BodyLimits {
            idle: self.shared.limits.body_idle,
            total: self.shared.limits.body_total,
        };
        let aborted = self.shared.metrics.aborted_bodies.clone();
        let retirement = self.shared.retirement.clone();
        Ok(response.map(|body| GuestBody::new(body, ticket, limits, retirement, aborted)))
    }
}

fn failure(error: &wasmtime::Error, ticket: &Ticket) -> Failure {
    if let Some(error) = error.downcast_ref::<NoInstance>() {
        Failure::new(Kind::Instantiation, error.to_string())
    } else if error.downcast_ref::<ExpirationError>().is_some() {
        Kind::Deadline.into()
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

impl Drop for Revision {
    /// Whoever lets go of a revision last, retired or never served, leaves nothing
    /// idle behind: workers hold the revision's parts, and warm ones never expire.
    fn drop(&mut self) {
        self.retire();
    }
}

impl Shared {
    pub(super) fn wasi(&self) -> wasmtime::Result<WasiCtx> {
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
