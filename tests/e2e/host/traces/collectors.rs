//! Collectors of every kind, and requests that fail.

use std::time::Duration;

use tokio::time::Instant;
use warmlink_tests::collector::{Answers, Collector};
use warmlink_tests::{Host, HostOptions, Manifest, eventually, run};

use super::super::{SOON, free_address};
use super::{plain, traced};

#[test]
fn a_guest_that_traps_or_hangs_has_failed_by_that() {
    run(async {
        let collector = Collector::start(Answers::Taken).await;
        let host = plain(&collector, "deadline = \"200ms\"").await;
        for (path, status, kind) in [("/trap", 502, "trapped"), ("/never", 504, "deadline")] {
            let reply = host.api().get(path).await.expect(status);
            let id = reply.header("x-request-id").unwrap();
            let status = status.to_string();
            let request = [
                ("warmlink.request_id", id),
                ("http.response.status_code", &status),
                ("error.type", kind),
            ];
            let request = collector.span("GET /...", &request).await;
            assert!(request.failed);
            let spans = collector.trace(&request.trace, 2).await;
            let guest = spans
                .iter()
                .find(|span| span.name == "guest probe")
                .unwrap();
            assert!(guest.failed, "{guest:#?}");
            assert_eq!(guest.get("error.type"), kind);
        }
    });
}

#[test]
fn what_no_route_leads_to_is_traced_as_well() {
    run(async {
        let collector = Collector::start(Answers::Taken).await;
        let options = HostOptions::new(Manifest::several(&[("probe", "http", "")]));
        let host = Host::start(traced(options, &collector)).await;
        host.api().get("/nothing/of/it").await.expect(404);
        let span = collector.span("GET", &[("error.type", "no_route")]).await;
        assert!(!span.failed, "the client's fault: {span:#?}");
        assert_eq!(span.get("http.route"), "");
    });
}

#[test]
fn what_was_sent_is_counted() {
    run(async {
        let collector = Collector::start(Answers::Taken).await;
        let options = HostOptions::new(Manifest::one("http", ""));
        let options = traced(options, &collector)
            .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc")
            .env("OTEL_SERVICE_NAME", "links")
            .env(
                "OTEL_RESOURCE_ATTRIBUTES",
                "deployment.environment.name=test",
            );
        let host = Host::start(options).await;
        host.api().get("/echo").await.expect(200);
        let span = collector.span("GET /...", &[]).await;
        assert_eq!(span.resource["service.name"], "links");
        assert_eq!(span.resource["deployment.environment.name"], "test");
        let request = collector.requests().remove(0);
        assert_eq!(request.uri.path(), "/v1/traces");
        assert_eq!(request.headers["authorization"], "Bearer abc");
        counted(&host, "warmlink_spans_exported_total", 2.0).await;
    });
}

async fn counted(host: &Host, name: &str, least: f64) {
    eventually(&format!("{least} of {name}"), SOON, || async {
        let count = host.metrics().await.sum(name, &[]);
        count.filter(|count| *count >= least)
    })
    .await;
}

/// It costs spans, never a request.
#[test]
fn nobody_waits_for_a_collector() {
    run(async {
        let away = free_address().await;
        let refused = Collector::start(Answers::Refused).await;
        let never = Collector::start(Answers::Never).await;
        for (endpoint, answers) in [
            (format!("http://{away}"), true),
            (refused.endpoint(), true),
            (never.endpoint(), false),
        ] {
            let options = HostOptions::new(Manifest::one("http", ""))
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
                .env("OTEL_BSP_SCHEDULE_DELAY", "20")
                .env("OTEL_BSP_MAX_QUEUE_SIZE", "16")
                .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4");
            let mut host = Host::start(options).await;
            for _ in 0..100 {
                host.api().get("/echo").await.expect(200);
            }
            if answers {
                counted(&host, "warmlink_spans_failed_total", 1.0).await;
            } else {
                eventually("it was asked", SOON, || async {
                    (!never.requests().is_empty()).then_some(())
                })
                .await;
            }
            let told = Instant::now();
            assert!(host.terminate().await.success(), "{endpoint}");
            // The last spans have three seconds.
            assert!(told.elapsed() < Duration::from_secs(10), "{endpoint}");
        }
    });
}

#[test]
fn what_cannot_be_is_said_before_anything_starts() {
    run(async {
        let options = HostOptions::new(Manifest::one("http", ""))
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
            .env("OTEL_TRACES_SAMPLER", "sometimes");
        let mut host = Host::spawn(options);
        assert_eq!(host.exit().await.code(), Some(64));
        let log = host.log().lines().join("\n");
        for key in [
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "OTEL_TRACES_SAMPLER",
        ] {
            assert!(log.contains(key), "{key}: {log}");
        }
    });
}
