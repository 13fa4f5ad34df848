//! Logs go to standard error: JSON lines for machines, plain ones for people.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Plain on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object per line.
    Json,
    /// For reading.
    Text,
}

/// Installs the process-wide subscriber.
///
/// # Errors
///
/// When `filter` is not a filter, or a subscriber is installed already.
pub fn init(filter: &str, format: Format) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|e| e.to_string())?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let json = match format {
        Format::Json => true,
        Format::Text => false,
        Format::Auto => !std::io::stderr().is_terminal(),
    };
    if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder
            .with_ansi(std::io::stderr().is_terminal())
            .try_init()
    }
    .map_err(|e| e.to_string())
}
