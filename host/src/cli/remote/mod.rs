//! Commands that a running node carries out, through its admin port.

mod events;
#[cfg(test)]
mod fake;
mod node;
mod progress;
mod query;
mod rollout;
mod token;
mod trouble;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use http::Uri;
use serde::de::DeserializeOwned;

use super::client::base_url;
use super::show::{Colours, escaped};
use super::{Failure, runtime};
use crate::config::Secret;
use node::Node;
use trouble::Trouble;

pub(super) use query::{Query, component_path};
pub(super) use rollout::{Order, RolloutArgs, run as roll_out};
pub(super) use trouble::Cause;

/// Which node to ask, and how to print what it answers.
#[derive(Debug, Args)]
pub(super) struct RemoteArgs {
    /// The admin port of any node. Plain HTTP: across a network, go through a
    /// tunnel.
    #[arg(
        long,
        env = "WARMLINK_ADMIN_URL",
        default_value = "http://127.0.0.1:3001",
        value_name = "URL",
        value_parser = base_url
    )]
    url: Uri,
    /// The file that holds the admin token [default: the token itself in the
    /// environment's WARMLINK_ADMIN_TOKEN].
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print the answer, or the error, as JSON.
    #[arg(long)]
    json: bool,
}

impl RemoteArgs {
    fn node(&self) -> Result<Node, Cause> {
        let token = token::read(
            self.token_file.as_deref(),
            std::env::var_os("WARMLINK_ADMIN_TOKEN"),
        )?;
        Ok(Node::new(self.url.clone(), token))
    }
}

/// The admin token of this environment, or of the file that holds it.
///
/// # Errors
///
/// When there is none, or the file cannot be read.
pub(super) fn admin_token(file: Option<&Path>) -> Result<Secret, Failure> {
    let found = token::find(file, std::env::var_os("WARMLINK_ADMIN_TOKEN"));
    match found {
        Ok(Some((token, _))) => Ok(token),
        Ok(None) => Err(Failure::usage(
            "there is no admin token: set WARMLINK_ADMIN_TOKEN, or name a file with --token-file",
        )),
        Err(cause) => Err(failure(&cause.into(), false)),
    }
}

/// Asks the node for what is at `path` and prints it, for people as `show` has it.
///
/// # Errors
///
/// When the node does not answer, or refuses.
pub(super) fn print<T: DeserializeOwned>(
    args: &RemoteArgs,
    path: &str,
    show: impl FnOnce(&T, Colours) -> String,
) -> Result<ExitCode, Failure> {
    let answer = within(async { args.node()?.get(path).await })?;
    let text = answer.and_then(|answer| {
        let unfit = |error| Cause::Unexpected(format!("an answer that is not understood: {error}"));
        let known: T = serde_json::from_slice(&answer).map_err(unfit)?;
        if args.json {
            // As the node wrote it: it may know more than this program.
            let whole: serde_json::Value = serde_json::from_slice(&answer).map_err(unfit)?;
            Ok(escaped(&format!("{whole:#}\n")))
        } else {
            Ok(show(&known, Colours::of_stdout()))
        }
    });
    match text {
        Ok(text) => say(&text),
        Err(cause) => Err(failure(&cause.into(), args.json)),
    }
}

/// Runs to its end what needs a runtime. What it leaves behind, a name being
/// looked up, is not waited for.
fn within<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = runtime()?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(done)
}

fn say(text: &str) -> Result<ExitCode, Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// What people and shells are told; programs are told here.
fn failure(trouble: &Trouble, json: bool) -> Failure {
    if json {
        // Nobody reads it where this fails, and the exit code tells the same.
        let _ = say(&escaped(&format!("{}\n", trouble.json())));
    }
    Failure::coded(trouble.code(), trouble.to_string())
}
