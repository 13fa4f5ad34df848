//! Requests that no component answers.

use bytes::Bytes;
use http::Method;
use http::header::HeaderName;
use warmlink_tests::raw::Raw;
use warmlink_tests::{Api, Host, HostOptions, Manifest, run};

use super::{assert_failure, assert_try_again, shared};

#[test]
fn a_path_without_a_route_is_404() {
    run(async {
        let host = shared().await;
        for api in [host.api(), Api::h2c(host.public())] {
            for path in ["/", "/nothing", "/plainer/echo", "/nothing?x=/plain/echo"] {
                assert_failure(&api.get(path).await, 404, "no_route");
            }
            let reply = api
                .send(Method::OPTIONS, "/nothing", &[], Bytes::new())
                .await;
            assert_failure(&reply, 404, "no_route");
        }
    });
}

#[test]
fn a_target_that_is_no_path_is_an_answer_too() {
    run(async {
        let host = shared().await;
        for (target, status) in [("OPTIONS *", 404), ("GET http://test/nothing", 404)] {
            let mut raw = Raw::connect(host.public()).await;
            raw.send(&format!("{target} HTTP/1.1\r\nhost: test\r\n\r\n"))
                .await;
            let transfer = raw.response().await;
            assert_eq!(transfer.status, status, "{target}");
            let body: serde_json::Value = serde_json::from_slice(&transfer.body).unwrap();
            assert_eq!(body["kind"], "no_route", "{target}");
        }
    });
}

#[test]
fn a_resource_of_the_hosts_own_takes_get_and_head_alone() {
    run(async {
        let manifest = Manifest::one("http", "").tool_key("metrics", "/metrics");
        let host = Host::start(HostOptions::new(manifest)).await;
        let api = host.api();
        api.get("/metrics").await.expect(200);
        assert!(api.head("/metrics").await.expect(200).body.is_empty());
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let reply = api.send(method, "/metrics", &[], Bytes::new()).await;
            assert_failure(&reply, 405, "method_not_allowed");
            assert_eq!(reply.header("allow"), Some("GET, HEAD"));
        }
    });
}

#[test]
fn a_clients_own_id_is_used_where_it_is_one() {
    run(async {
        let host = shared().await;
        let api = host.api();
        let id = HeaderName::from_static("x-request-id");
        let long = "x".repeat(65);
        let mut made = Vec::new();
        for path in ["/plain/status/204", "/nothing"] {
            let ask = async |value: &str| {
                let headers = [(id.clone(), value)];
                let reply = api.send(Method::GET, path, &headers, Bytes::new()).await;
                reply.header("x-request-id").unwrap().to_owned()
            };
            assert_eq!(ask("my-own_id.7").await, "my-own_id.7");
            for useless in ["", "with space", long.as_str()] {
                let other = ask(useless).await;
                assert_ne!(other, useless);
                assert!(!other.is_empty());
                made.push(other);
            }
            made.push(
                api.get(path)
                    .await
                    .header("x-request-id")
                    .unwrap()
                    .to_owned(),
            );
        }
        let count = made.len();
        made.sort();
        made.dedup();
        assert_eq!(
            made.len(),
            count,
            "every request has an id of its own: {made:?}"
        );
    });
}

#[test]
fn a_guest_that_refuses_to_answer_is_502() {
    run(async {
        let host = shared().await;
        assert_failure(&host.api().get("/plain/refuse").await, 502, "guest_error");
        // The older interface: the guest returns and never said anything.
        host.api().get("/older/silent").await.error(502);
    });
}

#[test]
fn an_instance_that_cannot_be_made_is_503() {
    run(async {
        let host = shared().await;
        assert_try_again(&host.api().get("/no-room/echo").await, "instantiation");
        // And is nobody else's trouble.
        host.api().get("/plain/echo").await.expect(200);
    });
}

#[test]
fn failures_are_counted_by_their_kind() {
    run(async {
        let manifest = Manifest::several(&[("it", "http", "deadline = \"200ms\"")]);
        let host = Host::start(HostOptions::new(manifest)).await;
        for (path, kind) in [
            ("/nothing", "no_route"),
            ("/it/trap", "trapped"),
            ("/it/never", "deadline"),
            ("/it/refuse", "guest_error"),
        ] {
            host.api().get(path).await;
            let count = host
                .metrics()
                .await
                .sum("warmlink_failures_total", &[("kind", kind)]);
            assert_eq!(count, Some(1.0), "{kind}");
        }
    });
}
