//! From the host to the collector.

use super::span::{Span, Start};
use super::{Sampler, Settings, context};
use crate::telemetry::Complaints;
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter as Otlp, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler as SdkSampler, SdkTracer, SdkTracerProvider,
    Span as SdkSpan, SpanData, SpanExporter, SpanProcessor,
};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::runtime::Handle;

/// The service's name, unless the environment has another.
const SERVICE: &str = "warmlink";

/// Longest wait for the last spans to be sent. With a drain limit of 25 s and a delay
/// of 5 s before it a node is gone within the 40 s that the manifests give it.
pub const LAST: Duration = Duration::from_secs(3);

/// Decides what is recorded; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Tracer(Option<Arc<On>>);

#[derive(Debug)]
struct On {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    sampler: Sampler,
}

/// What is counted of spans.
#[derive(Debug, Clone, Default)]
pub struct SpanMetrics {
    /// Spans that the collector has.
    pub exported: Counter,
    /// Spans that it was sent and did not take.
    pub failed: Counter,
    /// Spans that there was no room for in the queue.
    pub dropped: Counter,
}

impl SpanMetrics {
    /// Registers them.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "spans_exported",
            "Spans that the collector of traces has answered for",
            self.exported.clone(),
        );
        registry.register(
            "spans_failed",
            "Spans that could not be sent to the collector of traces",
            self.failed.clone(),
        );
        registry.register(
            "spans_dropped",
            "Spans that found the queue to the collector of traces full",
            self.dropped.clone(),
        );
    }
}

impl Tracer {
    /// Records nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// Sends what is recorded as `settings` say, over connections of `runtime`. What
    /// OpenTelemetry's variables say of headers and of the resource holds.
    ///
    /// # Errors
    ///
    /// Where the certificates that a collector's is checked against cannot be read.
    pub fn new(settings: &Settings, runtime: Handle, metrics: SpanMetrics) -> anyhow::Result<Self> {
        let cause = Arc::<Cause>::default();
        let otlp = Otlp::builder()
            .with_http()
            .with_http_client(Client::new(settings, runtime, cause.clone())?)
            .with_endpoint(settings.endpoint.as_str())
            .with_timeout(settings.timeout)
            .build()?;
        let queued = Arc::<AtomicUsize>::default();
        let counted = Counted {
            otlp,
            metrics: metrics.clone(),
            queued: queued.clone(),
            cause,
            complaints: Mutex::default(),
        };
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(settings.queue)
            .with_max_export_batch_size(settings.batch)
            .with_scheduled_delay(settings.delay)
            .build();
        let batches = BatchSpanProcessor::builder(counted)
            .with_batch_config(batches)
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource(&settings.node))
            // What is not to be recorded is never told to the SDK.
            .with_sampler(SdkSampler::AlwaysOn)
            .with_span_processor(Bounded {
                batches,
                queue: settings.queue,
                queued,
                dropped: metrics.dropped,
            })
            .build();
        Ok(Self(Some(Arc::new(On {
            tracer: provider.tracer(SERVICE),
            provider,
            sampler: settings.sampler,
        }))))
    }

    /// A span for a request with these headers. Their word on whether it is recorded
    /// counts where its sender is `believed`.
    pub fn request(
        &self,
        headers: &HeaderMap,
        believed: bool,
        start: impl FnOnce() -> Start,
    ) -> Span {
        let Some(on) = &self.0 else { return Span::OFF };
        let parent = context::read(headers, believed);
        if on.sampler.takes(parent.as_ref(), believed, rand::random()) {
            Span::begin(&on.tracer, parent.as_ref(), start())
        } else {
            Span::known(parent)
        }
    }

    /// A span for something that the host begins by itself.
    pub fn own(&self, start: impl FnOnce() -> Start) -> Span {
        let Some(on) = &self.0 else { return Span::OFF };
        if on.sampler.takes(None, false, rand::random()) {
            Span::begin(&on.tracer, None, start())
        } else {
            Span::known(None)
        }
    }

    /// Sends what is left, for as long as `patience`. Spans that end later are lost.
    pub async fn finish(&self, patience: Duration) {
        let Some(on) = self.0.clone() else { return };
        let (tell, told) = tokio::sync::oneshot::channel();
        // It waits for the thread that sends; a runtime would wait for it in turn.
        let waiting = std::thread::Builder::new().name("last-spans".into());
        let begun = waiting.spawn(move || tell.send(on.provider.shutdown_with_timeout(patience)));
        if begun.is_ok()
            && let Ok(Err(error)) = told.await
        {
            tracing::warn!("the last spans were not sent: {error}");
        }
    }
}

