//! What the states of the stores mean for the service.

use serde::Serialize;
use shared::{Answer, Head, Method, Refusal, Reply};

/// The database: nothing works without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Database {
    #[serde(rename = "ok")]
    Up,
    Down,
}

/// The cache: everything works without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Cache {
    #[serde(rename = "ok")]
    Up,
    Down,
    /// The service runs without one.
    None,
}

/// Refuses what does not ask for health.
pub(crate) fn route(head: &Head) -> Result<(), Refusal> {
    match head.method {
        Method::Get | Method::Head => Ok(()),
        _ => Err(head.wrong_method("GET, HEAD")),
    }
}

/// The report, 200 or 503.
pub(crate) fn report(database: Database, cache: Cache) -> Answer {
    #[derive(Serialize)]
    struct Report {
        status: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'static str>,
        database: Database,
        cache: Cache,
    }
    let (code, status, error) = match database {
        Database::Up => (200, "ok", None),
        Database::Down => (503, "unavailable", Some("the database is unavailable")),
    };
    let reply = Reply::json(
        code,
        &Report {
            status,
            error,
            database,
            cache,
        },
    );
    Ok(reply.with("cache-control", "no-store"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(database: Database, cache: Cache) -> (u16, String) {
        let reply = report(database, cache).unwrap();
        (reply.status, String::from_utf8(reply.body).unwrap())
    }

    #[test]
    fn the_cache_may_be_away() {
        let ok = |cache| format!(r#"{{"status":"ok","database":"ok","cache":"{cache}"}}"#);
        assert_eq!(body(Database::Up, Cache::Up), (200, ok("ok")));
        assert_eq!(body(Database::Up, Cache::Down), (200, ok("down")));
        assert_eq!(body(Database::Up, Cache::None), (200, ok("none")));
    }

    #[test]
    fn the_database_is_named_when_down() {
        let (status, body) = body(Database::Down, Cache::Up);
        assert_eq!(status, 503);
        assert!(
            body.contains(r#""error":"the database is unavailable""#),
            "{body}"
        );
    }

    #[test]
    fn health_is_only_read() {
        assert!(route(&Head::new(Method::Get, "/health")).is_ok());
        assert_eq!(
            route(&Head::new(Method::Post, "/health"))
                .unwrap_err()
                .status,
            405
        );
    }
}
