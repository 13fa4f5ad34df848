//! How a host ends: without cutting anyone off, and in bounded time.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;
use warmlink_tests::proxy::Proxy;
use warmlink_tests::raw::Raw;
use warmlink_tests::services::signal;
use warmlink_tests::table::until_in_flight;
use warmlink_tests::{Database, Host, HostOptions, Manifest, eventually, run};

use super::{SOON, plain};

/// A host that serves nobody new, and says so.
async fn until_draining(host: &Host) {
    eventually("the host drains", SOON, || async {
        let ready = host.admin_api().get("/readyz").await;
        (ready.status == 503 && ready.text().contains("draining")).then_some(())
    })
    .await;
}

async fn until_closed(host: &Host) {
    let address = host.public();
    eventually("the public port is closed", SOON, || async {
        TcpStream::connect(address).await.err()
    })
    .await;
}

#[test]
fn requests_in_flight_finish_and_then_the_host_ends_well() {
    run(async {
        let mut host = Host::start(plain()).await;
        let mut upload = Raw::post_head(host.public(), "/count", 3).await;
        upload.send("a").await;
        let mut download = Raw::get(host.public(), "/stream?chunks=40&bytes=10000&gap=25").await;
        assert_eq!(download.head().await, 200);
        until_in_flight(&host, "probe", 2).await;
        host.interrupt();
        until_draining(&host).await;
        until_closed(&host).await;
        host.admin_api().get("/livez").await.expect(200);
        // Both go on as if nothing had happened.
        upload.send("bc").await;
        let transfer = upload.transfer().await;
        assert_eq!(
            (transfer.status, transfer.body),
            (200, br#"{"bytes":3}"#.to_vec())
        );
        let transfer = download.transfer().await;
        assert_eq!((transfer.complete, transfer.body.len()), (true, 400_000));
        assert_eq!(host.exit().await.code(), Some(0));
    });
}

#[test]
fn a_client_between_two_requests_is_answered_once_more() {
    run(async {
        let mut host = Host::start(plain()).await;
        let mut silent = Raw::connect(host.public()).await;
        let mut answered = Raw::get(host.public(), "/status/204").await;
        assert_eq!(answered.response().await.status, 204);
        host.interrupt();
        until_draining(&host).await;
        until_closed(&host).await;
        for raw in [&mut silent, &mut answered] {
            raw.send("GET /status/204 HTTP/1.1\r\nhost: test\r\n\r\n")
                .await;
            let response = raw.response().await;
            assert_eq!(response.status, 204);
            assert!(
                response.head.contains("connection: close"),
                "{}",
                response.head
            );
        }
        assert!(silent.until_closed().await.is_empty());
        assert!(answered.until_closed().await.is_empty());
        assert_eq!(host.exit().await.code(), Some(0));
    });
}

#[test]
fn idle_connections_are_closed_after_a_moment() {
    run(async {
        for name in ["TERM", "INT"] {
            let mut host = Host::start(plain()).await;
            let silent = Raw::connect(host.public()).await;
            let mut answered = Raw::get(host.public(), "/status/204").await;
            assert_eq!(answered.response().await.status, 204);
            let begun = Instant::now();
            signal(host.pid(), name);
            assert!(silent.until_closed().await.is_empty());
            assert!(answered.until_closed().await.is_empty());
            assert_eq!(host.exit().await.code(), Some(0), "{name}");
            assert!(
                begun.elapsed() < Duration::from_secs(5),
                "{:?}",
                begun.elapsed()
            );
        }
    });
}

#[test]
fn idle_connections_are_kept_for_as_long_as_the_manifest_says() {
    run(async {
        let manifest = Manifest::one("http", "").with_tool("[limits]\ndrain_idle = \"20s\"");
        let mut host = Host::start(HostOptions::new(manifest)).await;
        let mut idle = Raw::get(host.public(), "/status/204").await;
        assert_eq!(idle.response().await.status, 204);
        host.interrupt();
        until_closed(&host).await;
        // By default it would be gone.
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        idle.send("GET /status/204 HTTP/1.1\r\nhost: test\r\n\r\n")
            .await;
        assert_eq!(idle.response().await.status, 204);
        assert!(idle.until_closed().await.is_empty());
        assert_eq!(host.exit().await.code(), Some(0));
    });
}

#[test]
fn the_last_answer_on_a_connection_says_that_it_is_the_last() {
    run(async {
        let mut host = Host::start(plain()).await;
        let mut raw = Raw::post_head(host.public(), "/count", 1).await;
        until_in_flight(&host, "probe", 1).await;
        host.interrupt();
        until_draining(&host).await;
        until_closed(&host).await;
        raw.send("x").await;
        let response = raw.response().await;
        assert_eq!(response.status, 200);
        assert!(
            response.head.contains("connection: close"),
            "{}",
            response.head
        );
        assert!(raw.until_closed().await.is_empty());
        assert_eq!(host.exit().await.code(), Some(0));
    });
}

#[test]
fn h2_streams_finish_too() {
    run(async {
        let mut host = Host::start(plain()).await;
        let api = warmlink_tests::Api::h2c(host.public());
        let request = tokio::spawn(async move { api.get("/sleep?ms=1500").await });
        until_in_flight(&host, "probe", 1).await;
        host.interrupt();
        request.await.unwrap().expect(200);
        assert_eq!(host.exit().await.code(), Some(0));
    });
}

#[test]
fn with_a_delay_requests_are_served_while_the_balancers_learn_of_it() {
    run(async {
        let mut host = Host::start(plain().env("WARMLINK_DRAIN_DELAY", "1500ms")).await;
        let begun = Instant::now();
        host.interrupt();
        until_draining(&host).await;
        // New connections, too.
        for _ in 0..5 {
            let transfer = Raw::get(host.public(), "/status/204")
                .await
                .transfer()
                .await;
            assert_eq!(transfer.status, 204);
        }
        assert_eq!(host.exit().await.code(), Some(0));
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(1500), "{took:?}");
        assert!(took < Duration::from_secs(10), "{took:?}");
    });
}

