//! How a server is tied to the life of its host.
//!
//! The kernel can signal a process when its parent dies, but only the process
//! itself can ask for that. So the host starts a server through its own binary:
//! the child asks (`PR_SET_PDEATHSIG`) and then becomes the server by `exec`,
//! which keeps the wish. Even a host ended by SIGKILL so leaves no server
//! behind, and each one ends by its own orderly shutdown.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use clap::Args;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// The hidden subcommand that the host's binary must route to [`exec`].
pub const SUBCOMMAND: &str = "guard-server";

/// What the host asks of its own binary.
#[derive(Debug, Args)]
pub struct GuardArgs {
    /// The host's process id: who else is the parent means the host is gone.
    #[arg(long)]
    parent: i32,
    /// The signal to get when the host ends.
    #[arg(long)]
    signal: GuardSignal,
    /// The server's program and arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// The signals that mean "end, orderly" to the servers we start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum GuardSignal {
    /// PostgreSQL's fast shutdown.
    Int,
    /// Everyone else's.
    Term,
}

impl GuardSignal {
    pub(super) fn signal(self) -> Signal {
        match self {
            Self::Int => Signal::INT,
            Self::Term => Signal::TERM,
        }
    }

    pub(super) fn as_arg(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Term => "term",
        }
    }
}

/// Becomes the server; returns only when it could not, with a shell's code for
/// "cannot execute". Must run on the main thread before any other exists.
#[must_use]
pub fn exec(args: &GuardArgs) -> ExitCode {
    let error = match tie_to_parent(args) {
        Ok(()) => {
            let (program, rest) = args.command.split_first().expect("clap requires a program");
            Command::new(program).args(rest).exec()
        }
        Err(error) => error,
    };
    eprintln!(
        "warmlink: cannot run {}: {error}",
        args.command[0].display()
    );
    ExitCode::from(126)
}

fn tie_to_parent(args: &GuardArgs) -> io::Result<()> {
    set_parent_process_death_signal(Some(args.signal.signal()))?;
    // The host may have died before the wish was made; then it never comes true.
    match getppid() {
        Some(parent) if parent.as_raw_nonzero().get() == args.parent => Ok(()),
        _ => Err(io::Error::other("the host has ended")),
    }
}
