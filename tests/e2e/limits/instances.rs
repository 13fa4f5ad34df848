//! How many requests an instance serves, and how many instances there are.

use std::collections::HashSet;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::sleep;
use warmlink_tests::{eventually, run};

use super::{SOON, instance, lone, of_component};

#[test]
fn without_reuse_every_request_has_an_instance_of_its_own() {
    run(async {
        let host = lone("reuse = 1", "").await;
        let api = host.api();
        let mut seen = HashSet::new();
        for _ in 0..10 {
            let (name, begun) = instance(&api.get("/it/instance").await.expect(200));
            assert_eq!(begun, 1);
            assert!(seen.insert(name), "an instance served twice");
        }
    });
}

#[test]
fn an_instance_serves_as_many_as_it_may_and_then_goes() {
    run(async {
        let host = lone("reuse = 5", "").await;
        let api = host.api();
        let mut served = Vec::new();
        for _ in 0..12 {
            served.push(instance(&api.get("/it/instance").await.expect(200)));
        }
        let begun: Vec<_> = served.iter().map(|(_, begun)| *begun).collect();
        assert_eq!(begun, [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2]);
        let names: HashSet<_> = served.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), 3);
    });
}

#[test]
fn an_instance_has_as_many_at_once_as_it_may() {
    run(async {
        for (concurrency, count, wanted) in [(1, 4, 4), (4, 4, 1), (2, 6, 3)] {
            let host = lone(&format!("reuse = 100\nconcurrency = {concurrency}"), "").await;
            let api = host.api();
            // An instance that has just begun is left alone until it waits, so
            // they come one by one.
            let requests = (0..count).map(|number| {
                let api = &api;
                async move {
                    sleep(Duration::from_millis(40 * number)).await;
                    instance(&api.get("/it/sleep?ms=800").await.expect(200)).0
                }
            });
            let names: HashSet<_> = join_all(requests).await.into_iter().collect();
            assert_eq!(
                names.len(),
                wanted,
                "{count} at once, {concurrency} in each"
            );
        }
    });
}

#[test]
fn warm_instances_are_there_before_the_first_request_and_serve_it() {
    run(async {
        let host = lone("warm = 3\nreuse = 100", "").await;
        assert_eq!(of_component(&host, "instances", "it").await, 3.0);
        assert_eq!(of_component(&host, "instantiations_total", "it").await, 3.0);
        let requests = (0..3).map(|_| host.api()).map(|api| async move {
            api.get("/it/sleep?ms=300").await.expect(200);
        });
        join_all(requests).await;
        assert_eq!(of_component(&host, "instantiations_total", "it").await, 3.0);
    });
}

#[test]
fn idle_instances_go_and_warm_ones_stay() {
    run(async {
        let host = lone("warm = 1\nreuse = 100\nidle = \"300ms\"", "").await;
        let requests = (0..4)
            .map(|_| host.api())
            .map(|api| async move { instance(&api.get("/it/sleep?ms=200").await.expect(200)).0 });
        let names: HashSet<_> = join_all(requests).await.into_iter().collect();
        assert_eq!(names.len(), 4);
        let count = async || of_component(&host, "instances", "it").await;
        eventually("one is left", SOON, || async {
            (count().await == 1.0).then_some(())
        })
        .await;
        // Three times as long as the others had: this one stays.
        sleep(Duration::from_millis(900)).await;
        assert_eq!(count().await, 1.0);
        let (name, begun) = instance(&host.api().get("/it/instance").await.expect(200));
        assert!(
            names.contains(&name) && begun == 2,
            "it serves on: {name}, {begun}"
        );
    });
}

#[test]
fn a_component_without_warm_instances_scales_to_zero_and_back() {
    run(async {
        let host = lone("warm = 0\nreuse = 100\nidle = \"200ms\"", "").await;
        assert_eq!(of_component(&host, "instances", "it").await, 0.0);
        for _ in 0..2 {
            host.api().get("/it/echo").await.expect(200);
            eventually("none is left", SOON, || async {
                (of_component(&host, "instances", "it").await == 0.0).then_some(())
            })
            .await;
        }
    });
}
