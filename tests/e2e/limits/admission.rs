//! Places in flight, and the queue before them.

use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use warmlink_tests::raw::Raw;
use warmlink_tests::table::until_in_flight;
use warmlink_tests::{Api, Host, HostOptions, Manifest, eventually, run};

use super::{SOON, assert_try_again, instance, lone, of_component, timed, until_connections};

/// A request that has its place until its body is sent.
async fn hold(host: &Host, component: &str, ahead: u64) -> Raw {
    let held = Raw::post_head(host.public(), &format!("/{component}/count"), 1).await;
    until_in_flight(host, component, ahead + 1).await;
    held
}

async fn release(mut held: Raw) {
    held.send("x").await;
    let transfer = held.transfer().await;
    assert_eq!((transfer.status, transfer.complete), (200, true));
}

#[test]
fn beyond_its_own_places_an_endpoint_sheds_and_touches_no_guest() {
    run(async {
        let host = lone("in_flight = 2\nreuse = 1000", "queue = 0").await;
        let held = [hold(&host, "it", 0).await, hold(&host, "it", 1).await];
        // Their guests are there a moment after their places are taken.
        eventually("two guests", SOON, || async {
            (of_component(&host, "instantiations_total", "it").await == 2.0).then_some(())
        })
        .await;
        let api = host.api();
        for reply in join_all((0..50).map(|_| api.get("/it/instance"))).await {
            assert_try_again(&reply, "shed");
        }
        let shed = host
            .metrics()
            .await
            .sum("warmlink_failures_total", &[("kind", "shed")]);
        assert_eq!(shed, Some(50.0));
        assert_eq!(of_component(&host, "instantiations_total", "it").await, 2.0);
        // Another endpoint has places of its own.
        api.get("/other/echo").await.expect(200);
        for held in held {
            release(held).await;
        }
        until_in_flight(&host, "it", 0).await;
        // Each instance has begun the one that was held, and now this.
        let (_, begun) = instance(&api.get("/it/instance").await.expect(200));
        assert_eq!(begun, 2);
    });
}

#[test]
fn beyond_the_nodes_places_every_endpoint_sheds() {
    run(async {
        let host = lone("", "in_flight = 2\nqueue = 0").await;
        let held = [hold(&host, "it", 0).await, hold(&host, "other", 0).await];
        for path in ["/it/echo", "/other/echo"] {
            assert_try_again(&host.api().get(path).await, "shed");
        }
        for held in held {
            release(held).await;
        }
        until_in_flight(&host, "it", 0).await;
        until_in_flight(&host, "other", 0).await;
        host.api().get("/it/echo").await.expect(200);
        host.api().get("/other/echo").await.expect(200);
    });
}

/// Asks `it` until some are shed: whatever can wait does, then.
async fn flood(host: &Host) -> Vec<Raw> {
    let mut asked = Vec::new();
    for _ in 0..10 {
        asked.push(Raw::get(host.public(), "/it/echo").await);
    }
    eventually("a full queue", SOON, || async {
        let scrape = host.metrics().await;
        let shed = scrape.sum("warmlink_failures_total", &[("kind", "shed")]);
        (shed >= Some(9.0)).then_some(())
    })
    .await;
    asked
}

/// `it` has all of the node's places, and more is asked of it than can wait.
async fn others_have_a_turn(limits: &str) {
    let host = lone(limits, "in_flight = 2\nqueue = 1\nqueue_wait = \"20s\"").await;
    let [first, second] = [hold(&host, "it", 0).await, hold(&host, "it", 1).await];
    let crowd = flood(&host).await;
    let mut other = Raw::get(host.public(), "/other/echo").await;
    until_connections(&host, crowd.len() as f64 + 3.0).await;
    release(first).await;
    assert_eq!(other.head().await, 200);
    release(second).await;
}

#[test]
fn an_endpoint_with_as_many_places_as_the_node_leaves_others_a_turn() {
    run(others_have_a_turn("in_flight = 2"));
}

#[test]
fn an_endpoint_with_more_places_than_the_node_leaves_others_a_turn() {
    run(others_have_a_turn("in_flight = 4"));
}

