//! Takes away what the host depends on, under load, and holds what becomes of the
//! requests against what is promised.
//!
//! Ends with 0 where all promises were kept, with 1 where one was broken or a
//! scenario could not be carried out, with 2 where some were skipped.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        reason = "tests say what they expect in the plainest way"
    )
)]

mod books;
mod fault;
mod form;
mod judge;
mod leaks;
mod load;
mod network;
mod overload;
mod port;
mod postgres;
mod report;
mod run;
mod scenario;
mod sentinels;
mod server;
#[cfg(test)]
mod short;
mod small;
mod standby;
mod terminate;
mod valkey;
#[cfg(test)]
mod witness;
mod world;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use form::Extent;
use report::{Line, remarks, shown};
use run::run;
use scenario::{SCENARIOS, Scenario, named};
use world::{World, is_root};

/// Runs the scenarios that `make chaos` has built.
#[derive(Debug, Parser)]
struct Args {
    /// Some of them alone.
    #[arg(long, value_delimiter = ',', value_parser = named)]
    only: Vec<&'static Scenario>,
    /// In their short forms, which every change has to pass.
    #[arg(long)]
    short: bool,
    /// Bear that some cannot be run here.
    #[arg(long, env = "ALLOW_SKIP", value_parser = clap::builder::FalseyValueParser::new())]
    allow_skip: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let begun = Instant::now();
    let chosen: Vec<&'static Scenario> = if args.only.is_empty() {
        SCENARIOS.iter().collect()
    } else {
        args.only
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut lines = Vec::new();
    for scenario in chosen {
        eprintln!("chaos   {}", scenario.name);
        let (scenario, extent) = if args.short {
            let short = scenario.short();
            (short, Extent::short(&short))
        } else {
            (*scenario, Extent::long(scenario))
        };
        let line = tokio::select! {
            line = Box::pin(one(scenario, extent)) => line,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        };
        for remark in remarks(&line) {
            eprintln!("chaos   {remark}");
        }
        lines.push(line);
    }
    println!("\n{}", shown(&lines));
    eprintln!("chaos   took {} s", begun.elapsed().as_secs());
    Ok(code(&lines, args.allow_skip))
}

/// In a world of its own, which ends with it.
async fn one(scenario: Scenario, extent: Extent) -> Line {
    if scenario.needs_root() && !is_root() {
        return Line::Skipped(scenario);
    }
    let done = async {
        let mut world = World::start(scenario.stage).await?;
        let verdict = Box::pin(run(&scenario, extent, &mut world)).await;
        world.end().await?;
        verdict
    };
    match done.await {
        Ok(verdict) => Line::Done(scenario, verdict),
        Err(error) => Line::Void(scenario, format!("{error:#}")),
    }
}

fn code(lines: &[Line], allow_skip: bool) -> ExitCode {
    let mut skipped = false;
    for line in lines {
        match line {
            Line::Done(_, verdict) if verdict.broken.is_empty() => {}
            Line::Done(..) | Line::Void(..) => return ExitCode::FAILURE,
            Line::Skipped(_) => skipped = true,
        }
    }
    if skipped && !allow_skip {
        return ExitCode::from(2);
    }
    ExitCode::SUCCESS
}
