//! Tells what changes in an application's sources, and builds what has a build.
//!
//! For development: whoever asks swaps what changed and tells the terminal. What
//! is watched is the manifest, the components' files, and what their builds
//! name, by folders and no deeper than patterns reach.

mod build;
mod digest;
mod error;
mod folders;
mod notice;
mod pattern;
mod pending;
mod plan;
mod watcher;

pub use self::build::BuildError;
pub use self::error::{Limit, WatchError};
pub use self::notice::Notice;
pub use self::watcher::{Change, Watcher};

#[cfg(test)]
mod tests;