/// Each of the four has as many places as the node, and none comes free.
#[test]
fn whatever_hangs_leaves_others_places() {
    run(async {
        let hangs = "in_flight = 32\ndeadline = \"60s\"";
        let components = [
            ("a", "http", hangs),
            ("b", "http", hangs),
            ("c", "http", hangs),
            ("d", "http", hangs),
            ("other", "http", ""),
        ];
        let limits = "[limits]\nin_flight = 32\nqueue = 128\nqueue_wait = \"60s\"";
        let manifest = Manifest::several(&components).with_tool(limits);
        let host = Host::start(HostOptions::new(manifest)).await;
        let mut asked = Vec::new();
        for _ in 0..32 {
            for (name, ..) in &components[..4] {
                asked.push(Raw::get(host.public(), &format!("/{name}/never")).await);
            }
        }
        eventually("all that hang have, or wait for, a place", SOON, || async {
            let scrape = host.metrics().await;
            let sum = |name| scrape.sum(name, &[]).unwrap_or_default();
            let there = sum("warmlink_node_in_flight") + sum("warmlink_node_waiting");
            (there >= 128.0).then_some(())
        })
        .await;
        // Without waiting for any of them.
        for _ in 0..10 {
            let (reply, took) = timed(&host.api(), "/other/echo").await;
            reply.expect(200);
            assert!(took < Duration::from_secs(20), "{took:?}");
        }
        drop(asked);
    });
}

#[test]
fn a_full_queue_sheds_and_those_in_it_are_served() {
    run(async {
        let host = lone(
            "in_flight = 1\nreuse = 1000",
            "queue = 2\nqueue_wait = \"20s\"",
        )
        .await;
        let held = hold(&host, "it", 0).await;
        let first = Raw::get(host.public(), "/it/instance").await;
        let second = Raw::get(host.public(), "/it/instance").await;
        until_connections(&host, 3.0).await;
        let (reply, took) = timed(&host.api(), "/it/echo").await;
        assert_try_again(&reply, "shed");
        assert!(took < Duration::from_secs(5), "at once: {took:?}");
        release(held).await;
        let mut begun = Vec::new();
        for queued in [first, second] {
            let transfer = queued.transfer().await;
            assert_eq!(transfer.status, 200);
            let value: Value = serde_json::from_slice(&transfer.body).unwrap();
            begun.push(value["begun"].as_u64().unwrap());
        }
        // One instance has them all, one after another, in the order they came.
        assert_eq!(begun, [2, 3]);
    });
}

#[test]
fn a_place_in_the_queue_is_for_a_bounded_time() {
    run(async {
        let host = lone("in_flight = 1", "queue = 10\nqueue_wait = \"300ms\"").await;
        let held = hold(&host, "it", 0).await;
        let (reply, took) = timed(&host.api(), "/it/echo").await;
        assert_try_again(&reply, "shed");
        assert!(took >= Duration::from_millis(300), "{took:?}");
        assert!(took < Duration::from_secs(3), "{took:?}");
        release(held).await;
    });
}

#[test]
fn nobody_waits_in_the_queue_past_the_deadline() {
    run(async {
        let host = lone(
            "in_flight = 1\ndeadline = \"500ms\"\nconcurrency = 1",
            "queue = 10\nqueue_wait = \"20s\"\nbody_time = \"20s\"",
        )
        .await;
        let api = host.api();
        let ahead = tokio::spawn(async move { api.get("/it/never").await });
        until_in_flight(&host, "it", 1).await;
        let (reply, took) = timed(&Api::new(host.public()), "/it/never").await;
        assert!(
            matches!(reply.status.as_u16(), 503 | 504),
            "{}",
            reply.text()
        );
        assert!(took < Duration::from_secs(3), "{took:?}");
        ahead.await.unwrap().error(504);
    });
}

#[test]
fn who_leaves_the_queue_is_not_worked_for() {
    run(async {
        let host = lone(
            "in_flight = 1\nreuse = 1000",
            "queue = 1\nqueue_wait = \"20s\"",
        )
        .await;
        let held = hold(&host, "it", 0).await;
        let leaves = Raw::get(host.public(), "/it/instance").await;
        until_connections(&host, 2.0).await;
        let mut shed = Raw::get(host.public(), "/it/echo").await;
        assert_eq!(shed.head().await, 503, "the queue is full");
        leaves.abort();
        shed.abort();
        until_connections(&host, 1.0).await;
        // The place in the queue is free again.
        let next = Raw::get(host.public(), "/it/instance").await;
        until_connections(&host, 2.0).await;
        host.api().get("/it/echo").await.error(503);
        release(held).await;
        let transfer = next.transfer().await;
        assert_eq!(transfer.status, 200);
        let value: Value = serde_json::from_slice(&transfer.body).unwrap();
        assert_eq!(value["begun"], 2, "the one that was held, and this");
    });
}
