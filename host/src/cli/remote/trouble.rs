//! Why a command came to nothing, as far as this end can know.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::exit;
use crate::cli::show::no_controls;
use crate::control::Refusal;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Cause {
    /// The node said no.
    #[error("{}", refusal(.0))]
    Refused(Refusal),
    /// What was asked for cannot be asked.
    #[error("{0}")]
    Usage(String),
    /// A file of ours cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// Nobody answers, or what answers is not ready.
    #[error("{0}")]
    Unreachable(String),
    /// The connection ended before the answer did.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The node said nothing for so long.
    #[error("no word from the node for {} s", .0.as_secs_f64())]
    Silent(Duration),
    /// What answered is not a node, or one of another version.
    #[error("{0}")]
    Unexpected(String),
    /// SIGINT.
    #[error("interrupted")]
    Interrupted,
}

/// How far a rollout had come when this end lost sight of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    /// The node cannot have all that it needs.
    No,
    /// It may have, and has not said.
    Perhaps,
    /// It said so.
    Yes,
}

/// What went wrong, and what it means for the rollout.
#[derive(Debug)]
pub(super) struct Trouble {
    cause: Cause,
    begun: Option<Begun>,
}

impl From<Cause> for Trouble {
    fn from(cause: Cause) -> Self {
        let begun = None;
        Self { cause, begun }
    }
}

impl Trouble {
    /// What befell a rollout that had come so far.
    pub(super) fn of_rollout(cause: Cause, begun: Begun) -> Self {
        let begun = match cause {
            Cause::Broken(_) | Cause::Silent(_) | Cause::Interrupted => Some(begun),
            Cause::Unexpected(_) if begun == Begun::Yes => Some(begun),
            // What the node decided, or never heard of.
            Cause::Refused(_)
            | Cause::Usage(_)
            | Cause::Unreadable(_)
            | Cause::Unreachable(_)
            | Cause::Unexpected(_) => None,
        };
        Self { cause, begun }
    }

    /// The process's exit code.
    pub(super) fn code(&self) -> u8 {
        match &self.cause {
            Cause::Refused(refusal) => exit::of(refusal.kind),
            Cause::Usage(_) => exit::USAGE,
            Cause::Unreadable(_) => exit::NO_INPUT,
            Cause::Unreachable(_) => exit::UNAVAILABLE,
            Cause::Broken(_) | Cause::Silent(_) => exit::BROKEN,
            Cause::Unexpected(_) => exit::OTHER,
            Cause::Interrupted => exit::INTERRUPTED,
        }
    }

    /// The same for programs: the node's own refusal, or what looks like one.
    pub(super) fn json(&self) -> Value {
        let kind = match &self.cause {
            Cause::Refused(refusal) => return json!(refusal),
            Cause::Usage(_) => "usage",
            Cause::Unreadable(_) => "unreadable",
            Cause::Unreachable(_) => "unreachable",
            Cause::Broken(_) => "broken",
            Cause::Silent(_) => "silent",
            Cause::Unexpected(_) => "unexpected",
            Cause::Interrupted => "interrupted",
        };
        json!({ "kind": kind, "error": self.to_string() })
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&no_controls(&self.cause.to_string()))?;
        f.write_str(match self.begun {
            None => "",
            Some(Begun::No) => "; no rollout has begun",
            Some(Begun::Perhaps) => "; a rollout may have begun: see `warmlink status`",
            Some(Begun::Yes) => "; the rollout goes on: see `warmlink status`",
        })
    }
}

/// A refusal as a line: `redirect: warm: it trapped`.
fn refusal(refusal: &Refusal) -> String {
    let place = refusal.component.iter().chain(&refusal.step);
    place
        .chain([&refusal.error])
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::RefusalKind;

    #[test]
    fn a_refusal_is_told_whole_and_without_control_characters() {
        let mut said = Refusal::new(RefusalKind::Component, "it\u{7} trapped").about("redirect");
        said.step = Some("warm".into());
        let trouble = Trouble::of_rollout(Cause::Refused(said.clone()), Begun::Yes);
        assert_eq!(trouble.to_string(), "redirect: warm: it trapped");
        assert_eq!(trouble.json(), serde_json::to_value(said).unwrap());
        assert_eq!(trouble.code(), 65);
    }

    #[test]
    fn what_is_known_of_the_rollout_is_said() {
        let silent = || Cause::Silent(Duration::from_secs(30));
        let told = |begun| Trouble::of_rollout(silent(), begun).to_string();
        assert_eq!(
            told(Begun::Yes),
            "no word from the node for 30 s; the rollout goes on: see `warmlink status`"
        );
        assert!(told(Begun::Perhaps).contains("may have begun"));
        assert!(told(Begun::No).contains("no rollout has begun"));
        let alone = Trouble::from(silent());
        assert_eq!(alone.to_string(), "no word from the node for 30 s");
        assert_eq!(alone.json()["kind"], "silent");
    }

    #[test]
    fn every_cause_has_its_code() {
        for (cause, code) in [
            (Cause::Usage(String::new()), 64),
            (Cause::Unreadable(String::new()), 66),
            (Cause::Unreachable(String::new()), 69),
            (Cause::Broken(String::new()), 74),
            (Cause::Silent(Duration::ZERO), 74),
            (Cause::Unexpected(String::new()), 1),
            (Cause::Interrupted, 130),
        ] {
            assert_eq!(Trouble::from(cause).code(), code);
        }
    }
}
