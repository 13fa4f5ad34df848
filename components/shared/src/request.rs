//! A request's head, taken apart.

use std::borrow::Cow;

use crate::{Refusal, query};

/// The methods the service knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Other(String),
}

impl Method {
    /// The method as it stands in a request line.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Other(name) => name,
        }
    }
}

/// What a request's head says that the service looks at.
#[derive(Clone, Debug)]
pub struct Head {
    pub method: Method,
    /// The path, as sent, without the query.
    pub path: String,
    /// What follows the `?`, as sent.
    pub query: Option<String>,
}

impl Head {
    /// Takes a request target apart.
    pub fn new(method: Method, target: &str) -> Self {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        Self {
            method,
            path: path.to_owned(),
            query,
        }
    }

    /// The path's segments, decoded; one trailing slash does not count. None if
    /// an escape does not decode to text: such a path is no object's.
    pub fn segments(&self) -> Option<Vec<Cow<'_, str>>> {
        let path = self.path.strip_prefix('/').unwrap_or(&self.path);
        let path = path.strip_suffix('/').unwrap_or(path);
        path.split('/')
            .map(|segment| query::unescape(segment, false))
            .collect()
    }

    /// 404 for this path.
    pub fn no_route(&self) -> Refusal {
        Refusal::no_route(&self.path)
    }

    /// 405 for this method and path.
    pub fn wrong_method(&self, allow: &'static str) -> Refusal {
        Refusal::method(self.method.as_str(), &self.path, allow)
    }
}

/// An id in a path: a positive integer that fits 64 bits, in its one spelling.
pub fn path_id(segment: &str) -> Option<i64> {
    query::digits(segment).filter(|id| *id > 0 && !segment.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_taken_apart() {
        let head = Head::new(Method::Get, "/users/12?page=1");
        assert_eq!(head.path, "/users/12");
        assert_eq!(head.query.as_deref(), Some("page=1"));
        assert_eq!(head.segments().unwrap(), ["users", "12"]);
        assert_eq!(
            Head::new(Method::Get, "/users/").segments().unwrap(),
            ["users"]
        );
        assert_eq!(Head::new(Method::Get, "/%41b").segments().unwrap(), ["Ab"]);
        assert_eq!(Head::new(Method::Get, "/%ff").segments(), None);
        assert_eq!(
            Head::new(Method::Get, "/a//b").segments().unwrap(),
            ["a", "", "b"]
        );
    }

    #[test]
    fn only_positive_integers_are_ids() {
        assert_eq!(path_id("1"), Some(1));
        assert_eq!(path_id("9223372036854775807"), Some(i64::MAX));
        for other in [
            "",
            "0",
            "01",
            "-1",
            "+1",
            "1.0",
            "abc",
            "9223372036854775808",
            "１",
        ] {
            assert_eq!(path_id(other), None, "{other}");
        }
    }
}
