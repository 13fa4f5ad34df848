//! Requests of anybody's: nothing panics, and what is understood is understood as
//! others would.

use chance::{Chance, cases};
use chrono::NaiveDate;
use serde_json::Value;
use url::Url;

use crate::{
    fields::Fields,
    paging::{Page, Position},
    query::{Query, unescape},
    rules, target,
    time::Timestamp,
};

/// Something like a target.
fn near_target(chance: &mut Chance) -> String {
    const SCHEMES: [&str; 4] = ["http://", "https://", "HTTPS://", "http:"];
    const HOSTS: [&str; 14] = [
        "example.com",
        "a_b.example",
        "a.",
        "-",
        "127.0.0.1",
        "1.2.3",
        "0x7f.1",
        "foo.0x1",
        "09.1.1.1",
        "[::1]",
        "[::ffff:1.2.3.4]",
        "user@a.b",
        "u:p@h",
        "x.1a",
    ];
    const PORTS: [&str; 6] = ["", ":", ":80", ":0", ":65535", ":65536"];
    let text = format!(
        "{}{}{}{}{}",
        chance.pick(&SCHEMES),
        chance.pick(&HOSTS),
        chance.pick(&PORTS),
        chance.pick(&["", "/", "?", "#", "\\"]),
        chance.text(6),
    );
    if chance.once_in(2) {
        chance.damaged(&text)
    } else {
        text
    }
}

#[test]
fn a_target_that_is_taken_is_one_to_browsers_too() {
    let mut taken = 0;
    cases(6_000, |chance| {
        let text = near_target(chance);
        if target::check(&text).is_err() {
            return;
        }
        assert!(!text.chars().any(|c| c.is_control() || c.is_whitespace()));
        let host = text.split(['/', '?', '#', '\\']).nth(2).unwrap_or_default();
        // Names beyond ASCII are the resolver's to judge.
        if !host.is_ascii() || host.to_ascii_lowercase().contains("xn--") {
            return;
        }
        taken += 1;
        let url = Url::parse(&text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert!(url.has_host() && ["http", "https"].contains(&url.scheme()));
    });
    assert!(taken > 500, "{taken}");
}

#[test]
fn what_is_escaped_is_unescaped() {
    cases(2_000, |chance| {
        let text = chance.text(12);
        let mut escaped = String::new();
        let mut form = String::new();
        for byte in text.bytes() {
            let plain = byte.is_ascii_alphanumeric();
            let piece = if plain && !chance.once_in(3) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            };
            escaped.push_str(&piece);
            form.push_str(if byte == b' ' { "+" } else { &piece });
        }
        assert_eq!(unescape(&escaped, false).as_deref(), Some(&*text));
        assert_eq!(unescape(&form, true).as_deref(), Some(&*text));
        let query = format!("other=1&{form}={form}&x");
        let found = Query::new(Some(&query)).text(&text);
        match found {
            // The one before, or the one behind, is of the same name.
            _ if ["other", "x"].contains(&&*text) => {}
            Ok(found) => assert_eq!(found.as_deref(), Some(&*text), "{query}"),
            Err(_) => assert!(text.contains('\0'), "{query}"),
        }
        let any = chance.text(12);
        let _ = (unescape(&any, true), unescape(&any, false));
    });
}

#[test]
fn a_time_is_one_where_the_calendar_has_it() {
    let mut there = 0;
    cases(4_000, |chance| {
        let [year, month, day] = [
            chance.within(0..3000),
            chance.within(0..14),
            chance.within(0..33),
        ];
        let [hour, minute, second] = [
            chance.within(0..26),
            chance.within(0..62),
            chance.within(0..62),
        ];
        let text = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
        let number = |number: usize| u32::try_from(number).unwrap();
        let date = NaiveDate::from_ymd_opt(year as i32, number(month), number(day));
        let time =
            date.and_then(|date| date.and_hms_opt(number(hour), number(minute), number(second)));
        let read = Timestamp::from_csv(&text);
        assert_eq!(read.is_some(), time.is_some() && year > 0, "{text}");
        if let Some(read) = read {
            there += 1;
            assert_eq!(read.to_string(), text.replace(' ', "T"));
        }
        let damaged = chance.damaged(&text);
        if let Some(read) = Timestamp::from_csv(&damaged) {
            assert_eq!(read.to_string().replace('T', " "), damaged);
        }
    });
    assert!(there > 1_000, "{there}");
}

