//! What every error says, and the number that every answer has.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderName};
use warmlink_tests::raw::Raw;
use warmlink_tests::{Api, Reply, csv, rig, run, unique};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One refusal of each kind, from the router, the host and the components.
async fn refusals(api: &Api) -> Vec<(u16, Reply)> {
    let user = rig::a_user(api).await;
    let large = Bytes::from(vec![b' '; 300 << 10]);
    let text = [(CONTENT_TYPE, "text/plain")];
    let json = [(CONTENT_TYPE, "application/json")];
    vec![
        (404, api.get("/no/such/route").await),
        (404, api.get("/users/99999999").await),
        (404, api.get("/no-such-code").await),
        (405, api.delete("/metrics").await),
        (405, api.delete("/users").await),
        (400, api.get("/users?page=0").await),
        (400, api.json(Method::POST, "/users", "{").await),
        (400, csv::upload(api, "/users/bulk", "nothing").await),
        (409, api.post("/users", &user).await),
        (413, api.send(Method::POST, "/users", &json, large).await),
        (
            415,
            api.send(Method::POST, "/users", &text, "{}".into()).await,
        ),
    ]
}

#[test]
fn every_error_has_the_same_shape_and_a_number() {
    run(async {
        let (host, _) = rig::application().await;
        let mut ids = BTreeSet::new();
        for (status, reply) in refusals(&host.api()).await {
            reply.error(status);
            let id = reply.header("x-request-id").unwrap_or_default();
            assert!(!id.is_empty(), "{status}: {}", reply.text());
            assert!(ids.insert(id.to_owned()), "{id} was used before");
        }
    });
}

#[test]
fn an_answer_to_a_body_that_nobody_reads_says_that_the_connection_ends() {
    run(async {
        let (host, _) = rig::application().await;
        let mut raw = Raw::post_head(host.public(), "/users", 300 << 10).await;
        assert_eq!(raw.head().await, 413);
        let transfer = raw.transfer().await;
        assert!(transfer.complete, "{transfer:?}");
        assert!(
            transfer.head.contains("\nconnection: close"),
            "{}",
            transfer.head
        );
    });
}

#[test]
fn an_error_before_there_is_a_request_has_that_shape_too() {
    run(async {
        let (host, _) = rig::application().await;
        for garbage in [
            "GET / HTTP/9.9\r\n\r\n",
            "G\u{1}T / HTTP/1.1\r\nhost: x\r\n\r\n",
            "\0\0\0\0\r\n\r\n",
        ] {
            let mut raw = Raw::connect(host.public()).await;
            raw.send(garbage).await;
            let transfer = raw.transfer().await;
            assert_eq!(transfer.status, 400, "{garbage:?}");
            assert!(
                transfer.head.contains("content-type: application/json"),
                "{}",
                transfer.head
            );
            let body: serde_json::Value = serde_json::from_slice(&transfer.body).unwrap();
            assert!(body["error"].is_string(), "{garbage:?}: {body}");
        }
    });
}

#[test]
fn a_request_keeps_its_number_where_the_client_gave_one() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let url = rig::a_url(&api).await;
        let asked = async |path: &str, id: &str| {
            let reply = api
                .send(Method::GET, path, &[(REQUEST_ID, id)], Bytes::new())
                .await;
            reply.header("x-request-id").unwrap_or_default().to_owned()
        };
        let long = "x".repeat(1000);
        for path in [
            "/health",
            "/users?per_page=1",
            &rig::visit(&url),
            "/no/route",
            "/users/0",
            "/metrics",
        ] {
            let mine = unique::name("request-");
            assert_eq!(asked(path, &mine).await, mine, "{path}");
            for unfit in ["", "two words", long.as_str()] {
                let given = asked(path, unfit).await;
                assert!(!given.is_empty() && given != unfit, "{path}: {given:?}");
            }
        }
    });
}
