//! The document with its lines: what the parts of the manifest are read from.
//!
//! A [`Table`] takes every key that is asked for as one it may have, so what is
//! left over at its end is unknown; the list of known keys cannot fall behind
//! the code that reads them.

mod node;

use std::borrow::Cow;
use std::cell::RefCell;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::suggest;
use crate::config::{Fault, Faults};
pub(super) use node::Node;

/// Knows where lines begin, and collects the faults.
pub(super) struct Reader {
    breaks: Vec<usize>,
    faults: RefCell<Faults>,
}

impl Reader {
    pub(super) fn new(text: &str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at).collect();
        Self {
            breaks,
            faults: RefCell::default(),
        }
    }

    /// The line of a byte of the text, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        1 + self.breaks.partition_point(|at| *at < offset)
    }

    pub(super) fn push(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    pub(super) fn into_faults(self) -> Faults {
        self.faults.into_inner()
    }
}

/// A table that is being read.
pub(super) struct Table<'a> {
    reader: &'a Reader,
    entries: &'a DeTable<'a>,
    key: String,
    line: usize,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    pub(super) fn root(reader: &'a Reader, entries: &'a DeTable<'a>) -> Self {
        Self {
            reader,
            entries,
            key: String::new(),
            line: 1,
            known: Vec::new(),
        }
    }

    /// The value of a key this table may have.
    pub(super) fn get(&mut self, name: &'static str) -> Option<Node<'a>> {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        let (key, value) = self.entries.get_key_value(name)?;
        Some(self.node(key, value))
    }

    /// The value of a key this table must have.
    pub(super) fn require(&mut self, name: &'static str, help: &str) -> Option<Node<'a>> {
        let node = self.get(name);
        if node.is_none() {
            self.fault(name, "this is missing", help);
        }
        node
    }

    /// A key that Spin knows and this host provides nothing for.
    pub(super) fn refuse(&mut self, name: &'static str, message: &str, help: &str) {
        if let Some(node) = self.get(name).filter(|node| !node.is_empty()) {
            node.fault(message, help);
        }
    }

    /// A fault of a key that is not there: it stands where the table begins.
    pub(super) fn fault(&self, name: &str, message: impl Into<String>, help: impl Into<String>) {
        self.reader.push(Fault {
            key: self.path(name),
            line: Some(self.line),
            message: message.into(),
            help: help.into(),
        });
    }

    /// All entries in the order of the document, for a table whose keys are names.
    pub(super) fn entries(&self) -> Vec<(&'a str, Node<'a>)> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entry = |(key, value): (&'a Spanned<_>, _)| (name(key), self.node(key, value));
        entries.into_iter().map(entry).collect()
    }

    /// Ends the reading: what nobody asked for is unknown.
    pub(super) fn finish(self) {
        for (name, node) in self.entries() {
            if !self.known.contains(&name) {
                node.fault(
                    format!("there is no key {name:?} here"),
                    suggest::help(name, &self.known, "the keys here are"),
                );
            }
        }
    }

    pub(super) fn duration_or(
        &mut self,
        name: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let value = self.get(name).and_then(|node| node.duration(&range));
        value.unwrap_or(default)
    }

    pub(super) fn size_or(
        &mut self,
        name: &'static str,
        default: usize,
        range: RangeInclusive<usize>,
    ) -> usize {
        let value = self.get(name).and_then(|node| node.size(&range));
        value.unwrap_or(default)
    }

    /// A count that may be zero, if there is one.
    pub(super) fn count(&mut self, name: &'static str, most: u32) -> Option<u32> {
        let range = 0..=u64::from(most);
        let value = self.get(name).and_then(|node| node.number(&range));
        value.and_then(|value| value.try_into().ok())
    }

    /// A count that may be zero.
    pub(super) fn count_or(&mut self, name: &'static str, default: u32, most: u32) -> u32 {
        self.count(name, most).unwrap_or(default)
    }

    /// A count from one up.
    pub(super) fn positive_or(
        &mut self,
        name: &'static str,
        default: NonZeroU32,
        most: u32,
    ) -> NonZeroU32 {
        let range = 1..=u64::from(most);
        let value = self.get(name).and_then(|node| node.number(&range));
        let value = value.and_then(|value| u32::try_from(value).ok());
        value.and_then(NonZeroU32::new).unwrap_or(default)
    }

    fn node(&self, key: &Spanned<Cow<'a, str>>, value: &'a Spanned<DeValue<'a>>) -> Node<'a> {
        Node {
            reader: self.reader,
            value: value.get_ref(),
            key: self.path(key.get_ref()),
            line: self.reader.line(key.span().start),
        }
    }

    fn path(&self, name: &str) -> String {
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let name = if !name.is_empty() && name.chars().all(bare) {
            name.to_owned()
        } else {
            format!("{name:?}")
        };
        if self.key.is_empty() {
            name
        } else {
            format!("{}.{name}", self.key)
        }
    }
}

fn name<'a>(key: &'a Spanned<Cow<'a, str>>) -> &'a str {
    key.get_ref()
}
