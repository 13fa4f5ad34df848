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
        for (relation, key, id) in
            [("next", "after_id", self.next), ("prev", "before_id", self.prev)]
        {
            let Some(id) = id else { continue };
            if !link.is_empty() {
                link.push_str(", ");
            }
            link.push('<');
            link.push_str(path);
            link.push('?');
            for pair in query.unwrap_or_default().split('&').filter(|pair| is_filter(pair)) {
                link.push_str(pair);
                link.push('&');
            }
            write!(link, "{key}={id}&per_page={}>; rel=\"{relation}\"", self.rows)
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
        && pair.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Page, Refusal> {
        Page::parse(Query::new(Some(query)))
    }

    #[test]
    fn without_parameters_it_is_the_first_hundred() {
        let page = Page::parse(Query::new(None)).unwrap();
        assert_eq!(page, Page { position: Position::After(0), rows: 100 });
    }

    #[test]
    fn pages_become_offsets() {
        assert_eq!(parse("page=1&per_page=10").unwrap().position, Position::After(0));
        assert_eq!(parse("page=3&per_page=10").unwrap().position, Position::Offset(20));
        assert_eq!(parse("page=9223372036854775807").unwrap().position, Position::Offset(i64::MAX));
        assert_eq!(parse("after_id=0").unwrap().position, Position::After(0));
        assert_eq!(parse("before_id=7").unwrap().position, Position::Before(7));
    }

    #[test]
    fn wrong_values_are_named() {
        for (query, name) in [
            ("page=0", "page"), ("page=-1", "page"), ("page=a", "page"), ("page=1.5", "page"),
            ("page=", "page"), ("per_page=0", "per_page"), ("per_page=-5", "per_page"),
            ("per_page=1001", "per_page"), ("per_page=9223372036854775808", "per_page"),
            ("after_id=-1", "after_id"), ("before_id=0", "before_id"), ("page=1&after_id=2", "say"),
        ] {
            let refusal = parse(query).unwrap_err();
            assert_eq!(refusal.status, 400);
            assert!(refusal.message.starts_with(name), "{query}: {}", refusal.message);
        }
    }

    fn walk(page: Page, rows: &[i64]) -> (Vec<i64>, Option<i64>, Option<i64>) {
        let (rows, around) = page.cut(rows.to_vec(), |id| *id);
        (rows, around.prev, around.next)
    }

    #[test]
    fn one_row_too_many_means_a_next_page() {
        let page = Page { position: Position::After(0), rows: 2 };
        assert_eq!(walk(page, &[1, 2, 3]), (vec![1, 2], None, Some(2)));
        assert_eq!(walk(page, &[1, 2]), (vec![1, 2], None, None));
        assert_eq!(walk(page, &[]), (vec![], None, None));
        let page = Page { position: Position::Offset(2), rows: 2 };
        assert_eq!(walk(page, &[3, 5, 9]), (vec![3, 5], Some(3), Some(5)));
    }

    #[test]
    fn walking_back_keeps_the_order() {
        let page = Page { position: Position::Before(9), rows: 2 };
        assert_eq!(walk(page, &[8, 7, 6]), (vec![7, 8], Some(7), Some(8)));
        assert_eq!(walk(page, &[8, 7]), (vec![7, 8], None, Some(8)));
    }

    #[test]
    fn links_keep_the_filters() {
        let around = Neighbours { next: Some(20), prev: Some(11), rows: 10 };
        assert_eq!(
            around.link("/urls", Some("page=2&user_id=3&per_page=10&is_active=true")).unwrap(),
            "</urls?user_id=3&is_active=true&after_id=20&per_page=10>; rel=\"next\", \
             </urls?user_id=3&is_active=true&before_id=11&per_page=10>; rel=\"prev\""
        );
        assert_eq!(Neighbours { next: None, prev: None, rows: 1 }.link("/urls", None), None);
        let around = Neighbours { next: Some(1), prev: None, rows: 1 };
        assert_eq!(
            around.link("/urls", Some("a=<x>&b=1")).unwrap(),
            "</urls?b=1&after_id=1&per_page=1>; rel=\"next\""
        );
    }
}
