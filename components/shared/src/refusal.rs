//! Why a request is not served, in words for its client.

use serde::Serialize;

use crate::reply::Reply;

/// A refusal: a status of the 4xx or 5xx kind and what to say about it.
///
/// The message is for the client: it names the field or the object, never a
/// statement, an address or anything else of the inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub message: String,
    /// The methods that would be served, with a 405.
    pub allow: Option<&'static str>,
}

impl Refusal {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            allow: None,
        }
    }

    /// 400: the request says something it may not.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// 400 about one field or parameter.
    pub fn field(name: &str, problem: impl std::fmt::Display) -> Self {
        Self::new(400, format!("{name}: {problem}"))
    }

    /// 404: no such object, link or route.
    pub fn missing(message: impl Into<String>) -> Self {
        Self::new(404, message)
    }

    /// 404 of a path that is no object's.
    pub fn no_route(path: &str) -> Self {
        Self::new(404, format!("nothing is at {path}"))
    }

    /// 405, with the methods that are served there.
    pub fn method(method: &str, path: &str, allow: &'static str) -> Self {
        let message = format!("method {method} is not served at {path}");
        Self {
            allow: Some(allow),
            ..Self::new(405, message)
        }
    }

    /// 408: the body did not come in time.
    pub fn too_slow() -> Self {
        Self::new(408, "the body did not arrive in time")
    }

    /// 409: it would clash with what is there.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(409, message)
    }

    /// 413: the body is larger than this route takes.
    pub fn too_large() -> Self {
        Self::new(413, "the body is larger than this route takes")
    }

    /// 415: the body is not of the kind this route takes.
    pub fn media_type(expected: &str) -> Self {
        Self::new(415, format!("content-type: must be {expected}"))
    }

    /// 500: a fault of the service's own; its details are in the log.
    pub fn fault() -> Self {
        Self::new(500, "internal error")
    }

    /// 503: something the service depends on is away.
    pub fn unavailable(dependency: &str) -> Self {
        Self::new(503, format!("{dependency} is unavailable"))
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        #[derive(Serialize)]
        struct Body<'a> {
            error: &'a str,
        }
        let mut reply = Reply::json(
            refusal.status,
            &Body {
                error: &refusal.message,
            },
        );
        if let Some(allow) = refusal.allow {
            reply = reply.with("allow", allow);
        }
        if refusal.status == 503 {
            reply = reply.with("retry-after", "1");
        }
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_an_error_object() {
        let reply = Reply::from(Refusal::field("email", "must be a \"string\""));
        assert_eq!(reply.status, 400);
        assert_eq!(reply.body, br#"{"error":"email: must be a \"string\""}"#);
        assert_eq!(reply.header("content-type"), Some(&b"application/json"[..]));
    }

    #[test]
    fn a_wrong_method_says_which_are_right() {
        let reply = Reply::from(Refusal::method("PATCH", "/users", "GET, HEAD, POST"));
        assert_eq!(reply.status, 405);
        assert_eq!(reply.header("allow"), Some(&b"GET, HEAD, POST"[..]));
    }
}
