//! Behaves well or badly, as the first segment of the request's path says.

use std::sync::atomic::{AtomicU64, Ordering};

use guest_probe3::wasip3::exports::http::handler::Guest;
use guest_probe3::wasip3::http::types::{ErrorCode, Fields, Request, Response};
use guest_probe3::wasip3::random::random::get_random_u64;
use guest_probe3::wasip3::{self, clocks::monotonic_clock};
use guest_probe3::{
    Answer, Exchange, StreamWriter, bytes_answer, json_answer, spawn, stream_answer,
};
use serde_json::json;

struct Component;

wasip3::http::service::export!(Component);

/// How many requests this instance has begun.
static BEGUN: AtomicU64 = AtomicU64::new(0);
/// Names this instance; 0 until the first request.
static INSTANCE: AtomicU64 = AtomicU64::new(0);

impl Guest for Component {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let begun = BEGUN.fetch_add(1, Ordering::Relaxed) + 1;
        if begun == 1 {
            INSTANCE.store(get_random_u64() | 1, Ordering::Relaxed);
        }
        let mut exchange = Exchange::new(request);
        match exchange.behaviour().as_str() {
            "echo" => echo(exchange).await,
            "instance" => json_answer(200, &instance()),
            "status" => bytes_answer(status(&exchange), &[], Vec::new()),
            "cookies" => cookies(),
            "count" => count(&mut exchange).await,
            "ignore-body" => json_answer(200, &json!({})),
            "stream" => stream(&exchange, After::End),
            "stream-then-trap" => stream(&exchange, After::Trap),
            "stream-then-spin" => stream(&exchange, After::Spin),
            "stream-then-stall" => stream(&exchange, After::Stall),
            "short" => short(&exchange),
            "trap" => core_trap(),
            "panic" => panics(),
            "refuse" => Err(ErrorCode::InternalError(Some(
                "as the path says".to_owned(),
            ))),
            "spin" => spin(),
            "busy" => busy(&exchange).await,
            "sleep" => sleep(&exchange).await,
            "never" => never().await,
            "grow" => grow(&exchange),
            "exhaust" => exhaust(),
            "grow-table" => grow_table(&exchange),
            "handles" => handles(&exchange),
            "leak" => leak(&exchange),
            "recurse" => recurses(),
            "call" => calls(),
            "await" => awaits().await,
            "linger" => lingers(),
            "say" => say(&exchange),
            _ => json_answer(404, &json!({ "error": "no such behaviour" })),
        }
    }
}

enum After {
    End,
    Trap,
    Spin,
    Stall,
}

fn instance() -> serde_json::Value {
    json!({
        "instance": format!("{:016x}", INSTANCE.load(Ordering::Relaxed)),
        "begun": BEGUN.load(Ordering::Relaxed),
    })
}

async fn echo(mut exchange: Exchange) -> Answer {
    let body = exchange.read_all().await;
    json_answer(
        200,
        &json!({
            "method": exchange.method,
            "path": exchange.path,
            "path_with_query": exchange.path_with_query,
            "headers": exchange.headers,
            "body": String::from_utf8_lossy(&body),
        }),
    )
}

fn status(exchange: &Exchange) -> u16 {
    exchange
        .path
        .rsplit('/')
        .next()
        .and_then(|text| text.parse().ok())
        .expect("the path ends in a status")
}

fn cookies() -> Answer {
    let headers = [
        ("set-cookie".to_owned(), b"a=1".to_vec()),
        ("set-cookie".to_owned(), b"b=2".to_vec()),
        ("x-probe".to_owned(), b"yes".to_vec()),
    ];
    bytes_answer(200, &headers, b"two cookies".to_vec())
}

/// Reads the whole body and answers its size: the client decides how long.
async fn count(exchange: &mut Exchange) -> Answer {
    let mut bytes = 0;
    while let Some(piece) = exchange.read(64 * 1024).await {
        bytes += piece.len();
    }
    json_answer(200, &json!({ "bytes": bytes }))
}

/// `chunks` pieces of `bytes` bytes, `gap` milliseconds apart.
fn stream(exchange: &Exchange, after: After) -> Answer {
    let chunks = exchange.number("chunks", 1);
    let bytes = usize::try_from(exchange.number("bytes", 1024)).expect("fits the memory");
    let gap = exchange.number("gap", 0);
    let (response, mut writer) = stream_answer(200, &[])?;
    spawn(async move {
        for _ in 0..chunks {
            if !send(&mut writer, bytes).await {
                return;
            }
            if gap > 0 {
                guest_probe3::wait(gap).await;
            }
        }
        match after {
            After::End => {}
            After::Trap => core_trap(),
            After::Spin => spin(),
            After::Stall => guest_probe3::wait(3_600_000).await,
        }
    });
    Ok(response)
}

