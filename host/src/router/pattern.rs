//! The text of a route, understood.

use std::{cmp::Ordering, fmt};

use serde::{Serialize, Serializer};

/// The prefix Spin keeps for itself: under `spin up` no component is reached
/// there.
const RESERVED_PREFIX: &str = ".well-known/spin/";

/// A route of the manifest: exact (`/users`), with parameters (`/users/:id`,
/// `/files/:name.json`), and with or without a trailing wildcard (`/files/...`,
/// which Spin also takes as `/files/*`).
///
/// Serialises as the text of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutePattern {
    raw: Box<str>,
    pieces: Vec<Piece>,
    wildcard: bool,
    weight: Vec<Weight>,
}

/// What a path must have next, after its outer slashes are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// This text, inner slashes included.
    Literal(Box<str>),
    /// Some text up to the next slash, or up to the next dot where the route goes
    /// on with one in the same segment.
    Param { name: Box<str>, until_dot: bool },
}

/// How much a part of a route says about the path, from least to most. Routes
/// are tried in falling order of these, compared from the left. The end of a
/// route outweighs a slash, so that `/a` comes before `/a/...`, and a dot the end,
/// so that `/:a.json` comes before `/:a`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Slash,
    End,
    Dot,
    Wildcard,
    Param,
    Literal,
}

impl RoutePattern {
    /// Reads a route as the manifest has it.
    pub fn parse(raw: &str) -> Result<Self, PatternError> {
        if let Some(bad) = raw.chars().find(|c| {
            matches!(c, '?' | '#') || c.is_ascii_control() || c.is_whitespace() || !c.is_ascii()
        }) {
            return Err(PatternError::NeverInPath(bad));
        }
        let body = raw.strip_prefix('/').unwrap_or(raw);
        let body = body.strip_suffix('/').unwrap_or(body);
        let mut builder = Builder::default();
        if !body.is_empty() {
            let count = body.split('/').count();
            for (position, segment) in body.split('/').enumerate() {
                builder.segment(segment, position == 0, position + 1 == count)?;
            }
        }
        if body.starts_with(RESERVED_PREFIX) {
            return Err(PatternError::Reserved);
        }
        Ok(builder.finish(raw))
    }

    /// The route as the manifest has it.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// The route as the manifest has it, without a trailing wildcard.
    pub fn raw_or_prefix(&self) -> &str {
        self.raw.strip_suffix("/...").unwrap_or(&self.raw)
    }

    /// The route with a leading and without a trailing slash, except that the
    /// root is empty: what Spin reports as the matched route.
    pub fn based(&self) -> std::borrow::Cow<'_, str> {
        let trimmed = self.raw.strip_suffix('/').unwrap_or(&self.raw);
        if trimmed.is_empty() || trimmed.starts_with('/') {
            trimmed.into()
        } else {
            format!("/{trimmed}").into()
        }
    }

    /// Whether the route ends in a wildcard.
    pub fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// Whether both routes match exactly the same paths, whatever their
    /// parameters are called.
    pub fn same_paths(&self, other: &Self) -> bool {
        self.wildcard == other.wildcard
            && self.pieces.len() == other.pieces.len()
            && self
                .pieces
                .iter()
                .zip(&other.pieces)
                .all(|pair| match pair {
                    (Piece::Literal(a), Piece::Literal(b)) => a == b,
                    (Piece::Param { until_dot: a, .. }, Piece::Param { until_dot: b, .. }) => {
                        a == b
                    }
                    _ => false,
                })
    }

    /// The one path the route matches, without outer slashes, if it is exact.
    pub(super) fn exact(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            _ if self.wildcard => None,
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Orders routes by which is tried first.
    pub(super) fn precedence(&self, other: &Self) -> Ordering {
        other.weight.cmp(&self.weight)
    }

    /// What the path has beyond the route, if the route matches: nothing for an
    /// exact one. `path` is without its outer slashes.
    pub(super) fn matches<'p>(&self, path: &'p str) -> Option<&'p str> {
        let mut rest = path;
        for piece in &self.pieces {
            rest = match piece {
                Piece::Literal(text) => rest.strip_prefix(&**text)?,
                Piece::Param { until_dot, .. } => capture(rest, *until_dot)?.1,
            };
        }
        let fits =
            rest.is_empty() || (self.wildcard && (self.pieces.is_empty() || rest.starts_with('/')));
        fits.then_some(rest)
    }

    /// The parameters of a path that the route matches.
    pub(super) fn params<'r, 'p>(&'r self, path: &'p str) -> Params<'r, 'p> {
        Params {
            pieces: self.pieces.iter(),
            rest: path,
        }
    }
}

impl fmt::Display for RoutePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

impl Serialize for RoutePattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.raw)
    }
}

/// Splits off what a parameter captures. Nothing is no capture: a component asked
/// for an id may count on having one.
fn capture(path: &str, until_dot: bool) -> Option<(&str, &str)> {
    let end = if until_dot {
        let end = path.find(['.', '/'])?;
        path[end..].starts_with('.').then_some(end)?
    } else {
        path.find('/').unwrap_or(path.len())
    };
    (end > 0).then(|| path.split_at(end))
}

