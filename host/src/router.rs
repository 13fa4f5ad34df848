//! Which route a path belongs to, by Spin's rules.
//!
//! Routes are compared part by part from the left: a plain text comes before a
//! parameter, and that before a wildcard; of two wildcards the longer prefix
//! wins. Slashes at either end of a path do not count, those inside do, and
//! nothing is percent-decoded: the path is compared as it was sent.
//!
//! There are two differences, both where Spin surprises. A parameter in the
//! middle of a route never captures nothing (`/a//b` for `/a/:x/b`), and
//! precedence is a total order also among routes with dots inside a segment
//! (`/:name.:kind/x` before `/:name/x`).

mod pattern;
pub mod spin_headers;

use std::collections::HashMap;

pub use pattern::{Params, PatternError, RoutePattern};

/// The routes of one table. Immutable; a lookup allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Router {
    patterns: Vec<RoutePattern>,
    /// What each of them says of its requests, in the same order.
    constants: Vec<spin_headers::OfRoute>,
    /// Exact paths without their outer slashes, to positions in `patterns`.
    exact: HashMap<Box<str>, usize>,
    /// Positions of all other patterns, the first to try first.
    ranked: Vec<usize>,
}

impl Router {
    /// Builds a router. Of two patterns for the same paths the first wins; the
    /// manifest refuses such a pair long before.
    pub fn new(patterns: impl IntoIterator<Item = RoutePattern>) -> Self {
        let patterns: Vec<RoutePattern> = patterns.into_iter().collect();
        let mut exact = HashMap::new();
        let mut ranked = Vec::new();
        for (index, pattern) in patterns.iter().enumerate() {
            match pattern.exact() {
                Some(path) => {
                    exact.entry(path.into()).or_insert(index);
                }
                None => ranked.push(index),
            }
        }
        ranked.sort_by(|a, b| patterns[*a].precedence(&patterns[*b]));
        Self {
            constants: patterns.iter().map(spin_headers::OfRoute::new).collect(),
            patterns,
            exact,
            ranked,
        }
    }

    /// The route for the path of a request, which is without its query. `None` is
    /// for a path that no route matches, or that is no path (`*`).
    pub fn route<'r, 'p>(&'r self, path: &'p str) -> Option<Match<'r, 'p>> {
        if !path.starts_with('/') {
            return None;
        }
        let trimmed = path.trim_matches('/');
        if let Some(index) = self.exact.get(trimmed) {
            return Some(self.found(*index, path, trimmed, ""));
        }
        self.ranked.iter().find_map(|index| {
            let rest = self.patterns[*index].matches(trimmed)?;
            Some(self.found(*index, path, trimmed, rest))
        })
    }

    /// The patterns, in the order they were given.
    pub fn patterns(&self) -> &[RoutePattern] {
        &self.patterns
    }

    fn found<'r, 'p>(
        &'r self,
        index: usize,
        path: &'p str,
        trimmed: &'p str,
        rest: &str,
    ) -> Match<'r, 'p> {
        let pattern = &self.patterns[index];
        let path_info = if pattern.is_wildcard() {
            path_info(path, rest.strip_prefix('/').unwrap_or(rest).len())
        } else {
            ""
        };
        Match {
            index,
            pattern,
            path_info,
            constant: &self.constants[index],
            trimmed,
        }
    }
}

/// The part of `path` that a trailing wildcard took, `len` bytes without outer
/// slashes, with the slash before it and one after it if there is one: Spin's
/// `spin-path-info`.
fn path_info(path: &str, len: usize) -> &str {
    let end = path.trim_end_matches('/').len();
    let after = usize::from(end < path.len());
    if len == 0 {
        // `/files` and `/files/` differ in nothing but the slash.
        return &path[path.len() - after..];
    }
    &path[end - len - 1..end + after]
}

/// A path that found its route.
#[derive(Clone, Debug)]
pub struct Match<'r, 'p> {
    /// Which route: its position among those the router was built from.
    pub index: usize,
    /// The route itself.
    pub pattern: &'r RoutePattern,
    /// What a trailing wildcard took of the path, from its slash on; empty for
    /// any other route.
    pub path_info: &'p str,
    constant: &'r spin_headers::OfRoute,
    trimmed: &'p str,
}

impl<'r, 'p> Match<'r, 'p> {
    /// The prefix all routes of an application share: always the root, as in
    /// Spin, which has given up any other.
    pub const BASE: &'static str = "/";

    /// Names and values of the route's parameters, values as sent.
    pub fn params(&self) -> Params<'r, 'p> {
        self.pattern.params(self.trimmed)
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
