//! Lists, ascending by id, each filter with its own statement and index.
//!
//! One optional-filter statement (`$1 IS NULL OR user_id = $1`) would be
//! shorter, and its prepared plan could use none of the indexes. The first filter
//! is written as bounds of `(column, id)` rather than as `column = $1`: with the
//! equality, that index and the primary key would give the same order, and a plan
//! made for unknown values may walk the primary key past a million rows of the
//! wrong kind. With the bounds only one index fits. A second filter is checked row
//! by row (`IS NOT DISTINCT FROM` uses no index), for the same steadiness.

/// The three ways through one list. Parameters: the filter's values in their
/// order, then the position, then the number of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    /// Rows after an id: constant time wherever in the table.
    pub after: &'static str,
    /// Rows before an id, nearest first: constant time.
    pub before: &'static str,
    /// Rows after an offset: walks the filter's index over the skipped keys,
    /// not their rows, and over none of them past the end of the table.
    pub page: &'static str,
}

/// All rows of a table.
macro_rules! all {
    ($table:literal, $columns:expr) => {
        List {
            after: concat!(
                "SELECT ",
                $columns,
                " FROM ",
                $table,
                " WHERE id > $1 ORDER BY id LIMIT $2"
            ),
            before: concat!(
                "SELECT ",
                $columns,
                " FROM ",
                $table,
                " WHERE id < $1 ORDER BY id DESC LIMIT $2"
            ),
            page: concat!(
                "SELECT ",
                $columns,
                " FROM ",
                $table,
                " WHERE id >= (SELECT id FROM ",
                $table,
                " WHERE $1 < (SELECT max(id) FROM ",
                $table,
                ") ORDER BY id OFFSET $1 LIMIT 1)",
                " ORDER BY id LIMIT $2"
            ),
        }
    };
}

/// Rows whose `$key` is `$1` and that pass `$more`; `$at` and `$rows` number the
/// position and the number of rows.
macro_rules! filtered {
    ($table:literal, $columns:expr, $key:literal, $more:literal, $at:literal, $rows:literal) => {
        List {
            after: concat!(
                "SELECT ",
                $columns,
                " FROM ",
                $table,
                " WHERE (",
                $key,
                ", id) > ($1, ",
                $at,
                ") AND (",
                $key,
                ", id) < ($1, 9223372036854775807)",
                $more,
                " ORDER BY ",
                $key,
                ", id LIMIT ",
                $rows
            ),
            before: concat!(
                "SELECT ",
                $columns,
                " FROM ",
                $table,
                " WHERE (",
                $key,
                ", id) < ($1, ",
                $at,
                ") AND (",
                $key,
                ", id) > ($1, 0)",
                $more,
                " ORDER BY ",
                $key,
                " DESC, id DESC LIMIT ",
                $rows
            ),
            page: concat!(
                "SELECT ",
                $columns,
                " FROM ",
                $table,
                " WHERE (",
                $key,
                ", id) >= ($1, (SELECT id",
                " FROM ",
                $table,
                " WHERE (",
                $key,
                ", id) > ($1, 0) AND (",
                $key,
                ", id) < ($1, 9223372036854775807)",
                $more,
                " AND ",
                $at,
                " < (SELECT max(id) FROM ",
                $table,
                ") ORDER BY ",
                $key,
                ", id OFFSET ",
                $at,
                " LIMIT 1)) AND (",
                $key,
                ", id) < ($1, 9223372036854775807)",
                $more,
                " ORDER BY ",
                $key,
                ", id LIMIT ",
                $rows
            ),
        }
    };
}

macro_rules! urls {
    () => {
        "id, user_id, short_code, original_url, title, is_active, created_at, updated_at"
    };
    ($key:literal, $more:literal, $at:literal, $rows:literal) => {
        filtered!("urls", urls!(), $key, $more, $at, $rows)
    };
}

