//! Where traces go, by the variables that OpenTelemetry has for it.

use super::Faults;
use crate::telemetry::trace::{Sampler, SamplerError, Settings};
use clap::Args;
use std::num::NonZeroU32;
use std::time::Duration;
use url::Url;

/// What an endpoint for all signals has appended.
const PATH: &str = "v1/traces";

/// OpenTelemetry's own default.
const SAMPLER: &str = "parentbased_always_on";

/// The only form that is spoken.
const PROTOCOL: &str = "http/protobuf";

const ENDPOINT_KEY: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_KEY: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const PROTOCOL_KEY: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const SAMPLER_KEY: &str = "OTEL_TRACES_SAMPLER";
const RATIO_KEY: &str = "OTEL_TRACES_SAMPLER_ARG";
const TIMEOUT_KEY: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
const QUEUE_KEY: &str = "OTEL_BSP_MAX_QUEUE_SIZE";
const BATCH_KEY: &str = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE";
const DELAY_KEY: &str = "OTEL_BSP_SCHEDULE_DELAY";

/// Flags and environment as they were written.
#[derive(Debug, Clone, Args)]
pub(super) struct TraceArgs {
    /// Where a collector takes OTLP over HTTP, as in `http://127.0.0.1:4318`: traces
    /// are posted to `/v1/traces` there [default: nothing is traced].
    #[arg(long, env = ENDPOINT_KEY, hide_env_values = true, value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// Where it takes traces, as it is, instead of that.
    #[arg(long, env = TRACES_KEY, hide_env_values = true, value_name = "URL")]
    otlp_traces_endpoint: Option<String>,
    /// How traces are sent: `http/protobuf` is all there is.
    #[arg(long, env = PROTOCOL_KEY, default_value = PROTOCOL, value_name = "PROTOCOL")]
    otlp_protocol: String,
    /// Which requests are traced, by the names that OpenTelemetry has. A parent's word
    /// counts where a trusted proxy passes it on.
    #[arg(long, env = SAMPLER_KEY, default_value = SAMPLER, value_name = "SAMPLER")]
    traces_sampler: String,
    /// The share of the sampler that takes one, 0 to 1 [default: 1].
    #[arg(long, env = RATIO_KEY, value_name = "SHARE")]
    traces_sampler_arg: Option<String>,
    /// Milliseconds that the collector may take to answer.
    #[arg(long, env = TIMEOUT_KEY, default_value = "10000", hide = true)]
    otlp_timeout: String,
    /// Spans that wait to be sent.
    #[arg(long, env = QUEUE_KEY, default_value = "2048", hide = true)]
    span_queue: String,
    /// Spans that are sent at once.
    #[arg(long, env = BATCH_KEY, default_value = "512", hide = true)]
    span_batch: String,
    /// Milliseconds until they are, however few there are.
    #[arg(long, env = DELAY_KEY, default_value = "5000", hide = true)]
    span_delay: String,
    /// Whether nothing is traced, whatever else is said.
    #[arg(long, env = "OTEL_SDK_DISABLED", default_value = "", hide = true)]
    otel_disabled: String,
    /// `none` for the same.
    #[arg(long, env = "OTEL_TRACES_EXPORTER", default_value = "", hide = true)]
    traces_exporter: String,
}

impl TraceArgs {
    /// Reads them; what is wrong is only so where anything is traced.
    pub(super) fn resolve(self, node: &str, faults: &mut Faults) -> Option<Settings> {
        if self.otel_disabled.trim().eq_ignore_ascii_case("true")
            || self.traces_exporter.trim() == "none"
        {
            return None;
        }
        let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let endpoint = match given(self.otlp_traces_endpoint) {
            Some(text) => endpoint(TRACES_KEY, &text, faults),
            None => {
                let base = endpoint(ENDPOINT_KEY, &given(self.otlp_endpoint)?, faults);
                base.map(appended)
            }
        };
        if !matches!(self.otlp_protocol.trim(), "" | PROTOCOL) {
            faults.add(
                PROTOCOL_KEY,
                format!("{:?} is not spoken", self.otlp_protocol),
                "write \"http/protobuf\", and the collector's port for it, usually 4318",
            );
        }
        let ratio = given(self.traces_sampler_arg);
        let sampler = match self.traces_sampler.trim() {
            "" => SAMPLER,
            name => name,
        };
        let sampler = match Sampler::parse(sampler, ratio.as_deref()) {
            Ok(sampler) => Some(sampler),
            Err(error @ SamplerError::Name(_)) => {
                faults.add(
                    SAMPLER_KEY,
                    error.to_string(),
                    "write \"always_on\", \"always_off\" or \"traceidratio\", with or without \
                     \"parentbased_\" before it",
                );
                None
            }
            Err(error @ SamplerError::Ratio(_)) => {
                faults.add(
                    RATIO_KEY,
                    error.to_string(),
                    "write a share such as \"0.01\"",
                );
                None
            }
        };
        let mut count = |key, text: &str| {
            let count = text.trim().parse::<NonZeroU32>();
            let count = count.map_err(|error| {
                let fault = format!("{text:?}: {error}");
                faults.add(key, fault, "write a whole number from 1 on");
            });
            count.ok().map(NonZeroU32::get)
        };
        let timeout = count(TIMEOUT_KEY, &self.otlp_timeout);
        let queue = count(QUEUE_KEY, &self.span_queue);
        let batch = count(BATCH_KEY, &self.span_batch);
        let delay = count(DELAY_KEY, &self.span_delay);
        let queue = queue? as usize;
        Some(Settings {
            endpoint: endpoint?,
            timeout: Duration::from_millis(timeout?.into()),
            queue,
            batch: (batch? as usize).min(queue),
            delay: Duration::from_millis(delay?.into()),
            sampler: sampler?,
            node: node.to_owned(),
        })
    }
}

