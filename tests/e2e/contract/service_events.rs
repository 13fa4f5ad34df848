//! Events that the service writes itself.

use serde_json::{Value, json};
use warmlink_tests::{rig, run};

use super::{assert_fields, assert_time};

#[test]
fn a_created_url_says_so() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let user = rig::a_user(&api).await;
        let url = rig::a_url_of(&api, &user).await;
        let events = rig::events_of(&api, &url, None).await;
        let [event] = events.as_slice() else {
            panic!("one event: {events:?}")
        };
        assert_fields(
            event,
            &[
                "id",
                "url_id",
                "user_id",
                "event_type",
                "timestamp",
                "details",
            ],
        );
        assert_eq!(event["event_type"], "created");
        assert_eq!(event["url_id"], url["id"]);
        assert_eq!(event["user_id"], user["id"]);
        assert_time(&event["timestamp"]);
        assert_eq!(
            event["details"],
            json!({ "short_code": url["short_code"], "original_url": url["original_url"] })
        );
    });
}

#[test]
fn each_changed_field_is_one_updated_event() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let url = rig::a_url(&api).await;
        let target = "https://example.org/other";
        let body = json!({ "title": "New", "is_active": false, "original_url": target });
        api.put(&rig::path("urls", &url), &body).await.expect(200);
        let mut changes: Vec<Value> = rig::events_of(&api, &url, Some("updated"))
            .await
            .into_iter()
            .map(|mut event| event["details"].take())
            .collect();
        changes.sort_by_key(|change| change["field"].to_string());
        assert_eq!(
            changes,
            [
                json!({ "field": "is_active", "new_value": false }),
                json!({ "field": "original_url", "new_value": target }),
                json!({ "field": "title", "new_value": "New" }),
            ]
        );
    });
}

#[test]
fn a_change_is_told_as_its_owners_and_a_title_taken_away_as_null() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let user = rig::a_user(&api).await;
        let url = rig::a_url_of(&api, &user).await;
        let path = rig::path("urls", &url);
        for title in [json!("Ä \"title\", 100%"), json!(null)] {
            api.put(&path, &json!({ "title": title })).await.expect(200);
            let event = rig::events_of(&api, &url, Some("updated"))
                .await
                .pop()
                .unwrap();
            assert_eq!(
                event["details"],
                json!({ "field": "title", "new_value": title })
            );
            assert_eq!(event["user_id"], user["id"]);
        }
    });
}

#[test]
fn what_did_not_change_is_no_event() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let url = rig::a_url(&api).await;
        let path = rig::path("urls", &url);
        api.put(&path, &json!({})).await.expect(200);
        let same = json!({ "original_url": url["original_url"], "is_active": true, "title": null });
        api.put(&path, &same).await.expect(200);
        assert!(rig::events_of(&api, &url, Some("updated")).await.is_empty());
        let body = json!({ "title": "New", "is_active": true });
        api.put(&path, &body).await.expect(200);
        let events = rig::events_of(&api, &url, Some("updated")).await;
        assert_eq!(events.len(), 1);
        assert_eq!(
            events[0]["details"],
            json!({ "field": "title", "new_value": "New" })
        );
    });
}

#[test]
fn a_deleted_url_says_so() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let user = rig::a_user(&api).await;
        let url = rig::a_url_of(&api, &user).await;
        api.delete(&rig::path("urls", &url)).await.expect(204);
        let events = rig::events_of(&api, &url, Some("deleted")).await;
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["details"], json!({ "reason": "user_requested" }));
        assert_eq!(events[0]["user_id"], user["id"]);
    });
}