async fn send(writer: &mut StreamWriter<u8>, bytes: usize) -> bool {
    writer.write_all(vec![b'x'; bytes]).await.is_empty()
}

/// Says `declared` bytes, sends `sent`.
fn short(exchange: &Exchange) -> Answer {
    let declared = exchange.number("declared", 100).to_string();
    let sent = usize::try_from(exchange.number("sent", 10)).expect("fits the memory");
    let headers = [("content-length".to_owned(), declared.into_bytes())];
    bytes_answer(200, &headers, vec![b'x'; sent])
}

#[allow(clippy::panic, reason = "a guest that panics is what it is for")]
fn panics() -> ! {
    panic!("as the path says")
}

fn core_trap() -> ! {
    core::arch::wasm32::unreachable()
}

fn spin() -> ! {
    loop {
        std::hint::black_box(BEGUN.load(Ordering::Relaxed));
    }
}

/// Uses the processor for `ms` milliseconds without yielding, `times` over
/// with a short wait between.
async fn busy(exchange: &Exchange) -> Answer {
    for _ in 0..exchange.number("times", 1) {
        let until = monotonic_clock::now() + exchange.number("ms", 10) * 1_000_000;
        while monotonic_clock::now() < until {
            std::hint::black_box(BEGUN.load(Ordering::Relaxed));
        }
        guest_probe3::wait(5).await;
    }
    json_answer(200, &instance())
}

/// A guest that waits for nothing at all is taken for a deadlock, and trapped.
async fn never() -> ! {
    loop {
        guest_probe3::wait(3_600_000).await;
    }
}

async fn sleep(exchange: &Exchange) -> Answer {
    guest_probe3::wait(exchange.number("ms", 3_600_000)).await;
    json_answer(200, &instance())
}

/// Asks for memory, a mebibyte at a time, and answers how many it was given
/// of the `mib` it asked for.
fn grow(exchange: &Exchange) -> Answer {
    let asked = exchange.number("mib", 1);
    let mut held = Vec::new();
    for _ in 0..asked {
        let mut piece: Vec<u8> = Vec::new();
        if piece.try_reserve_exact(1 << 20).is_err() {
            break;
        }
        piece.resize(1 << 20, 1);
        held.push(std::hint::black_box(piece));
    }
    json_answer(200, &json!({ "asked": asked, "given": held.len() }))
}

/// Asks for `n` more elements of its table: how many it had, or -1 where it was
/// refused. Its table can grow, as `build.rs` says.
fn grow_table(exchange: &Exchange) -> Answer {
    let asked = u32::try_from(exchange.number("n", 1)).expect("fits the memory");
    json_answer(200, &json!({ "before": table_grow(asked) }))
}

/// Rust has no word for `table.grow`: a test writes it over what this does.
#[inline(never)]
fn table_grow(elements: u32) -> i32 {
    (elements ^ 0x5741_524d)
        .wrapping_mul(0x4c49_4e4b)
        .cast_signed()
}

/// Takes memory until it is refused, and does not survive that.
fn exhaust() -> Answer {
    let mut held = Vec::new();
    loop {
        held.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

/// Writes the query's `text` to standard output and standard error.
fn say(exchange: &Exchange) -> Answer {
    let text = exchange.query.get("text").map_or("", String::as_str);
    println!("out {text}");
    eprintln!("err {text}");
    json_answer(200, &json!({}))
}

/// Holds `n` resources of the host's at once.
fn handles(exchange: &Exchange) -> Answer {
    let held: Vec<Fields> = (0..exchange.number("n", 1))
        .map(|_| Fields::new())
        .collect();
    json_answer(200, &json!({ "held": held.len() }))
}

/// Takes `n` resources of the host's, and never gives them back.
fn leak(exchange: &Exchange) -> Answer {
    for _ in 0..exchange.number("n", 1) {
        std::mem::forget(Fields::new());
    }
    json_answer(200, &instance())
}

fn recurses() -> Answer {
    let depth = recurse(0);
    json_answer(200, &json!({ "depth": depth }))
}

/// Needs a frame of its own each time: what it adds comes after the call.
#[expect(
    unconditional_recursion,
    reason = "a guest that does not come back is what it is for"
)]
fn recurse(depth: u64) -> u64 {
    recurse(std::hint::black_box(depth) + 1) + std::hint::black_box(1)
}

/// Calls the host without end, and lets nobody else have a turn.
fn calls() -> ! {
    loop {
        std::hint::black_box(Fields::new());
    }
}

/// Calls the host without end, and waits each time for what is there at once.
async fn awaits() -> ! {
    loop {
        guest_probe3::wait(0).await;
    }
}

/// Answers, and goes on for ever.
fn lingers() -> Answer {
    spawn(async { guest_probe3::wait(3_600_000).await });
    json_answer(200, &instance())
}
