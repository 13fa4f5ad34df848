//! `/health`: whether the service can do its work.

use std::time::{Duration, Instant};

use warmlink_tests::proxy::Proxy;
use warmlink_tests::services::shared_valkey;
use warmlink_tests::{Api, Database, Host, HostOptions, Manifest, Reply, eventually, rig, run};

/// The host with both servers behind relays, which can be made to fail.
struct Relayed {
    host: Host,
    database: Proxy,
    cache: Proxy,
}

async fn relayed() -> Relayed {
    let database = Database::create().await;
    let valkey = shared_valkey().await;
    let to_database = Proxy::start(&database.authority()).await;
    let to_valkey = Proxy::start(&valkey.valkey_authority()).await;
    let options = HostOptions::new(Manifest::application())
        .database(&database.url_through(to_database.port()))
        .valkey(&valkey.valkey_url_through(to_valkey.port()));
    Relayed {
        host: Host::start(options).await,
        database: to_database,
        cache: to_valkey,
    }
}

/// Asks until the answer has this status.
async fn health(api: &Api, status: u16) -> Reply {
    eventually(
        "health is as it should be",
        Duration::from_secs(15),
        async || Some(api.get("/health").await).filter(|reply| reply.status == status),
    )
    .await
}

#[test]
fn health_is_ok_while_everything_answers() {
    run(async {
        let (host, _) = rig::application().await;
        let reply = host.api().get("/health").await.expect(200);
        let report = reply.value();
        assert_eq!(report["status"], "ok");
        assert_eq!(report["database"], "ok");
        assert_eq!(report["cache"], "ok");
        assert!(
            reply
                .header("content-type")
                .unwrap()
                .starts_with("application/json")
        );
    });
}

#[test]
fn health_names_the_dependency_that_is_down_and_recovers() {
    run(async {
        let it = relayed().await;
        let api = it.host.api();
        health(&api, 200).await;

        // A server that says nothing, then one that is gone.
        it.database.hold();
        let asked = Instant::now();
        let frozen = api.get("/health").await;
        assert!(
            asked.elapsed() < Duration::from_secs(5),
            "{:?}",
            asked.elapsed()
        );
        frozen.error_naming(503, "database");
        assert_eq!(frozen.value()["database"], "down");
        assert_eq!(frozen.value()["cache"], "ok");
        it.database.cut();
        let cut = api.get("/health").await;
        cut.error_naming(503, "database");
        // What needs it says so too, in time.
        let asked = Instant::now();
        api.get("/users").await.error_naming(503, "database");
        assert!(
            asked.elapsed() < Duration::from_secs(12),
            "{:?}",
            asked.elapsed()
        );
        it.database.release();
        assert_eq!(health(&api, 200).await.value()["database"], "ok");
        api.get("/users").await.expect(200);

        // The cache is optional: without it all is well, and it is said.
        it.cache.hold();
        it.cache.cut();
        let without = api.get("/health").await.expect(200).value();
        assert_eq!(without["status"], "ok");
        assert_eq!(without["cache"], "down");
        it.cache.release();
        eventually("the cache is back", Duration::from_secs(15), async || {
            let report = api.get("/health").await.expect(200).value();
            (report["cache"] == "ok").then_some(())
        })
        .await;
    });
}
