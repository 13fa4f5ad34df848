//! What a template gave, and whether it may be shown.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::config::Secret;

/// A text with its variables put in. If one of them is secret, `Debug` and
/// `Serialize` give `[redacted]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    text: Secret,
    secret: bool,
}

impl Value {
    pub(super) fn new(text: String, secret: bool) -> Self {
        Self {
            text: text.into(),
            secret,
        }
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// Whether a secret is part of it.
    pub fn is_secret(&self) -> bool {
        self.secret
    }

    /// The text, as one that is never shown.
    pub(super) fn into_secret(self) -> Secret {
        self.text
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.secret {
            self.text.fmt(f)
        } else {
            self.expose().fmt(f)
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.secret {
            self.text.serialize(serializer)
        } else {
            serializer.serialize_str(self.expose())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_secret_is_hidden() {
        let open = Value::new("db:5432".into(), false);
        let hidden = Value::new("hunter2".into(), true);
        assert_eq!(format!("{open:?} {hidden:?}"), "\"db:5432\" [redacted]");
        assert_eq!(
            serde_json::to_string(&[&open, &hidden]).unwrap(),
            r#"["db:5432","[redacted]"]"#
        );
        assert_eq!(hidden.expose(), "hunter2");
    }
}
