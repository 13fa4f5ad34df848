//! `wasi:http/client@0.3` and `wasi:http/outgoing-handler@0.2`: where to, and
//! how long.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;
use warmlink_tests::probe::Probe;
use warmlink_tests::upstream::Upstream;
use warmlink_tests::{Host, HostOptions, Manifest, run};

const BOTH: [&str; 2] = ["outbound3", "outbound2"];

async fn host(guest: &str, allowed: &str, limits: &str) -> (Host, Probe) {
    let keys =
        format!("allowed_outbound_hosts = [{allowed}]\n[component.probe.tool.warmlink]\n{limits}");
    let host = Host::start(HostOptions::new(Manifest::one(guest, &keys))).await;
    let probe = Probe::new(host.api(), "/fetch");
    (host, probe)
}

fn fetch(scheme: &str, authority: &str, path: &str, body: Option<&str>) -> Value {
    json!([{ "fetch": { "scheme": scheme, "authority": authority, "path": path, "body": body } }])
}

#[test]
fn a_granted_host_is_asked_and_its_answer_comes_back() {
    run(async {
        let upstream = Upstream::start().await;
        for guest in BOTH {
            let allowed = format!("\"http://{}\"", upstream.authority());
            let (_host, probe) = host(guest, &allowed, "").await;
            let found = probe
                .ok(fetch("http", &upstream.authority(), "/a?b=c", None))
                .await;
            assert_eq!(
                found,
                json!({ "status": 418, "body": "GET /a?b=c " }),
                "{guest}"
            );
            let found = probe
                .ok(fetch("http", &upstream.authority(), "/", Some("text")))
                .await;
            assert_eq!(
                found,
                json!({ "status": 418, "body": "POST / text" }),
                "{guest}"
            );
        }
    });
}

#[test]
fn what_is_not_granted_is_denied_and_never_connected_to() {
    run(async {
        let upstream = Upstream::start().await;
        let other = Upstream::start().await;
        for guest in BOTH {
            let allowed = format!(
                "\"http://{}\", \"https://example.com\"",
                upstream.authority()
            );
            let (_host, probe) = host(guest, &allowed, "").await;
            let localhost = format!("localhost:{}", upstream.port());
            for (scheme, authority) in [
                ("http", other.authority()),
                ("https", upstream.authority()),
                ("http", localhost),
                ("http", "example.com".to_owned()),
            ] {
                let error = probe.err(fetch(scheme, &authority, "/", None)).await;
                let text = error.as_str().unwrap();
                assert!(
                    text.contains("HttpRequestDenied"),
                    "{guest}, {scheme} {authority}: {text}"
                );
            }
        }
        assert_eq!(upstream.accepted(), 0);
        assert_eq!(other.accepted(), 0);
    });
}

#[test]
fn without_a_grant_nothing_is_reached() {
    run(async {
        let upstream = Upstream::start().await;
        for guest in BOTH {
            let (_host, probe) = host(guest, "", "").await;
            let error = probe
                .err(fetch("http", &upstream.authority(), "/", None))
                .await;
            assert!(
                error.as_str().unwrap().contains("HttpRequestDenied"),
                "{guest}: {error}"
            );
        }
        assert_eq!(upstream.accepted(), 0);
    });
}

#[test]
fn a_host_that_refuses_is_an_error_of_the_component_to_handle() {
    run(async {
        let gone = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        for guest in BOTH {
            let (_host, probe) = host(guest, &format!("\"http://{gone}\""), "").await;
            let error = probe.err(fetch("http", &gone.to_string(), "/", None)).await;
            assert!(
                error.as_str().unwrap().contains("Connection"),
                "{guest}: {error}"
            );
        }
    });
}

#[test]
fn a_host_that_never_answers_costs_no_more_than_the_deadline() {
    run(async {
        let upstream = Upstream::start().await;
        for guest in BOTH {
            let allowed = format!("\"http://{}\"", upstream.authority());
            let (_host, probe) = host(guest, &allowed, "deadline = \"500ms\"").await;
            let begun = Instant::now();
            let reply = probe
                .send(fetch("http", &upstream.authority(), "/never", None))
                .await;
            // The guest may hear of it just before its own time is over.
            assert!(
                matches!(reply.status.as_u16(), 200 | 504),
                "{guest}: {}",
                reply.text()
            );
            assert!(
                !reply.text().contains("\"ok\""),
                "{guest}: {}",
                reply.text()
            );
            assert!(
                begun.elapsed() < Duration::from_secs(3),
                "{guest}: {:?}",
                begun.elapsed()
            );
        }
    });
}
