//! Caches that missed a change.

use std::time::Duration;

use redis::AsyncCommands as _;
use serde_json::{Value, json};
use warmlink_tests::proxy::Proxy;
use warmlink_tests::rig::{self, Application};
use warmlink_tests::services::{Wanted, signal};
use warmlink_tests::{Api, Database, Host, HostOptions, Manifest, eventually, run};

use super::{SOON, a_cached_url, valkey};

/// An intent is left alone for a second, then found within two: and as much
/// again on a loaded machine.
const REPAIRED: Duration = Duration::from_secs(6);

async fn target(api: &Api, url: &Value) -> Option<String> {
    let visit = api.get(&rig::visit(url)).await;
    visit.header("location").map(str::to_owned)
}

fn id(url: &Value) -> i64 {
    url["id"].as_i64().unwrap()
}

fn code(url: &Value) -> &str {
    url["short_code"].as_str().unwrap()
}

#[test]
fn what_a_dead_writer_left_is_repaired() {
    run(async {
        let application = Application::start().await;
        let api = application.api();
        let changed = a_cached_url(&api).await;
        let rested = a_cached_url(&api).await;
        let deleted = a_cached_url(&api).await;
        let mut client = application.database.connect().await;
        // As the writers' transactions would, and then no more.
        let writer = client.transaction().await.unwrap();
        let new = "https://example.org/new";
        for (url, change) in [
            (&changed, "original_url = 'https://example.org/new'"),
            (&rested, "is_active = false"),
        ] {
            let sql = format!("UPDATE urls SET {change}, version = version + 1 WHERE id = $1");
            writer.execute(&sql, &[&id(url)]).await.unwrap();
        }
        writer
            .execute("DELETE FROM urls WHERE id = $1", &[&id(&deleted)])
            .await
            .unwrap();
        for url in [&changed, &rested, &deleted] {
            let sql = "INSERT INTO cache_repair (short_code, version) VALUES ($1, 2)";
            writer.execute(sql, &[&code(url)]).await.unwrap();
        }
        writer.commit().await.unwrap();
        eventually("the cache is repaired", REPAIRED, || async {
            let seen = (
                target(&api, &changed).await,
                target(&api, &rested).await,
                target(&api, &deleted).await,
            );
            (seen == (Some(new.to_owned()), None, None)).then_some(())
        })
        .await;
        let left = "SELECT count(*) FROM cache_repair WHERE NOT written";
        eventually("the intents are marked", SOON, || async {
            let left: i64 = client.query_one(left, &[]).await.unwrap().get(0);
            (left == 0).then_some(())
        })
        .await;
        let kept = "SELECT count(*) FROM cache_repair";
        let kept: i64 = client.query_one(kept, &[]).await.unwrap().get(0);
        assert_eq!(kept, 3, "they outlive the cache");
    });
}

#[test]
fn intents_go_once_the_cache_cannot_hold_what_they_are_for() {
    run(async {
        let application = Application::start().await;
        let client = application.database.connect().await;
        let add = "INSERT INTO cache_repair (short_code, version, created_at, written) \
                   VALUES ($1, 1, now() - interval '1 second' * $2, $3)";
        for (code, age, written) in [
            ("old-written", 91.0, true),
            ("young-written", 60.0, true),
            ("old-left", 91.0, false),
        ] {
            client.execute(add, &[&code, &age, &written]).await.unwrap();
        }
        let gone = "SELECT count(*) FROM cache_repair WHERE short_code LIKE 'old-%'";
        eventually("what is old is forgotten", SOON, || async {
            let left: i64 = client.query_one(gone, &[]).await.unwrap().get(0);
            (left == 0).then_some(())
        })
        .await;
        let kept = "SELECT count(*) FROM cache_repair WHERE short_code = 'young-written'";
        let kept: i64 = client.query_one(kept, &[]).await.unwrap().get(0);
        assert_eq!(kept, 1);
        // What was left over was written before it was forgotten.
        let mut valkey = valkey(application.valkey.as_ref().unwrap().valkey_url()).await;
        let written: Option<String> = valkey.get("link:old-left").await.unwrap();
        assert_eq!(written.as_deref(), Some("1"));
    });
}

