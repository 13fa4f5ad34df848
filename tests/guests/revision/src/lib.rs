//! Says which revision it is. A test writes another name, and another way of
//! behaving, over the bytes of [`MARK`], and so makes a revision without a
//! compiler.

use guest_probe3::wasip3::exports::http::handler::Guest;
use guest_probe3::wasip3::http::types::{ErrorCode, Request, Response};
use guest_probe3::wasip3::{self};
use guest_probe3::{Answer, Exchange, bytes_answer, spawn, stream_answer};

struct Component;

wasip3::http::service::export!(Component);

/// `@revision@`, eight bytes of behaviour, `@`, eight bytes of name, `@`.
static MARK: [u8; 28] = *b"@revision@ok......@original@";

/// The behaviour and the name.
fn mark() -> (String, String) {
    // Read through the box, or the compiler would keep what it saw in the source.
    let mark = std::hint::black_box(&MARK);
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        text.trim_end_matches('.').to_owned()
    };
    (text(&mark[10..18]), text(&mark[19..27]))
}

impl Guest for Component {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let exchange = Exchange::new(request);
        let (behaviour, name) = mark();
        match behaviour.as_str() {
            "ok" => {}
            "busy" => return bytes_answer(503, &headers(&name), name.into_bytes()),
            "fail" => return bytes_answer(500, &headers(&name), name.into_bytes()),
            "trap" => core::arch::wasm32::unreachable(),
            "hang" => loop {
                guest_probe3::wait(3_600_000).await;
            },
            // Some of its requests, so that it has a past when it is judged.
            "tenth"
                if guest_probe3::wasip3::random::random::get_random_u64().is_multiple_of(10) =>
            {
                return bytes_answer(500, &headers(&name), name.into_bytes());
            }
            _ => {}
        }
        match exchange.behaviour().as_str() {
            "slow" => slow(&exchange, &name, false),
            "slow-then-trap" => slow(&exchange, &name, true),
            _ => {
                let lines = usize::try_from(exchange.number("lines", 1)).expect("fits the memory");
                bytes_answer(200, &headers(&name), line(&name).repeat(lines))
            }
        }
    }
}

fn headers(name: &str) -> [(String, Vec<u8>); 1] {
    [("x-name".to_owned(), name.as_bytes().to_vec())]
}

fn line(name: &str) -> Vec<u8> {
    format!("{name}\n").into_bytes()
}

/// `lines` lines, `gap` milliseconds apart, of no length that is known before.
fn slow(exchange: &Exchange, name: &str, trap: bool) -> Answer {
    let lines = exchange.number("lines", 10);
    let gap = exchange.number("gap", 10);
    let line = line(name);
    let (response, mut writer) = stream_answer(200, &headers(name))?;
    spawn(async move {
        for _ in 0..lines {
            if !writer.write_all(line.clone()).await.is_empty() {
                return;
            }
            guest_probe3::wait(gap).await;
        }
        if trap {
            core::arch::wasm32::unreachable()
        }
    });
    Ok(response)
}
