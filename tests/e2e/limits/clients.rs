//! Clients that mean harm, or know no better, in HTTP/1: whatever they send, there
//! are few answers to it, the next client is served at once, and nothing is left.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;
use warmlink_tests::raw::Raw;
use warmlink_tests::{Host, eventually, run};

use super::{SOON, lone, until_connections};

/// What follows a shape on its connection: answered where the two sides agree on
/// where the shape ends, and there is a connection still.
const NEXT: &str = "GET /it/status/204 HTTP/1.1\r\nhost: test\r\n\r\n";
/// Hidden in a shape: whoever answers it was led astray.
const HIDDEN: &str = "GET /it/status/205 HTTP/1.1\r\nhost: test\r\n\r\n";

/// How a client goes on after a shape.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// With [`NEXT`].
    Next,
    /// It sends no more, and says so.
    HalfClose,
    /// It waits.
    Wait,
}

/// Something to send, and what may come of it: the statuses in order, and `closed`
/// where the connection ends without an answer to [`NEXT`].
struct Shape {
    bytes: Vec<u8>,
    then: Then,
    permitted: &'static [&'static str],
}

const REFUSED: &[&str] = &["400 closed"];
/// A request in due form; where it ends is not in doubt.
const NOT_FOR_US: &[&str] = &["400 204", "400 closed"];
const SERVED: &[&str] = &["200 204"];
const EITHER: &[&str] = &["200 204", "400 closed"];
const NO_ROUTE: &[&str] = &["404 204"];
const TOO_LARGE: &[&str] = &["431 closed"];

fn get(target: &str, permitted: &'static [&'static str]) -> Shape {
    shape(
        format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n"),
        permitted,
    )
}

/// A GET with more in its head, byte for byte.
fn head(more: &str, permitted: &'static [&'static str]) -> Shape {
    let text = format!("GET /it/echo HTTP/1.1\r\nhost: test\r\n{more}\r\n\r\n");
    shape(text, permitted)
}

/// A POST whose framing is said so.
fn framed(framing: &str, body: &str, permitted: &'static [&'static str]) -> Shape {
    let head = "POST /it/count HTTP/1.1\r\nhost: test\r\n";
    shape(format!("{head}{framing}\r\n\r\n{body}"), permitted)
}

fn chunked(body: &str, permitted: &'static [&'static str]) -> Shape {
    framed("transfer-encoding: chunked", body, permitted)
}

fn shape(bytes: impl Into<Vec<u8>>, permitted: &'static [&'static str]) -> Shape {
    Shape {
        bytes: bytes.into(),
        then: Then::Next,
        permitted,
    }
}

impl Shape {
    fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }
}

/// Two sides of a proxy that understand these differently see different requests.
fn smuggling() -> Vec<Shape> {
    let hidden = format!("0\r\n\r\n{HIDDEN}");
    let length = hidden.len();
    let both = ["200 closed", "400 closed"].as_slice();
    let both: &'static [&'static str] = both;
    let te = "transfer-encoding: chunked";
    let cl = format!("content-length: {length}");
    vec![
        framed(&format!("{cl}\r\n{te}"), &hidden, both),
        framed(&format!("{te}\r\n{cl}"), &hidden, both),
        framed(&format!("{cl}\r\ncontent-length: 5"), &hidden, REFUSED),
        framed("content-length: 3\r\ncontent-length: 3", "abc", EITHER),
        framed("content-length: 3, 3", "abc", EITHER),
        framed("content-length: 3, 5", "abc", REFUSED),
        framed("transfer-encoding: xchunked", &hidden, REFUSED),
        framed("transfer-encoding: chunked, identity", &hidden, REFUSED),
        framed(
            "transfer-encoding: chunked\r\ntransfer-encoding: x",
            &hidden,
            REFUSED,
        ),
        framed("transfer-encoding: \"chunked\"", &hidden, REFUSED),
        framed("transfer-encoding:\x0bchunked", &hidden, REFUSED),
        framed("transfer-encoding : chunked", &hidden, REFUSED),
        framed("transfer-encoding\t: chunked", &hidden, REFUSED),
        framed("x-a: b\r\n transfer-encoding: chunked", &hidden, REFUSED),
        framed("x-a: b\rtransfer-encoding: chunked", &hidden, REFUSED),
        framed("transfer-encoding: CHUNKED", "0\r\n\r\n", SERVED),
        shape(
            format!("POST /it/count HTTP/1.0\r\n{te}\r\n\r\n{hidden}"),
            REFUSED,
        ),
        framed("content-length: +3", "abc", REFUSED),
        framed("content-length: -3", "abc", REFUSED),
        framed("content-length: 0x3", "abc", REFUSED),
        framed("content-length: 3 3", "abc", REFUSED),
        framed("content-length: 3.0", "abc", REFUSED),
        framed("content-length:", "abc", REFUSED),
        framed("content-length: 99999999999999999999", "abc", REFUSED),
        framed(
            "content-length: 9999999999999999999",
            "abc",
            &["413 closed", "400 closed"],
        ),
        framed("content-length:  \t3 \t", "abc", SERVED),
        // The length is right, and more than it follows.
        framed("content-length: 3", "abc\0\0", &["200 400 closed"]),
    ]
}

