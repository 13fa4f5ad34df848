//! A WASI 0.2 component: echoes, streams and traps by its path, and calls
//! `wasi:http/outgoing-handler@0.2` as a script says (`/fetch`).

use std::io::Write as _;

use guest_probe2::wasip2::exports::http::incoming_handler::Guest;
use guest_probe2::wasip2::http::outgoing_handler;
use guest_probe2::wasip2::http::types::{
    ErrorCode, Fields, IncomingRequest, Method, OutgoingBody, OutgoingRequest, ResponseOutparam,
    Scheme,
};
use guest_probe2::wasip2::{self};
use guest_probe2::{Exchange, read_body};
use serde::Deserialize;
use serde_json::{Value, json};

struct Component;

wasip2::http::proxy::export!(Component);

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Step {
    Fetch {
        scheme: String,
        authority: String,
        path: String,
        /// Sent with POST where there is one.
        body: Option<String>,
    },
}

impl Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let exchange = Exchange::new(&request, out);
        match exchange.behaviour().as_str() {
            "echo" => echo(exchange),
            "stream" => stream(exchange, false),
            "stream-then-trap" => stream(exchange, true),
            "trap" => core::arch::wasm32::unreachable(),
            "silent" => drop(exchange),
            "fetch" => exchange.run(|step| match fetch(step) {
                Ok(value) => json!({ "ok": value }),
                Err(error) => json!({ "err": format!("{error:?}") }),
            }),
            _ => exchange.answer(404, &json!({ "error": "no such behaviour" })),
        }
    }
}

fn echo(exchange: Exchange) {
    let value = json!({
        "method": exchange.method,
        "path": exchange.path,
        "query": exchange.query,
        "headers": exchange.headers,
        "body": String::from_utf8_lossy(&exchange.body),
    });
    exchange.answer(200, &value);
}

/// A hundred kilobytes in a hundred pieces.
fn stream(exchange: Exchange, trap: bool) {
    let (body, mut writer) = exchange.begin(200);
    for _ in 0..100 {
        writer
            .write_all(&[b'x'; 1000])
            .expect("the client still listens");
        writer.flush().expect("the client still listens");
    }
    if trap {
        core::arch::wasm32::unreachable();
    }
    drop(writer);
    OutgoingBody::finish(body, None).expect("the whole body was written");
}

fn fetch(step: Step) -> Result<Value, ErrorCode> {
    let Step::Fetch {
        scheme,
        authority,
        path,
        body,
    } = step;
    let scheme = match scheme.as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => Scheme::Other(scheme),
    };
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&scheme)).map_err(invalid)?;
    request.set_authority(Some(&authority)).map_err(invalid)?;
    request.set_path_with_query(Some(&path)).map_err(invalid)?;
    if body.is_some() {
        request.set_method(&Method::Post).map_err(invalid)?;
    }
    let outgoing = request.body().map_err(invalid)?;
    let response = outgoing_handler::handle(request, None)?;
    if let Some(text) = body {
        let mut writer = outgoing.write().map_err(invalid)?;
        writer
            .write_all(text.as_bytes())
            .map_err(|error| ErrorCode::InternalError(Some(error.to_string())))?;
    }
    OutgoingBody::finish(outgoing, None)?;
    response.subscribe().block();
    let response = response.get().expect("ready").expect("taken once")?;
    let status = response.status();
    let body = response
        .consume()
        .map(|body| read_body(&body))
        .unwrap_or_default();
    Ok(json!({ "status": status, "body": String::from_utf8_lossy(&body) }))
}
