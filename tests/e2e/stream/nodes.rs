//! Streams of several nodes.

use warmlink_tests::services::{Services, Wanted, signal};
use warmlink_tests::{Control, Database, Host, HostOptions, Manifest, eventually, revisions, run};

use super::{SOON, a_cached_url, clicks, drained, entries, metric, valkey, visit};

async fn node(name: &str, database: &Database, valkey: &Services) -> Host {
    let manifest = Manifest::application().component_key("clicks", "stream.claim_after", "300ms");
    let options = HostOptions::new(manifest)
        .database(database.url())
        .valkey(valkey.valkey_url())
        .env("WARMLINK_NODE", name);
    Host::start(options).await
}

#[test]
fn what_a_dead_node_was_given_is_taken_over_and_recorded_once() {
    run(async {
        let database = Database::create().await;
        let server = Wanted::default().valkey(&[]).start().await;
        let mut direct = valkey(server.valkey_url()).await;
        let first = node("first", &database, &server).await;
        let url = a_cached_url(&first.api()).await;
        Control::of(&first)
            .deploy("clicks", revisions::named("busy", "busy"))
            .await;
        for _ in 0..10 {
            visit(&first.api(), &url).await;
        }
        eventually("they are in its hands", SOON, || async {
            let mut pending = redis::cmd("XPENDING");
            pending.arg("clicks").arg("clicks");
            let pending: (u64, redis::Value, redis::Value, redis::Value) =
                pending.query_async(&mut direct.clone()).await.unwrap();
            (pending.0 > 0).then_some(())
        })
        .await;
        signal(first.pid(), "KILL");
        let second = node("second", &database, &server).await;
        drained(&direct).await;
        assert_eq!(clicks(&database, &url).await.len(), 11);
        assert!(metric(&second, "claimed_total", &[]).await > 0.0);
        assert_eq!(entries(&mut direct, "clicks:dead").await, 0);
    });
}

#[test]
fn a_node_that_works_on_its_entries_keeps_them() {
    run(async {
        let database = Database::create().await;
        let server = Wanted::default().valkey(&[]).start().await;
        let direct = valkey(server.valkey_url()).await;
        let first = node("first", &database, &server).await;
        let second = node("second", &database, &server).await;
        let url = a_cached_url(&first.api()).await;
        for node in [&first, &second] {
            let busy = revisions::named("busy", "busy");
            Control::of(node).deploy("clicks", busy).await;
        }
        for _ in 0..4 {
            visit(&first.api(), &url).await;
        }
        // Longer than the two would have to wait for each other's.
        eventually("it was tried often", SOON, || async {
            let later = metric(&first, "deliveries_total", &[("outcome", "Later")]).await
                + metric(&second, "deliveries_total", &[("outcome", "Later")]).await;
            (later >= 14.0).then_some(())
        })
        .await;
        for node in [&first, &second] {
            let rolled_back = Control::of(node).command("clicks", "rollback", "").await;
            rolled_back.expect(200);
        }
        drained(&direct).await;
        assert_eq!(clicks(&database, &url).await.len(), 5);
    });
}

#[test]
fn a_node_that_ends_leaves_what_it_cannot_deliver_and_what_it_can_is_recorded() {
    run(async {
        let database = Database::create().await;
        let server = Wanted::default().valkey(&[]).start().await;
        let mut direct = valkey(server.valkey_url()).await;
        let mut first = node("first", &database, &server).await;
        let url = a_cached_url(&first.api()).await;
        for _ in 0..50 {
            visit(&first.api(), &url).await;
        }
        assert!(first.terminate().await.success());
        let left = entries(&mut direct, "clicks").await;
        let recorded = clicks(&database, &url).await.len() as u64;
        assert_eq!(recorded + left, 51, "{left} left");

        let mut second = node("second", &database, &server).await;
        drained(&direct).await;
        Control::of(&second)
            .deploy("clicks", revisions::named("busy", "busy"))
            .await;
        for _ in 0..5 {
            visit(&second.api(), &url).await;
        }
        eventually("it was tried", SOON, || async {
            let later = metric(&second, "deliveries_total", &[("outcome", "Later")]).await;
            (later >= 1.0).then_some(())
        })
        .await;
        assert!(second.terminate().await.success());
        // One whose append was not acknowledged in time was recorded at once.
        let left = entries(&mut direct, "clicks").await;
        let recorded = clicks(&database, &url).await.len() as u64;
        assert_eq!(recorded + left, 56, "{left} left");
        assert!(left > 0, "none was kept");
        let _third = node("second", &database, &server).await;
        drained(&direct).await;
        assert_eq!(clicks(&database, &url).await.len(), 56);
    });
}
