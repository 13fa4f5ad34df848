//! Whose trace a request belongs to, and who decides that it is recorded.

use bytes::Bytes;
use http::Method;
use http::header::HeaderName;
use http_body_util::{BodyExt as _, Full};
use serde_json::json;
use warmlink_tests::collector::{Answers, Collector};
use warmlink_tests::probe::Probe;
use warmlink_tests::upstream::Upstream;
use warmlink_tests::{Api, Host, HostOptions, Manifest, Reply, run};

use super::{PARENT, TRACE, plain, traced};

/// `GET /echo`, with these headers.
async fn echo(api: &Api, headers: &[(&'static str, &str)]) -> Reply {
    let body = Full::new(Bytes::new()).map_err(|never| match never {});
    let named =
        |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), (*value).to_owned());
    let headers: Vec<_> = headers.iter().map(named).collect();
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str()))
        .collect();
    api.try_send(Method::GET, "/echo", &headers, body.boxed())
        .await
        .unwrap()
        .expect(200)
}

/// The `traceparent` that the guest was given.
fn given(echo: &Reply) -> Option<String> {
    header(echo, "traceparent")
}

fn header(echo: &Reply, name: &str) -> Option<String> {
    let headers = echo.value()["headers"].clone();
    let headers = headers.as_array().unwrap();
    let found = headers.iter().find(|header| header[0] == name)?;
    Some(found[1].as_str().unwrap().to_owned())
}

#[test]
fn a_request_belongs_to_the_trace_that_its_sender_names() {
    run(async {
        let collector = Collector::start(Answers::Taken).await;
        let host = plain(&collector, "").await;
        let sent = [("traceparent", PARENT), ("tracestate", "vendor=1")];
        let echo = echo(&host.api(), &sent).await;
        // Of a stranger's word no more is kept than that.
        assert_eq!(header(&echo, "tracestate"), None);

        let spans = collector.trace(TRACE, 2).await;
        let (request, guest) = (&spans[0], &spans[1]);
        assert_eq!(request.parent, "b7ad6b7169203331");
        assert_eq!(guest.parent, request.id);
        // The guest is told its own span, and may hand it on.
        let told = format!("00-{TRACE}-{}-01", guest.id);
        assert_eq!(given(&echo), Some(told));
    });
}

#[test]
fn what_makes_no_sense_begins_a_trace() {
    run(async {
        let collector = Collector::start(Answers::Taken).await;
        let host = plain(&collector, "").await;
        for parent in [
            "",
            "00-x",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        ] {
            let echo = echo(&host.api(), &[("traceparent", parent)]).await;
            let id = echo.header("x-request-id").unwrap();
            let request = collector
                .span("GET /...", &[("warmlink.request_id", id)])
                .await;
            assert_eq!(request.parent, "", "{parent:?}");
            let begun = given(&echo).unwrap();
            assert_eq!(begun.split('-').nth(1), Some(&request.trace[..]));
        }
    });
}

#[test]
fn a_request_of_the_guests_says_where_it_comes_from() {
    run(async {
        let collector = Collector::start(Answers::Taken).await;
        let upstream = Upstream::start().await;
        for guest in ["outbound3", "outbound2"] {
            let allowed = format!(
                "allowed_outbound_hosts = [\"http://{}\"]",
                upstream.authority()
            );
            let options = HostOptions::new(Manifest::one(guest, &allowed));
            let host = Host::start(traced(options, &collector)).await;
            let probe = Probe::new(host.api(), "/fetch");
            let to = json!({ "scheme": "http", "authority": upstream.authority(), "path": "/p?q" });
            probe.ok(json!([{ "fetch": to }])).await;

            let sent = upstream.headers().pop().unwrap();
            let sent = sent["traceparent"].to_str().unwrap();
            let parts: Vec<_> = sent.split('-').collect();
            let spans = collector.trace(parts[1], 3).await;
            let call = spans.iter().find(|span| span.id == parts[2]).unwrap();
            assert_eq!(call.name, "GET");
            assert_eq!(call.get("http.response.status_code"), "418");
            assert!(call.failed);
            assert_eq!(call.get("error.type"), "418");
            assert_eq!(call.get("server.port"), upstream.port().to_string());
            let work = spans.iter().find(|span| span.id == call.parent).unwrap();
            assert_eq!(work.name, "guest probe");
            assert!(spans.iter().any(|span| span.id == work.parent));
            assert!(!format!("{spans:?}").contains("/p"), "{spans:?}");
        }
    });
}

/// Off, a host changes nothing that a client says to a guest.
#[test]
fn without_a_collector_nothing_is_traced() {
    run(async {
        let host = Host::start(HostOptions::new(Manifest::one("http", ""))).await;
        assert_eq!(given(&echo(&host.api(), &[]).await), None);
        let echo = echo(&host.api(), &[("traceparent", PARENT)]).await;
        assert_eq!(given(&echo).as_deref(), Some(PARENT));
        let exported = host
            .metrics()
            .await
            .sum("warmlink_spans_exported_total", &[]);
        assert_eq!(exported, None);
    });
}

/// Any client could have all of its requests recorded, or none.
#[test]
fn only_a_proxy_that_is_trusted_decides_what_is_recorded() {
    run(async {
        let unsampled = PARENT.replace("-01", "-00");
        for (trusted, sampler, parent, recorded) in [
            (false, "parentbased_always_off", PARENT, false),
            (false, "parentbased_always_on", &unsampled, true),
            (true, "parentbased_always_off", PARENT, true),
            (true, "parentbased_always_on", &unsampled, false),
            (true, "always_off", PARENT, false),
        ] {
            let collector = Collector::start(Answers::Taken).await;
            let mut manifest = Manifest::one("http", "");
            if trusted {
                let proxies = toml::Value::Array(vec!["127.0.0.0/8".into()]);
                manifest = manifest.tool_key("trusted_proxies", proxies);
            }
            let options = traced(HostOptions::new(manifest), &collector)
                .env("OTEL_TRACES_SAMPLER", sampler)
                .env("WARMLINK_LOG", "debug");
            let mut host = Host::start(options).await;
            let sent = [("traceparent", parent), ("tracestate", "vendor=1")];
            let echo = echo(&host.api(), &sent).await;
            let told = given(&echo).unwrap();
            let state = header(&echo, "tracestate");
            assert_eq!(state.as_deref(), trusted.then_some("vendor=1"));
            let case = format!("{trusted} {sampler} {parent}: {told}");
            assert!(told.contains(TRACE), "{case}");
            assert!(
                told.ends_with(if recorded { "-01" } else { "-00" }),
                "{case}"
            );
            // The last spans are sent before it ends.
            assert!(host.terminate().await.success());
            assert_eq!(!collector.spans().is_empty(), recorded, "{case}");
            // Logs name the trace either way.
            let id = echo.header("x-request-id").unwrap();
            let lines = host.log().lines();
            let line = lines
                .iter()
                .find(|line| line.contains("\"served\"") && line.contains(id));
            let line: serde_json::Value = serde_json::from_str(line.unwrap()).unwrap();
            assert_eq!(line["trace_id"], TRACE, "{case}");
        }
    });
}
