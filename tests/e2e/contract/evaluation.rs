//! What a typical evaluation does, in its order, on an empty database.

use serde_json::{Value, json};
use warmlink_tests::rig::{self, Application};
use warmlink_tests::seed::{Seed, out};
use warmlink_tests::{Api, csv, run};

#[test]
fn an_evaluation_passes_with_a_cache() {
    run(async { evaluate(&Application::start().await.api()).await });
}

#[test]
fn an_evaluation_passes_without_a_cache() {
    run(async { evaluate(&Application::start_without_valkey().await.api()).await });
}

async fn evaluate(api: &Api) {
    assert_eq!(api.get("/health").await.expect(200).value()["status"], "ok");
    let seed = Seed::generate(400);
    users(api, &seed).await;
    let url = urls(api).await;
    changes(api, &url).await;
    events(api, &url).await;
    tricks(api).await;
}

async fn users(api: &Api, seed: &Seed) {
    let import = csv::upload(api, "/users/bulk", seed.users_csv()).await;
    assert_eq!(
        import.expect(201).value(),
        json!({ "count": 400, "imported": 400 })
    );
    assert_eq!(api.get("/users").await.expect(200).list().len(), 100);
    let page = api
        .get("/users?page=1&per_page=10")
        .await
        .expect(200)
        .list();
    assert_eq!(page.len(), 10);

    let first = &seed.users[0];
    let user = api.get("/users/1").await.expect(200).value();
    assert_eq!(user, page[0]);
    let wanted = json!({
        "id": 1, "username": first.username, "email": first.email,
        "created_at": out(&first.created_at),
    });
    assert_eq!(user, wanted);

    let new = json!({ "username": "newcomer", "email": "newcomer@example.com" });
    let made = api.post("/users", &new).await.expect(201).value();
    assert_eq!(made["id"], 401);
    assert_eq!(made["username"], "newcomer");
    assert_eq!(api.get("/users/401").await.expect(200).value(), made);

    let renamed = api
        .put("/users/1", &json!({ "username": "renamed" }))
        .await
        .expect(200)
        .value();
    assert_eq!(renamed["username"], "renamed");
    assert_eq!(renamed["email"], user["email"]);
    assert_eq!(api.get("/users/1").await.expect(200).value(), renamed);

    api.delete("/users/200").await.expect(204);
    api.get("/users/200").await.error(404);
    api.get("/users/99999").await.error(404);
}

async fn urls(api: &Api) -> Value {
    let target = "https://example.com/landing?from=evaluation#top";
    let body = json!({ "user_id": 1, "original_url": target, "title": "Landing" });
    let url = api.post("/urls", &body).await.expect(201).value();
    assert_eq!(url["id"], 1);
    assert_eq!(url["user_id"], 1);
    assert_eq!(url["original_url"], target);
    assert_eq!(url["title"], "Landing");
    assert_eq!(url["is_active"], true);
    assert_eq!(url["short_code"].as_str().unwrap().len(), 6);

    let list = async |query: &str| api.get(&format!("/urls{query}")).await.expect(200).list();
    assert_eq!(list("").await, std::slice::from_ref(&url));
    assert_eq!(list("?user_id=1").await, std::slice::from_ref(&url));
    assert_eq!(list("?is_active=true").await, std::slice::from_ref(&url));
    assert!(list("?user_id=2").await.is_empty());
    assert!(list("?is_active=false").await.is_empty());
    assert_eq!(api.get("/urls/1").await.expect(200).value(), url);

    let visit = api.get(&rig::visit(&url)).await.expect(302);
    assert_eq!(visit.header("location"), Some(target));
    url
}

async fn changes(api: &Api, url: &Value) {
    let titled = api
        .put("/urls/1", &json!({ "title": "Renamed" }))
        .await
        .expect(200)
        .value();
    assert_eq!(titled["title"], "Renamed");
    assert_eq!(titled["short_code"], url["short_code"]);
    let resting = api
        .put("/urls/1", &json!({ "is_active": false }))
        .await
        .expect(200)
        .value();
    assert_eq!(resting["is_active"], false);
    assert!(
        api.get("/urls?is_active=true")
            .await
            .expect(200)
            .list()
            .is_empty()
    );
    assert_eq!(
        api.get("/urls?is_active=false").await.expect(200).list(),
        std::slice::from_ref(&resting)
    );
    assert_eq!(api.get("/urls/1").await.expect(200).value(), resting);

    let other = json!({ "user_id": 1, "original_url": "https://example.com/short-lived" });
    let other = api.post("/urls", &other).await.expect(201).value();
    api.get(&rig::visit(&other)).await.expect(302);
    api.delete(&rig::path("urls", &other)).await.expect(204);
    api.get(&rig::path("urls", &other)).await.error(404);
    let visit = api.get(&rig::visit(&other)).await;
    visit.error(404);
    assert_eq!(visit.header("location"), None);
}

