//! Commands that lead to a rollout: sent, and followed to their end.

use std::process::ExitCode;

use clap::Args;
use tokio::fs::File;

use super::events::Events;
use super::node::Node;
use super::progress::Progress;
use super::trouble::Trouble;
use super::{Cause, RemoteArgs, failure, say, within};
use crate::cli::Failure;
use crate::cli::show::{escaped, no_controls, nodes, percent, short};
use crate::cli::upload::Upload;
use crate::control::{COMPONENT_TYPE, Event, Outcome};

#[cfg(test)]
mod tests;

/// How a rollout is to go.
#[derive(Debug, Args)]
pub(in crate::cli) struct RolloutArgs {
    /// Go on although some nodes cannot prepare the revision; they keep what they
    /// run.
    #[arg(long)]
    pub(in crate::cli) force: bool,
    /// Return when every live node runs it, not when it is decided.
    #[arg(long)]
    pub(in crate::cli) wait: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// What a node is to do.
#[derive(Debug)]
pub(in crate::cli) struct Order {
    /// The path and its query.
    pub(in crate::cli) path: String,
    /// A component's file and its length in bytes.
    pub(in crate::cli) component: Option<(File, u64)>,
}

/// Has the node carry out what `order` comes to, and tells the outcome.
///
/// # Errors
///
/// When the order cannot be made or is refused, or its end is not known.
pub(in crate::cli) fn run(
    args: &RolloutArgs,
    order: impl Future<Output = Result<Order, Cause>>,
) -> Result<ExitCode, Failure> {
    let json = args.remote.json;
    let done = within(async {
        // The token is looked for before a file is read through.
        let node = args.remote.node()?;
        let order = order.await?;
        let interrupt = async {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending().await
            }
        };
        carry_out(&node, order, interrupt).await
    })?;
    let text = done.and_then(|outcome| {
        if !json {
            return Ok(sentence(&outcome));
        }
        serde_json::to_string(&outcome)
            .map(|line| escaped(&line))
            .map_err(|error| Cause::Unexpected(error.to_string()).into())
    });
    match text {
        Ok(text) => say(&format!("{text}\n")),
        Err(trouble) => Err(failure(&trouble, json)),
    }
}

/// Sends the order and follows the rollout until its end, or until `interrupt`.
async fn carry_out(
    node: &Node,
    order: Order,
    interrupt: impl Future<Output = ()>,
) -> Result<Outcome, Trouble> {
    let length = order.component.as_ref().map_or(0, |(_, length)| *length);
    watch(node, order, &Progress::new(length), interrupt).await
}

async fn watch(
    node: &Node,
    order: Order,
    progress: &Progress,
    interrupt: impl Future<Output = ()>,
) -> Result<Outcome, Trouble> {
    let done = tokio::select! {
        done = follow(node, order, progress) => done,
        () = interrupt => Err(Cause::Interrupted),
    };
    // Before the bars are cleared: a cleared bar counts as full.
    let begun = progress.begun();
    progress.clear();
    done.map_err(|cause| Trouble::of_rollout(cause, begun))
}

async fn follow(node: &Node, order: Order, progress: &Progress) -> Result<Outcome, Cause> {
    let bar = progress.upload();
    let upload = order
        .component
        .map(|(file, length)| Upload::plain(COMPONENT_TYPE, file, length, bar.clone()));
    let answer = node.post(&order.path, upload, || progress.sent()).await?;
    progress.begin();
    let mut events = Events::new(answer.into_body(), node.silence());
    loop {
        match events.next().await? {
            Event::Progress { phase, nodes } => progress.show(phase, &nodes),
            Event::Done(outcome) => return Ok(outcome),
            Event::Failed(refusal) => return Err(Cause::Refused(refusal)),
        }
    }
}

/// The outcome in one line.
fn sentence(outcome: &Outcome) -> String {
    let component = no_controls(&outcome.component);
    let revision = short(&outcome.revision);
    let mut text = match outcome.canary {
        None => format!("{component} {revision} live"),
        Some(share) => format!("canary of {component}: {revision} gets {}", percent(share)),
    };
    let took = format!("in {:.2} s", outcome.seconds);
    let nodes = nodes(&outcome.nodes);
    // Nodes that are late are named last, where their names end the line.
    let (reached, late) = nodes.split_once(", ").unwrap_or((&nodes, ""));
    for part in [reached, &took] {
        if !part.is_empty() {
            text.push(' ');
            text.push_str(part);
        }
    }
    text.push_str(&format!(" (generation {})", outcome.generation));
    if !late.is_empty() {
        text.push_str(&format!(", {late}"));
    }
    text
}
