//! Compiling in a process of its own.
//!
//! A compiler takes and gives back memory by the hundred megabytes. In the process
//! that serves, each time it does, every core is interrupted to forget addresses,
//! and waits for the lock on the process's memory; and what it leaves behind stays.
//! A process apart costs its start, some 20 ms, and takes all of that with it, a
//! crash of the compiler's too.

use super::config::{Engine, Sizing};
use super::functions::Functions;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::available_parallelism;

/// The hidden subcommand that the host's binary routes to [`compile`].
pub const SUBCOMMAND: &str = "compile-component";

/// The exit code for bytes that do not compile; standard error says why.
pub const INVALID: u8 = 65;

/// A tenth of the share of a thread that serves: what is left where there is some,
/// and a few seconds for a component where there is none.
const NICENESS: i32 = 10;

/// Processor time after which the kernel ends it, in seconds: a hundred times what
/// a large component takes. Whoever waits for it, waits no longer.
const CPU_TIME: u64 = 120;

/// Has another process compile `bytes`, on half of the cores: those functions that
/// are not in the file `functions`, to which it adds them.
///
/// # Errors
///
/// Why they do not compile, or what became of the process.
pub(super) fn have_compiled(
    bytes: &[u8],
    sizing: Sizing,
    functions: &Path,
) -> Result<Vec<u8>, String> {
    let half = available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
    let failed = |error: std::io::Error| format!("the compiler's process: {error}");
    // This very program, also where its file was replaced since it was started.
    let mut child = Command::new("/proc/self/exe")
        .arg(SUBCOMMAND)
        .arg(format!("--memory={}", sizing.memory))
        .arg(format!("--table-elements={}", sizing.table_elements))
        .arg("--functions")
        .arg(functions)
        .env_clear()
        .env("RAYON_NUM_THREADS", half.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        // It reads all before it says anything. One that has ended says why below.
        let _ = input.write_all(bytes);
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(i32::from(INVALID)) {
        Err(said.trim().to_owned())
    } else {
        Err(format!(
            "the compiler ended ({}): {}",
            output.status,
            said.trim()
        ))
    }
}

/// Compiles what is on standard input to standard output, for an engine of this
/// size, with what earlier ones left in the file `functions`.
///
/// # Errors
///
/// Why it does not compile.
pub fn compile(memory: usize, table_elements: usize, functions: PathBuf) -> Result<(), String> {
    // Before any thread exists, so that all have it.
    if let Err(error) = rustix::process::nice(NICENESS) {
        eprintln!("compiling at the usual priority: {error}");
    }
    let limit = Rlimit {
        current: Some(CPU_TIME),
        maximum: Some(CPU_TIME),
    };
    setrlimit(Resource::Cpu, limit).map_err(|error| error.to_string())?;
    let sizing = Sizing {
        instances: 1,
        memory,
        table_elements,
    };
    let functions = Arc::new(Functions::read(functions));
    let engine = Engine::configured(sizing, |config| {
        config.enable_incremental_compilation(functions.clone())?;
        Ok(())
    })
    .map_err(|error| format!("{error:#}"))?;
    let mut bytes = Vec::new();
    std::io::stdin()
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    let compiled = engine
        .inner()
        .precompile_component(&bytes)
        .map_err(|error| format!("{error:#}"))?;
    std::io::stdout()
        .write_all(&compiled)
        .map_err(|error| error.to_string())?;
    // What was asked for is out: without this file, the next one takes longer.
    if let Err(error) = functions.write() {
        eprintln!("compiled functions are not kept: {error}");
    }
    Ok(())
}