fn chunks() -> Vec<Shape> {
    let broken = ["400 closed"].as_slice();
    let extension = "x".repeat(64 << 10);
    vec![
        chunked("3\r\nabc\r\n0\r\n\r\n", SERVED),
        chunked("3;a=b;c\r\nabc\r\n0\r\n\r\n", SERVED),
        chunked("0\r\nx-trailer: b\r\n\r\n", &["200 204", "200 closed"]),
        chunked("fffffffffffffffff\r\nabc\r\n0\r\n\r\n", broken),
        chunked("10000000000000003\r\nabc\r\n0\r\n\r\n", broken),
        chunked("0x3\r\nabc\r\n0\r\n\r\n", broken),
        chunked("+3\r\nabc\r\n0\r\n\r\n", broken),
        chunked("-3\r\nabc\r\n0\r\n\r\n", broken),
        chunked("\r\nabc\r\n0\r\n\r\n", broken),
        chunked("3\r\nabcd\r\n0\r\n\r\n", broken),
        chunked("3\nabc\n0\n\n", broken),
        chunked("3;a\nb\r\nabc\r\n0\r\n\r\n", broken),
        chunked(&format!("3;{extension}\r\nabc\r\n0\r\n\r\n"), broken),
        chunked(&format!("0\r\nx: {extension}\r\n\r\n"), broken),
    ]
}

fn heads() -> Vec<Shape> {
    let raw = |bytes: &[u8]| {
        let end = " HTTP/1.1\r\nhost: test\r\n\r\n".as_bytes();
        [b"GET /it/echo/", bytes, end].concat()
    };
    vec![
        head("x-a : b", REFUSED),
        head("x-a: b\r\n c", REFUSED),
        head("x-a: b\0c", REFUSED),
        head("x-a: b\rc", REFUSED),
        head(": b", REFUSED),
        head("x(a): b", REFUSED),
        head("host: other", NOT_FOR_US),
        head("expect: nonsense", &["200 204", "417 204", "417 closed"]),
        head("upgrade: h2c\r\nconnection: upgrade", SERVED),
        head("connection: content-length, close", &["200 closed"]),
        head(&"a: b\r\n".repeat(300), TOO_LARGE),
        head(&format!("x: {}", "x".repeat(1 << 20)), TOO_LARGE),
        shape(
            *b"GET /it/echo HTTP/1.1\r\nhost: test\r\nx-a: \xff\xfe\r\n\r\n",
            EITHER,
        ),
        shape("GET /it/echo HTTP/1.1\nhost: test\n\n", EITHER),
        shape("GET /it/echo HTTP/1.1\rhost: test\r\r", REFUSED),
        shape("GET /it/echo HTTP/1.1\r\n\r\n", NOT_FOR_US),
        shape("GET /it/echo HTTP/1.1\r\nhost: a@b:c/d\r\n\r\n", NOT_FOR_US),
        shape("GET /it/echo HTTP/1.2\r\nhost: test\r\n\r\n", REFUSED),
        shape("GET /it/echo HTTP/2.0\r\nhost: test\r\n\r\n", REFUSED),
        shape("GET /it/echo\r\n\r\n", REFUSED),
        shape("GET  /it/echo HTTP/1.1\r\nhost: test\r\n\r\n", REFUSED),
        shape("G(T /it/echo HTTP/1.1\r\nhost: test\r\n\r\n", REFUSED),
        shape(
            "\r\n\r\nGET /it/echo HTTP/1.1\r\nhost: test\r\n\r\n",
            EITHER,
        ),
        shape(
            "PRI * HTTP/1.1\r\nhost: test\r\n\r\n",
            &["404 204", "400 closed"],
        ),
        shape(
            *b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            REFUSED,
        ),
        shape(raw(b"%00"), SERVED),
        shape(raw(b"\0"), REFUSED),
        shape(raw(b"\xff\xfe"), REFUSED),
        shape(raw(b"\x7f"), REFUSED),
        shape(raw("\u{e9}".as_bytes()), EITHER),
        get("/it%2fecho", NO_ROUTE),
        get("/it%00/echo", NO_ROUTE),
        get("//it/echo", &["200 204", "404 204"]),
        get("http://test/it/echo", SERVED),
        get("http://other/it/echo", SERVED),
        get("ftp://test/it/echo", EITHER),
        get("http://", REFUSED),
        get("*", &["404 204", "400 closed"]),
        get("it/echo", REFUSED),
        get("test:80", &["404 204", "400 closed"]),
        shape("CONNECT test:80 HTTP/1.1\r\nhost: test\r\n\r\n", NOT_FOR_US),
        shape(
            "CONNECT /it/echo HTTP/1.1\r\nhost: test\r\n\r\n",
            NOT_FOR_US,
        ),
        shape("OPTIONS * HTTP/1.1\r\nhost: test\r\n\r\n", NO_ROUTE),
    ]
}

