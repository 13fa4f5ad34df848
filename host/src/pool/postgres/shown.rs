//! Statements as others than their server may see them.

use std::fmt::Write as _;

use super::lexer::{Token, tokens};

/// Longest text, in bytes.
const LONGEST: usize = 1_024;

/// What a statement may begin with.
const OPERATIONS: &[&str] = &[
    "ABORT",
    "ALTER",
    "ANALYZE",
    "BEGIN",
    "CALL",
    "CLOSE",
    "COMMENT",
    "COMMIT",
    "COPY",
    "CREATE",
    "DEALLOCATE",
    "DECLARE",
    "DELETE",
    "DISCARD",
    "DO",
    "DROP",
    "END",
    "EXECUTE",
    "EXPLAIN",
    "FETCH",
    "GRANT",
    "INSERT",
    "LISTEN",
    "LOCK",
    "MERGE",
    "MOVE",
    "NOTIFY",
    "PREPARE",
    "REFRESH",
    "REINDEX",
    "RELEASE",
    "RESET",
    "REVOKE",
    "ROLLBACK",
    "SAVEPOINT",
    "SELECT",
    "SET",
    "SHOW",
    "START",
    "TABLE",
    "TRUNCATE",
    "UNLISTEN",
    "UPDATE",
    "VACUUM",
    "VALUES",
    "WITH",
];

/// What it is where it begins with nothing of these.
const OTHER: &str = "_OTHER";

/// A statement without anything that was written into it: comments are left out, and
/// literals, numbers and parameters are each a `?`. Names are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its first word, in capitals, where a statement begins with it.
    pub operation: &'static str,
    /// Its text, up to 1,024 bytes of it. Nothing but the operation where it is not
    /// certain where a literal ends: that may depend on settings of the session.
    pub text: String,
}

impl Shown {
    /// What may be seen of `sql`.
    #[must_use]
    pub fn of(sql: &str) -> Self {
        let mut words = tokens(sql).filter_map(|token| match token {
            Token::Word(word) => Some(word),
            _ => None,
        });
        let first = words.next().unwrap_or_default();
        let known = OPERATIONS.iter().copied();
        let operation = known
            .clone()
            .find(|known| known.eq_ignore_ascii_case(first))
            .unwrap_or(OTHER);
        let text = text(sql).unwrap_or_else(|| operation.to_owned());
        Self { operation, text }
    }
}

fn text(sql: &str) -> Option<String> {
    // Whether it escapes a quote depends on the literal and on the session.
    if sql.contains('\\') {
        return None;
    }
    let mut text = String::new();
    let mut rest = tokens(sql);
    loop {
        let apart = rest.is_apart();
        let from = rest.left();
        let Some(token) = rest.next() else { break };
        if apart && !text.is_empty() {
            text.push(' ');
        }
        match token {
            Token::Word(word) => text.push_str(word),
            Token::Quoted(name) => {
                let _ = write!(text, "\"{name}\"");
            }
            Token::Literal => {
                let literal = &sql[sql.len() - from..sql.len() - rest.left()];
                if !is_closed(literal.trim_end()) {
                    return None;
                }
                text.push('?');
            }
            Token::Symbol(symbol) => text.push(symbol),
        }
        if text.len() > LONGEST {
            text.truncate(text.floor_char_boundary(LONGEST));
            break;
        }
    }
    Some(text)
}

/// Whether a literal, and what may be before it, ends as it begins.
fn is_closed(literal: &str) -> bool {
    let quote = literal.find(['\'', '$']);
    quote.is_none_or(|at| {
        let (opened, quoted) = (literal.as_bytes()[at], &literal[at..]);
        let parameter = quoted[1..].bytes().all(|byte| byte.is_ascii_digit());
        (opened == b'$' && parameter && quoted.len() > 1)
            || (quoted.len() > 1 && quoted.as_bytes().last() == Some(&opened))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(sql: &str) -> String {
        Shown::of(sql).text
    }

    #[test]
    fn nothing_that_was_written_into_it_is_seen() {
        let sql = "insert into u (name, n, d)\n  VALUES ('O''Hara', -42, $x$it$x$) -- secret";
        assert_eq!(text(sql), "insert into u (name, n, d) VALUES (?, -?, ?)");
        assert_eq!(Shown::of(sql).operation, "INSERT");
        assert_eq!(text("SELECT E'a', $1::text"), "SELECT ?, ?::text");
        assert_eq!(
            text("/* who */ SELECT/**/\"odd name\".x"),
            "SELECT \"odd name\".x"
        );
    }

    /// Where a literal ends depends on the session, on what is before it, or on nobody.
    #[test]
    fn where_that_is_not_certain_nothing_is_shown() {
        for sql in [
            "SELECT 'never closed, secret",
            "SELECT 'O'Hara, secret'",
            "SELECT 'O\\'Hara, secret', 'x'",
            "SELECT E'a'\n'b\\'secret'",
            "SELECT $x$never closed, secret",
            "SELECT '",
        ] {
            assert_eq!(text(sql), "SELECT", "{sql}");
        }
    }

    #[test]
    fn what_is_no_statement_has_no_operation() {
        assert_eq!(Shown::of("").operation, OTHER);
        let secret = Shown::of("secret 'x'");
        assert_eq!(secret.operation, OTHER);
        assert_eq!(Shown::of("(SELECT 1)").operation, "SELECT");
    }

    #[test]
    fn a_long_one_is_cut_between_characters() {
        let shown = text(&format!("SELECT {}", "\u{e4}\u{e4}\u{e4}".repeat(1000)));
        assert!((LONGEST - 1..=LONGEST).contains(&shown.len()));
    }
}
