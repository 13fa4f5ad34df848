//! `warmlink check`: reads the manifest and the configuration, and begins
//! nothing.

use super::Failure;
use super::application::{Application, ApplicationArgs};
use clap::Args;
use std::io::Write as _;
use std::process::ExitCode;

/// Reads manifest and configuration as `up` would, reports every fault with its
/// key and how to mend it, and starts nothing. Exit code 64 means faults.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    application: ApplicationArgs,
    /// Print the resolved application as JSON, secrets redacted.
    #[arg(long)]
    json: bool,
}

/// Checks.
///
/// # Errors
///
/// Every fault found.
pub(super) fn run(args: CheckArgs) -> Result<ExitCode, Failure> {
    let application = args.application.read()?;
    let mut out = std::io::stdout().lock();
    if args.json {
        let json =
            serde_json::to_string_pretty(&application.spec).map_err(std::io::Error::other)?;
        writeln!(out, "{json}")?;
    } else {
        write!(out, "{}", summary(&application))?;
    }
    for note in &application.notes {
        eprintln!("note: {note}");
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(application: &Application) -> String {
    let Application { config, spec, .. } = application;
    let mut text = format!(
        "application  {}: {} components, {} routes\n\
         listen       {} (admin {})\n\
         cores        {}\n",
        spec.name,
        spec.components.len(),
        spec.routes.len(),
        config.listen,
        config.admin_listen,
        config.cores,
    );
    for pool in &spec.postgres {
        text.push_str(&format!(
            "postgres     {} to {} connections on each of {} nodes\n",
            pool.min, pool.max, config.nodes
        ));
    }
    for pool in &spec.valkey {
        text.push_str(&format!(
            "valkey       {} connections, {} commands in flight\n",
            pool.connections, pool.in_flight
        ));
    }
    let private = application.private_servers();
    if !private.is_empty() {
        text.push_str(&format!(
            "private      {} (no address was given)\n",
            private.join(" and ")
        ));
    }
    text
}
