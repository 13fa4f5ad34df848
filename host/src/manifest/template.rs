//! Texts with variables in them: `https://{{ host }}/users`.

use std::fmt;

/// A text in which `{{ name }}` stands for the value of a variable. Anything else
/// stands for itself, a lone `}}` included; there is no escape for `{{`, as Spin
/// has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    source: Box<str>,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(Box<str>),
    Variable(Box<str>),
}

/// A `{{` without its `}}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a \"{{{{\" has no matching \"}}}}\"")]
pub(super) struct Unmatched;

impl Template {
    pub(super) fn parse(source: &str) -> Result<Self, Unmatched> {
        let mut parts = Vec::new();
        let mut rest = source;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or(Unmatched)?;
            if !before.is_empty() {
                parts.push(Part::Literal(before.into()));
            }
            parts.push(Part::Variable(name.trim().into()));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.into()));
        }
        Ok(Self {
            source: source.into(),
            parts,
        })
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The variables the text names, in order, repeats included.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(&**name),
            Part::Literal(_) => None,
        })
    }

    /// The text itself, if it names no variable.
    pub(super) fn literal(&self) -> Option<&str> {
        self.variables().next().is_none().then_some(&*self.source)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lit(text: &str) -> Part {
        Part::Literal(text.into())
    }

    fn var(name: &str) -> Part {
        Part::Variable(name.into())
    }

    #[test]
    fn texts_are_taken_apart() {
        for (source, parts) in [
            ("", vec![]),
            ("plain", vec![lit("plain")]),
            ("{{ a }}", vec![var("a")]),
            ("{{a}}", vec![var("a")]),
            (
                "x-{{ a }}-{{ b }}-y",
                vec![lit("x-"), var("a"), lit("-"), var("b"), lit("-y")],
            ),
            ("{{ a }}{{ a }}", vec![var("a"), var("a")]),
            ("a }} b", vec![lit("a }} b")]),
            ("{ a } {b}", vec![lit("{ a } {b}")]),
            ("{{}}", vec![var("")]),
            ("{{{ a }}}", vec![var("{ a"), lit("}")]),
        ] {
            let template = Template::parse(source).unwrap();
            assert_eq!(template.parts(), parts, "{source}");
            assert_eq!(template.to_string(), source);
        }
    }

    #[test]
    fn an_open_brace_pair_is_refused() {
        for source in ["{{", "{{ a", "{{ a }} {{ b", "a {{ b }"] {
            assert_eq!(Template::parse(source), Err(Unmatched), "{source}");
        }
    }

    #[test]
    fn a_text_without_variables_is_literal() {
        assert_eq!(Template::parse("a}}").unwrap().literal(), Some("a}}"));
        assert_eq!(Template::parse("{{ a }}").unwrap().literal(), None);
    }
}
