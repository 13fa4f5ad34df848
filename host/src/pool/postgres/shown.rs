//! Statements as others than their server may see them.

use std::fmt::Write as _;

use super::lexer::{Token, tokens};

/// Longest text, in bytes.
const LONGEST: usize = 1_024;

/// A statement without anything that was written into it: comments are left out, and
/// literals, numbers and parameters are each a `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its first word, in capitals, where that is a word.
    pub operation: String,
    /// Its text, up to 1,024 bytes of it.
    pub text: String,
}

impl Shown {
    /// What may be seen of `sql`.
    #[must_use]
    pub fn of(sql: &str) -> Self {
        let mut text = String::new();
        let mut operation = None;
        let mut rest = tokens(sql);
        loop {
            let apart = rest.is_apart();
            let Some(token) = rest.next() else { break };
            if apart && !text.is_empty() {
                text.push(' ');
            }
            match token {
                Token::Word(word) => {
                    operation.get_or_insert_with(|| word.to_ascii_uppercase());
                    text.push_str(word);
                }
                Token::Quoted(name) => {
                    let _ = write!(text, "\"{name}\"");
                }
                Token::Literal => text.push('?'),
                Token::Symbol(symbol) => text.push(symbol),
            }
            if text.len() > LONGEST {
                text.truncate(text.floor_char_boundary(LONGEST));
                break;
            }
        }
        Self {
            operation: operation.unwrap_or_default(),
            text,
        }
    }
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
        assert_eq!(text("SELECT E'a\\'b', $1::text"), "SELECT ?, ?::text");
        assert_eq!(
            text("/* who */ SELECT/**/\"odd name\".x"),
            "SELECT \"odd name\".x"
        );
        assert_eq!(text("SELECT 'never closed, secret"), "SELECT ?");
    }

    #[test]
    fn what_is_no_statement_has_no_operation() {
        assert_eq!(Shown::of("").operation, "");
        assert_eq!(Shown::of("(SELECT 1)").operation, "SELECT");
    }

    #[test]
    fn a_long_one_is_cut_between_characters() {
        let shown = text(&format!("SELECT {}", "\u{e4}\u{e4}\u{e4}".repeat(1000)));
        assert!((LONGEST - 1..=LONGEST).contains(&shown.len()));
    }
}
