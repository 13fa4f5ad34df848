//! Clients that mean harm, in HTTP/2: each flood has its end, in little memory, and
//! the next client is served at once.

use std::time::Duration;

use tokio::time::Instant;
use warmlink_tests::h2::{
    self, CONTINUATION, DATA, END_HEADERS, END_STREAM, H2, HEADERS, PRIORITY, frame,
};
use warmlink_tests::table::until_in_flight;
use warmlink_tests::{Host, process, run};

use super::clients::{at_rest, descriptors};
use super::lone;

/// Frames of a flood.
const MANY: usize = 10_000;
/// What a host may take for one flood, and may keep of all.
const GROWTH: u64 = 8 << 20;
/// A stream that no flood uses.
const LAST: u32 = 99_999;
/// The most that a window may be.
const WINDOW: u32 = (1 << 31) - 1;

/// Frames, and what may come of them: what is said of stream 1, then of a request
/// that follows, or how the connection ends.
struct Flood {
    name: &'static str,
    bytes: Vec<u8>,
    permitted: &'static [&'static str],
}

/// The flood hurts nobody, or is refused with `ENHANCE_YOUR_CALM`.
const BORNE: &[&str] = &["204", "goaway 11 closed"];
const CALM: &[&str] = &["goaway 11 closed"];

fn floods() -> Vec<Flood> {
    let flood = |name, bytes, permitted| Flood {
        name,
        bytes,
        permitted,
    };
    let post = h2::open_post(1, "/it/count");
    let after_post = |more: &[u8]| [post.as_slice(), more].concat();
    let window = |stream| h2::window_update(stream, WINDOW);
    vec![
        flood("settings", h2::settings(&[]).repeat(MANY), BORNE),
        flood("windows", windows(), BORNE),
        flood("pings", h2::ping(b"anybody?").repeat(MANY), BORNE),
        flood(
            "priorities",
            frame(PRIORITY, 0, 1, &[0; 5]).repeat(MANY),
            BORNE,
        ),
        flood("unknown", frame(0x42, 0, 0, b"what").repeat(MANY), BORNE),
        flood("resets", resets(), BORNE),
        flood("too large", bomb(12, &[]), &["431 204"]),
        flood("referenced", bomb(12_000, &[]), CALM),
        flood("referenced on", bomb(12_000, &[0xbe; 16_000]), CALM),
        flood("continued", continued(b"\0\x01a\x04bbbb"), CALM),
        flood("continued empty", continued(b""), CALM),
        flood("overflow", window(0), &["goaway 3 closed"]),
        flood("overflow of one", after_post(&window(1)), &["reset 3 204"]),
        flood("no room", h2::window_update(0, 0), &["goaway 1 closed"]),
        flood("room", h2::window_update(0, 1).repeat(MANY), BORNE),
        flood(
            "empty data",
            after_post(&frame(DATA, 0, 1, b"").repeat(MANY)),
            CALM,
        ),
        flood(
            "padding",
            after_post(&frame(DATA, 8, 1, &[[9].as_slice(), &[0; 9]].concat()).repeat(MANY)),
            CALM,
        ),
    ]
}

/// Each is to change the window of every stream.
fn windows() -> Vec<u8> {
    let initial_window = 4;
    let each = |number| h2::settings(&[(initial_window, 1000 + number)]);
    (0..MANY as u32).flat_map(each).collect()
}

fn resets() -> Vec<u8> {
    let one = |number| {
        let stream = 2 * number + 1;
        [h2::open(stream, "/it/sleep"), h2::reset(stream)].concat()
    };
    (0..MANY as u32).flat_map(one).collect()
}

/// A header of 4,000 bytes that is in the table, and referred to so many `times`:
/// 12,000 are 48 MB in 16 KiB. Where `more` is given, that follows in two more frames.
fn bomb(times: usize, more: &[u8]) -> Vec<u8> {
    let mut block = h2::get("/it/echo");
    // To be kept; `a`; 4,000 bytes, which are 127 and 3,873, in groups of seven bits.
    block.extend([0x40, 1, b'a', 0x7f, 0xa1, 0x1e]);
    block.extend([b'b'; 4000]);
    block.extend(vec![0xbe; times]);
    if more.is_empty() {
        return frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
    }
    [
        frame(HEADERS, END_STREAM, 1, &block),
        frame(CONTINUATION, 0, 1, more),
        frame(CONTINUATION, END_HEADERS, 1, more),
    ]
    .concat()
}

/// A head that does not end.
fn continued(piece: &[u8]) -> Vec<u8> {
    let mut bytes = frame(HEADERS, END_STREAM, 1, &h2::get("/it/echo"));
    bytes.extend(frame(CONTINUATION, 0, 1, piece).repeat(MANY));
    bytes
}

