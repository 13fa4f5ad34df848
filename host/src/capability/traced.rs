//! Spans of what a guest asks of other servers, named as OpenTelemetry's conventions
//! for databases and HTTP have it.

use crate::pool::Peer;
use crate::pool::postgres::Shown;
use crate::telemetry::trace::Start;
use redis::Cmd;

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
    let (method, uri) = (request.method(), request.uri());
    let mut start = Start::client(method.to_string())
        .with("http.request.method", method.to_string())
        .with("server.address", uri.host().unwrap_or_default().to_owned());
    if let Some(port) = uri.port_u16() {
        start = start.with("server.port", i64::from(port));
    }
    start
}

fn database(system: &'static str, operation: String, peer: &Peer) -> Start {
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
