//! Many clients at once that do little, or read little.

use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use std::time::Duration;
use tokio::time::Instant;
use warmlink_tests::raw::Raw;
use warmlink_tests::{Host, process, run};

use super::clients::{at_rest, descriptors};
use super::{lone, until_connections};

/// Clients that come at once, in a crowd.
const AT_ONCE: usize = 200;
/// What one client who reads nothing may cost the host.
const GROWTH: u64 = 8 << 20;

const GET: &str = "GET /it/status/204 HTTP/1.1\r\nhost: test\r\n\r\n";

/// So many clients that were answered once, and stay.
async fn crowd(host: &Host, count: usize) -> Vec<Raw> {
    let client = async || {
        let mut raw = Raw::get(host.public(), "/it/status/204").await;
        assert_eq!(raw.response().await.status, 204);
        raw
    };
    let clients = stream::iter(0..count).map(|_| client());
    clients.buffer_unordered(AT_ONCE).collect().await
}

/// An ordinary client is served, and not in its turn after all others.
async fn served_at_once(host: &Host) {
    let began = Instant::now();
    host.api().get("/it/echo").await.expect(200);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn ten_thousand_idle_clients_cost_little_and_are_in_nobodys_way() {
    const CROWD: usize = 10_000;
    // Theirs, and those of tests beside this one.
    if !process::make_room(CROWD as u64 + 4096) {
        eprintln!("SKIPPED: 10,000 idle clients: this system allows too few descriptors");
        return;
    }
    run(async {
        let node = format!("connections = {}\nheader_time = \"200s\"", CROWD + 100);
        let host = lone("reuse = 100000", &node).await;
        served_at_once(&host).await;
        let open = descriptors(&host).await;
        let mut crowded = Vec::new();
        for _ in 0..2 {
            let before = host.resident_bytes();
            let all = crowd(&host, CROWD).await;
            until_connections(&host, CROWD as f64).await;
            let during = host.resident_bytes();
            let each = during.saturating_sub(before) / CROWD as u64;
            println!(
                "{CROWD} idle clients: {each} bytes each; the host has {:.2} times its memory",
                during as f64 / before as f64
            );
            // Less than the head that each of them may send.
            assert!(each < 32 << 10, "{each} bytes for each idle client");
            served_at_once(&host).await;
            leave(all).await;
            at_rest(&host, open).await;
            crowded.push(during);
        }
        // The allocator keeps for a while what the first took: the second finds it there,
        // or takes it anew, and has no need of more.
        let grown = crowded[1].saturating_sub(crowded[0]) / CROWD as u64;
        assert!(grown < 2 << 10, "{grown} bytes more for each that is gone");
    });
}

/// In the three ways that there are.
async fn leave(all: Vec<Raw>) {
    let mut halves = Vec::new();
    for (number, mut raw) in all.into_iter().enumerate() {
        match number % 3 {
            0 => raw.abort(),
            1 => drop(raw),
            _ => {
                raw.close_half().await;
                halves.push(raw);
            }
        }
    }
    // Who says that nothing follows is let go, and told no more.
    for raw in halves {
        assert!(raw.until_closed().await.is_empty());
    }
}

#[test]
fn at_the_default_limit_the_next_client_waits_for_one_to_leave() {
    const LIMIT: usize = 4096;
    if !process::make_room(LIMIT as u64 + 4096) {
        eprintln!("SKIPPED: 4,096 clients: this system allows too few descriptors");
        return;
    }
    run(async {
        let host = lone("reuse = 100000", "header_time = \"200s\"").await;
        let mut inside = crowd(&host, LIMIT).await;
        let outside = join_all((0..10).map(|_| Raw::get(host.public(), "/it/status/204"))).await;
        let accepted = async || host.metrics().await.sum("warmlink_accepted_total", &[]);
        for (number, mut next) in outside.into_iter().enumerate() {
            // Those inside go on as before.
            for raw in inside.iter_mut().take(10) {
                raw.send(GET).await;
                assert_eq!(raw.response().await.status, 204);
            }
            assert_eq!(accepted().await, Some((LIMIT + number) as f64));
            inside.pop().unwrap().abort();
            assert_eq!(next.response().await.status, 204);
            inside.push(next);
        }
    });
}

#[test]
fn a_big_body_waits_for_its_slow_readers_in_little_memory() {
    const READERS: usize = 50;
    run(async {
        let host = lone("in_flight = 100\nreuse = 1000\nwarm = 50", "").await;
        let open = descriptors(&host).await;
        // An instance each, which they have in any case.
        let asleep = (0..READERS).map(|_| Raw::get(host.public(), "/it/sleep?ms=500"));
        for mut raw in join_all(asleep).await {
            assert_eq!(raw.response().await.status, 200);
        }
        let before = host.resident_bytes();
        process::forget_peak(host.pid());
        let path = "/it/stream?chunks=10000&bytes=65536";
        let mut readers = join_all((0..READERS).map(|_| Raw::get(host.public(), path))).await;
        for _ in 0..20 {
            for raw in &mut readers {
                assert!(raw.more().await, "whoever reads gets more");
            }
        }
        served_at_once(&host).await;
        let peak = process::peak_bytes(host.pid()).saturating_sub(before);
        let each = peak / READERS as u64;
        println!("{READERS} slow readers: {each} bytes each at the most");
        assert!(each < 1 << 20, "{each} bytes for each of {READERS} readers");
        drop(readers);
        at_rest(&host, open).await;
    });
}

#[test]
fn a_hundred_requests_in_one_write_are_answered_in_order() {
    run(async {
        let host = lone("reuse = 1000", "").await;
        let mut raw = Raw::connect(host.public()).await;
        let all: String = (0..100)
            .map(|number| format!("GET /it/echo/{number} HTTP/1.1\r\nhost: test\r\n\r\n"))
            .collect();
        raw.send(&all).await;
        for number in 0..100 {
            let response = raw.response().await;
            let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
            assert_eq!(body["path"], format!("/it/echo/{number}"));
        }
    });
}

#[test]
fn who_asks_without_end_and_reads_nothing_is_given_up_in_little_memory() {
    run(async {
        let host = lone("reuse = 100000", "body_time = \"400ms\"").await;
        served_at_once(&host).await;
        let open = descriptors(&host).await;
        let before = host.resident_bytes();
        process::forget_peak(host.pid());
        let ask = "GET /it/stream?chunks=1&bytes=8000 HTTP/1.1\r\nhost: test\r\n\r\n";
        let all = ask.repeat(100_000);
        let mut raw = Raw::connect(host.public()).await;
        // Nobody would take 800 MB of answers; the host does not take all that is asked.
        raw.try_send(all.as_bytes()).await.unwrap_err();
        let peak = process::peak_bytes(host.pid()).saturating_sub(before);
        assert!(peak <= GROWTH, "{peak} bytes more for one client");
        served_at_once(&host).await;
        at_rest(&host, open).await;
    });
}
