//! Spans of what a guest asks of other servers, named as OpenTelemetry's conventions
//! for databases and HTTP have it.

use crate::pool::Peer;
use crate::pool::postgres::Shown;
use crate::telemetry::trace::{Span, Start, method, method_name};
use redis::Cmd;
use std::borrow::Cow;

/// Longest name of a command.
const COMMAND_BYTES: usize = 20;

/// A statement. What was written into it is not shown.
pub(super) fn statement(sql: &str, peer: &Peer) -> Start {
    let Shown { operation, text } = Shown::of(sql);
    database("postgresql", operation, peer).with("db.query.text", text)
}

/// A command, by its name alone: keys are the users'. `redis` is what the convention
/// calls all that speak its protocol.
pub(super) fn command(cmd: &Cmd, peer: &Peer) -> Start {
    let name = match cmd.args_iter().next() {
        Some(redis::Arg::Simple(name)) => name,
        _ => &[],
    };
    database("redis", command_name(name), peer)
}

/// A request. Neither its path nor its query is shown.
pub(super) fn request<B>(request: &http::Request<B>) -> Start {
    let uri = request.uri();
    let usual = if uri.scheme_str() == Some("http") {
        80
    } else {
        443
    };
    Start::client(method_name(request.method()))
        .with("http.request.method", method(request.method()))
        .with("server.address", uri.host().unwrap_or_default().to_owned())
        .with("server.port", i64::from(uri.port_u16().unwrap_or(usual)))
}

/// How a request went that has an answer.
pub(super) fn answered(span: &Span, status: http::StatusCode) {
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_client_error() || status.is_server_error() {
        span.fail(status.as_str().to_owned());
    }
}

/// One that has none: the error's name, without what it says.
pub(super) fn unanswered(span: &Span, error: &impl std::fmt::Debug) {
    let name = format!("{error:?}");
    let end = name.find(|c: char| !c.is_ascii_alphanumeric());
    span.fail(name[..end.unwrap_or(name.len())].to_owned());
}

fn database(system: &'static str, operation: impl Into<Cow<'static, str>>, peer: &Peer) -> Start {
    let operation = operation.into();
    let mut start = Start::client(operation.clone())
        .with("db.system.name", system)
        .with("db.operation.name", operation)
        .with("db.namespace", peer.database.clone())
        .with("server.address", peer.address.clone());
    if let Some(port) = peer.port {
        start = start.with("server.port", i64::from(port));
    }
    start
}

/// In capitals. A guest may call anything a command: what does not look like one is
/// not shown.
fn command_name(name: &[u8]) -> String {
    let is_name = (1..=COMMAND_BYTES).contains(&name.len())
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.'));
    if is_name {
        String::from_utf8_lossy(name).to_ascii_uppercase()
    } else {
        "_OTHER".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_look_like_a_command_is_not_shown() {
        assert_eq!(command_name(b"get"), "GET");
        assert_eq!(command_name(b"JSON.GET"), "JSON.GET");
        for odd in [
            &b""[..],
            b"link:4yYGwJ",
            b"a b",
            b"\xff",
            b"verylongverylongverylong",
        ] {
            assert_eq!(command_name(odd), "_OTHER");
        }
    }
}
