//! A guest that fails takes with it what is inside its instance, and no more.

use std::collections::HashSet;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::sleep;
use warmlink_tests::raw::Raw;
use warmlink_tests::table::until_in_flight;
use warmlink_tests::{Api, run};

use super::{assert_failure, instance, lone, of_component, shared};

#[test]
fn a_trap_is_502_and_says_nothing_of_the_guest() {
    run(async {
        let host = shared().await;
        for path in ["/plain/trap", "/plain/panic", "/older/trap"] {
            let reply = host.api().get(path).await;
            assert_failure(&reply, 502, "trapped");
            let text = reply.text();
            for secret in ["unreachable", "as the path says", "wasm", ".rs"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    });
}

#[test]
fn a_trap_fails_the_requests_of_its_instance_and_no_other() {
    run(async {
        let host = lone("concurrency = 4\nreuse = 1000", "").await;
        let mut sleepers = Vec::new();
        for number in 0..7 {
            let api = Api::new(host.public());
            sleepers.push(tokio::spawn(
                async move { api.get("/it/sleep?ms=2000").await },
            ));
            until_in_flight(&host, "it", number + 1).await;
            // An instance that has just begun is left alone until it waits.
            sleep(Duration::from_millis(20)).await;
        }
        // Four and three: this is the eighth.
        assert_failure(&host.api().get("/it/trap").await, 502, "trapped");
        let mut failed = 0;
        let mut survivors = HashSet::new();
        for sleeper in sleepers {
            let reply = sleeper.await.unwrap();
            if reply.status == 502 {
                assert_failure(&reply, 502, "trapped");
                failed += 1;
            } else {
                survivors.insert(instance(&reply.expect(200)).0);
            }
        }
        assert_eq!(
            (failed, survivors.len()),
            (3, 1),
            "three neighbours, and one other instance"
        );
        assert_eq!(
            of_component(&host, "instance_failures_total", "it").await,
            1.0
        );
    });
}

#[test]
fn after_a_trap_a_fresh_instance_serves() {
    run(async {
        let host = lone("reuse = 1000", "").await;
        let api = host.api();
        let (before, _) = instance(&api.get("/it/instance").await.expect(200));
        api.get("/it/trap").await.error(502);
        let (after, begun) = instance(&api.get("/it/instance").await.expect(200));
        assert_ne!(before, after);
        assert_eq!(begun, 1);
        until_in_flight(&host, "it", 0).await;
    });
}

#[test]
fn traps_in_the_middle_of_bodies_leave_the_host_as_it_was() {
    run(async {
        let host = lone("in_flight = 8", "").await;
        for _ in 0..4 {
            let path = "/it/stream-then-trap?chunks=2&bytes=20000";
            let raws = join_all((0..8).map(|_| Raw::get(host.public(), path))).await;
            for transfer in join_all(raws.into_iter().map(Raw::transfer)).await {
                assert!(!transfer.complete, "a short success");
            }
            until_in_flight(&host, "it", 0).await;
        }
        let api = host.api();
        for reply in join_all((0..8).map(|_| api.get("/it/echo"))).await {
            reply.expect(200);
        }
    });
}

#[test]
fn many_traps_at_once_leave_the_host_as_it_was() {
    run(async {
        let host = lone("in_flight = 64", "queue = 200\nqueue_wait = \"20s\"").await;
        let api = host.api();
        for reply in join_all((0..200).map(|_| api.get("/it/trap"))).await {
            assert_failure(&reply, 502, "trapped");
        }
        until_in_flight(&host, "it", 0).await;
        for reply in join_all((0..64).map(|_| api.get("/it/echo"))).await {
            reply.expect(200);
        }
    });
}
