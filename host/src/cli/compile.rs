//! `warmlink compile-component`: a component compiled apart from the host.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Failure;
use crate::app::compiling;

/// What the host asks of its own binary.
#[derive(Debug, Args)]
pub(super) struct CompileArgs {
    /// Largest linear memory, in bytes.
    #[arg(long)]
    memory: usize,
    /// Largest table, in elements.
    #[arg(long)]
    table_elements: usize,
    /// Functions that were compiled before, and will have been.
    #[arg(long)]
    functions: PathBuf,
}

/// Compiles standard input to standard output.
pub(super) fn run(args: CompileArgs) -> Result<ExitCode, Failure> {
    match compiling::compile(args.memory, args.table_elements, args.functions) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            // Read by the host, which says whose words they are.
            eprintln!("{error}");
            Ok(ExitCode::from(compiling::INVALID))
        }
    }
}
