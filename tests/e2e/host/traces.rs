//! Traces: what is sent to a collector, and what comes of one that is not there.

mod application;
mod collectors;
mod context;

use warmlink_tests::collector::Collector;
use warmlink_tests::{Host, HostOptions, Manifest};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// Has a host send what it traces to `collector`, and often.
fn traced(options: HostOptions, collector: &Collector) -> HostOptions {
    options
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())
        .env("OTEL_BSP_SCHEDULE_DELAY", "50")
}

/// A guest that needs nothing, behind every path.
async fn plain(collector: &Collector, limits: &str) -> Host {
    let keys = format!("[component.probe.tool.warmlink]\n{limits}");
    let options = HostOptions::new(Manifest::one("http", &keys));
    Host::start(traced(options, collector)).await
}
