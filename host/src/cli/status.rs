//! `warmlink status`: what a node runs, and what it knows of the others.

use std::process::ExitCode;

use clap::Args;

use super::remote::{self, RemoteArgs};
use super::show::{Cell, Colours, Table, Tone, ago, no_controls, nodes, percent, short};
use super::{Failure, exit};
use crate::control::{ComponentStatus, Control, NodeStatus, RolloutStatus, Status};

#[cfg(test)]
mod tests;

/// Shows what a node runs, what it knows of the other nodes, and the rollout under
/// way.
#[derive(Debug, Args)]
#[command(after_long_help = exit::HELP)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Shows it.
///
/// # Errors
///
/// When the node does not answer.
pub(super) fn run(args: StatusArgs) -> Result<ExitCode, Failure> {
    remote::print(&args.remote, "/v1/status", render)
}

/// The sections that have anything to say, an empty line between them.
fn render(status: &Status, colours: Colours) -> String {
    let sections = [
        head(status, colours),
        components(&status.components, colours),
        verdicts(&status.components, colours),
        rollout(status.rollout.as_ref(), colours),
        fleet(status, colours),
        set_aside(status, colours),
    ];
    let said: Vec<String> = sections
        .into_iter()
        .filter(|section| !section.is_empty())
        .collect();
    said.join("\n")
}

fn head(status: &Status, colours: Colours) -> String {
    let control = control(&status.control);
    format!(
        "application  {}\n\
         node         {}, generation {}, manifest {}\n\
         control      {}\n",
        no_controls(&status.application),
        no_controls(&status.node),
        status.generation,
        short(&status.manifest),
        colours.paint(&control.0, control.1),
    )
}

fn control(control: &Control) -> (String, Tone) {
    let why = match &control.error {
        Some(error) => format!(": {}", no_controls(error)),
        None => String::new(),
    };
    match (control.shared, control.reachable) {
        (false, _) => (
            "this node only: set WARMLINK_CONTROL_URL to share".to_owned(),
            Tone::Plain,
        ),
        (true, true) => ("shared".to_owned(), Tone::Good),
        (true, false) => (format!("shared, but not reached now{why}"), Tone::Bad),
    }
}

fn components(components: &[ComponentStatus], colours: Colours) -> String {
    let head = [
        "COMPONENT",
        "REVISION",
        "STATE",
        "REQUESTS",
        "FAILED",
        "DRAINING",
    ];
    let mut table = Table::new(head);
    for component in components {
        let canary = component.canary.as_ref();
        let mut state = "active".to_owned();
        if component.from_manifest {
            state.push_str(", from manifest");
        }
        table.row([
            Cell::new(&component.name),
            Cell::new(short(&component.active)),
            Cell::new(state).tone(Tone::Good),
            Cell::maybe(canary.map(|canary| canary.baseline_requests)),
            Cell::maybe(canary.map(|canary| canary.baseline_failures)),
            Cell::maybe(Some(component.draining).filter(|retired| *retired > 0)),
        ]);
        if let Some(canary) = canary {
            table.row([
                Cell::new(""),
                Cell::new(short(&canary.revision)),
                Cell::new(format!("canary {}", percent(canary.percent))).tone(Tone::Warn),
                Cell::new(canary.requests.to_string()),
                Cell::new(canary.failures.to_string()),
                Cell::new(""),
            ]);
        }
    }
    table.render(colours)
}

fn verdicts(components: &[ComponentStatus], colours: Colours) -> String {
    let mut text = String::new();
    for component in components {
        if let Some(error) = &component.error {
            text.push_str(&format!(
                "{} is {} here: {}\n",
                no_controls(&component.name),
                colours.paint("not what it is to be", Tone::Bad),
                no_controls(error)
            ));
        }
        if let Some(verdict) = &component.last_verdict {
            text.push_str(&format!(
                "the last canary of {} was {}: {}\n",
                no_controls(&component.name),
                colours.paint("called off", Tone::Bad),
                no_controls(verdict)
            ));
        }
    }
    text
}

fn rollout(rollout: Option<&RolloutStatus>, colours: Colours) -> String {
    let Some(rollout) = rollout else {
        return String::new();
    };
    let share = match rollout.canary {
        Some(share) => format!(" to {} of requests", percent(share)),
        None => String::new(),
    };
    let mut text = format!(
        "{} of {} {}{share}, proposed by {}",
        colours.paint("rollout under way", Tone::Warn),
        no_controls(&rollout.component),
        short(&rollout.revision),
        no_controls(&rollout.node),
    );
    let prepared = nodes(&rollout.nodes);
    if !prepared.is_empty() {
        text.push_str(&format!(": prepared {prepared}"));
    }
    text.push('\n');
    text
}

fn fleet(status: &Status, colours: Colours) -> String {
    let mut table = Table::new(["NODE", "STATE", "SEEN", "GENERATION", "MANIFEST", "RUNS"]);
    let mut errors = String::new();
    for (name, node) in &status.nodes {
        let (state, tone) = if node.live {
            ("live", Tone::Good)
        } else {
            ("away", Tone::Warn)
        };
        let manifest = Cell::new(short(&node.manifest));
        table.row([
            Cell::new(name),
            Cell::new(state).tone(tone),
            Cell::new(ago(node.seen)),
            Cell::new(node.generation.to_string()),
            if node.manifest == status.manifest {
                manifest
            } else {
                manifest.tone(Tone::Warn)
            },
            runs(status, node),
        ]);
        if let Some(error) = &node.error {
            errors.push_str(&format!(
                "{}: {}\n",
                no_controls(name),
                colours.paint(&no_controls(error), Tone::Bad)
            ));
        }
    }
    table.render(colours) + &errors
}

/// What a node runs otherwise than the one that answers.
fn runs(status: &Status, node: &NodeStatus) -> Cell {
    let here = |name: &str| status.components.iter().find(|here| here.name == name);
    let other: Vec<String> = node
        .revisions
        .iter()
        .filter(|(name, revision)| here(name).is_none_or(|here| here.active != **revision))
        .map(|(name, revision)| format!("{name} {}", short(revision)))
        .collect();
    if other.is_empty() {
        Cell::new("the same")
    } else {
        Cell::new(other.join(", ")).tone(Tone::Warn)
    }
}

fn set_aside(status: &Status, colours: Colours) -> String {
    if status.set_aside.is_empty() {
        return String::new();
    }
    let mut table = Table::new(["COMPONENT", "REVISION", "MANIFEST"]);
    for row in &status.set_aside {
        table.row([
            Cell::new(&row.component),
            Cell::new(short(&row.revision)),
            Cell::new(short(&row.manifest)),
        ]);
    }
    format!(
        "{}: deployed against another manifest, so this node runs what its own says; \
         deploy again to change that\n{}",
        colours.paint("set aside", Tone::Warn),
        table.render(colours)
    )
}