#[test]
fn a_second_signal_ends_it_at_once() {
    run(async {
        let mut host = Host::start(plain()).await;
        let _held = Raw::post_head(host.public(), "/count", 3).await;
        until_in_flight(&host, "probe", 1).await;
        host.interrupt();
        until_draining(&host).await;
        let begun = Instant::now();
        host.interrupt();
        assert_eq!(host.exit().await.code(), Some(0));
        // The drain's own limit is far from over.
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{:?}",
            begun.elapsed()
        );
    });
}

#[test]
fn nobody_holds_up_the_end_past_its_limit() {
    run(async {
        let manifest = Manifest::one("http", "").with_tool("[limits]\ndrain = \"700ms\"");
        let mut host = Host::start(HostOptions::new(manifest)).await;
        let held = Raw::post_head(host.public(), "/count", 3).await;
        until_in_flight(&host, "probe", 1).await;
        let begun = Instant::now();
        host.interrupt();
        host.exit().await;
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(700), "{took:?}");
        assert!(took < Duration::from_secs(10), "{took:?}");
        drop(held);
    });
}

#[test]
fn a_body_that_the_end_cuts_off_does_not_look_whole() {
    run(async {
        let manifest = Manifest::one("http", "").with_tool("[limits]\ndrain = \"300ms\"");
        let mut host = Host::start(HostOptions::new(manifest)).await;
        let mut raw = Raw::get(host.public(), "/stream?chunks=1000&bytes=10000&gap=50").await;
        assert_eq!(raw.head().await, 200);
        host.interrupt();
        let transfer = raw.transfer().await;
        assert!(
            !transfer.complete,
            "{} bytes look whole",
            transfer.body.len()
        );
        host.exit().await;
    });
}

#[test]
fn a_host_that_is_told_to_end_before_it_is_ready_ends() {
    run(async {
        let database = Database::create().await;
        let proxy = Proxy::start(&database.authority()).await;
        proxy.hold();
        let manifest = Manifest::one(
            "http",
            "[variables]\ndatabase_url = { required = true, secret = true }",
        )
        .with_tool("[[postgres]]\naddress = \"{{ database_url }}\"\nmin = 1\nmax = 1");
        let url = database.url_through(proxy.port());
        let mut host = Host::spawn(HostOptions::new(manifest).database(&url));
        host.admin_bound().await;
        let begun = Instant::now();
        host.interrupt();
        assert_eq!(host.exit().await.code(), Some(0));
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{:?}",
            begun.elapsed()
        );
    });
}

#[test]
fn the_servers_see_an_orderly_end() {
    run(async {
        let database = Database::create().await;
        let manifest = Manifest::one(
            "http",
            "[variables]\ndatabase_url = { required = true, secret = true }",
        )
        .with_tool("[[postgres]]\naddress = \"{{ database_url }}\"\nmin = 3\nmax = 3");
        let mut host = Host::start(HostOptions::new(manifest).database(database.url())).await;
        let observer = database.connect().await;
        let open = async || {
            let sql = "SELECT count(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND pid <> pg_backend_pid()";
            observer.query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
        };
        assert_eq!(open().await, 3);
        assert_eq!(host.terminate().await.code(), Some(0));
        eventually("no connection is left", SOON, || async {
            (open().await == 0).then_some(())
        })
        .await;
    });
}
