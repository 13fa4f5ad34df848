//! From a request's arrival to its response's head, and how much of that a
//! guest may compute.

use std::time::Duration;

use futures::future::{join, join_all};
use tokio::time::sleep;
use warmlink_tests::table::until_in_flight;
use warmlink_tests::{Api, run};

use super::{assert_failure, instance, lone, of_component, shared, timed};

#[test]
fn a_guest_that_waits_too_long_is_504_at_its_deadline() {
    run(async {
        let host = shared().await;
        for path in ["/prompt/never", "/prompt/sleep?ms=60000"] {
            let (reply, took) = timed(&host.api(), path).await;
            assert_failure(&reply, 504, "deadline");
            assert!(took >= Duration::from_millis(400), "{took:?}");
            assert!(took < Duration::from_secs(2), "{took:?}");
        }
        host.api().get("/prompt/sleep?ms=20").await.expect(200);
    });
}

#[test]
fn a_guest_that_computes_without_end_is_502_at_its_cpu_limit() {
    run(async {
        let host = shared().await;
        let (reply, took) = timed(&host.api(), "/cpu-early/spin").await;
        assert_failure(&reply, 502, "trapped");
        assert!(took >= Duration::from_millis(90), "{took:?}");
        assert!(took < Duration::from_secs(3), "{took:?}");
        // The limit that a component has without saying so.
        let (reply, took) = timed(&host.api(), "/plain/spin").await;
        assert_failure(&reply, 502, "trapped");
        assert!(took < Duration::from_secs(3), "{took:?}");
    });
}

#[test]
fn a_deadline_holds_for_a_guest_that_keeps_the_processor() {
    run(async {
        let host = shared().await;
        let (reply, took) = timed(&host.api(), "/cpu-late/spin").await;
        assert_failure(&reply, 504, "deadline");
        assert!(took >= Duration::from_millis(400), "{took:?}");
        assert!(took < Duration::from_secs(3), "{took:?}");
    });
}

#[test]
fn a_spinning_guest_is_ended_not_just_left() {
    run(async {
        let host = lone(
            "cpu = \"20s\"\ndeadline = \"300ms\"\nin_flight = 1",
            "queue = 0",
        )
        .await;
        host.api().get("/it/spin").await.error(504);
        // Its place is free once it is gone, long before its cpu limit.
        until_in_flight(&host, "it", 0).await;
        host.api().get("/it/echo").await.expect(200);
        assert_eq!(
            of_component(&host, "instance_failures_total", "it").await,
            1.0
        );
    });
}

#[test]
fn computing_in_pieces_is_not_computing_without_end() {
    run(async {
        let host = shared().await;
        // Three times the limit, and never half of it at a stretch.
        host.api()
            .get("/plain/busy?ms=60&times=10")
            .await
            .expect(200);
    });
}

#[test]
fn a_spinning_guest_leaves_its_core_to_others() {
    run(async {
        let host = lone("cpu = \"2s\"", "").await;
        let (spinning, others) = (Api::new(host.public()), Api::new(host.public()));
        others.get("/other/echo").await.expect(200);
        let spinning = tokio::spawn(async move { spinning.get("/it/spin").await });
        until_in_flight(&host, "it", 1).await;
        for _ in 0..10 {
            others.get("/other/echo").await.expect(200);
        }
        assert!(
            !spinning.is_finished(),
            "ten answers in the time of one spin"
        );
        spinning.await.unwrap().error(502);
    });
}

#[test]
fn no_deadline_lands_on_a_neighbour_in_the_same_instance() {
    run(async {
        let host = lone("deadline = \"1s\"\nconcurrency = 16\nreuse = 1000", "").await;
        let api = host.api();
        let (shared, _) = instance(&api.get("/it/instance").await.expect(200));
        // One that overstays, and fifteen that came half a second later and are
        // answered after its deadline and before their own. An instance that has
        // just begun is left alone until it waits, so they come one by one.
        let overstays = async { timed(&api, "/it/never").await };
        let neighbours = join_all((0..15).map(|number| {
            let api = &api;
            async move {
                sleep(Duration::from_millis(500 + 8 * number)).await;
                instance(&api.get("/it/sleep?ms=750").await.expect(200)).0
            }
        }));
        let ((late, took), neighbours) = join(overstays, neighbours).await;
        assert_failure(&late, 504, "deadline");
        assert!(took < Duration::from_millis(1800), "{took:?}");
        let inside = neighbours.iter().filter(|name| **name == shared).count();
        assert!(inside >= 8, "too few were in the same instance: {inside}");
    });
}

#[test]
fn an_instance_that_a_request_overstayed_in_takes_no_other() {
    run(async {
        let host = lone("deadline = \"300ms\"\nconcurrency = 4\nreuse = 1000", "").await;
        let api = host.api();
        let (before, _) = instance(&api.get("/it/instance").await.expect(200));
        api.get("/it/never").await.error(504);
        let (after, begun) = instance(&api.get("/it/instance").await.expect(200));
        assert_ne!(before, after);
        assert_eq!(begun, 1);
    });
}
