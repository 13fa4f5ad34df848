//! What is where, and what everything says that is not.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Method;
use serde_json::json;
use warmlink_tests::metrics::Scrape;
use warmlink_tests::{Api, Reply, rig, run};

fn methods() -> Vec<Method> {
    let names = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE",
    ];
    names
        .map(|name| Method::from_bytes(name.as_bytes()).unwrap())
        .to_vec()
}

async fn ask(api: &Api, method: Method, path: &str) -> Reply {
    api.send(method, path, &[], Bytes::new()).await
}

#[test]
fn a_method_that_a_route_does_not_serve_is_405_and_says_which_are() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let (user, url) = (rig::a_user(&api).await, rig::a_url(&api).await);
        let visit = rig::visit(&url);
        for (path, served) in [
            ("/health".to_owned(), "GET, HEAD"),
            ("/metrics".to_owned(), "GET, HEAD"),
            ("/openapi.json".to_owned(), "GET, HEAD"),
            ("/users".to_owned(), "GET, HEAD, POST"),
            (rig::path("users", &user), "GET, HEAD, PUT, DELETE"),
            ("/users/bulk".to_owned(), "POST"),
            ("/urls".to_owned(), "GET, HEAD, POST"),
            (rig::path("urls", &url), "GET, HEAD, PUT, DELETE"),
            ("/urls/bulk".to_owned(), "POST"),
            (format!("/urls{visit}/redirect"), "GET, HEAD"),
            ("/events".to_owned(), "GET, HEAD, POST"),
            ("/events/bulk".to_owned(), "POST"),
            (visit, "GET, HEAD"),
        ] {
            let served: BTreeSet<&str> = served.split(", ").collect();
            let refused = methods()
                .into_iter()
                .filter(|method| !served.contains(method.as_str()));
            for method in refused {
                let reply = ask(&api, method.clone(), &path).await;
                let allow = reply.header("allow").unwrap_or_default();
                let allowed: BTreeSet<&str> = allow.split(',').map(str::trim).collect();
                assert_eq!(allowed, served, "{method} {path}");
                if method == Method::HEAD {
                    assert!(reply.expect(405).body.is_empty());
                } else {
                    reply.error(405);
                }
            }
        }
        // Whatever was asked for, nothing was done.
        assert_eq!(
            api.get(&rig::path("users", &user))
                .await
                .expect(200)
                .value(),
            user
        );
        assert!(rig::events_of(&api, &url, Some("click")).await.is_empty());
    });
}

#[test]
fn what_is_nowhere_is_404_by_any_method() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        for path in [
            "/",
            "/users/1/posts",
            "/users/bulk/1",
            "/urls/1/2",
            "/urls/1/redirect/more",
            "/events/1",
            "/events/1/2",
            "/metrics/more",
            "/health/more",
            "/a/b/c",
            "/users%2F1/x",
            "/../etc/passwd",
        ] {
            for method in methods() {
                let reply = ask(&api, method.clone(), path).await;
                if method == Method::HEAD {
                    reply.expect(404);
                } else {
                    reply.error(404);
                }
            }
        }
        for path in [
            "/favicon.ico",
            "/robots.txt",
            "/Users",
            "/.env",
            "/index.html",
        ] {
            api.get(path).await.error(404);
        }
    });
}

#[test]
fn metrics_are_prometheus_text_that_moves() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let read = async || {
            let reply = api.get("/metrics").await.expect(200);
            let kind = reply.header("content-type").unwrap_or_default().to_owned();
            assert!(kind.starts_with("text/plain"), "{kind}");
            let text = reply.text();
            assert!(text.contains("\n# TYPE "), "{text}");
            Scrape::parse(&text)
        };
        let served =
            |scrape: &Scrape| scrape.sum("warmlink_requests_total", &[("component", "users")]);
        api.get("/users?per_page=1").await.expect(200);
        let before = served(&read().await).expect("requests are counted by component");
        for _ in 0..3 {
            api.get("/users?per_page=1").await.expect(200);
        }
        // Other tests ask for users too.
        assert!(served(&read().await).unwrap() >= before + 3.0);
        let head = api.head("/metrics").await.expect(200);
        assert!(head.body.is_empty());
    });
}

#[test]
fn answers_to_head_are_those_to_get_without_the_body() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let user = rig::a_user(&api).await;
        for path in [
            "/health".to_owned(),
            "/users?per_page=1".to_owned(),
            rig::path("users", &user),
        ] {
            let (get, head) = (
                api.get(&path).await.expect(200),
                api.head(&path).await.expect(200),
            );
            assert!(head.body.is_empty(), "{path}");
            assert_eq!(
                head.header("content-type"),
                get.header("content-type"),
                "{path}"
            );
        }
        let made = json!({ "original_url": "https://example.com/located" });
        let reply = api.post("/urls", &made).await.expect(201);
        let url = reply.value();
        assert_eq!(
            reply.header("location"),
            Some(rig::path("urls", &url).as_str())
        );
    });
}
