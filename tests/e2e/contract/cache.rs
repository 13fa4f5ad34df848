//! A cached link never lies for long: what the service changes is seen at once,
//! and what others write into the cache leads nowhere wrong where the database is
//! asked.

use std::time::Duration;

use futures::future::join_all;
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use warmlink_tests::proxy::Proxy;
use warmlink_tests::rig::{self, Application};
use warmlink_tests::services::{Wanted, signal};
use warmlink_tests::{Api, Database, Host, HostOptions, Manifest, eventually, run};

async fn valkey(application: &Application) -> MultiplexedConnection {
    let url = application.valkey.as_ref().unwrap().valkey_url();
    let client = redis::Client::open(url).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// Where a link's copy is.
fn key(url: &Value) -> String {
    format!("link:{}", url["short_code"].as_str().unwrap())
}

async fn target(api: &Api, url: &Value) -> Option<String> {
    let visit = api.get(&rig::visit(url)).await;
    let target = visit.header("location").map(ToOwned::to_owned);
    match target {
        Some(_) => drop(visit.expect(302)),
        None => drop(visit.error(404)),
    }
    target
}

async fn retarget(api: &Api, url: &Value, target: &str) {
    let body = json!({ "original_url": target });
    api.put(&rig::path("urls", url), &body).await.expect(200);
}

#[test]
fn a_change_is_seen_at_once_also_on_a_cache_hit() {
    run(async {
        let application = Application::start().await;
        let api = application.api();
        let mut valkey = valkey(&application).await;
        let url = rig::a_url(&api).await;
        let first = url["original_url"].as_str().unwrap();
        let warm = async |valkey: &mut MultiplexedConnection, wanted: &str| {
            for _ in 0..2 {
                assert_eq!(target(&api, &url).await.as_deref(), Some(wanted));
            }
            let copy: String = valkey.get(key(&url)).await.unwrap();
            assert!(
                copy.ends_with(wanted),
                "{copy:?} is not cached for {wanted}"
            );
        };
        warm(&mut valkey, first).await;
        retarget(&api, &url, "https://example.org/second").await;
        warm(&mut valkey, "https://example.org/second").await;
        api.put(&rig::path("urls", &url), &json!({ "is_active": false }))
            .await
            .expect(200);
        assert_eq!(target(&api, &url).await, None);
        api.put(&rig::path("urls", &url), &json!({ "is_active": true }))
            .await
            .expect(200);
        warm(&mut valkey, "https://example.org/second").await;
        api.delete(&rig::path("urls", &url)).await.expect(204);
        for _ in 0..2 {
            assert_eq!(target(&api, &url).await, None);
        }
        let clicks = rig::events_of(&api, &url, Some("click")).await;
        assert_eq!(clicks.len(), 6, "one for each visit that led somewhere");
    });
}

#[test]
fn without_a_stream_a_copy_that_is_old_or_garbage_leads_nobody_astray() {
    run(async {
        let manifest =
            Manifest::application().component_key("redirect", "variables.click_stream", "");
        let application = Application::start_as(manifest).await;
        let api = application.api();
        let mut valkey = valkey(&application).await;
        let user = rig::a_user(&api).await;
        let url = rig::a_url_of(&api, &user).await;
        let other = rig::a_url(&api).await;
        assert!(target(&api, &url).await.is_some());
        let old: String = valkey.get(key(&url)).await.unwrap();
        retarget(&api, &url, "https://example.org/new").await;
        let new = Some("https://example.org/new".to_owned());
        let stranger = format!("1 {} https://example.org/stranger", other["id"]);
        let (ahead, gone) = (
            format!("999 {} https://example.org/ahead", url["id"]),
            "999",
        );
        for copy in [
            old.as_str(),
            &ahead,
            gone,
            "",
            "garbage",
            "1 2",
            "x y z",
            "\u{0}",
        ] {
            let () = valkey.set(key(&url), copy).await.unwrap();
            for _ in 0..2 {
                assert_eq!(target(&api, &url).await, new, "with {copy:?}");
            }
        }
        let () = valkey.del(key(&url)).await.unwrap();
        let () = valkey.lpush(key(&url), "a list").await.unwrap();
        assert_eq!(target(&api, &url).await, new);
        let clicks = rig::events_of(&api, &url, Some("click")).await;
        assert_eq!(clicks.len(), 1 + 16 + 1);
        assert!(clicks.iter().all(|click| click["user_id"] == user["id"]));
        // Another link's copy under this link's code is nobody's visit to that.
        let () = valkey.set(key(&url), stranger).await.unwrap();
        assert_eq!(target(&api, &url).await, new);
        assert!(rig::events_of(&api, &other, Some("click")).await.is_empty());
    });
}

#[test]
fn a_visit_that_starts_after_a_change_sees_it_whatever_runs_beside() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let url = rig::a_url(&api).await;
        for round in 0..20 {
            let target_now = format!("https://example.org/round/{round}");
            // Readers on their way, to write what they saw into the cache late.
            let before = join_all((0..8).map(|_| target(&api, &url)));
            let change = async {
                retarget(&api, &url, &target_now).await;
                join_all((0..8).map(|_| target(&api, &url))).await
            };
            let (before, after) = futures::join!(before, change);
            assert!(before.iter().all(Option::is_some));
            assert!(
                after
                    .iter()
                    .all(|seen| seen.as_deref() == Some(&target_now)),
                "{after:?}"
            );
        }
        let clicks = rig::events_of(&api, &url, Some("click")).await;
        assert_eq!(clicks.len(), 20 * 16);
    });
}

