//! The process as Prometheus knows processes: CPU, memory, descriptors.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Reads `/proc/self` each time the metrics are asked for.
#[derive(Debug)]
pub struct ProcessCollector {
    started: f64,
}

impl ProcessCollector {
    /// A collector whose process starts now.
    pub fn new() -> Self {
        let started = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        Self { started }
    }
}

impl Default for ProcessCollector {
    fn default() -> Self {
        Self::new()
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: f64| {
            let metric = ConstGauge::new(value);
            let encoder = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
            metric.encode(encoder)
        };
        gauge(
            "process_start_time_seconds",
            "When the process started, in seconds since 1970",
            self.started,
        )?;
        let Ok(process) = procfs::process::Process::myself() else {
            return Ok(());
        };
        if let Ok(stat) = process.stat() {
            gauge(
                "process_resident_memory_bytes",
                "Resident memory",
                (stat.rss * procfs::page_size()) as f64,
            )?;
            gauge(
                "process_virtual_memory_bytes",
                "Virtual memory, most of it reserved and never touched",
                stat.vsize as f64,
            )?;
            gauge(
                "process_threads",
                "Threads of the process",
                stat.num_threads as f64,
            )?;
            let ticks = (stat.utime + stat.stime) as f64;
            let seconds = ConstCounter::new(ticks / procfs::ticks_per_second() as f64);
            let encoder = encoder.encode_descriptor(
                "process_cpu_seconds",
                "User and system CPU time",
                None,
                seconds.metric_type(),
            )?;
            seconds.encode(encoder)?;
        }
        let mut gauge = |name: &str, help: &str, value: f64| {
            let metric = ConstGauge::new(value);
            let encoder = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
            metric.encode(encoder)
        };
        if let Ok(count) = process.fd_count() {
            gauge("process_open_fds", "Open file descriptors", count as f64)?;
        }
        if let Ok(limits) = process.limits()
            && let procfs::process::LimitValue::Value(max) = limits.max_open_files.soft_limit
        {
            gauge("process_max_fds", "Most file descriptors", max as f64)?;
        }
        Ok(())
    }
}
