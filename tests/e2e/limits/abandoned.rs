//! A client that goes away takes its place with it only when its guest is done.

use std::time::Duration;

use tokio::time::Instant;
use warmlink_tests::h2::{self, H2};
use warmlink_tests::raw::Raw;
use warmlink_tests::table::{in_flight, until_in_flight};
use warmlink_tests::{Host, eventually, run};

use super::{SOON, assert_try_again, lone, of_component, until_connections};

const SLEEP: Duration = Duration::from_secs(3);

fn sleeps() -> String {
    format!("/it/sleep?ms={}", SLEEP.as_millis())
}

#[test]
fn a_client_that_goes_away_makes_no_room_while_its_guest_works() {
    run(async {
        let host = lone("in_flight = 1", "queue = 0").await;
        let begun = Instant::now();
        let client = Raw::get(host.public(), &sleeps()).await;
        until_in_flight(&host, "it", 1).await;
        client.abort();
        until_connections(&host, 0.0).await;
        let reply = host.api().get("/it/echo").await;
        assert!(begun.elapsed() < SLEEP, "too slow a machine to tell");
        assert_try_again(&reply, "shed");
        assert_eq!(in_flight(&host, "it").await, 1);
        served_again(&host).await;
        assert!(begun.elapsed() >= SLEEP, "{:?}", begun.elapsed());
    });
}

#[test]
fn the_same_in_the_middle_of_a_body() {
    run(async {
        let host = lone("in_flight = 1\ndeadline = \"1s\"", "queue = 0").await;
        let path = "/it/stream-then-stall?chunks=2&bytes=20000";
        let mut client = Raw::get(host.public(), path).await;
        assert_eq!(client.head().await, 200);
        client.abort();
        until_connections(&host, 0.0).await;
        assert_try_again(&host.api().get("/it/echo").await, "shed");
        // With nobody to send to, the guest has as long as for an answer.
        served_again(&host).await;
    });
}

#[test]
fn streams_that_are_reset_as_soon_as_they_are_opened_stay_within_the_places() {
    run(async {
        let host = lone("in_flight = 2", "queue = 0").await;
        let before = of_component(&host, "instantiations_total", "it").await;
        let begun = Instant::now();
        let mut flood = H2::begin(host.public(), &[]).await;
        flood.send(&h2::open(1, &sleeps())).await;
        flood.send(&h2::open(3, &sleeps())).await;
        until_in_flight(&host, "it", 2).await;
        flood.send(&h2::reset(1)).await;
        flood.send(&h2::reset(3)).await;
        for stream in (5..400).step_by(2) {
            flood.send(&h2::open(stream, &sleeps())).await;
            flood.send(&h2::reset(stream)).await;
        }
        flood.settle().await;
        assert_try_again(&host.api().get("/it/echo").await, "shed");
        let made = of_component(&host, "instantiations_total", "it").await - before;
        assert!(begun.elapsed() < SLEEP, "too slow a machine to tell");
        assert!(made <= 2.0, "{made} guests for two places");
        assert_eq!(in_flight(&host, "it").await, 2);
        served_again(&host).await;
    });
}

#[test]
fn a_client_that_does_not_read_is_given_up() {
    run(async {
        let host = lone("in_flight = 1", "queue = 0\nbody_time = \"400ms\"").await;
        let path = "/it/stream?chunks=10000&bytes=65536";
        let mut client = Raw::get(host.public(), path).await;
        assert_eq!(client.head().await, 200);
        // 640 MB are to come; whoever takes none of them is in nobody's way.
        served_again(&host).await;
        drop(client);
    });
}

#[test]
fn nor_is_one_waited_for_that_opens_no_window_to_send_into() {
    run(async {
        let host = lone("in_flight = 1", "queue = 0\nbody_time = \"400ms\"").await;
        let mut client = H2::begin(host.public(), NO_WINDOW).await;
        let path = "/it/stream?chunks=10000&bytes=65536";
        client.send(&h2::open(1, path)).await;
        until_in_flight(&host, "it", 1).await;
        served_again(&host).await;
        // Others on the connection are none the worse for it.
        client.send(&h2::window_update(0, 1 << 20)).await;
        client.send(&h2::open(3, "/other/echo")).await;
        client.send(&h2::window_update(3, 1 << 20)).await;
        assert!(client.settle().await, "the connection goes on");
        // The body is broken off, and is no short success.
        client.send(&h2::window_update(1, 1 << 20)).await;
        while !client.next().await.expect("it is reset").resets(1) {}
    });
}

/// `SETTINGS_INITIAL_WINDOW_SIZE` of nothing.
const NO_WINDOW: &[(u16, u32)] = &[(4, 0)];

async fn served_again(host: &Host) {
    until_in_flight(host, "it", 0).await;
    eventually("the endpoint serves", SOON, || async {
        let reply = host.api().get("/it/echo").await;
        (reply.status == 200).then_some(())
    })
    .await;
}
