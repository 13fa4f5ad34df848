//! Pages of a list: what a client asks for, and the links to the next.
//!
//! `page` counts from the start and so has to pass over what it skips; `after_id`
//! and `before_id` walk the same list in constant time, and every `Link` header
//! leads that way.

use std::fmt::Write as _;

use crate::{Refusal, query::Query, sql::List};

/// Rows without `per_page`.
const DEFAULT_ROWS: i64 = 100;
/// Rows at most.
const MAX_ROWS: i64 = 1000;

/// Where in its list a page starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// From the row after this many.
    Offset(i64),
    /// From the first id above this one.
    After(i64),
    /// Up to the last id below this one.
    Before(i64),
}

/// A page asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub position: Position,
    /// 1 to 1000.
    pub rows: i64,
}

impl Page {
    /// Reads `page`, `per_page`, `after_id` and `before_id`. 400 if one of them
    /// is not what it should be, or two say different places.
    pub fn parse(query: Query<'_>) -> Result<Self, Refusal> {
        let rows = query.positive("per_page")?.unwrap_or(DEFAULT_ROWS);
        if rows > MAX_ROWS {
            return Err(Refusal::field("per_page", "must be at most 1000"));
        }
        let page = query.positive("page")?;
        let after = query.natural("after_id")?;
        let before = query.positive("before_id")?;
        let position = match (page, after, before) {
            (None, None, None) => Position::After(0),
            // Page 1 starts before the first id there can be.
            (Some(1), None, None) => Position::After(0),
            // A page that 64 bits cannot count to is past any end.
            (Some(page), None, None) => Position::Offset((page - 1).saturating_mul(rows)),
            (None, Some(id), None) => Position::After(id),
            (None, None, Some(id)) => Position::Before(id),
            _ => {
                let problem = "say only one of page, after_id and before_id";
                return Err(Refusal::invalid(problem));
            }
        };
        Ok(Self { position, rows })
    }

    /// The list's statement for this page and its last two parameters. One row
    /// more than asked for tells whether there is a next page.
    pub fn statement(self, list: List) -> (&'static str, i64, i64) {
        let rows = self.rows + 1;
        match self.position {
            Position::Offset(skipped) => (list.page, skipped, rows),
            Position::After(id) => (list.after, id, rows),
            Position::Before(id) => (list.before, id, rows),
        }
    }

    /// Brings the rows found into their order, takes off the one too many, and
    /// says what the `Link` header leads to.
    pub fn cut<T>(self, mut rows: Vec<T>, id: impl Fn(&T) -> i64) -> (Vec<T>, Neighbours) {
        let asked = usize::try_from(self.rows).unwrap_or(usize::MAX);
        let more = rows.len() > asked;
        rows.truncate(asked);
        if matches!(self.position, Position::Before(_)) {
            rows.reverse();
        }
        let (earlier, later) = match self.position {
            Position::Offset(skipped) => (skipped > 0, more),
            Position::After(id) => (id > 0, more),
            Position::Before(_) => (more, true),
        };
        let neighbours = Neighbours {
            next: rows.last().filter(|_| later).map(&id),
            prev: rows.first().filter(|_| earlier).map(&id),
            rows: self.rows,
        };
        (rows, neighbours)
    }
}

/// The ids at a page's ends, where something may lie beyond them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbours {
    pub next: Option<i64>,
    pub prev: Option<i64>,
    rows: i64,
}

impl Neighbours {
    /// The value of the `Link` header, if there is anything to lead to. Keeps
    /// the other parameters of the query as they were sent.
    pub fn link(&self, path: &str, query: Option<&str>) -> Option<String> {
        let mut link = String::new();
        for (relation, key, id) in [
            ("next", "after_id", self.next),
            ("prev", "before_id", self.prev),
        ] {
            let Some(id) = id else { continue };
            if !link.is_empty() {
                link.push_str(", ");
            }
            link.push('<');
            link.push_str(path);
            link.push('?');
            for pair in query
                .unwrap_or_default()
                .split('&')
                .filter(|pair| is_filter(pair))
            {
                link.push_str(pair);
                link.push('&');
            }
            write!(
                link,
                "{key}={id}&per_page={}>; rel=\"{relation}\"",
                self.rows
            )
            .expect("writing to a string does not fail");
        }
        (!link.is_empty()).then_some(link)
    }
}

/// Only what is safe inside `<>` of a header is repeated there.
fn is_filter(pair: &str) -> bool {
    let key = pair.split('=').next().unwrap_or_default();
    !pair.is_empty()
        && !matches!(key, "page" | "per_page" | "after_id" | "before_id")
        && pair
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"'))
}

#[cfg(test)]
#[path = "paging_tests.rs"]
mod tests;
