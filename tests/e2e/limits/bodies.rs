//! A response's body in time, and one that breaks.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt as _, Empty};
use tokio::time::Instant;
use warmlink_tests::client::Body;
use warmlink_tests::raw::{Raw, Transfer};
use warmlink_tests::{Api, Host, run};

use super::{lone, of_component, shared};

/// A body too long to be gathered before its head is sent.
const LONG: &str = "chunks=3&bytes=20000";

async fn transfer(host: &Host, path: &str) -> (Transfer, Duration) {
    let begun = Instant::now();
    let transfer = Raw::get(host.public(), path).await.transfer().await;
    (transfer, begun.elapsed())
}

/// Broken off, or not begun: then the client is told.
#[track_caller]
fn assert_no_success(transfer: &Transfer) {
    assert!(transfer.status == 502 || !transfer.complete, "{transfer:?}");
}

#[track_caller]
fn assert_broken(transfer: &Transfer) {
    assert_eq!(transfer.status, 200, "{}", transfer.head);
    assert!(
        !transfer.complete,
        "a short body that looks whole: {} bytes",
        transfer.body.len()
    );
}

/// The same over h2, where a broken body is a reset.
async fn assert_broken_h2(host: &Host, path: &str) {
    let body: Body = Empty::<Bytes>::new()
        .map_err(|never| match never {})
        .boxed();
    let sent = Api::h2c(host.public())
        .try_send(Method::GET, path, &[], body)
        .await;
    if let Ok(reply) = sent {
        // Nothing of it was sent yet: then the client can still be told.
        assert_eq!(reply.status.as_u16(), 502, "a short body that looks whole");
    }
}

#[test]
fn a_trap_in_the_middle_of_a_body_breaks_the_transfer() {
    run(async {
        let host = shared().await;
        let later = format!("/plain/stream-then-trap?{LONG}&gap=20");
        for _ in 0..3 {
            assert_broken(&transfer(&host, &later).await.0);
            assert_broken_h2(&host, &later).await;
        }
        let at_once = format!("/plain/stream-then-trap?{LONG}");
        for path in [at_once.as_str(), "/older/stream-then-trap"] {
            for _ in 0..10 {
                assert_no_success(&transfer(&host, path).await.0);
                assert_broken_h2(&host, path).await;
            }
        }
    });
}

#[test]
fn a_trap_behind_a_short_body_is_never_a_success() {
    run(async {
        let host = shared().await;
        for _ in 0..20 {
            let path = "/plain/stream-then-trap?chunks=1&bytes=100";
            assert_no_success(&transfer(&host, path).await.0);
            assert_broken_h2(&host, path).await;
        }
    });
}

#[test]
fn a_guest_that_spins_in_the_middle_of_a_body_breaks_the_transfer() {
    run(async {
        let host = shared().await;
        let (found, took) = transfer(&host, &format!("/cpu-early/stream-then-spin?{LONG}")).await;
        assert_broken(&found);
        assert!(took < Duration::from_secs(3), "{took:?}");
    });
}

#[test]
fn a_body_shorter_than_it_says_is_never_a_success() {
    run(async {
        let host = shared().await;
        for sent in [99, 10, 0] {
            let path = format!("/plain/short?declared=100&sent={sent}");
            assert_no_success(&transfer(&host, &path).await.0);
            assert_broken_h2(&host, &path).await;
        }
        let (whole, _) = transfer(&host, "/plain/short?declared=100&sent=100").await;
        assert_eq!(
            (whole.status, whole.complete, whole.body.len()),
            (200, true, 100)
        );
    });
}

#[test]
fn a_body_that_pauses_for_too_long_is_broken_off() {
    run(async {
        let host = shared().await;
        let (found, took) = transfer(&host, &format!("/idle-body/stream-then-stall?{LONG}")).await;
        assert_broken(&found);
        assert_eq!(found.body.len(), 60_000, "what was there was sent");
        assert!(took >= Duration::from_millis(300), "{took:?}");
        assert!(took < Duration::from_secs(3), "{took:?}");
        // One that goes on is not, though it takes three times as long.
        let steady = "/idle-body/stream?chunks=18&bytes=20000&gap=50";
        let (found, took) = transfer(&host, steady).await;
        assert!(
            found.complete && found.body.len() == 360_000,
            "{:?}",
            found.body.len()
        );
        assert!(took > Duration::from_millis(800), "{took:?}");
    });
}

#[test]
fn a_body_that_takes_too_long_as_a_whole_is_broken_off() {
    run(async {
        let host = shared().await;
        let steady = "/total-body/stream?chunks=1000&bytes=20000&gap=50";
        let (found, took) = transfer(&host, steady).await;
        assert_broken(&found);
        assert!(took >= Duration::from_millis(600), "{took:?}");
        assert!(took < Duration::from_secs(3), "{took:?}");
        let (found, _) = transfer(&host, "/total-body/stream?chunks=3&bytes=20000&gap=20").await;
        assert!(found.complete);
    });
}

#[test]
fn a_body_may_take_longer_than_the_deadline() {
    run(async {
        let host = shared().await;
        let (found, took) = transfer(&host, "/prompt/stream?chunks=20&bytes=9000&gap=50").await;
        assert!(
            found.complete && found.body.len() == 180_000,
            "{:?}",
            found.body.len()
        );
        assert!(took > Duration::from_millis(900), "{took:?}");
    });
}

#[test]
fn broken_bodies_are_counted_and_the_host_goes_on() {
    run(async {
        let host = lone("", "").await;
        for _ in 0..3 {
            let path = format!("/it/stream-then-trap?{LONG}");
            assert_broken(&transfer(&host, &path).await.0);
        }
        assert_eq!(of_component(&host, "aborted_bodies_total", "it").await, 3.0);
        assert_eq!(
            of_component(&host, "instance_failures_total", "it").await,
            3.0
        );
        let (found, _) = transfer(&host, &format!("/it/stream?{LONG}")).await;
        assert!(found.complete && found.body.len() == 60_000);
    });
}
