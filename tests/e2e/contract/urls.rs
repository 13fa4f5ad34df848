use serde_json::json;
use warmlink_tests::{rig, run, unique};

use super::{assert_code, assert_fields, assert_time};

const FIELDS: [&str; 8] = [
    "id",
    "user_id",
    "short_code",
    "original_url",
    "title",
    "is_active",
    "created_at",
    "updated_at",
];

#[test]
fn a_created_url_is_answered_whole_and_can_be_read() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let user = rig::a_user(&api).await;
        let body = json!({
            "user_id": user["id"], "original_url": "https://example.com/a", "title": "A page",
        });
        let url = api.post("/urls", &body).await.expect(201).value();
        assert_fields(&url, &FIELDS);
        assert_code(&url["short_code"]);
        assert_time(&url["created_at"]);
        assert_time(&url["updated_at"]);
        assert_eq!(url["user_id"], user["id"]);
        assert_eq!(url["title"], "A page");
        assert_eq!(url["is_active"], true);
        assert_eq!(url["original_url"], "https://example.com/a");
        assert_eq!(
            api.get(&rig::path("urls", &url)).await.expect(200).value(),
            url
        );
    });
}

#[test]
fn owner_and_title_may_be_absent_or_null() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let target = "https://example.com/b";
        for body in [
            json!({ "original_url": target }),
            json!({ "original_url": target, "user_id": null, "title": null, "short_code": null }),
        ] {
            let url = api.post("/urls", &body).await.expect(201).value();
            assert_code(&url["short_code"]);
            assert!(url["user_id"].is_null());
            assert!(url["title"].is_null());
        }
    });
}

#[test]
fn an_owner_that_nobody_is_is_404() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let body = json!({ "original_url": "https://example.com", "user_id": 99_999_999 });
        api.post("/urls", &body).await.error_naming(404, "user");
        let body = json!({ "original_url": "https://example.com", "user_id": i64::MAX });
        api.post("/urls", &body).await.error_naming(404, "user");
    });
}

#[test]
fn the_same_target_twice_gets_two_codes() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let body = json!({ "original_url": format!("https://example.com/{}", unique::name("t")) });
        let one = api.post("/urls", &body).await.expect(201).value();
        let two = api.post("/urls", &body).await.expect(201).value();
        assert_ne!(one["short_code"], two["short_code"]);
        assert_ne!(one["id"], two["id"]);
    });
}

#[test]
fn a_url_that_is_not_there_is_404() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        for id in ["99999999", "0", "-1", "1.5", "9223372036854775808"] {
            let path = format!("/urls/{id}");
            api.get(&path).await.error(404);
            api.put(&path, &json!({ "title": "x" })).await.error(404);
            api.delete(&path).await.error(404);
        }
    });
}

#[test]
fn a_put_changes_only_what_it_names() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let url = rig::a_url(&api).await;
        let path = rig::path("urls", &url);
        assert_eq!(api.put(&path, &json!({})).await.expect(200).value(), url);

        let titled = api
            .put(&path, &json!({ "title": "New" }))
            .await
            .expect(200)
            .value();
        assert_eq!(titled["title"], "New");
        for field in [
            "id",
            "short_code",
            "created_at",
            "user_id",
            "original_url",
            "is_active",
        ] {
            assert_eq!(titled[field], url[field], "{field}");
        }
        let target = "http://example.org/moved?x=1#y";
        let moved = api
            .put(
                &path,
                &json!({ "original_url": target, "is_active": false }),
            )
            .await
            .expect(200)
            .value();
        assert_eq!(moved["original_url"], target);
        assert_eq!(moved["is_active"], false);
        assert_eq!(moved["title"], "New");
        // A title can be taken away again.
        let bare = api
            .put(&path, &json!({ "title": null }))
            .await
            .expect(200)
            .value();
        assert!(bare["title"].is_null());
        // What is not the client's to set is ignored.
        let forged = json!({ "short_code": "forged", "id": 1, "created_at": "x", "user_id": 1 });
        let same = api.put(&path, &forged).await.expect(200).value();
        assert_eq!(same["short_code"], url["short_code"]);
        assert_eq!(same["id"], url["id"]);
        assert_eq!(same["created_at"], url["created_at"]);
    });
}

#[test]
fn updated_at_moves_with_a_change() {
    run(async {
        let (host, database) = rig::application().await;
        let api = host.api();
        let url = rig::a_url(&api).await;
        // Times show whole seconds: let the url be older than one.
        let sql = "UPDATE urls SET updated_at = updated_at - interval '1 hour' WHERE id = $1";
        let id = i64::try_from(url["id"].as_u64().unwrap()).unwrap();
        assert_eq!(
            database.connect().await.execute(sql, &[&id]).await.unwrap(),
            1
        );
        let path = rig::path("urls", &url);
        let before = api.get(&path).await.expect(200).value();
        let after = api
            .put(&path, &json!({ "title": "New" }))
            .await
            .expect(200)
            .value();
        assert!(after["updated_at"].as_str() > before["updated_at"].as_str());
        assert_eq!(after["created_at"], before["created_at"]);
    });
}

#[test]
fn a_refused_put_changes_nothing() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let url = rig::a_url(&api).await;
        let path = rig::path("urls", &url);
        for (body, field) in [
            (json!({ "title": "x", "is_active": "true" }), "is_active"),
            (json!({ "title": "x", "is_active": 1 }), "is_active"),
            (json!({ "title": "x", "is_active": null }), "is_active"),
            (json!({ "title": 5 }), "title"),
            (json!({ "title": "x".repeat(256) }), "title"),
            (
                json!({ "title": "x", "original_url": "word" }),
                "original_url",
            ),
            (
                json!({ "title": "x", "original_url": null }),
                "original_url",
            ),
        ] {
            api.put(&path, &body).await.error_naming(400, field);
        }
        assert_eq!(api.get(&path).await.expect(200).value(), url);
        assert!(rig::events_of(&api, &url, Some("updated")).await.is_empty());
    });
}

#[test]
fn a_deleted_url_is_gone_and_its_events_stay() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let user = rig::a_user(&api).await;
        let url = rig::a_url_of(&api, &user).await;
        let path = rig::path("urls", &url);
        api.get(&rig::visit(&url)).await.expect(302);
        assert!(api.delete(&path).await.expect(204).body.is_empty());
        api.get(&path).await.error(404);
        api.delete(&path).await.error(404);
        api.put(&path, &json!({ "title": "x" })).await.error(404);
        api.get(&rig::visit(&url)).await.error(404);
        let list = api
            .get(&format!("/urls?user_id={}", user["id"]))
            .await
            .expect(200)
            .list();
        assert!(list.is_empty());
        let kinds: Vec<_> = rig::events_of(&api, &url, None)
            .await
            .iter()
            .map(|it| it["event_type"].clone())
            .collect();
        assert_eq!(kinds, ["created", "click", "deleted"]);
        // No new ones for it, though.
        api.post(
            "/events",
            &json!({ "event_type": "note", "url_id": url["id"] }),
        )
        .await
        .error(404);
    });
}
