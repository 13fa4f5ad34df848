//! Just enough of SQL's lexical rules to see words that are not inside a
//! comment, a literal or a quoted identifier.

/// A token that matters for telling statements apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword or an identifier without quotes.
    Word(&'a str),
    /// An identifier in double quotes, without them; doubled quotes inside stay.
    Quoted(&'a str),
    /// A string constant or a number, of whatever form.
    Literal,
    /// Any other character.
    Symbol(char),
}

impl Token<'_> {
    /// Whether this is the keyword; case does not matter.
    pub(super) fn is(&self, keyword: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }
}

/// The tokens of a statement. A literal or comment that is not closed ends the
/// text; the server will say so.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    rest: &'a str,
}

pub(super) fn tokens(sql: &str) -> Tokens<'_> {
    Tokens { rest: sql }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            self.rest = self.rest.trim_start();
            let first = self.rest.chars().next()?;
            match first {
                '-' if self.rest.starts_with("--") => {
                    let end = self.rest.find(['\n', '\r']).unwrap_or(self.rest.len());
                    self.rest = &self.rest[end..];
                }
                '/' if self.rest.starts_with("/*") => self.skip_comment(),
                '\'' => return Some(self.string(1, false)),
                '"' => return Some(self.identifier()),
                '$' => return Some(self.dollar()),
                '0'..='9' => return Some(self.number()),
                _ if is_word_start(first) => return Some(self.word()),
                _ => {
                    self.rest = &self.rest[first.len_utf8()..];
                    return Some(Token::Symbol(first));
                }
            }
        }
    }
}

impl<'a> Tokens<'a> {
    /// Bytes of the text that are still to come.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// Whether the next token is set apart from the one before it.
    pub(super) fn is_apart(&self) -> bool {
        self.rest.starts_with(char::is_whitespace)
            || self.rest.starts_with("--")
            || self.rest.starts_with("/*")
    }

    /// Comments nest.
    fn skip_comment(&mut self) {
        let mut depth = 0_usize;
        let bytes = self.rest.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            match bytes.get(at..at + 2) {
                Some(b"/*") => {
                    depth += 1;
                    at += 2;
                }
                Some(b"*/") => {
                    depth -= 1;
                    at += 2;
                    if depth == 0 {
                        break;
                    }
                }
                _ => at += 1,
            }
        }
        self.rest = self.rest.get(at..).unwrap_or_default();
    }

    /// A constant whose opening quote ends at `start`.
    fn string(&mut self, start: usize, escapes: bool) -> Token<'a> {
        let bytes = self.rest.as_bytes();
        let mut at = start;
        while at < bytes.len() {
            match bytes[at] {
                b'\\' if escapes => at += 2,
                b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 2,
                b'\'' => {
                    at += 1;
                    break;
                }
                _ => at += 1,
            }
        }
        self.rest = self.rest.get(at..).unwrap_or_default();
        Token::Literal
    }

    fn identifier(&mut self) -> Token<'a> {
        let bytes = self.rest.as_bytes();
        let mut at = 1;
        while at < bytes.len() {
            match bytes[at] {
                b'"' if bytes.get(at + 1) == Some(&b'"') => at += 2,
                b'"' => break,
                _ => at += 1,
            }
        }
        let name = self.rest.get(1..at).unwrap_or_default();
        self.rest = self.rest.get(at + 1..).unwrap_or_default();
        Token::Quoted(name)
    }

    /// `$1`, `$tag$ … $tag$`, or a stray dollar.
    fn dollar(&mut self) -> Token<'a> {
        let tag = self.rest[1..]
            .find(|c: char| !is_word_part(c) || c == '$')
            .map_or(self.rest.len(), |end| end + 1);
        let numbered = self.rest[1..].starts_with(|c: char| c.is_ascii_digit());
        if numbered || !self.rest[tag..].starts_with('$') {
            self.rest = &self.rest[tag.max(1)..];
            return Token::Literal;
        }
        let (open, body) = self.rest.split_at(tag + 1);
        self.rest = body
            .find(open)
            .and_then(|end| body.get(end + open.len()..))
            .unwrap_or_default();
        Token::Literal
    }

    fn number(&mut self) -> Token<'a> {
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '_'))
            .unwrap_or(self.rest.len());
        self.rest = &self.rest[end..];
        Token::Literal
    }

    fn word(&mut self) -> Token<'a> {
        let end = self
            .rest
            .find(|c: char| !is_word_part(c))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        // E'…', B'…', X'…', N'…' and U&'…' are one constant each.
        if rest.starts_with('\'') && word.len() == 1 {
            match word.as_bytes()[0].to_ascii_lowercase() {
                b'e' => return self.string(end + 1, true),
                b'b' | b'x' | b'n' => return self.string(end + 1, false),
                _ => {}
            }
        }
        if word.eq_ignore_ascii_case("u") && rest.starts_with("&'") {
            return self.string(end + 2, false);
        }
        self.rest = rest;
        Token::Word(word)
    }
}

fn is_word_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn is_word_part(c: char) -> bool {
    is_word_start(c) || c.is_ascii_digit() || c == '$'
}

#[cfg(test)]
mod tests {
    use super::Token::{Literal, Quoted, Symbol, Word};
    use super::*;

    fn all(sql: &str) -> Vec<Token<'_>> {
        tokens(sql).collect()
    }

    #[test]
    fn comments_are_no_tokens() {
        assert_eq!(all("-- SET x\nselect"), [Word("select")]);
        assert_eq!(all("/* a /* nested */ SET */ select"), [Word("select")]);
        assert_eq!(all("select -- the end"), [Word("select")]);
        assert_eq!(all("/* never closed"), []);
    }

    #[test]
    fn literals_hide_their_text() {
        assert_eq!(all("'it''s' x"), [Literal, Word("x")]);
        assert_eq!(all(r"'back\' x"), [Literal, Word("x")]);
        assert_eq!(all(r"E'back\' still' x"), [Literal, Word("x")]);
        assert_eq!(all("U&'d\\0061' x"), [Literal, Word("x")]);
        assert_eq!(all("$$ a 'b $$ x"), [Literal, Word("x")]);
        assert_eq!(all("$f$ a $$ b $f$ x"), [Literal, Word("x")]);
        assert_eq!(
            all("$1::int4"),
            [Literal, Symbol(':'), Symbol(':'), Word("int4")]
        );
        assert_eq!(all("1e10 0x1F 1.5"), [Literal, Literal, Literal]);
        assert_eq!(all("'never closed"), [Literal]);
        assert_eq!(all("$never closed"), [Literal, Word("closed")]);
    }

    #[test]
    fn identifiers() {
        assert_eq!(
            all(r#""a""b".c"#),
            [Quoted(r#"a""b"#), Symbol('.'), Word("c")]
        );
        assert_eq!(all("größe_1$x"), [Word("größe_1$x")]);
        assert_eq!(all("e"), [Word("e")]);
        assert_eq!(all("\"open"), [Quoted("open")]);
        assert_eq!(all("$"), [Literal]);
        assert_eq!(
            all("a->>'b'"),
            [Word("a"), Symbol('-'), Symbol('>'), Symbol('>'), Literal]
        );
    }
}
