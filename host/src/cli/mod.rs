//! The command line: one file per subcommand.

mod application;
mod check;
mod client;
mod compile;
mod deploy;
mod exit;
mod promote;
mod remote;
mod revisions;
mod rollback;
mod seed;
mod services;
mod show;
mod sign;
mod status;
mod up;
mod upload;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

use crate::app::compiling;
use crate::local;

/// A Spin-compatible component host with pools that are warm before it serves.
#[derive(Debug, Parser)]
#[command(name = "warmlink", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::UpArgs),
    Check(check::CheckArgs),
    Deploy(deploy::DeployArgs),
    Revisions(revisions::RevisionsArgs),
    Promote(promote::PromoteArgs),
    Rollback(rollback::RollbackArgs),
    Status(status::StatusArgs),
    Sign(sign::SignArgs),
    Seed(seed::SeedArgs),
    Services(services::ServicesArgs),
    #[command(name = compiling::SUBCOMMAND, hide = true)]
    Compile(compile::CompileArgs),
    #[command(name = local::guard::SUBCOMMAND, hide = true)]
    GuardServer(local::guard::GuardArgs),
}

/// Why a subcommand could not do its work; what people read, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// The user must change the command line, the configuration or the manifest.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::coded(exit::USAGE, message)
    }

    /// Anything else.
    pub(crate) fn other(message: impl Into<String>) -> Self {
        Self::coded(exit::OTHER, message)
    }

    /// What has an exit code of its own, one of [`exit`]'s.
    pub(crate) fn coded(code: u8, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code,
        }
    }
}

impl From<local::Error> for Failure {
    fn from(error: local::Error) -> Self {
        Self::other(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::other(error.to_string())
    }
}

/// Reads the command line and does what it says. Call it first in `main`, before
/// any thread exists.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let asked = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            // Nobody is left to tell when the terminal is gone.
            let _ = error.print();
            return if asked {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(exit::USAGE)
            };
        }
    };
    let done = match cli.command {
        Command::GuardServer(args) => return local::guard::exec(&args),
        Command::Compile(args) => compile::run(args),
        Command::Up(args) => up::run(args),
        Command::Check(args) => check::run(args),
        Command::Deploy(args) => deploy::run(args),
        Command::Revisions(args) => revisions::run(args),
        Command::Promote(args) => promote::run(args),
        Command::Rollback(args) => rollback::run(args),
        Command::Status(args) => status::run(args),
        Command::Sign(args) => sign::run(args),
        Command::Seed(args) => seed::run(args),
        Command::Services(args) => services::run(args),
    };
    done.unwrap_or_else(|failure| {
        eprintln!("warmlink: {}", failure.message);
        ExitCode::from(failure.code)
    })
}

/// A runtime for commands that serve nobody.
fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}