/// The parameters of a match, in the order of the route: name and value, the
/// value as the path has it, percent-encoding and all.
#[derive(Clone, Debug)]
pub struct Params<'r, 'p> {
    pieces: std::slice::Iter<'r, Piece>,
    rest: &'p str,
}

impl<'r, 'p> Iterator for Params<'r, 'p> {
    type Item = (&'r str, &'p str);

    fn next(&mut self) -> Option<Self::Item> {
        for piece in self.pieces.by_ref() {
            match piece {
                Piece::Literal(text) => self.rest = self.rest.strip_prefix(&**text)?,
                Piece::Param { name, until_dot } => {
                    let (value, rest) = capture(self.rest, *until_dot)?;
                    self.rest = rest;
                    return Some((name, value));
                }
            }
        }
        None
    }
}

#[derive(Default)]
struct Builder {
    pieces: Vec<Piece>,
    literal: String,
    wildcard: bool,
    weight: Vec<Weight>,
}

impl Builder {
    fn segment(&mut self, segment: &str, first: bool, last: bool) -> Result<(), PatternError> {
        if segment.is_empty() {
            return Err(PatternError::EmptySegment);
        }
        if !first {
            self.weight.push(Weight::Slash);
        }
        if segment == "..." || segment == "*" {
            if !last {
                return Err(PatternError::WildcardInside);
            }
            self.wildcard = true;
            self.weight.push(Weight::Wildcard);
            return Ok(());
        }
        if segment.ends_with("...") || segment.contains('*') {
            return Err(PatternError::PartialWildcard(segment.into()));
        }
        if !first {
            self.literal.push('/');
        }
        let start = self.weight.len();
        let mut sections = segment.split('.').enumerate().peekable();
        while let Some((position, section)) = sections.next() {
            if position > 0 {
                self.literal.push('.');
                if self.weight.last() == Some(&Weight::Param) {
                    self.weight.push(Weight::Dot);
                }
            }
            match section.strip_prefix(':') {
                Some(name) => self.param(name, sections.peek().is_some())?,
                None if section.is_empty() => {}
                None => {
                    self.literal.push_str(section);
                    self.weight.push(Weight::Literal);
                }
            }
        }
        if self.weight.len() == start {
            // Nothing but dots.
            self.weight.push(Weight::Literal);
        }
        Ok(())
    }

    fn param(&mut self, name: &str, until_dot: bool) -> Result<(), PatternError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || !name.chars().all(fits) {
            return Err(PatternError::ParamName(name.into()));
        }
        let taken = |piece: &Piece| {
            matches!(piece, Piece::Param { name: other, .. }
                if header_form(other).eq(header_form(name)))
        };
        if self.pieces.iter().any(taken) {
            return Err(PatternError::ParamTwice(name.into()));
        }
        self.flush();
        self.pieces.push(Piece::Param {
            name: name.into(),
            until_dot,
        });
        self.weight.push(Weight::Param);
        Ok(())
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            let text = std::mem::take(&mut self.literal);
            self.pieces.push(Piece::Literal(text.into()));
        }
    }

    fn finish(mut self, raw: &str) -> RoutePattern {
        self.flush();
        self.weight.push(Weight::End);
        RoutePattern {
            raw: raw.into(),
            pieces: self.pieces,
            wildcard: self.wildcard,
            weight: self.weight,
        }
    }
}

/// Names reach a component as `spin-path-match-NAME` headers, in lower case and
/// with dashes: two names that meet there are one.
fn header_form(name: &str) -> impl Iterator<Item = char> {
    name.chars().map(|c| {
        if c == '_' {
            '-'
        } else {
            c.to_ascii_lowercase()
        }
    })
}

/// Why a text is no route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A character that no path of a request has.
    #[error("no request path holds {0:?}")]
    NeverInPath(char),
    /// Two slashes in a row.
    #[error("the route has an empty segment")]
    EmptySegment,
    /// A wildcard with segments after it.
    #[error("a wildcard must be the last segment")]
    WildcardInside,
    /// A wildcard that is not a segment of its own.
    #[error("{0:?} holds a wildcard that is not a segment of its own")]
    PartialWildcard(String),
    /// A parameter without a usable name.
    #[error("{0:?} is not the name of a parameter")]
    ParamName(String),
    /// A parameter named twice.
    #[error("the parameter {0:?} occurs twice")]
    ParamTwice(String),
    /// A route under Spin's own prefix.
    #[error("routes under /.well-known/spin are kept for the runtime")]
    Reserved,
}

impl PatternError {
    /// How to mend the route.
    pub fn help(&self) -> &'static str {
        match self {
            Self::NeverInPath(_) => {
                "a route is compared with the path as it is sent: leave out the query, and percent-encode what is not plain ASCII"
            }
            Self::EmptySegment => "leave one slash between segments",
            Self::WildcardInside | Self::PartialWildcard(_) => {
                "end the route in \"/...\", or name the segment with \":name\""
            }
            Self::ParamName(_) => "name it with letters, digits, '_' or '-', as in \"/users/:id\"",
            Self::ParamTwice(_) => {
                "give each parameter a name of its own; upper and lower case, '_' and '-' do not count"
            }
            Self::Reserved => "choose another path",
        }
    }
}
