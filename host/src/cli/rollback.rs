//! `warmlink rollback`: goes back to an earlier revision.

use std::process::ExitCode;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::remote::{Order, Query, RolloutArgs, component_path, roll_out};
use super::{Failure, exit};

/// Digits that a revision must be given by at least, and those of a whole one.
const FEWEST: usize = 4;
const ALL: usize = 64;

/// Goes back to the revision given or, without one, withdraws the canary where
/// there is one and goes back to the previous revision where there is none.
///
/// Ctrl-C leaves a rollout that has begun running.
#[derive(Debug, Args)]
#[command(after_long_help = exit::HELP)]
pub(super) struct RollbackArgs {
    /// The component, by its name in the manifest.
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    name: String,
    /// The first digits of the revision, four at least, that no other begins with.
    #[arg(value_name = "REVISION", value_parser = revision)]
    revision: Option<String>,
    #[command(flatten)]
    rollout: RolloutArgs,
}

/// Goes back.
///
/// # Errors
///
/// When there is nothing to go back to, or it is refused; when the end is not
/// known.
pub(super) fn run(args: RollbackArgs) -> Result<ExitCode, Failure> {
    let query = Query::default()
        .text("revision", args.revision.as_ref())
        .flag("force", args.rollout.force)
        .flag("wait", args.rollout.wait);
    let order = Order {
        path: query.of(&component_path(&args.name, "rollback")),
        component: None,
    };
    roll_out(&args.rollout, async { Ok(order) })
}

/// Reads the beginning of a revision. Which one it means, the node knows.
fn revision(text: &str) -> Result<String, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits && (FEWEST..=ALL).contains(&text.len()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!("expected {FEWEST} to {ALL} hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_four_digits_or_more() {
        assert_eq!(revision("3fA2"), Ok("3fa2".into()));
        assert_eq!(revision(&"a".repeat(64)), Ok("a".repeat(64)));
        for text in ["", "3fa", "3fag", "3fa2 ", &"a".repeat(65)] {
            assert!(revision(text).is_err(), "{text:?}");
        }
    }
}
