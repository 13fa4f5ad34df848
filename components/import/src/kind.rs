//! The three kinds of files: their headers, and what a row's fields may be.

use shared::{
    Head, Method, Refusal, code, fields, query,
    rules::{self, Checked},
    sql::{self, Merge},
    time::Timestamp,
};

use crate::batch::Cell;

/// The largest id taken: above it, numbers of JSON and of JavaScript part ways,
/// and the sequence of ids would have little room left.
const MAX_ID: i64 = (1 << 53) - 1;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Users,
    Urls,
    Events,
}

impl Kind {
    /// What a request brings: its path says it.
    pub(crate) fn of(head: &Head) -> Result<Self, Refusal> {
        let segments = head.segments().ok_or_else(|| head.no_route())?;
        let segments: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
        let kind = match segments[..] {
            ["users", "bulk"] => Self::Users,
            ["urls", "bulk"] => Self::Urls,
            ["events", "bulk"] => Self::Events,
            _ => return Err(head.no_route()),
        };
        match head.method {
            Method::Post => Ok(kind),
            _ => Err(head.wrong_method("POST")),
        }
    }

    pub(crate) fn merge(self) -> Merge {
        match self {
            Self::Users => sql::import_users(),
            Self::Urls => sql::import_urls(),
            Self::Events => sql::import_events(),
        }
    }

    pub(crate) fn header(self) -> &'static [&'static str] {
        match self {
            Self::Users => &["id", "username", "email", "created_at"],
            Self::Urls => &[
                "id",
                "user_id",
                "short_code",
                "original_url",
                "title",
                "is_active",
                "created_at",
                "updated_at",
            ],
            Self::Events => &[
                "id",
                "url_id",
                "user_id",
                "event_type",
                "timestamp",
                "details",
            ],
        }
    }

    /// A row's fields, checked, as the staging table takes them; else what is
    /// wrong with which. There are as many fields as the header has.
    pub(crate) fn cells(self, fields: &[&str]) -> Result<Vec<Cell>, String> {
        let mut row = self.header().iter().copied().zip(fields.iter().copied());
        let mut next = || row.next().ok_or_else(|| "has too few fields".to_owned());
        Ok(match self {
            Self::Users => vec![
                id(next()?)?,
                text(next()?, rules::username)?,
                text(next()?, rules::email)?,
                time(next()?)?,
            ],
            Self::Urls => vec![
                id(next()?)?,
                nullable(next()?, id, Cell::Int(None))?,
                text(next()?, short_code)?,
                text(next()?, rules::original_url)?,
                nullable(next()?, |field| text(field, rules::title), Cell::Text(None))?,
                flag(next()?)?,
                time(next()?)?,
                time(next()?)?,
            ],
            Self::Events => vec![
                id(next()?)?,
                id(next()?)?,
                nullable(next()?, id, Cell::Int(None))?,
                text(next()?, rules::event_type)?,
                time(next()?)?,
                object(next()?)?,
            ],
        })
    }
}

type Field<'a> = (&'static str, &'a str);

fn id((name, value): Field<'_>) -> Result<Cell, String> {
    match query::digits(value) {
        Some(id @ 1..=MAX_ID) => Ok(Cell::Int(Some(id))),
        _ => Err(format!("{name}: must be a positive integer up to {MAX_ID}")),
    }
}

fn nullable<'a>(
    field: Field<'a>,
    cell: impl Fn(Field<'a>) -> Result<Cell, String>,
    null: Cell,
) -> Result<Cell, String> {
    if field.1.is_empty() {
        Ok(null)
    } else {
        cell(field)
    }
}

fn text((name, value): Field<'_>, rule: fn(&str) -> Checked) -> Result<Cell, String> {
    rule(value).map_err(|problem| format!("{name}: {problem}"))?;
    Ok(Cell::Text(Some(value.to_owned())))
}

/// As for a new url, but for words that became reserved later than the file.
fn short_code(value: &str) -> Checked {
    if code::is_well_formed(value) {
        Ok(())
    } else {
        rules::short_code(value)
    }
}

fn flag((name, value): Field<'_>) -> Result<Cell, String> {
    if value.eq_ignore_ascii_case("true") {
        Ok(Cell::Text(Some("true".to_owned())))
    } else if value.eq_ignore_ascii_case("false") {
        Ok(Cell::Text(Some("false".to_owned())))
    } else {
        Err(format!("{name}: must be True or False"))
    }
}

fn time((name, value): Field<'_>) -> Result<Cell, String> {
    match Timestamp::from_csv(value) {
        Some(_) => Ok(Cell::Text(Some(value.to_owned()))),
        None => Err(format!("{name}: must be a time like 2025-09-19 22:25:05")),
    }
}

fn object((name, value): Field<'_>) -> Result<Cell, String> {
    match fields::object(value) {
        Ok(object) => Ok(Cell::Text(Some(object))),
        Err(problem) => Err(format!("{name}: {problem}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_names_the_kind() {
        let of = |method, path| Kind::of(&Head::new(method, path));
        assert_eq!(of(Method::Post, "/users/bulk"), Ok(Kind::Users));
        assert_eq!(of(Method::Post, "/urls/bulk"), Ok(Kind::Urls));
        assert_eq!(of(Method::Post, "/events/bulk"), Ok(Kind::Events));
        assert_eq!(
            of(Method::Get, "/users/bulk").unwrap_err().allow,
            Some("POST")
        );
        assert_eq!(of(Method::Post, "/clicks/bulk").unwrap_err().status, 404);
    }

    const TIME: &str = "2025-09-19 22:25:05";

    #[test]
    fn empty_fields_of_a_url_are_null() {
        let row = ["7", "", "123456", "https://e.com", "", "False", TIME, TIME];
        let cells = Kind::Urls.cells(&row).unwrap();
        assert_eq!(cells[1], Cell::Int(None));
        assert_eq!(cells[4], Cell::Text(None));
        assert_eq!(cells[5], Cell::Text(Some("false".into())));
    }

    #[test]
    fn wrong_fields_are_named() {
        let good = ["7", "1", "J1O697", "https://e.com", "t", "True", TIME, TIME];
        assert!(Kind::Urls.cells(&good).is_ok());
        for (at, value, named) in [
            (0, "0", "id"),
            (0, "9007199254740992", "id"),
            (0, "", "id"),
            (1, "x", "user_id"),
            (2, "a b", "short_code"),
            (3, "word", "original_url"),
            (5, "yes", "is_active"),
            (5, "", "is_active"),
            (6, "2025-09-19", "created_at"),
            (7, "", "updated_at"),
        ] {
            let mut row = good;
            row[at] = value;
            let problem = Kind::Urls.cells(&row).unwrap_err();
            assert!(problem.starts_with(&format!("{named}: ")), "{problem}");
        }
    }

    #[test]
    fn details_are_an_object() {
        let row = |details| Kind::Events.cells(&["1", "2", "", "updated", TIME, details]);
        assert_eq!(
            row(r#"{"field":"is_active","new_value":"x"}"#).unwrap()[5],
            Cell::Text(Some(r#"{"field":"is_active","new_value":"x"}"#.into()))
        );
        for bad in ["", "x", "[]", "1", "\"{}\"", "{"] {
            assert!(row(bad).unwrap_err().starts_with("details: "), "{bad}");
        }
    }
}
