//! `warmlink promote`: gives all requests to the canary.

use std::process::ExitCode;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::remote::{Order, Query, RolloutArgs, component_path, roll_out};
use super::{Failure, exit};

/// Gives all requests of a component to the revision that is tried out.
///
/// Ctrl-C leaves a rollout that has begun running.
#[derive(Debug, Args)]
#[command(after_long_help = exit::HELP)]
pub(super) struct PromoteArgs {
    /// The component, by its name in the manifest.
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    name: String,
    #[command(flatten)]
    rollout: RolloutArgs,
}

/// Promotes.
///
/// # Errors
///
/// When there is no canary, or it is refused; when the end is not known.
pub(super) fn run(args: PromoteArgs) -> Result<ExitCode, Failure> {
    let query = Query::default()
        .flag("force", args.rollout.force)
        .flag("wait", args.rollout.wait);
    let order = Order {
        path: query.of(&component_path(&args.name, "promote")),
        component: None,
    };
    roll_out(&args.rollout, async { Ok(order) })
}
