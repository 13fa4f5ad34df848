//! Collectors of every kind, and requests that fail.

use std::time::Duration;

use tokio::time::Instant;
use warmlink_tests::collector::{Answers, Collector};
use warmlink_tests::raw::Raw;
use warmlink_tests::table::until_in_flight;
use warmlink_tests::{Host, HostOptions, Manifest, eventually, run};

use super::super::{SOON, free_address, until_logged};
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

/// Its work is cut off with the cores, after everything else is over.
#[test]
fn what_is_cut_off_by_the_end_is_sent_before_it() {
    run(async {
        let collector = Collector::start(Answers::Taken).await;
        let manifest = Manifest::one("http", "").with_tool("[limits]\ndrain = \"300ms\"");
        let mut host = Host::start(traced(HostOptions::new(manifest), &collector)).await;
        let held = Raw::get(host.public(), "/never").await;
        until_in_flight(&host, "probe", 1).await;
        assert!(host.terminate().await.success());
        let names: Vec<_> = collector
            .spans()
            .into_iter()
            .map(|span| span.name)
            .collect();
        assert!(names.iter().any(|name| name == "GET /..."), "{names:?}");
        drop(held);
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
                "deployment.environment.name=test,service.instance.id=n7",
            );
        let host = Host::start(options).await;
        host.api().get("/echo").await.expect(200);
        let span = collector.span("GET /...", &[]).await;
        assert_eq!(span.resource["service.name"], "links");
        assert_eq!(span.resource["deployment.environment.name"], "test");
        assert_eq!(span.resource["service.instance.id"], "n7");
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
        for (endpoint, lost, why) in [
            (format!("http://{away}"), "failed", Some("refused")),
            (refused.endpoint(), "failed", Some("403")),
            // The first batch is still on its way when there is no more room.
            (never.endpoint(), "dropped", None),
        ] {
            let options = HostOptions::new(Manifest::one("http", ""))
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
                .env("OTEL_BSP_SCHEDULE_DELAY", "20")
                .env("OTEL_BSP_MAX_QUEUE_SIZE", "16")
                .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4");
            let mut host = Host::start(options).await;
            let began = Instant::now();
            for _ in 0..100 {
                host.api().get("/echo").await.expect(200);
            }
            // One that waits for an answer of the collector's waits for ten seconds.
            assert!(began.elapsed() < SOON, "{endpoint}: {:?}", began.elapsed());
            counted(&host, &format!("warmlink_spans_{lost}_total"), 1.0).await;
            if let Some(why) = why {
                until_logged(&host, &["traces could not be sent", why]).await;
            }
            let lines = host.log().lines();
            let told = lines.iter().filter(|line| line.contains("traces"));
            assert!(told.count() <= 5, "{lines:?}");
            let ends = Instant::now();
            assert!(host.terminate().await.success(), "{endpoint}");
            // The last spans have three seconds.
            assert!(ends.elapsed() < Duration::from_secs(10), "{endpoint}");
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
