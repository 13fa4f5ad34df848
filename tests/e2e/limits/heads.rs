//! A request's head: how long, and how large.

use std::time::Duration;

use tokio::time::Instant;
use warmlink_tests::raw::{Raw, Transfer};
use warmlink_tests::{Api, Host, run};

use super::lone;

/// An answer as every failure has one, though no request was understood.
#[track_caller]
fn assert_answer(transfer: &Transfer, status: u16, kind: &str) {
    assert_eq!(
        (transfer.status, transfer.complete),
        (status, true),
        "{}",
        transfer.head
    );
    let json = "content-type: application/json";
    assert!(transfer.head.contains(json), "{}", transfer.head);
    let body: serde_json::Value = serde_json::from_slice(&transfer.body).unwrap();
    assert_eq!(body["kind"], kind);
    assert!(body["error"].is_string(), "{body}");
}

async fn hasty() -> Host {
    lone("", "header_time = \"400ms\"\nheader_bytes = \"16KiB\"").await
}

#[test]
fn a_head_that_comes_too_slowly_is_408() {
    run(async {
        let host = hasty().await;
        for part in ["G", "GET /it/echo HTT", "GET /it/echo HTTP/1.1\r\nhost: te"] {
            let begun = Instant::now();
            let mut raw = Raw::connect(host.public()).await;
            raw.send(part).await;
            let answer = String::from_utf8(raw.until_closed().await).unwrap();
            let took = begun.elapsed();
            assert!(answer.starts_with("HTTP/1.1 408 "), "{part:?}: {answer:?}");
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.contains("content-type: application/json"), "{head}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["kind"], "request_timeout");
            assert!(took >= Duration::from_millis(390), "{took:?}");
            assert!(took < Duration::from_secs(3), "{took:?}");
        }
    });
}

#[test]
fn a_client_that_says_nothing_is_told_nothing() {
    run(async {
        let host = hasty().await;
        let begun = Instant::now();
        let raw = Raw::connect(host.public()).await;
        assert!(raw.until_closed().await.is_empty());
        assert!(
            begun.elapsed() < Duration::from_secs(3),
            "{:?}",
            begun.elapsed()
        );
        // Nor one that was answered and says nothing more.
        let mut raw = Raw::get(host.public(), "/it/status/204").await;
        assert_eq!(raw.response().await.status, 204);
        assert!(raw.until_closed().await.is_empty());
    });
}

#[test]
fn a_head_that_comes_in_pieces_in_time_is_served() {
    run(async {
        let host = lone("", "header_time = \"5s\"").await;
        let mut raw = Raw::connect(host.public()).await;
        for piece in [
            "G",
            "ET /it/sta",
            "tus/204 HTTP",
            "/1.1\r\nho",
            "st: test\r\n",
            "\r",
            "\n",
        ] {
            raw.send(piece).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(raw.transfer().await.status, 204);
    });
}

#[test]
fn a_head_that_is_too_large_is_431_and_the_connection_ends() {
    run(async {
        let host = hasty().await;
        let large = "x".repeat(20 << 10);
        for head in [
            format!("GET /it/echo HTTP/1.1\r\nhost: test\r\nx-large: {large}\r\n\r\n"),
            format!("GET /it/echo?{large} HTTP/1.1\r\nhost: test\r\n\r\n"),
        ] {
            let mut raw = Raw::connect(host.public()).await;
            // The host may have had enough before all of it is sent.
            let _ = raw.try_send(head.as_bytes()).await;
            assert_answer(&raw.response().await, 431, "head_too_large");
            assert!(raw.until_closed().await.is_empty());
        }

        // One that fits, fits.
        let fits = "x".repeat(8 << 10);
        let header = [(http::HeaderName::from_static("x-large"), fits.as_str())];
        for api in [host.api(), Api::h2c(host.public())] {
            let reply = api
                .send(
                    http::Method::GET,
                    "/it/status/204",
                    &header,
                    bytes::Bytes::new(),
                )
                .await;
            assert_eq!(reply.status, 204);
        }
    });
}

#[test]
fn a_large_head_is_refused_over_h2_too() {
    run(async {
        let host = hasty().await;
        let large = "x".repeat(20 << 10);
        let header = [(http::HeaderName::from_static("x-large"), large.as_str())];
        let api = Api::h2c(host.public());
        let reply = api
            .send(http::Method::GET, "/it/echo", &header, bytes::Bytes::new())
            .await;
        assert_eq!(reply.status, 431);
    });
}

#[test]
fn what_is_no_request_is_400() {
    run(async {
        let host = hasty().await;
        for nonsense in [
            "NOT HTTP AT ALL\r\n\r\n",
            "GET /it/echo HTTP/1.1\r\nno colon here\r\n\r\n",
            "GET /it/echo HTTP/1.1\r\nhost: te st\r\n\r\n",
            "POST /it/echo HTTP/1.1\r\nhost: test\r\ncontent-length: few\r\n\r\n",
            "POST /it/echo HTTP/1.1\r\nhost: test\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        ] {
            let mut raw = Raw::connect(host.public()).await;
            raw.send(nonsense).await;
            assert_answer(&raw.response().await, 400, "bad_request");
        }
    });
}