#[test]
fn with_a_stream_a_copy_that_is_garbage_or_an_end_leads_nobody_astray() {
    run(async {
        let application = Application::start().await;
        let api = application.api();
        let mut valkey = valkey(&application).await;
        let url = rig::a_url(&api).await;
        let wanted = url["original_url"].as_str().map(str::to_owned);
        for copy in ["1", "", "garbage", "1 2", "x y z", "\u{0}"] {
            let () = valkey.set(key(&url), copy).await.unwrap();
            let head = api.head(&rig::visit(&url)).await.expect(302);
            assert_eq!(head.header("location"), wanted.as_deref(), "{copy:?}");
            let () = valkey.set(key(&url), copy).await.unwrap();
            for _ in 0..2 {
                assert_eq!(target(&api, &url).await, wanted, "with {copy:?}");
            }
        }
        let () = valkey.del(key(&url)).await.unwrap();
        let () = valkey.lpush(key(&url), "a list").await.unwrap();
        assert_eq!(target(&api, &url).await, wanted);
        let clicks = rig::events_of(&api, &url, Some("click")).await;
        assert_eq!(clicks.len(), 12 + 1);
    });
}

#[test]
fn a_head_is_answered_from_the_cache_and_fills_it() {
    run(async {
        let application = Application::start().await;
        let api = application.api();
        let mut valkey = valkey(&application).await;
        let url = rig::a_url(&api).await;
        let wanted = url["original_url"].as_str();
        let head = api.head(&rig::visit(&url)).await.expect(302);
        assert_eq!(head.header("location"), wanted);
        let copy: String = valkey.get(key(&url)).await.unwrap();
        assert!(copy.ends_with(wanted.unwrap()), "{copy:?}");
        // What the copy says, and not the database, shows where it came from.
        let marked = copy.replace("example.com", "marked.example");
        let () = valkey.set(key(&url), marked).await.unwrap();
        let head = api.head(&rig::visit(&url)).await.expect(302);
        let location = head.header("location").unwrap();
        assert!(location.contains("marked.example"), "{location}");
    });
}

/// Visits without a pause for as long as `meanwhile` takes and then some; how
/// many there were. Each must lead to the target.
async fn visiting(api: &Api, url: &Value, meanwhile: impl Future<Output = ()>) -> usize {
    let wanted = url["original_url"].as_str().unwrap();
    let done = std::cell::Cell::new(false);
    let visits = async {
        let mut count = 0;
        while !done.get() {
            let seen = join_all((0..4).map(|_| target(api, url))).await;
            assert!(
                seen.iter().all(|seen| seen.as_deref() == Some(wanted)),
                "{seen:?}"
            );
            count += seen.len();
        }
        count
    };
    let meanwhile = async {
        meanwhile.await;
        done.set(true);
    };
    futures::join!(visits, meanwhile).0
}

#[test]
fn with_the_cache_stopped_midway_redirects_go_on_and_every_visit_is_counted() {
    run(async {
        // What it has acknowledged survives its end, whatever moment that comes at.
        let wanted = || Wanted::default().valkey(&[("appendfsync", "always")]);
        let server = wanted().start().await;
        let proxy = Proxy::start(&server.valkey_authority()).await;
        let address = server.valkey_url_through(proxy.port());
        let database = Database::create().await;
        let options = HostOptions::new(Manifest::application())
            .database(database.url())
            .valkey(&address);
        let host = Host::start(options).await;
        let api = host.api();
        let url = rig::a_url(&api).await;
        let other = rig::a_url(&api).await;
        assert!(target(&api, &other).await.is_some());
        let cache = async |wanted: &str| {
            eventually(
                "health says how the cache is",
                Duration::from_secs(15),
                async || {
                    let report = api.get("/health").await.expect(200).value();
                    (report["cache"] == wanted).then_some(())
                },
            )
            .await;
        };
        let mut visits = visiting(&api, &url, async {
            cache("ok").await;
            // Frozen: it takes what it is sent, and says nothing.
            signal(server.valkey_pid(), "STOP");
            cache("down").await;
            retarget(&api, &other, "https://example.org/meanwhile").await;
            let seen = target(&api, &other).await;
            assert_eq!(seen.as_deref(), Some("https://example.org/meanwhile"));
            signal(server.valkey_pid(), "CONT");
            cache("ok").await;
        })
        .await;
        // What changed while it was away is not forgotten when it is back.
        let seen = target(&api, &other).await;
        assert_eq!(seen.as_deref(), Some("https://example.org/meanwhile"));
        visits += visiting(&api, &url, async {
            signal(server.valkey_pid(), "KILL");
            cache("down").await;
            let made = rig::a_url(&api).await;
            assert!(target(&api, &made).await.is_some());
            api.delete(&rig::path("urls", &made)).await.expect(204);
            assert_eq!(target(&api, &made).await, None);
        })
        .await;
        // With what it had: clicks that were in the stream are recorded now.
        let server = wanted().start_in(server.stop().await).await;
        proxy.retarget(&server.valkey_authority());
        proxy.cut();
        let client = database.connect().await;
        let id = i64::try_from(url["id"].as_u64().unwrap()).unwrap();
        let clicks = "SELECT count(*) FROM events WHERE url_id = $1 AND event_type = 'click'";
        let wanted = i64::try_from(visits).unwrap();
        eventually(
            "every visit is a click",
            Duration::from_secs(30),
            || async {
                let clicks: i64 = client.query_one(clicks, &[&id]).await.unwrap().get(0);
                assert!(clicks <= wanted, "{clicks} clicks of {wanted} visits");
                (clicks == wanted).then_some(())
            },
        )
        .await;
    });
}
