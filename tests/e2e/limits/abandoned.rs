//! A client that goes away takes its place with it only when its guest is done.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;
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
        let mut flood = Flood::begin(&host).await;
        flood.open(1).await;
        flood.open(3).await;
        until_in_flight(&host, "it", 2).await;
        flood.reset(1).await;
        flood.reset(3).await;
        for stream in (5..400).step_by(2) {
            flood.open(stream).await;
            flood.reset(stream).await;
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

/// An h2 client that is no good.
struct Flood(TcpStream);

impl Flood {
    async fn begin(host: &Host) -> Self {
        let mut stream = TcpStream::connect(host.public()).await.unwrap();
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        let mut flood = Self(stream);
        flood.frame(SETTINGS, 0, 0, &[]).await;
        flood
    }

    async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        // A host that has had enough of this is within its rights.
        let _ = self.0.write_all(&frame).await;
    }

    /// A GET, complete with its head.
    async fn open(&mut self, stream: u32) {
        // The static table has GET and http; the path and the authority follow
        // their names' numbers, as they are.
        let mut block = vec![0x82, 0x86];
        for (name, value) in [(4, sleeps()), (1, "test".to_owned())] {
            block.extend([name, u8::try_from(value.len()).unwrap()]);
            block.extend(value.as_bytes());
        }
        let end_of_stream_and_headers = 5;
        self.frame(HEADERS, end_of_stream_and_headers, stream, &block)
            .await;
    }

    async fn reset(&mut self, stream: u32) {
        let cancel = 8_u32.to_be_bytes();
        self.frame(RST_STREAM, 0, stream, &cancel).await;
    }

    /// Returns when the host has read all that was sent, or has hung up.
    async fn settle(&mut self) {
        self.frame(PING, 0, 0, b"are all?").await;
        let mut received = Vec::new();
        let answered = |received: &[u8]| received.windows(8).any(|eight| eight == b"are all?");
        while !answered(&received) && matches!(self.0.read_buf(&mut received).await, Ok(1..)) {}
    }
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;

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

async fn served_again(host: &Host) {
    until_in_flight(host, "it", 0).await;
    eventually("the endpoint serves", SOON, || async {
        let reply = host.api().get("/it/echo").await;
        (reply.status == 200).then_some(())
    })
    .await;
}
