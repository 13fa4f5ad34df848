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

/// A request understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Health,
    Document,
}

/// Finds out what a request asks for.
pub(crate) fn route(head: &Head) -> Result<Asked, Refusal> {
    let segments = head.segments().ok_or_else(|| head.no_route())?;
    let asked = match segments.as_slice() {
        [name] if name == "health" => Asked::Health,
        [name] if name == "openapi.json" => Asked::Document,
        _ => return Err(head.no_route()),
    };
    match head.method {
        Method::Get | Method::Head => Ok(asked),
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
    fn what_is_asked_for_is_only_read() {
        for (path, asked) in [
            ("/health", Asked::Health),
            ("/openapi.json", Asked::Document),
        ] {
            for method in [Method::Get, Method::Head] {
                assert_eq!(route(&Head::new(method, path)), Ok(asked));
            }
            let refusal = route(&Head::new(Method::Post, path)).unwrap_err();
            assert_eq!((refusal.status, refusal.allow), (405, Some("GET, HEAD")));
        }
        let elsewhere = route(&Head::new(Method::Get, "/openapi"));
        assert_eq!(elsewhere.unwrap_err().status, 404);
    }
}
