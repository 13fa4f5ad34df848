//! Addresses and statements of anybody's.

use chance::cases;

use super::Target;
use super::classify::classify;
use super::lexer::tokens;

#[test]
fn any_text_is_an_address_or_told_to_be_none_without_its_password() {
    let mut read = 0;
    cases(2_000, |chance| {
        const TEXTS: [&str; 4] = [
            "postgres://user:hunter2@host:5433/db?sslmode=require",
            "postgresql://user:hunter2@[::1]/db?connect_timeout=3",
            "host=h port=5 user=u password=hunter2 dbname='a b' sslmode=disable",
            "postgres:///db?host=/run/socket&password=hunter2",
        ];
        let text = chance.pick(&TEXTS);
        let text = chance.damaged(text);
        match Target::parse(&text) {
            Ok(target) => {
                read += 1;
                for server in target.servers() {
                    assert!(!server.host.is_empty(), "{text}");
                }
            }
            Err(error) => assert!(!format!("{error:?} {error}").contains("hunter2"), "{text}"),
        }
    });
    assert!(read > 100, "{read}");
}

const STATEMENTS: [&str; 10] = [
    "SELECT 1",
    "INSERT INTO a (b) VALUES ($1) RETURNING \"B\"",
    "WITH a AS (SELECT 1) SELECT * FROM a",
    "SELECT set_config('a', 'b', false)",
    "BEGIN",
    "ROLLBACK TO SAVEPOINT a",
    "SET LOCAL a = 'b'",
    "DISCARD ALL",
    "LISTEN a",
    "COPY a FROM STDIN",
];

#[test]
fn comments_and_blanks_say_nothing_of_a_statement() {
    cases(2_000, |chance| {
        let statement = chance.pick(&STATEMENTS);
        let blank = chance.pick(&[
            " ",
            "\n\t",
            "/* BEGIN */",
            "/*/* ' */ \" */",
            "-- $$ BEGIN\n",
            "(",
            ";",
        ]);
        let spread = match blank {
            // These stand in front of a statement alone.
            "(" | ";" => format!("{blank}{statement}"),
            blank => format!(
                "{blank}{}{blank}",
                statement.replace(' ', &format!(" {blank}"))
            ),
        };
        assert_eq!(classify(&spread), classify(statement), "{spread}");
    });
}

#[test]
fn any_text_is_told_apart() {
    cases(3_000, |chance| {
        let text = match chance.within(0..2) {
            0 => chance.text(24),
            _ => {
                let statement = chance.pick(&STATEMENTS);
                chance.damaged(statement)
            }
        };
        // Each token takes something of the text.
        assert!(tokens(&text).count() <= text.chars().count(), "{text}");
        let _ = classify(&text);
    });
}
