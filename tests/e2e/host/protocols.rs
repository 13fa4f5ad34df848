//! HTTP as clients speak it.

use bytes::Bytes;
use futures::future::join_all;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderName};
use warmlink_tests::raw::Raw;
use warmlink_tests::{Api, Host, run};

use super::plain;

#[test]
fn both_versions_are_spoken_on_one_port() {
    run(async {
        let host = Host::start(plain()).await;
        for api in [host.api(), Api::h2c(host.public())] {
            let headers = [
                (CONTENT_TYPE, "text/plain"),
                (HeaderName::from_static("x-a"), "b"),
            ];
            let reply = api
                .send(Method::PUT, "/echo/p?q=1", &headers, Bytes::from("body"))
                .await;
            let seen = reply.expect(200).value();
            assert_eq!(seen["method"], "PUT");
            assert_eq!(seen["path_with_query"], "/echo/p?q=1");
            assert_eq!(seen["body"], "body");
            let headers = seen["headers"].as_array().unwrap();
            assert!(headers.contains(&serde_json::json!(["x-a", "b"])), "{seen}");
        }
    });
}

#[test]
fn many_streams_share_one_h2_connection() {
    run(async {
        let host = Host::start(plain()).await;
        let api = Api::h2c(host.public());
        for reply in join_all((0..100).map(|_| api.get("/sleep?ms=50"))).await {
            reply.expect(200);
        }
        assert_eq!(
            host.metrics().await.sum("warmlink_accepted_total", &[]),
            Some(1.0)
        );
    });
}

#[test]
fn a_connection_serves_one_request_after_another() {
    run(async {
        let host = Host::start(plain()).await;
        let mut raw = Raw::connect(host.public()).await;
        for number in 0..20 {
            raw.send(&format!(
                "GET /echo/{number} HTTP/1.1\r\nhost: test\r\n\r\n"
            ))
            .await;
            let response = raw.response().await;
            assert_eq!((response.status, response.complete), (200, true));
            let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
            assert_eq!(body["path"], format!("/echo/{number}"));
        }
        // One with a body, then one that asks for the end.
        raw.send("POST /count HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\nabc")
            .await;
        assert_eq!(raw.response().await.body, br#"{"bytes":3}"#);
        raw.send("GET /echo HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
            .await;
        assert!(raw.response().await.complete);
        assert!(raw.until_closed().await.is_empty());
        assert_eq!(
            host.metrics().await.sum("warmlink_accepted_total", &[]),
            Some(1.0)
        );
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    run(async {
        let host = Host::start(plain()).await;
        let mut raw = Raw::connect(host.public()).await;
        let mut all = String::new();
        for number in 0..10 {
            // The earlier ones take longer.
            let ms = 50 - 5 * number;
            all.push_str(&format!(
                "GET /sleep?ms={ms} HTTP/1.1\r\nhost: test\r\n\r\n"
            ));
            all.push_str(&format!(
                "GET /echo/{number} HTTP/1.1\r\nhost: test\r\n\r\n"
            ));
        }
        raw.send(&all).await;
        for number in 0..10 {
            let slept = raw.response().await;
            assert!(String::from_utf8(slept.body).unwrap().contains("instance"));
            let echoed: serde_json::Value =
                serde_json::from_slice(&raw.response().await.body).unwrap();
            assert_eq!(echoed["path"], format!("/echo/{number}"));
        }
    });
}

#[test]
fn an_old_client_is_served_and_let_go() {
    run(async {
        let host = Host::start(plain()).await;
        let mut raw = Raw::connect(host.public()).await;
        raw.send("GET /echo HTTP/1.0\r\n\r\n").await;
        let response = raw.response().await;
        assert_eq!(response.status, 200);
        assert!(raw.until_closed().await.is_empty());
    });
}

#[test]
fn a_head_request_gets_the_head_alone() {
    run(async {
        let host = Host::start(plain()).await;
        for api in [host.api(), Api::h2c(host.public())] {
            let reply = api.head("/echo").await.expect(200);
            assert!(reply.body.is_empty());
            assert_eq!(reply.header("content-type"), Some("application/json"));
        }
    });
}

#[test]
fn a_short_body_is_sent_with_its_length_and_a_long_one_as_it_comes() {
    run(async {
        let host = Host::start(plain()).await;
        let short = Raw::get(host.public(), "/stream?chunks=3&bytes=100")
            .await
            .transfer()
            .await;
        assert!(short.head.contains("content-length: 300"), "{}", short.head);
        assert!(!short.head.contains("transfer-encoding"), "{}", short.head);
        let long = Raw::get(host.public(), "/stream?chunks=30&bytes=10000")
            .await
            .transfer()
            .await;
        assert!(
            long.head.contains("transfer-encoding: chunked"),
            "{}",
            long.head
        );
        assert_eq!((long.complete, long.body.len()), (true, 300_000));
        // A slow one does not wait for its end.
        let mut slow = Raw::get(host.public(), "/stream-then-stall?chunks=1&bytes=10").await;
        assert_eq!(slow.head().await, 200);
        // One that has none has none.
        let empty = Raw::get(host.public(), "/status/204")
            .await
            .transfer()
            .await;
        assert_eq!((empty.status, empty.body.len()), (204, 0));
        assert!(!empty.head.contains("content-length"), "{}", empty.head);
    });
}

#[test]
fn a_header_that_comes_twice_goes_out_twice() {
    run(async {
        let host = Host::start(plain()).await;
        for api in [host.api(), Api::h2c(host.public())] {
            let reply = api.get("/cookies").await.expect(200);
            let cookies: Vec<_> = reply.headers.get_all("set-cookie").iter().collect();
            assert_eq!(cookies, ["a=1", "b=2"]);
            assert_eq!(reply.header("x-probe"), Some("yes"));
        }
    });
}

#[test]
fn a_large_body_arrives_whole() {
    run(async {
        let limits = "[component.probe.tool.warmlink]\nrequest_body = \"16MiB\"";
        let manifest = warmlink_tests::Manifest::one("http", limits);
        let host = Host::start(warmlink_tests::HostOptions::new(manifest)).await;
        for api in [host.api(), Api::h2c(host.public())] {
            let body = Bytes::from(vec![b'x'; 12 << 20]);
            let reply = api
                .send(Method::POST, "/count", &[], body)
                .await
                .expect(200);
            assert_eq!(reply.value()["bytes"], 12 << 20);
            let reply = api.get("/stream?chunks=200&bytes=65536").await.expect(200);
            assert_eq!(reply.body.len(), 200 * 65536);
        }
    });
}