fn endpoint(key: &str, text: &str, faults: &mut Faults) -> Option<Url> {
    let url = Url::parse(text.trim()).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if url
        .as_ref()
        .is_some_and(|url| !url.username().is_empty() || url.password().is_some())
    {
        faults.add(
            key,
            "names a user, which is not sent",
            "write \"authorization=Basic …\" in OTEL_EXPORTER_OTLP_HEADERS",
        );
        return None;
    }
    // Not what was written: it may hold a password.
    if url.is_none() {
        faults.add(
            key,
            "is no URL of a collector",
            "write it as in \"http://127.0.0.1:4318\"",
        );
    }
    url
}

fn appended(mut base: Url) -> Url {
    let path = format!("{}/{PATH}", base.path().trim_end_matches('/'));
    base.set_path(&path);
    base
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        trace: TraceArgs,
    }

    fn resolve(flags: &[&str]) -> (Option<Settings>, Vec<String>) {
        let line = ["warmlink"].iter().chain(flags);
        let mut faults = Faults::default();
        let trace = Line::try_parse_from(line).unwrap().trace;
        let settings = trace.resolve("n1", &mut faults);
        let keys = faults.iter().map(|fault| fault.key.clone());
        (settings, keys.collect())
    }

    #[test]
    fn nothing_is_traced_unless_there_is_somewhere_to_send_it() {
        assert_eq!(resolve(&[]), (None, vec![]));
        assert_eq!(resolve(&["--otlp-endpoint="]), (None, vec![]));
        assert_eq!(resolve(&["--traces-sampler=x"]), (None, vec![]));
        let there = "--otlp-endpoint=http://c";
        assert_eq!(resolve(&[there, "--otel-disabled=true"]), (None, vec![]));
        assert_eq!(resolve(&[there, "--traces-exporter=none"]), (None, vec![]));
        assert!(resolve(&[there, "--traces-sampler="]).0.is_some());
    }

    #[test]
    fn an_endpoint_for_all_signals_has_its_path_appended() {
        for (flag, endpoint) in [
            ("--otlp-endpoint=http://c:4318", "http://c:4318/v1/traces"),
            ("--otlp-endpoint=http://c:4318/", "http://c:4318/v1/traces"),
            (
                "--otlp-endpoint=https://c/otlp/",
                "https://c/otlp/v1/traces",
            ),
            ("--otlp-traces-endpoint=http://c/x", "http://c/x"),
        ] {
            let (settings, faults) = resolve(&[flag]);
            assert_eq!(settings.unwrap().endpoint.as_str(), endpoint);
            assert_eq!(faults, [""; 0]);
        }
    }

    #[test]
    fn everything_that_is_wrong_is_named() {
        let (settings, faults) = resolve(&[
            "--otlp-endpoint=collector:4317",
            "--otlp-protocol=grpc",
            "--traces-sampler=traceidratio",
            "--traces-sampler-arg=half",
            "--span-delay=0",
        ]);
        assert_eq!(settings, None);
        assert_eq!(faults, [ENDPOINT_KEY, PROTOCOL_KEY, RATIO_KEY, DELAY_KEY]);
        let (settings, faults) = resolve(&["--otlp-endpoint=http://user:secret@c"]);
        assert_eq!((settings, faults), (None, vec![ENDPOINT_KEY.to_owned()]));
    }
}
