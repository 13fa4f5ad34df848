//! The yardstick: native servers, a bare wasmtime and this host in turn, with the
//! same client on the same machine in the same run.
//!
//! Ends with 0 also where a goal is missed, with 1 where the run is void: what
//! was measured is shown then too, and says little.

mod fill;
mod goals;
mod growth;
mod machine;
mod measure;
mod pools;
mod process;
mod report;
mod sample;
mod stage;
mod turns;
mod work;
mod wrk;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use goals::{Line, Verdict, judge, shown};
use machine::Machine;
use measure::{Extent, Run};
use report::Circumstances;
use stage::{Stage, say};
use work::{WORKS, Work};

/// The profile that records are of.
const PROFILE: &str = "dist";

/// Measures what `make bench` has built.
#[derive(Debug, Parser)]
struct Args {
    /// Some of the works alone, and no record of them.
    #[arg(long, value_delimiter = ',', value_parser = work::named)]
    only: Vec<&'static Work>,
    /// Compare a table of few links with one of many, and nothing else.
    #[arg(long)]
    growth: bool,
    /// Compare hosts with 4, 8 and 16 connections to PostgreSQL, and nothing else.
    #[arg(long, conflicts_with = "growth")]
    pools: bool,
    /// Runs of each server at each number of connections.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long each takes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
}

/// A run that came to its end.
struct Measured {
    lines: Vec<Line>,
    resident: u64,
    threads: u32,
    versions: String,
    void: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let done = if args.growth {
        growth::growth().await
    } else if args.pools {
        pools::pools().await
    } else {
        bench(&args).await
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench   {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn bench(args: &Args) -> anyhow::Result<()> {
    let begun = Instant::now();
    let profile = profile()?;
    let extent = Extent {
        rounds: args.rounds,
        time: Duration::from_secs(args.seconds),
    };
    let measured = staged(args, extent).await?;
    let verdicts = judge(&measured.lines, measured.resident);
    println!("\n{}", report::figures(&measured.lines));
    println!("{}", shown(&verdicts));
    say(&format!("took {} s", begun.elapsed().as_secs()));
    let void = measured.void.clone();
    if args.only.is_empty() && profile == PROFILE {
        keep(extent, profile, measured, &verdicts)?;
    } else {
        say("not all of it, or not as it is shipped: the record stays as it is");
    }
    match void {
        Some(why) => Err(anyhow::anyhow!("void: {why}")),
        None => Ok(()),
    }
}

/// Writes the record, of a void run too: it says so.
fn keep(
    extent: Extent,
    profile: String,
    measured: Measured,
    verdicts: &[Verdict],
) -> anyhow::Result<()> {
    let circumstances = Circumstances {
        machine: Machine::look()?,
        versions: measured.versions,
        profile,
        threads: measured.threads,
        extent,
        date: chrono::Utc::now(),
        void: measured.void,
    };
    let record = report::record(&circumstances, &measured.lines, verdicts);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results.md");
    std::fs::write(&path, record).with_context(|| format!("writing {}", path.display()))?;
    say("the record is in tests/load/results.md");
    Ok(())
}

/// Sets the servers up, measures, and ends them, whatever comes of it.
async fn staged(args: &Args, extent: Extent) -> anyhow::Result<Measured> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut told = std::pin::pin!(async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        anyhow::anyhow!("told to end")
    });
    let stage = tokio::select! {
        stage = Box::pin(Stage::start()) => stage?,
        told = &mut told => return Err(told),
    };
    let measured = tokio::select! {
        measured = Box::pin(measured(&stage, &args.only, extent)) => measured,
        told = &mut told => Err(told),
    };
    stage.stop().await;
    measured
}

async fn measured(
    stage: &Stage,
    only: &[&'static Work],
    extent: Extent,
) -> anyhow::Result<Measured> {
    let mut run = Run::new(stage, extent).await?;
    let mut lines = Vec::new();
    for work in WORKS {
        if only.is_empty() || only.iter().any(|some| some.name == work.name) {
            lines.extend(run.work(work).await?);
        }
    }
    stage.check_visits(run.visits()).await?;
    Ok(Measured {
        lines,
        resident: stage.resident()?,
        threads: run.threads(),
        versions: stage.versions().await?,
        void: run.void(),
    })
}

/// The profile that this was built with: it names the folder.
fn profile() -> anyhow::Result<String> {
    let program = std::env::current_exe()?;
    let folder = program.parent().and_then(Path::file_name);
    let folder = folder.context("a folder of built programs")?;
    Ok(folder.to_string_lossy().into_owned())
}
