//! What a JSON body may be.

use bytes::Bytes;
use http::Method;
use http::header::CONTENT_TYPE;
use serde_json::json;
use warmlink_tests::{rig, run, unique};

use super::places::Places;

#[test]
fn a_body_that_is_no_json_object_is_400() {
    run(async {
        let places = Places::new().await;
        let bodies: [&[u8]; 20] = [
            b"",
            b"  \n",
            b"{",
            b"{\"username\":",
            b"{\"username\":\"x\"",
            b"{\"username\":\"x\",}",
            b"{'username':'x'}",
            b"{username:\"x\"}",
            b"{} {}",
            b"{}x",
            b"not json",
            b"username=x&email=x%40example.com",
            b"\"text\"",
            b"\"{}\"",
            b"5",
            b"[]",
            b"[{}]",
            b"null",
            b"true",
            b"{\"username\":\"\xff\"}",
        ];
        for (method, path) in places.all() {
            for body in bodies {
                let reply = places
                    .api
                    .json(method.clone(), &path, Bytes::from_static(body))
                    .await;
                reply.error_naming(400, "body");
            }
        }
        places.assert_untouched().await;
    });
}

#[test]
fn a_content_type_that_is_not_json_is_415() {
    run(async {
        let places = Places::new().await;
        for (method, path) in places.all() {
            for kind in [
                "text/plain",
                "text/html",
                "application/xml",
                "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=x",
                "application/octet-stream",
                "application/jsonp",
                "json",
            ] {
                let headers = [(CONTENT_TYPE, kind)];
                let body = Bytes::from_static(b"{\"title\":\"x\"}");
                let reply = places.api.send(method.clone(), &path, &headers, body).await;
                reply.error_naming(415, "content-type");
            }
        }
        places.assert_untouched().await;
    });
}

#[test]
fn json_is_known_by_all_its_names_and_when_nothing_is_said() {
    run(async {
        let places = Places::new().await;
        let path = rig::path("urls", &places.url);
        for kind in [
            Some("application/json"),
            Some("application/json; charset=utf-8"),
            Some("application/json;charset=UTF-8"),
            Some("Application/JSON"),
            Some("application/merge-patch+json"),
            None,
        ] {
            let title = unique::name("title");
            let headers: Vec<_> = kind.map(|kind| (CONTENT_TYPE, kind)).into_iter().collect();
            let body = json!({ "title": title }).to_string().into();
            let reply = places.api.send(Method::PUT, &path, &headers, body).await;
            assert_eq!(reply.expect(200).value()["title"], title, "{kind:?}");
        }
    });
}

#[test]
fn keys_that_nobody_knows_are_ignored() {
    run(async {
        let places = Places::new().await;
        let name = unique::name("extra");
        let (user, url) = (&places.user["id"], &places.url["id"]);
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for (method, path, fields, status) in [
            (
                Method::POST,
                "/users".to_owned(),
                format!("\"username\":\"{name}\",\"email\":\"{name}@example.com\""),
                201,
            ),
            (
                Method::PUT,
                rig::path("users", &places.user),
                String::new(),
                200,
            ),
            (
                Method::POST,
                "/urls".to_owned(),
                format!("\"original_url\":\"https://example.com\",\"user_id\":{user}"),
                201,
            ),
            (
                Method::PUT,
                rig::path("urls", &places.url),
                String::new(),
                200,
            ),
            (
                Method::POST,
                "/events".to_owned(),
                format!("\"event_type\":\"note\",\"url_id\":{url}"),
                201,
            ),
        ] {
            let comma = if fields.is_empty() { "" } else { "," };
            let body = format!(
                "{{{fields}{comma}\"id\":-7,\"created_at\":[],\"unknown\":{{\"a\":null}},\"deep\":{deep}}}"
            );
            let object = places
                .api
                .json(method, &path, body)
                .await
                .expect(status)
                .value();
            assert!(object["id"].as_u64().unwrap() >= 1, "{object}");
            assert!(object.get("unknown").is_none(), "{object}");
        }
    });
}
