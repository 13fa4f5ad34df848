use http::Method;
use http::header::{HeaderName, REFERER, USER_AGENT};
use serde_json::json;
use warmlink_tests::{rig, run};

#[test]
fn a_visit_goes_to_the_target_by_both_paths() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let url = rig::a_url(&api).await;
        let code = url["short_code"].as_str().unwrap();
        for path in [format!("/{code}"), format!("/urls/{code}/redirect")] {
            // Once from the database, once from the cache.
            for _ in 0..2 {
                let visit = api.get(&path).await.expect(302);
                assert_eq!(visit.header("location"), url["original_url"].as_str());
                let stored = visit.header("cache-control").unwrap_or_default();
                assert!(
                    stored.contains("no-store"),
                    "{path}: cache-control {stored:?}"
                );
            }
        }
        assert_eq!(rig::events_of(&api, &url, Some("click")).await.len(), 4);
    });
}

#[test]
fn a_head_goes_there_too_and_is_no_visit() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let url = rig::a_url(&api).await;
        let code = url["short_code"].as_str().unwrap();
        for path in [format!("/{code}"), format!("/urls/{code}/redirect")] {
            let head = api.head(&path).await.expect(302);
            assert_eq!(head.header("location"), url["original_url"].as_str());
            assert!(head.body.is_empty());
        }
        assert!(rig::events_of(&api, &url, Some("click")).await.is_empty());
        // Nor once the link is cached.
        api.get(&rig::visit(&url)).await.expect(302);
        api.head(&rig::visit(&url)).await.expect(302);
        assert_eq!(rig::events_of(&api, &url, Some("click")).await.len(), 1);
    });
}

#[test]
fn an_unknown_code_is_404_and_leads_nowhere() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        for path in [
            "/zzzzzz",
            "/no-such-code",
            "/urls/zzzzzz/redirect",
            "/%00",
            "/ab%2Fcd",
            "/ü",
        ] {
            let path = path.replace('ü', "%C3%BC");
            let visit = api.get(&path).await;
            visit.error(404);
            assert_eq!(visit.header("location"), None);
        }
        // Codes tell upper from lower case.
        let url = rig::a_url(&api).await;
        let visit = rig::visit(&url);
        let swapped: String = visit
            .chars()
            .map(|c| {
                if c.is_ascii_lowercase() {
                    c.to_ascii_uppercase()
                } else {
                    c.to_ascii_lowercase()
                }
            })
            .collect();
        if swapped != visit {
            api.get(&swapped).await.error(404);
        }
        let head = api.head("/zzzzzz").await.expect(404);
        assert_eq!(head.header("location"), None);
    });
}

#[test]
fn an_inactive_url_is_404_and_records_nothing() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let url = rig::a_url(&api).await;
        let path = rig::path("urls", &url);
        // Into the cache first, so that what is cached is put to the test.
        api.get(&rig::visit(&url)).await.expect(302);
        api.put(&path, &json!({ "is_active": false }))
            .await
            .expect(200);
        for _ in 0..3 {
            let visit = api.get(&rig::visit(&url)).await;
            visit.error(404);
            assert_eq!(visit.header("location"), None);
        }
        assert_eq!(rig::events_of(&api, &url, Some("click")).await.len(), 1);
        // It can still be read, and be brought back.
        assert_eq!(api.get(&path).await.expect(200).value()["is_active"], false);
        api.put(&path, &json!({ "is_active": true }))
            .await
            .expect(200);
        api.get(&rig::visit(&url)).await.expect(302);
    });
}

#[test]
fn a_changed_target_is_visited_at_once() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let url = rig::a_url(&api).await;
        api.get(&rig::visit(&url)).await.expect(302);
        for number in 0..5 {
            let target = format!("https://example.org/{number}");
            let body = json!({ "original_url": target });
            api.put(&rig::path("urls", &url), &body).await.expect(200);
            let visit = api.get(&rig::visit(&url)).await.expect(302);
            assert_eq!(visit.header("location"), Some(target.as_str()));
        }
    });
}

#[test]
fn a_click_names_its_visitor() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let user = rig::a_user(&api).await;
        let url = rig::a_url_of(&api, &user).await;
        let headers: [(HeaderName, &str); 2] = [
            (REFERER, "https://example.org/from?x=\"1\""),
            (USER_AGENT, "probe/1.0 (tests)"),
        ];
        let path = rig::visit(&url);
        api.send(Method::GET, &path, &headers, Vec::new().into())
            .await
            .expect(302);
        let clicks = rig::events_of(&api, &url, Some("click")).await;
        let [click] = clicks.as_slice() else {
            panic!("one click: {clicks:?}")
        };
        assert_eq!(click["user_id"], user["id"]);
        assert_eq!(click["url_id"], url["id"]);
        assert_eq!(
            click["details"],
            json!({
                "short_code": url["short_code"],
                "original_url": url["original_url"],
                "referrer": "https://example.org/from?x=\"1\"",
                "user_agent": "probe/1.0 (tests)",
            })
        );
    });
}

#[test]
fn a_click_without_headers_has_only_the_url() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let url = rig::a_url(&api).await;
        api.get(&rig::visit(&url)).await.expect(302);
        let clicks = rig::events_of(&api, &url, Some("click")).await;
        assert_eq!(clicks.len(), 1);
        assert!(clicks[0]["user_id"].is_null());
        assert_eq!(
            clicks[0]["details"],
            json!({ "short_code": url["short_code"], "original_url": url["original_url"] })
        );
    });
}

#[test]
fn a_click_is_listed_as_soon_as_its_visit_is_answered() {
    run(async {
        let (host, _) = rig::application().await;
        // The list is asked for over another connection, and so by another core.
        let (visitor, reader) = (host.api(), host.api());
        let url = rig::a_url(&visitor).await;
        for visits in 1..=30 {
            visitor.get(&rig::visit(&url)).await.expect(302);
            assert_eq!(
                rig::events_of(&reader, &url, Some("click")).await.len(),
                visits
            );
        }
    });
}

#[test]
fn a_deleted_url_leads_nowhere_by_either_path_and_records_nothing() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let url = rig::a_url(&api).await;
        let code = url["short_code"].as_str().unwrap();
        let paths = [format!("/{code}"), format!("/urls/{code}/redirect")];
        for path in &paths {
            api.get(path).await.expect(302);
        }
        api.delete(&rig::path("urls", &url)).await.expect(204);
        for path in &paths {
            let visit = api.get(path).await;
            visit.error(404);
            assert_eq!(visit.header("location"), None);
            let head = api.head(path).await.expect(404);
            assert_eq!(head.header("location"), None);
        }
        assert_eq!(rig::events_of(&api, &url, Some("click")).await.len(), 2);
    });
}

#[test]
fn every_visit_of_many_at_once_is_one_click() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let url = rig::a_url(&api).await;
        let visit = rig::visit(&url);
        let visits = (0..100).map(|_| async { api.get(&visit).await.expect(302) });
        futures::future::join_all(visits).await;
        assert_eq!(rig::events_of(&api, &url, Some("click")).await.len(), 100);
    });
}
