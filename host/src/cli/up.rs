//! `warmlink up`: serves an application until told to end.

use super::application::ApplicationArgs;
use super::{Failure, runtime};
use crate::app::signals::Signals;
use crate::app::{self, Node};
use crate::local::Services;
use crate::telemetry::logging;
use clap::Args;
use std::process::ExitCode;

/// Serves an application: migrates, warms the pools and the components, opens
/// the port, and drains when told to end (SIGTERM or SIGINT; a second one ends
/// at once).
#[derive(Debug, Args)]
pub(super) struct UpArgs {
    #[command(flatten)]
    application: ApplicationArgs,
    /// Builds and swaps what changes: a component when its sources or its file
    /// do, everything when the manifest does.
    #[arg(long)]
    watch: bool,
}

/// Serves.
///
/// # Errors
///
/// Faults of the manifest or the configuration, before anything is bound; a
/// taken address, or a component that cannot be loaded.
pub(super) fn run(args: UpArgs) -> Result<ExitCode, Failure> {
    let application = args.application.read()?;
    logging::init(&application.config.log, application.config.log_format)
        .map_err(Failure::usage)?;
    for note in &application.notes {
        tracing::warn!("{note}");
    }
    runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        let services = tokio::select! {
            services = application.services() => services?,
            // Dropping a start half done ends what it started.
            () = signals.next() => return Ok(ExitCode::SUCCESS),
        };
        let served = match application.node(&services, args.watch) {
            Ok(node) => serve(node, &services, &mut signals).await,
            Err(failure) => Err(failure),
        };
        services.stop().await;
        served.map(|()| ExitCode::SUCCESS)
    })
}

async fn serve(node: Node, services: &Services, signals: &mut Signals) -> Result<(), Failure> {
    let mut serving = std::pin::pin!(app::serve(node, signals));
    let served = tokio::select! {
        served = &mut serving => served,
        (name, status) = services.all_ended() => {
            // The host goes on as it would without any other database.
            tracing::error!("the private {name} ended by itself ({status})");
            serving.await
        }
    };
    served.map_err(|error| Failure::other(format!("{error:#}")))
}
