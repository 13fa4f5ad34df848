//! The `warmlink` binary.

use std::process::ExitCode;

/// Guests and connections allocate small and often, on every core.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    warmlink::cli::run(std::env::args_os())
}