/// JSON with fields of the service's names, and what it is.
fn body(chance: &mut Chance) -> String {
    let value = match chance.within(0..9) {
        0 => chance.number().to_string(),
        1 => format!("{}.0", chance.number()),
        2 => "1e3".to_owned(),
        3 => "null".to_owned(),
        4 => "[true]".to_owned(),
        5 => r#"{"a":"\u0000"}"#.to_owned(),
        6 => r#""\ud800""#.to_owned(),
        _ => Value::String(chance.text(8)).to_string(),
    };
    let text = format!("{{\"field\" : {value}, \"other\":1}}");
    if chance.once_in(4) {
        chance.damaged(&text)
    } else {
        text
    }
}

#[test]
fn fields_are_what_json_says() {
    let (mut objects, mut strings) = (0, 0);
    cases(4_000, |chance| {
        let text = body(chance);
        let Ok(fields) = Fields::parse(None, text.as_bytes()) else {
            // More is refused than by others: escapes that are of no character.
            assert!(
                !serde_json::from_str::<Value>(&text).is_ok_and(|value| value.is_object()),
                "{text}"
            );
            return;
        };
        objects += 1;
        let string = fields.nullable_string("field");
        let id = fields.nullable_id("field");
        let (flag, object) = (fields.flag("field"), fields.nullable_object("field"));
        for refusal in [
            string.clone().err(),
            id.clone().err(),
            flag.clone().err(),
            object.clone().err(),
        ] {
            let named =
                refusal.is_none_or(|it| it.status == 400 && it.message.starts_with("field: "));
            assert!(named, "{text}");
        }
        // What it refuses because of another field is no business of this one.
        let Ok(value) = serde_json::from_str::<Value>(&text) else {
            return;
        };
        match &value["field"] {
            Value::String(wanted) if wanted.contains('\0') => assert!(string.is_err(), "{text}"),
            Value::String(wanted) => {
                strings += 1;
                assert_eq!(string, Ok(Some(wanted.clone())), "{text}");
                let rules = [
                    rules::username,
                    rules::email,
                    rules::title,
                    rules::short_code,
                ];
                assert!(
                    rules
                        .iter()
                        .all(|rule| rule(wanted).err() != Some(String::new()))
                );
            }
            Value::Number(number) => {
                let integer = number.as_i64().filter(|number| *number > 0);
                assert_eq!(id.ok().flatten(), integer, "{text}");
            }
            Value::Bool(wanted) => assert_eq!(flag, Ok(Some(*wanted)), "{text}"),
            Value::Null => assert_eq!(
                (string, id, object),
                (Ok(None), Ok(None), Ok(None)),
                "{text}"
            ),
            _ => assert!(string.is_err() && id.is_err(), "{text}"),
        }
    });
    assert!(objects > 2_000 && strings > 300, "{objects} {strings}");
}

#[test]
fn a_link_leads_to_the_next_page_of_the_same_list() {
    let mut led = 0;
    cases(3_000, |chance| {
        let mut query = Vec::new();
        for name in ["per_page", "page", "after_id", "before_id"] {
            if chance.once_in(3) {
                query.push(format!("{name}={}", chance.within(0..8)));
            }
        }
        query.push(format!("event_type={}", chance.text(6)));
        let turns = chance.within(0..query.len());
        query.rotate_left(turns);
        let query = query.join("&");
        let Ok(page) = Page::parse(Query::new(Some(&query))) else {
            return;
        };
        let found: Vec<i64> = (0..page.rows + 1).map(|row| row + 10).collect();
        let (rows, neighbours) = page.cut(found, |id| *id);
        let Some(link) = neighbours.link("/list", Some(&query)) else {
            return;
        };
        led += 1;
        assert!(
            link.bytes()
                .all(|byte| byte.is_ascii_graphic() || byte == b' '),
            "{link}"
        );
        for part in link.split(", <") {
            let (target, relation) = part
                .trim_start_matches('<')
                .split_once(">; ")
                .expect("a target");
            let (path, next) = target.split_once('?').expect("a query");
            assert_eq!(path, "/list");
            let there =
                Page::parse(Query::new(Some(next))).unwrap_or_else(|it| panic!("{link}: {it}"));
            assert_eq!(there.rows, page.rows);
            let position = match relation {
                "rel=\"next\"" => Position::After(*rows.last().unwrap()),
                "rel=\"prev\"" => Position::Before(rows[0]),
                other => panic!("{other}"),
            };
            assert_eq!(there.position, position, "{link}");
        }
    });
    assert!(led > 300, "{led}");
}