async fn events(api: &Api, url: &Value) {
    let list = async |query: &str| -> Vec<(Value, Value)> {
        let list = api
            .get(&format!("/events?{query}"))
            .await
            .expect(200)
            .list();
        list.into_iter()
            .map(|it| (it["event_type"].clone(), it["url_id"].clone()))
            .collect()
    };
    let of = |kinds: &[(&str, u64)]| -> Vec<(Value, Value)> {
        kinds
            .iter()
            .map(|(kind, url)| (json!(kind), json!(url)))
            .collect()
    };
    let first = [("created", 1), ("click", 1), ("updated", 1), ("updated", 1)];
    let second = [("created", 2), ("click", 2), ("deleted", 2)];
    assert_eq!(list("url_id=1").await, of(&first));
    assert_eq!(list("url_id=2").await, of(&second));
    assert_eq!(
        list("user_id=1").await,
        of(&[&first[..], &second[..]].concat())
    );
    assert_eq!(
        list("event_type=click").await,
        of(&[("click", 1), ("click", 2)])
    );
    let click = api
        .get("/events?event_type=click&url_id=1")
        .await
        .expect(200)
        .list();
    assert_eq!(click[0]["user_id"], 1);
    assert_eq!(click[0]["details"]["short_code"], url["short_code"]);
    assert_eq!(click[0]["details"]["original_url"], url["original_url"]);

    let body = json!({
        "event_type": "click", "url_id": 1, "user_id": 1,
        "details": { "referrer": "https://example.org" },
    });
    let event = api.post("/events", &body).await.expect(201).value();
    assert_eq!(
        event["details"],
        json!({ "referrer": "https://example.org" })
    );
    let clicks = api
        .get("/events?event_type=click&url_id=1")
        .await
        .expect(200)
        .list();
    assert_eq!(clicks[1], event);
}

async fn tricks(api: &Api) {
    let body = json!({ "original_url": "https://example.com/twice", "user_id": 1 });
    let one = api.post("/urls", &body).await.expect(201).value();
    let two = api.post("/urls", &body).await.expect(201).value();
    assert_ne!(one["short_code"], two["short_code"]);

    for visits in 1..=3 {
        api.get(&rig::visit(&one)).await.expect(302);
        assert_eq!(rig::events_of(api, &one, Some("click")).await.len(), visits);
    }
    let missing = json!({ "username": "only-a-name" });
    api.post("/users", &missing)
        .await
        .error_naming(400, "email");
    let wrong = json!({ "username": 12_345, "email": "number@example.com" });
    api.post("/users", &wrong)
        .await
        .error_naming(400, "username");
    api.post("/urls", &json!({ "user_id": 1 }))
        .await
        .error_naming(400, "original_url");
    let twice = json!({ "username": "newcomer", "email": "another@example.com" });
    api.post("/users", &twice)
        .await
        .error_naming(409, "username");
    let nobodys = json!({ "original_url": "https://example.com", "user_id": 99_999 });
    api.post("/urls", &nobodys).await.error(404);

    api.put(&rig::path("urls", &two), &json!({ "is_active": false }))
        .await
        .expect(200);
    let visit = api.get(&rig::visit(&two)).await;
    visit.error(404);
    assert_eq!(visit.header("location"), None);
    assert!(rig::events_of(api, &two, Some("click")).await.is_empty());

    let word = json!({ "original_url": "not-a-url", "user_id": 1 });
    api.post("/urls", &word)
        .await
        .error_naming(400, "original_url");
    let loose = json!({ "event_type": "click", "url_id": one["id"], "details": "loose" });
    api.post("/events", &loose)
        .await
        .error_naming(400, "details");
    api.json(http::Method::POST, "/users", "\"loose\"")
        .await
        .error_naming(400, "body");
    assert_eq!(rig::events_of(api, &one, Some("click")).await.len(), 3);
}