/// What is said of the process: by the environment, where it says anything.
fn resource(node: &str) -> Resource {
    let builder = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", SERVICE),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", node.to_owned()),
        ])
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match std::env::var("OTEL_SERVICE_NAME") {
        Ok(name) if !name.is_empty() => builder.with_service_name(name).build(),
        _ => builder.build(),
    }
}

/// Counts what finds no room: the SDK says so once, and in its own words.
#[derive(Debug)]
struct Bounded {
    batches: BatchSpanProcessor,
    queue: usize,
    /// Spans that are not exported yet.
    queued: Arc<AtomicUsize>,
    dropped: Counter,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut SdkSpan, cx: &Context) {
        self.batches.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        if self.queued.fetch_add(1, Relaxed) >= self.queue {
            self.queued.fetch_sub(1, Relaxed);
            self.dropped.inc();
            return;
        }
        self.batches.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Counts what becomes of spans, and says what goes wrong.
#[derive(Debug)]
struct Counted {
    otlp: Otlp,
    metrics: SpanMetrics,
    queued: Arc<AtomicUsize>,
    cause: Arc<Cause>,
    complaints: Mutex<Complaints>,
}

/// Why the last request to the collector failed: the exporter keeps it to itself.
#[derive(Debug, Default)]
struct Cause(Mutex<Option<String>>);

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let sent = self.otlp.export(batch).await;
        self.queued.fetch_sub(count, Relaxed);
        match &sent {
            Ok(()) => {
                self.metrics.exported.inc_by(count as u64);
                if let Some(unsaid) = self.complaints.lock().over() {
                    tracing::warn!(unsaid, "traces are sent again");
                }
            }
            Err(error) => {
                self.metrics.failed.inc_by(count as u64);
                if let Some(unsaid) = self.complaints.lock().add() {
                    let cause = self.cause.0.lock().take();
                    let cause = cause.unwrap_or_else(|| error.to_string());
                    tracing::warn!(unsaid, "traces could not be sent: {cause}");
                }
            }
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.otlp.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.otlp.set_resource(resource);
    }
}

/// Sends from a runtime of the host's: the SDK calls it from a thread of its own.
#[derive(Debug)]
struct Client {
    http: Http,
    runtime: Handle,
    cause: Arc<Cause>,
}

#[derive(Debug, Clone)]
enum Http {
    Plain(HyperClient),
    Tls(HyperClient<HttpsConnector<HttpConnector>>),
}

impl Client {
    fn new(settings: &Settings, runtime: Handle, cause: Arc<Cause>) -> anyhow::Result<Self> {
        let timeout = settings.timeout;
        let http = if settings.endpoint.scheme() == "https" {
            let connector = HttpsConnectorBuilder::new()
                .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
                .https_only()
                .enable_http1()
                .build();
            Http::Tls(HyperClient::new(connector, timeout, None))
        } else {
            Http::Plain(HyperClient::with_default_connector(timeout, None))
        };
        Ok(Self {
            http,
            runtime,
            cause,
        })
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let sent = self.runtime.spawn(async move {
            match http {
                Http::Plain(http) => http.send_bytes(request).await,
                Http::Tls(http) => http.send_bytes(request).await,
            }
        });
        let answered = match sent.await {
            Ok(answered) => answered,
            Err(error) => Err(error.into()),
        };
        let cause = match &answered {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("the collector answers {}", response.status())),
            Err(error) => Some(crate::error::with_causes(error.as_ref())),
        };
        *self.cause.0.lock() = cause;
        answered
    }
}