macro_rules! events {
    () => {
        "id, url_id, user_id, event_type, timestamp, details::text"
    };
    ($key:literal, $more:literal, $at:literal, $rows:literal) => {
        filtered!("events", events!(), $key, $more, $at, $rows)
    };
}

const USERS: List = all!("users", "id, username, email, created_at");

const URLS: List = all!("urls", urls!());
const URLS_OF_USER: List = urls!("user_id", "", "$2", "$3");
const URLS_ACTIVE: List = urls!("is_active", "", "$2", "$3");
const URLS_OF_USER_ACTIVE: List = urls!(
    "user_id",
    " AND is_active IS NOT DISTINCT FROM $2",
    "$3",
    "$4"
);

const EVENTS: List = all!("events", events!());
const EVENTS_OF_URL: List = events!("url_id", "", "$2", "$3");
const EVENTS_OF_USER: List = events!("user_id", "", "$2", "$3");
const EVENTS_OF_TYPE: List = events!("event_type", "", "$2", "$3");
const EVENTS_OF_URL_USER: List =
    events!("url_id", " AND user_id IS NOT DISTINCT FROM $2", "$3", "$4");
const EVENTS_OF_URL_TYPE: List = events!(
    "url_id",
    " AND event_type IS NOT DISTINCT FROM $2",
    "$3",
    "$4"
);
const EVENTS_OF_USER_TYPE: List = events!(
    "user_id",
    " AND event_type IS NOT DISTINCT FROM $2",
    "$3",
    "$4"
);
const EVENTS_OF_ALL: List = events!(
    "url_id",
    " AND user_id IS NOT DISTINCT FROM $2 AND event_type IS NOT DISTINCT FROM $3",
    "$4",
    "$5"
);

/// All users.
pub fn users() -> List {
    USERS
}

/// Which of the filters of `GET /urls` are set.
#[derive(Clone, Copy, Debug, Default)]
pub struct UrlFilter {
    pub user_id: bool,
    pub is_active: bool,
}

/// Urls; parameters in the order of the filter's fields.
pub fn urls(filter: UrlFilter) -> List {
    match (filter.user_id, filter.is_active) {
        (false, false) => URLS,
        (true, false) => URLS_OF_USER,
        (false, true) => URLS_ACTIVE,
        (true, true) => URLS_OF_USER_ACTIVE,
    }
}

/// Which of the filters of `GET /events` are set.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventFilter {
    pub url_id: bool,
    pub user_id: bool,
    pub event_type: bool,
}

/// Events; parameters in the order of the filter's fields.
pub fn events(filter: EventFilter) -> List {
    match (filter.url_id, filter.user_id, filter.event_type) {
        (false, false, false) => EVENTS,
        (true, false, false) => EVENTS_OF_URL,
        (false, true, false) => EVENTS_OF_USER,
        (false, false, true) => EVENTS_OF_TYPE,
        (true, true, false) => EVENTS_OF_URL_USER,
        (true, false, true) => EVENTS_OF_URL_TYPE,
        (false, true, true) => EVENTS_OF_USER_TYPE,
        (true, true, true) => EVENTS_OF_ALL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_numbers_its_parameters_without_a_gap() {
        let mut lists = vec![(users(), 2)];
        for bits in 0..4usize {
            let filter = UrlFilter {
                user_id: bits & 1 != 0,
                is_active: bits & 2 != 0,
            };
            lists.push((urls(filter), 2 + bits.count_ones()));
        }
        for bits in 0..8usize {
            let filter = EventFilter {
                url_id: bits & 1 != 0,
                user_id: bits & 2 != 0,
                event_type: bits & 4 != 0,
            };
            lists.push((events(filter), 2 + bits.count_ones()));
        }
        for (list, parameters) in lists {
            for sql in [list.after, list.before, list.page] {
                for n in 1..=parameters {
                    assert!(sql.contains(&format!("${n}")), "${n} is missing in {sql}");
                }
                assert!(
                    !sql.contains(&format!("${}", parameters + 1)),
                    "one too many in {sql}"
                );
            }
        }
    }
}
