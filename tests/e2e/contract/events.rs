use http::Method;
use serde_json::json;
use warmlink_tests::{rig, run, unique};

use super::{assert_fields, assert_time};

#[test]
fn a_posted_event_is_answered_whole() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let user = rig::a_user(&api).await;
        let url = rig::a_url(&api).await;
        let kind = unique::name("kind");
        let details = json!({ "nested": { "list": [1, "two", null, true] }, "ü": 1.5 });
        let body = json!({
            "event_type": kind, "url_id": url["id"], "user_id": user["id"], "details": details,
        });
        let event = api.post("/events", &body).await.expect(201).value();
        assert_fields(
            &event,
            &[
                "id",
                "url_id",
                "user_id",
                "event_type",
                "timestamp",
                "details",
            ],
        );
        assert_time(&event["timestamp"]);
        assert_eq!(event["event_type"], kind);
        assert_eq!(event["url_id"], url["id"]);
        assert_eq!(event["user_id"], user["id"]);
        assert_eq!(event["details"], details);
        let listed = api
            .get(&format!("/events?event_type={kind}"))
            .await
            .expect(200)
            .list();
        assert_eq!(listed, [event]);
    });
}

#[test]
fn details_are_kept_as_they_were_sent() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let url = rig::a_url(&api).await;
        let kind = unique::name("kind");
        // Neither the order of the keys nor the numbers may change.
        let details =
            r#"{"z":1.50,"a":12345678901234567890,"m":{"y":[],"b":"\u00fc\"\\"},"e":1e2}"#;
        let id = &url["id"];
        let body = format!("{{\"event_type\":\"{kind}\",\"url_id\":{id},\"details\":{details}}}");
        let posted = api
            .json(Method::POST, "/events", body)
            .await
            .expect(201)
            .text();
        assert!(posted.contains(details), "{posted}");
        let listed = api
            .get(&format!("/events?event_type={kind}"))
            .await
            .expect(200)
            .text();
        assert!(listed.contains(details), "{listed}");
    });
}

#[test]
fn details_may_be_absent_or_null_and_are_then_empty() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let url = rig::a_url(&api).await;
        for body in [
            json!({ "event_type": "note", "url_id": url["id"] }),
            json!({ "event_type": "note", "url_id": url["id"], "details": null, "user_id": null }),
        ] {
            let event = api.post("/events", &body).await.expect(201).value();
            assert_eq!(event["details"], json!({}));
            assert!(event["user_id"].is_null());
        }
    });
}

#[test]
fn details_that_are_no_object_are_refused() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let url = rig::a_url(&api).await;
        let mut deep = json!({});
        for _ in 0..100 {
            deep = json!([{ "deeper": deep }]);
        }
        for details in [
            json!("{\"a\":1}"),
            json!("loose"),
            json!(""),
            json!([]),
            json!([{}]),
            json!(1),
            json!(true),
            json!({ "a": "nul\u{0}" }),
            json!({ "nul\u{0}": 1 }),
            json!({ "deep": deep }),
        ] {
            let body = json!({ "event_type": "note", "url_id": url["id"], "details": details });
            api.post("/events", &body)
                .await
                .error_naming(400, "details");
        }
        assert!(rig::events_of(&api, &url, Some("note")).await.is_empty());
    });
}

#[test]
fn an_event_of_nothing_or_of_nobody_is_404() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let url = rig::a_url(&api).await;
        let body = json!({ "event_type": "note", "url_id": 99_999_999 });
        api.post("/events", &body).await.error_naming(404, "url");
        let body = json!({ "event_type": "note", "url_id": url["id"], "user_id": 99_999_999 });
        api.post("/events", &body).await.error_naming(404, "user");
    });
}

#[test]
fn an_event_has_the_longest_type_and_no_longer_one() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let url = rig::a_url(&api).await;
        let of = |length| json!({ "event_type": "é".repeat(length), "url_id": url["id"] });
        api.post("/events", &of(255)).await.expect(201);
        api.post("/events", &of(256))
            .await
            .error_naming(400, "event_type");
    });
}

#[test]
fn fields_that_are_missing_or_of_another_type_are_400() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let url = rig::a_url(&api).await;
        let id = &url["id"];
        for (body, field) in [
            (json!({ "url_id": id }), "event_type"),
            (json!({ "event_type": "note" }), "url_id"),
            (json!({ "event_type": 5, "url_id": id }), "event_type"),
            (json!({ "event_type": "", "url_id": id }), "event_type"),
            (json!({ "event_type": "  ", "url_id": id }), "event_type"),
            (
                json!({ "event_type": "a\u{0}b", "url_id": id }),
                "event_type",
            ),
            (json!({ "event_type": "note", "url_id": "1" }), "url_id"),
            (json!({ "event_type": "note", "url_id": true }), "url_id"),
            (json!({ "event_type": "note", "url_id": 1.5 }), "url_id"),
            (json!({ "event_type": "note", "url_id": 0 }), "url_id"),
            (json!({ "event_type": "note", "url_id": -1 }), "url_id"),
            (json!({ "event_type": "note", "url_id": null }), "url_id"),
            (
                json!({ "event_type": "note", "url_id": id, "user_id": "1" }),
                "user_id",
            ),
            (
                json!({ "event_type": "note", "url_id": id, "user_id": 0 }),
                "user_id",
            ),
        ] {
            api.post("/events", &body).await.error_naming(400, field);
        }
    });
}

#[test]
fn the_filters_combine() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let user = rig::a_user(&api).await;
        let url = rig::a_url_of(&api, &user).await;
        let stranger = rig::a_user(&api).await;
        for (kind, who) in [("note", &user), ("note", &stranger), ("mark", &user)] {
            let body = json!({ "event_type": kind, "url_id": url["id"], "user_id": who["id"] });
            api.post("/events", &body).await.expect(201);
        }
        let count = async |query: String| {
            api.get(&format!("/events?{query}"))
                .await
                .expect(200)
                .list()
                .len()
        };
        let (url, user) = (&url["id"], &user["id"]);
        assert_eq!(count(format!("url_id={url}")).await, 4);
        assert_eq!(count(format!("user_id={user}")).await, 3);
        assert_eq!(count(format!("url_id={url}&event_type=note")).await, 2);
        assert_eq!(
            count(format!("url_id={url}&event_type=note&user_id={user}")).await,
            1
        );
        assert_eq!(
            count(format!("url_id={url}&event_type=nothing-like-it")).await,
            0
        );
        assert_eq!(count(format!("user_id={user}&event_type=created")).await, 1);
    });
}
