//! From the host to the collector.

use super::span::{Span, Start};
use super::{Sampler, Settings, context};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter as Otlp, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    Sampler as SdkSampler, SdkTracer, SdkTracerProvider, SpanData, SpanExporter,
};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// The service's name, unless `OTEL_SERVICE_NAME` has another.
const SERVICE: &str = "warmlink";

/// Longest wait for a collector's answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Longest wait for the last spans to be sent. With a drain limit of 25 s and a delay
/// of 5 s before it a node is gone within the 40 s that the manifests give it.
const LAST: Duration = Duration::from_secs(3);

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
}

impl SpanMetrics {
    /// Registers them.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "spans_exported",
            "Spans that the collector of traces has taken",
            self.exported.clone(),
        );
        registry.register(
            "spans_failed",
            "Spans that could not be sent to the collector of traces",
            self.failed.clone(),
        );
    }
}

impl Tracer {
    /// Records nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// Sends what is recorded as `settings` say, over connections of `runtime`. What
    /// OpenTelemetry's variables say of headers, of the resource and of the queue holds.
    ///
    /// # Errors
    ///
    /// Where one of these variables makes no sense.
    pub fn new(settings: &Settings, runtime: Handle, metrics: SpanMetrics) -> anyhow::Result<Self> {
        let otlp = Otlp::builder()
            .with_http()
            .with_http_client(Client::new(runtime)?)
            .with_endpoint(settings.endpoint.as_str())
            .build()?;
        let mut resource = Resource::builder().with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", settings.node.clone()),
        ]);
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(SERVICE);
        }
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            // What is not to be recorded is never told to the SDK.
            .with_sampler(SdkSampler::AlwaysOn)
            .with_batch_exporter(Counted { otlp, metrics })
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
        let parent = context::read(headers);
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

    /// Sends what is left, within a bounded time. Spans that end later are lost.
    pub async fn finish(&self) {
        let Some(on) = self.0.clone() else { return };
        // It waits for the thread that sends.
        let sent = tokio::task::spawn_blocking(move || on.provider.shutdown_with_timeout(LAST));
        match sent.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the last spans were not sent: {error}"),
            Err(error) => tracing::warn!("the last spans were not sent: {error}"),
        }
    }
}

/// Counts what becomes of spans.
#[derive(Debug)]
struct Counted {
    otlp: Otlp,
    metrics: SpanMetrics,
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len() as u64;
        let sent = self.otlp.export(batch).await;
        match &sent {
            Ok(()) => self.metrics.exported.inc_by(count),
            Err(_) => self.metrics.failed.inc_by(count),
        };
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
    http: HyperClient<HttpsConnector<HttpConnector>>,
    runtime: Handle,
}

impl Client {
    fn new(runtime: Handle) -> anyhow::Result<Self> {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self {
            http: HyperClient::new(connector, ANSWER, None),
            runtime,
        })
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        self.runtime
            .spawn(async move { http.send_bytes(request).await })
            .await?
    }
}