/// Shapes that are not whole, and go on no further.
fn unfinished() -> Vec<Shape> {
    let late: &'static [&'static str] = &["408 closed"];
    vec![
        framed("content-length: 10", "abc", late).then(Then::Wait),
        framed("content-length: 10", "", late).then(Then::Wait),
        chunked("3\r\nab", late).then(Then::Wait),
        chunked("3\r\nabc\r\n", late).then(Then::Wait),
        chunked("3\r\nabc\r\n0\r\nx: y\r\n", late).then(Then::Wait),
        shape("GET /it/echo HTTP/1.1\r\nhost: te", late).then(Then::Wait),
        shape("PRI * HT", &["closed"]).then(Then::Wait),
        framed("content-length: 10", "abc", &["400 closed", "closed"]).then(Then::HalfClose),
        chunked("3\r\nabc\r\n", &["400 closed", "closed"]).then(Then::HalfClose),
        shape(
            "GET /it/echo HTTP/1.1\r\nhost: te",
            &["400 closed", "closed"],
        )
        .then(Then::HalfClose),
        get("/it/echo", &["200 closed", "closed"]).then(Then::HalfClose),
        framed("content-length: 3", "abc", &["200 closed", "closed"]).then(Then::HalfClose),
        shape("", &["closed"]).then(Then::HalfClose),
    ]
}

/// What came of a shape.
async fn outcome(host: &Host, shape: &Shape) -> String {
    let mut raw = Raw::connect(host.public()).await;
    let mut bytes = shape.bytes.clone();
    if shape.then == Then::Next {
        bytes.extend(NEXT.as_bytes());
    }
    // A host that has had enough need not take it all.
    let _ = raw.try_send(&bytes).await;
    if shape.then == Then::HalfClose {
        raw.close_half().await;
    }
    let mut statuses = Vec::new();
    while let Some(transfer) = raw.next().await {
        statuses.push(transfer.status.to_string());
        if !transfer.complete {
            statuses.push("broken".to_owned());
        }
        if transfer.status == 204 {
            return statuses.join(" ");
        }
    }
    statuses.push("closed".to_owned());
    statuses.join(" ")
}

#[test]
fn whatever_is_sent_has_its_answer_and_the_next_client_its_own() {
    run(async {
        let node = "header_time = \"800ms\"\nbody_time = \"400ms\"";
        let host = lone("reuse = 1000", node).await;
        let before = descriptors(&host).await;
        let shapes: Vec<_> = [smuggling(), chunks(), heads(), unfinished()]
            .into_iter()
            .flatten()
            .collect();
        let wrong = join_all(shapes.iter().map(async |shape| {
            let outcome = outcome(&host, shape).await;
            let began = Instant::now();
            host.api().get("/it/echo").await.expect(200);
            let took = began.elapsed();
            let shown = shape.bytes.escape_ascii().to_string();
            let shown: String = shown.chars().take(200).collect();
            assert!(took < Duration::from_secs(5), "{took:?} after {shown}");
            let right = shape.permitted.contains(&outcome.as_str());
            (!right).then(|| format!("{shown}: {outcome}, not {:?}", shape.permitted))
        }));
        let wrong: Vec<_> = wrong.await.into_iter().flatten().collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        at_rest(&host, before).await;
    });
}

/// Waits until no client is left, nor anything of one.
pub(super) async fn at_rest(host: &Host, before: f64) {
    until_connections(host, 0.0).await;
    warmlink_tests::table::until_in_flight(host, "it", 0).await;
    eventually("the descriptors are given back", SOON, || async {
        (descriptors(host).await <= before).then_some(())
    })
    .await;
}

pub(super) async fn descriptors(host: &Host) -> f64 {
    let scrape = host.metrics().await;
    scrape.sum("process_open_fds", &[]).expect("it is counted")
}
