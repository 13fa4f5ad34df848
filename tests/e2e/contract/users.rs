use serde_json::json;
use warmlink_tests::{rig, run, unique};

use super::{assert_fields, assert_time};

#[test]
fn a_created_user_is_answered_whole_and_can_be_read() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let name = unique::name("someone");
        let email = format!("{name}@example.com");
        let user = api
            .post("/users", &json!({ "username": name, "email": email }))
            .await
            .expect(201)
            .value();
        assert_fields(&user, &["id", "username", "email", "created_at"]);
        assert_eq!(user["username"], name);
        assert_eq!(user["email"], email);
        assert!(user["id"].as_u64().unwrap() >= 1);
        assert_time(&user["created_at"]);
        let read = api.get(&rig::path("users", &user)).await.expect(200);
        assert_eq!(read.value(), user);
        assert!(
            read.header("content-type")
                .unwrap()
                .starts_with("application/json")
        );
    });
}

#[test]
fn a_user_that_is_not_there_is_404() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let body = json!({ "username": "x" });
        for id in [
            "99999999",
            "0",
            "-1",
            "abc",
            "1.5",
            "1e3",
            "9223372036854775808",
            "01x",
        ] {
            let path = format!("/users/{id}");
            api.get(&path).await.error(404);
            api.put(&path, &body).await.error(404);
            api.delete(&path).await.error(404);
        }
    });
}

#[test]
fn a_put_changes_only_what_it_names() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let user = rig::a_user(&api).await;
        let path = rig::path("users", &user);
        assert_eq!(api.put(&path, &json!({})).await.expect(200).value(), user);

        let name = unique::name("renamed");
        let renamed = api
            .put(&path, &json!({ "username": name }))
            .await
            .expect(200)
            .value();
        assert_eq!(renamed["username"], name);
        for field in ["id", "email", "created_at"] {
            assert_eq!(renamed[field], user[field], "{field}");
        }
        let email = format!("{name}@example.org");
        let moved = api
            .put(&path, &json!({ "email": email }))
            .await
            .expect(200)
            .value();
        assert_eq!(moved["email"], email);
        assert_eq!(moved["username"], name);
        assert_eq!(api.get(&path).await.expect(200).value(), moved);

        let forged = json!({ "id": 1, "created_at": "2001-01-01T00:00:00", "unknown": true });
        assert_eq!(api.put(&path, &forged).await.expect(200).value(), moved);
    });
}

#[test]
fn a_refused_put_changes_nothing() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let other = rig::a_user(&api).await;
        let user = rig::a_user(&api).await;
        let path = rig::path("users", &user);
        let fresh = unique::name("fresh");
        let taken =
            json!({ "username": other["username"], "email": format!("{fresh}@example.com") });
        api.put(&path, &taken).await.error_naming(409, "username");
        let taken = json!({ "username": fresh, "email": other["email"] });
        api.put(&path, &taken).await.error_naming(409, "email");
        api.put(&path, &json!({ "username": fresh, "email": "nothing" }))
            .await
            .error_naming(400, "email");
        api.put(&path, &json!({ "username": 7 }))
            .await
            .error_naming(400, "username");
        api.put(&path, &json!({ "username": null, "email": 1 }))
            .await
            .error(400);
        assert_eq!(api.get(&path).await.expect(200).value(), user);
        // What a refused change named is still free.
        let body = json!({ "username": fresh, "email": format!("{fresh}@example.com") });
        api.post("/users", &body).await.expect(201);
    });
}

#[test]
fn a_put_of_the_same_values_is_no_conflict_with_itself() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let user = rig::a_user(&api).await;
        let same = json!({ "username": user["username"], "email": user["email"] });
        assert_eq!(
            api.put(&rig::path("users", &user), &same)
                .await
                .expect(200)
                .value(),
            user
        );
    });
}

#[test]
fn a_name_or_an_email_that_exists_is_409() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let user = rig::a_user(&api).await;
        let fresh = unique::name("fresh");
        let body = json!({ "username": user["username"], "email": format!("{fresh}@example.com") });
        api.post("/users", &body)
            .await
            .error_naming(409, "username");
        let body = json!({ "username": fresh, "email": user["email"] });
        api.post("/users", &body).await.error_naming(409, "email");
        let same = json!({ "username": user["username"], "email": user["email"] });
        api.post("/users", &same).await.error(409);
        // What a refused create named is still free.
        let body = json!({ "username": fresh, "email": format!("{fresh}@example.com") });
        api.post("/users", &body).await.expect(201);
    });
}

#[test]
fn two_users_that_take_each_others_names_at_once_are_both_refused() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        for _ in 0..10 {
            let (one, two) = (rig::a_user(&api).await, rig::a_user(&api).await);
            let (to_two, to_one) = (
                json!({ "username": two["username"] }),
                json!({ "username": one["username"] }),
            );
            let (path_one, path_two) = (rig::path("users", &one), rig::path("users", &two));
            // And neither waits for the other for ever.
            let (first, second) =
                futures::join!(api.put(&path_one, &to_two), api.put(&path_two, &to_one));
            first.error_naming(409, "username");
            second.error_naming(409, "username");
            assert_eq!(api.get(&path_one).await.expect(200).value(), one);
        }
    });
}

#[test]
fn a_deleted_user_is_gone_and_gives_its_names_back() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let user = rig::a_user(&api).await;
        let path = rig::path("users", &user);
        let gone = api.delete(&path).await.expect(204);
        assert!(gone.body.is_empty());
        api.get(&path).await.error(404);
        api.delete(&path).await.error(404);
        api.put(&path, &json!({})).await.error(404);
        let body = json!({ "username": user["username"], "email": user["email"] });
        let again = api.post("/users", &body).await.expect(201).value();
        assert_ne!(again["id"], user["id"]);
    });
}

#[test]
fn a_renamed_user_gives_its_old_name_back() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let user = rig::a_user(&api).await;
        let name = unique::name("renamed");
        api.put(&rig::path("users", &user), &json!({ "username": name }))
            .await
            .expect(200);
        let body = json!({ "username": user["username"], "email": format!("{name}@example.net") });
        api.post("/users", &body).await.expect(201);
    });
}

#[test]
fn the_urls_of_a_deleted_user_stay_and_redirect() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let user = rig::a_user(&api).await;
        let url = rig::a_url_of(&api, &user).await;
        assert_eq!(url["user_id"], user["id"]);
        api.delete(&rig::path("users", &user)).await.expect(204);
        let left = api.get(&rig::path("urls", &url)).await.expect(200).value();
        assert!(left["user_id"].is_null());
        api.get(&rig::visit(&url)).await.expect(302);
        assert_eq!(rig::events_of(&api, &url, Some("created")).await.len(), 1);
    });
}