#[test]
fn every_flood_has_its_end_and_the_next_client_is_served() {
    run(async {
        // Guests are not what is measured here.
        let host = lone("reuse = 100000\nin_flight = 8\nwarm = 8", "").await;
        let open = descriptors(&host).await;
        let mut wrong = Vec::new();
        let mut after = Vec::new();
        for _ in 0..2 {
            for flood in floods() {
                wrong.extend(outcome(&host, &flood).await);
            }
            at_rest(&host, open).await;
            after.push(host.resident_bytes());
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let grown = after[1].saturating_sub(after[0]);
        assert!(grown <= GROWTH, "{grown} bytes more after the same again");
        let panicked = |line: &String| line.contains("panicked");
        assert!(!host.log().lines().iter().any(panicked));
    });
}

/// What is wrong with what came of a flood.
async fn outcome(host: &Host, flood: &Flood) -> Option<String> {
    let before = host.resident_bytes();
    process::forget_peak(host.pid());
    let mut client = H2::begin(host.public(), &[]).await;
    client.exchange(&flood.bytes).await;
    client.exchange(&h2::open(LAST, "/it/status/204")).await;
    let mut outcome = client.outcome(1, LAST).await;
    served_at_once(host, flood.name).await;
    let peak = process::peak_bytes(host.pid()).saturating_sub(before);
    println!(
        "{:<16} {outcome}, {} KiB at the most",
        flood.name,
        peak >> 10
    );
    if peak > GROWTH {
        outcome = format!("{peak} bytes more, {outcome}");
    }
    let right = flood.permitted.contains(&outcome.as_str());
    (!right).then(|| format!("{}: {outcome}, not {:?}", flood.name, flood.permitted))
}

async fn served_at_once(host: &Host, after: &str) {
    let began = Instant::now();
    host.api().get("/it/echo").await.expect(200);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?} after {after}");
}

#[test]
fn whoever_asks_without_end_and_reads_no_answer_is_given_up() {
    run(async {
        let host = lone("", "body_time = \"400ms\"").await;
        served_at_once(&host, "nothing").await;
        let open = descriptors(&host).await;
        for (name, one) in [
            ("pings", h2::ping(b"anybody?")),
            ("settings", h2::settings(&[])),
        ] {
            let before = host.resident_bytes();
            process::forget_peak(host.pid());
            let mut client = H2::begin(host.public(), &[]).await;
            // 34 MB of answers are more than lies in sockets.
            client.send(&one.repeat(2_000_000)).await;
            served_at_once(&host, name).await;
            let peak = process::peak_bytes(host.pid()).saturating_sub(before);
            assert!(peak <= GROWTH, "{name}: {peak} bytes more");
            assert!(!client.settle().await, "{name}: the connection goes on");
        }
        at_rest(&host, open).await;
    });
}

#[test]
fn a_body_in_many_small_frames_is_no_flood() {
    run(async {
        let host = lone("reuse = 1000", "").await;
        // Lines of text, as they come.
        for bytes in [64, 200] {
            let mut client = H2::begin(host.public(), &[]).await;
            client.exchange(&h2::open_post(1, "/it/count")).await;
            let piece = frame(DATA, 0, 1, &vec![b'x'; bytes]);
            // As much as a client may send before it is given room for more.
            let pieces = (60 << 10) / bytes;
            client.exchange(&piece.repeat(pieces)).await;
            client.exchange(&frame(DATA, END_STREAM, 1, b"x")).await;
            let frame = client.next_of(&[0, 1]).await;
            let mut said = frame.says(1);
            while said.is_none() {
                said = client.next_of(&[0, 1]).await.says(1);
            }
            assert_eq!(said.as_deref(), Some("200"), "in frames of {bytes} bytes");
        }
    });
}

#[test]
fn streams_beyond_those_allowed_are_refused_and_the_others_served() {
    const ALLOWED: u32 = 200;
    run(async {
        let host = lone("reuse = 1000\nconcurrency = 100", "").await;
        let mut client = H2::begin(host.public(), &[]).await;
        let streams: Vec<u32> = (0..ALLOWED + 50).map(|number| 2 * number + 1).collect();
        for stream in &streams {
            client.send(&h2::open_post(*stream, "/it/count")).await;
        }
        let (allowed, beyond) = streams.split_at(ALLOWED as usize);
        until_in_flight(&host, "it", u64::from(ALLOWED)).await;
        for _ in beyond {
            let frame = client.next_of(&streams).await;
            let said = beyond.iter().find_map(|stream| frame.says(*stream));
            assert_eq!(said.as_deref(), Some("reset 7"), "{frame:?}");
        }
        served_at_once(&host, "too many streams").await;
        for stream in allowed {
            client.send(&frame(DATA, END_STREAM, *stream, b"x")).await;
        }
        let mut answered = 0;
        while answered < allowed.len() {
            let frame = client.next_of(allowed).await;
            if frame.kind == HEADERS {
                assert_eq!(frame.says(frame.stream).as_deref(), Some("200"));
                answered += 1;
            }
        }
        until_in_flight(&host, "it", 0).await;
    });
}