#[test]
fn many_intents_are_all_replayed() {
    run(async {
        let application = Application::start().await;
        let client = application.database.connect().await;
        let add = "INSERT INTO cache_repair (short_code, version, created_at) \
                   SELECT 'many' || n, n, now() - interval '2 seconds' \
                   FROM generate_series(1, 1000) AS n";
        client.execute(add, &[]).await.unwrap();
        let left = "SELECT count(*) FROM cache_repair WHERE NOT written";
        eventually("all are written", SOON, || async {
            let left: i64 = client.query_one(left, &[]).await.unwrap().get(0);
            (left == 0).then_some(())
        })
        .await;
        let mut valkey = valkey(application.valkey.as_ref().unwrap().valkey_url()).await;
        for number in [1, 256, 257, 1000] {
            let written: Option<String> = valkey.get(format!("link:many{number}")).await.unwrap();
            assert_eq!(written, Some(number.to_string()));
        }
    });
}

#[test]
fn a_valkey_restored_from_an_older_file_leads_nobody_astray_for_long() {
    run(async {
        // Its data are what was saved last, and nothing newer.
        let wanted = || Wanted::default().valkey(&[("appendonly", "no")]);
        let server = wanted().start().await;
        let proxy = Proxy::start(&server.valkey_authority()).await;
        let database = Database::create().await;
        let options = HostOptions::new(Manifest::application())
            .database(database.url())
            .valkey(&server.valkey_url_through(proxy.port()));
        let host = Host::start(options).await;
        let api = host.api();
        let (changed, deleted) = (a_cached_url(&api).await, a_cached_url(&api).await);
        let old = changed["original_url"].as_str().unwrap().to_owned();
        let mut direct = valkey(server.valkey_url()).await;
        let () = redis::cmd("SAVE").query_async(&mut direct).await.unwrap();
        let new = "https://example.org/new";
        let body = json!({ "original_url": new });
        api.put(&rig::path("urls", &changed), &body)
            .await
            .expect(200);
        api.delete(&rig::path("urls", &deleted)).await.expect(204);
        assert_eq!(target(&api, &changed).await.as_deref(), Some(new));
        proxy.refuse();
        signal(server.valkey_pid(), "KILL");
        let server = wanted().start_in(server.stop().await).await;
        let mut direct = valkey(server.valkey_url()).await;
        for (url, wanted) in [(&changed, Some(old.as_str())), (&deleted, None)] {
            let held: String = direct.get(format!("link:{}", code(url))).await.unwrap();
            let stale = wanted.unwrap_or_else(|| url["original_url"].as_str().unwrap());
            assert!(held.ends_with(stale), "{held} is the older file's");
        }
        proxy.retarget(&server.valkey_authority());
        proxy.release();
        eventually("the cache is repaired", REPAIRED, || async {
            let held: Option<String> = direct
                .clone()
                .get(format!("link:{}", code(&changed)))
                .await
                .unwrap();
            let end: Option<String> = direct
                .clone()
                .get(format!("link:{}", code(&deleted)))
                .await
                .unwrap();
            let repaired = held.is_some_and(|held| held.ends_with(new))
                && end.is_some_and(|end| !end.contains(' '));
            repaired.then_some(())
        })
        .await;
        assert_eq!(target(&api, &changed).await.as_deref(), Some(new));
        assert_eq!(target(&api, &deleted).await, None);
        let done = [("scope", "All"), ("outcome", "Done")];
        let done = host.metrics().await.sum("warmlink_repairs_total", &done);
        assert!(
            done.is_some_and(|done| done >= 2.0),
            "at start, and now: {done:?}"
        );
    });
}
