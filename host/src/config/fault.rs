//! What is wrong with a manifest or a configuration, in full.
//!
//! Nobody likes to mend one fault only to be told of the next: readers collect
//! here and go on, and the whole list is reported before anything is bound.

use std::fmt;

use serde::Serialize;

/// One fault, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// What is at fault: a dotted path of the manifest with list positions from
    /// zero (`trigger.http[0].route`), a flag (`--listen`) or an environment
    /// variable (`DATABASE_URL`). Empty for the document as a whole.
    pub key: String,
    /// The line in the manifest, from 1, where there is one.
    pub line: Option<usize>,
    /// What is wrong. Never holds the value of a secret.
    pub message: String,
    /// How to mend it.
    pub help: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}\n    help: {}", self.message, self.help)
    }
}

/// All faults found, in the order of their lines, those without a line first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Adds a fault that has no line, as those of flags and environment.
    pub fn add(
        &mut self,
        key: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Fault {
            key: key.into(),
            line: None,
            message: message.into(),
            help: help.into(),
        });
    }

    /// Adds a fault, unless the very same one is there already.
    pub fn push(&mut self, fault: Fault) {
        if !self.0.contains(&fault) {
            self.0.push(fault);
        }
    }

    /// Takes in all faults of another list.
    pub fn merge(&mut self, other: Faults) {
        for fault in other.0 {
            self.push(fault);
        }
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The faults, one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }

    /// `value`, if there is no fault; otherwise the faults, sorted.
    pub fn or<T>(mut self, value: T) -> Result<T, Faults> {
        if self.0.is_empty() {
            return Ok(value);
        }
        self.0.sort_by_key(|fault| fault.line);
        Err(self)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, fault) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

impl IntoIterator for Faults {
    type Item = Fault;
    type IntoIter = std::vec::IntoIter<Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(line: Option<usize>, key: &str) -> Fault {
        Fault {
            key: key.into(),
            line,
            message: "is wrong".into(),
            help: "set it right".into(),
        }
    }

    #[test]
    fn no_fault_gives_the_value() {
        assert_eq!(Faults::default().or(7), Ok(7));
    }

    #[test]
    fn faults_come_in_the_order_of_lines_and_once_each() {
        let mut faults = Faults::default();
        faults.push(fault(Some(9), "b"));
        faults.push(fault(Some(2), "a"));
        let mut other = Faults::default();
        other.push(fault(Some(9), "b"));
        other.push(fault(None, "--listen"));
        faults.merge(other);
        let faults = faults.or(()).unwrap_err();
        let keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(keys, ["--listen", "a", "b"]);
    }

    #[test]
    fn a_fault_reads_as_place_message_and_help() {
        assert_eq!(
            fault(Some(3), "component.a.source").to_string(),
            "line 3: component.a.source: is wrong\n    help: set it right"
        );
        assert_eq!(
            fault(None, "").to_string(),
            "is wrong\n    help: set it right"
        );
    }
}
