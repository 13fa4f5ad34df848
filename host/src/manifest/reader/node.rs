//! A value of the document, and what may be asked of it. Each question that has
//! no answer is a fault at the value's place.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::{Reader, Table};
use crate::config::Fault;
use crate::config::quantity::{
    DURATION_HELP, SIZE_HELP, format_duration, format_size, parse_duration, parse_size,
};

/// A value and its place.
#[derive(Clone)]
pub(in crate::manifest) struct Node<'a> {
    pub(super) reader: &'a Reader,
    pub(super) value: &'a DeValue<'a>,
    pub(super) key: String,
    pub(super) line: usize,
}

impl<'a> Node<'a> {
    pub(in crate::manifest) fn fault(&self, message: impl Into<String>, help: impl Into<String>) {
        self.reader.push(Fault {
            key: self.key.clone(),
            line: Some(self.line),
            message: message.into(),
            help: help.into(),
        });
    }

    fn not<T>(&self, wanted: &str, help: &str) -> Option<T> {
        let found = match self.value {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.fault(format!("this is {found}, not {wanted}"), help);
        None
    }

    pub(in crate::manifest) fn line(&self) -> usize {
        self.line
    }

    pub(in crate::manifest) fn key(&self) -> &str {
        &self.key
    }

    pub(in crate::manifest) fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    pub(in crate::manifest) fn is_boolean(&self) -> bool {
        matches!(self.value, DeValue::Boolean(_))
    }

    pub(in crate::manifest) fn is_list(&self) -> bool {
        matches!(self.value, DeValue::Array(_))
    }

    /// The text under a key of this table, if there is one; never a fault.
    pub(in crate::manifest) fn peek(&self, name: &str) -> Option<&'a str> {
        match self.value {
            DeValue::Table(entries) => match entries.get(name)?.get_ref() {
                DeValue::String(text) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// The number this is, if it is one; never a fault.
    pub(in crate::manifest) fn peek_number(&self) -> Option<u64> {
        match self.value {
            DeValue::Integer(digits) => u64::from_str_radix(digits.as_str(), digits.radix()).ok(),
            _ => None,
        }
    }

    /// Whether the value asks for nothing: no entries, no text, or `false`.
    pub(in crate::manifest) fn is_empty(&self) -> bool {
        match self.value {
            DeValue::String(text) => text.is_empty(),
            DeValue::Array(items) => items.is_empty(),
            DeValue::Table(entries) => entries.is_empty(),
            DeValue::Boolean(value) => !value,
            _ => false,
        }
    }

    pub(in crate::manifest) fn table(&self) -> Option<Table<'a>> {
        match self.value {
            DeValue::Table(entries) => Some(Table {
                reader: self.reader,
                entries,
                key: self.key.clone(),
                line: self.line,
                known: Vec::new(),
            }),
            _ => self.not(
                "a table",
                "give it as a [table] of its own, or as { key = value }",
            ),
        }
    }

    pub(in crate::manifest) fn string(&self) -> Option<&'a str> {
        match self.value {
            DeValue::String(text) => Some(text),
            _ => self.not("a text", "write it in quotes"),
        }
    }

    /// A text that has to say something.
    pub(in crate::manifest) fn text(&self) -> Option<&'a str> {
        let text = self.string()?;
        if text.trim().is_empty() {
            self.fault("this is empty", "write a text");
            return None;
        }
        Some(text)
    }

    pub(in crate::manifest) fn boolean(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(value) => Some(*value),
            _ => self.not("true or false", "write true or false, without quotes"),
        }
    }

    pub(in crate::manifest) fn list(&self) -> Option<Vec<Node<'a>>> {
        let DeValue::Array(items) = self.value else {
            return self.not(
                "a list",
                "write [a, b, ...], or [[...]] for each table of it",
            );
        };
        let node = |(position, item): (usize, &'a Spanned<DeValue<'a>>)| Node {
            reader: self.reader,
            value: item.get_ref(),
            key: format!("{}[{position}]", self.key),
            line: self.reader.line(item.span().start),
        };
        Some(items.iter().enumerate().map(node).collect())
    }

    /// A list of texts, those that are none left out.
    pub(in crate::manifest) fn strings(&self) -> Vec<String> {
        let items = self.list().unwrap_or_default();
        let texts = items.iter().filter_map(Node::string);
        texts.map(str::to_owned).collect()
    }

    pub(in crate::manifest) fn number(&self, range: &RangeInclusive<u64>) -> Option<u64> {
        let (least, most) = (range.start(), range.end());
        let help = format!("write a whole number from {least} to {most}");
        let DeValue::Integer(digits) = self.value else {
            return self.not("a whole number", &help);
        };
        match self.peek_number().filter(|number| range.contains(number)) {
            Some(number) => Some(number),
            None => {
                self.fault(format!("{digits} is out of range"), help);
                None
            }
        }
    }

    pub(in crate::manifest) fn duration(
        &self,
        range: &RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let DeValue::String(text) = self.value else {
            return self.not("a duration", DURATION_HELP);
        };
        match parse_duration(text) {
            Ok(value) if range.contains(&value) => return Some(value),
            Ok(_) => self.fault(
                format!("{text:?} is out of range"),
                format!(
                    "write a duration from \"{}\" to \"{}\"",
                    format_duration(*range.start()),
                    format_duration(*range.end())
                ),
            ),
            Err(message) => self.fault(message, DURATION_HELP),
        }
        None
    }

    pub(in crate::manifest) fn size(&self, range: &RangeInclusive<usize>) -> Option<usize> {
        let size = match self.value {
            DeValue::String(text) => parse_size(text),
            DeValue::Integer(digits) => usize::from_str_radix(digits.as_str(), digits.radix())
                .map_err(|_| format!("{digits} is no number of bytes")),
            _ => return self.not("a size", SIZE_HELP),
        };
        match size {
            Ok(size) if range.contains(&size) => return Some(size),
            Ok(size) => self.fault(
                format!("{} is out of range", format_size(size)),
                format!(
                    "write a size from \"{}\" to \"{}\"",
                    format_size(*range.start()),
                    format_size(*range.end())
                ),
            ),
            Err(message) => self.fault(message, SIZE_HELP),
        }
        None
    }
}
