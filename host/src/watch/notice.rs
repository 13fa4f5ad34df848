//! What the developer is to see.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{BuildError, WatchError};

/// A word about builds and watching, at the time it happens. Its text is one
/// line. Paths are relative to the manifest's folder, or absolute outside of it.
#[derive(Debug)]
pub enum Notice {
    /// A build begins.
    Building {
        /// The component.
        id: String,
        /// The file that changed: one of them, where several did.
        because: PathBuf,
    },
    /// A build ended well and made what was there before. There is no change.
    Unchanged {
        /// The component.
        id: String,
        /// How long the build took.
        took: Duration,
    },
    /// A build failed. What it had to say is on standard error already.
    BuildFailed {
        /// The component.
        id: String,
        /// How.
        error: BuildError,
    },
    /// A build ended well, and the component's file is not there or is empty.
    NothingBuilt {
        /// The component.
        id: String,
        /// Its file.
        file: PathBuf,
    },
    /// A component has a build that no change asks for.
    NothingToWatch {
        /// The component.
        id: String,
    },
    /// A component watches a path that does not exist. It is seen once it does.
    Absent {
        /// The component.
        id: String,
        /// The path, up to its first glob.
        path: PathBuf,
    },
    /// Some folders are not watched; changes in them go unseen.
    Blind(WatchError),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Building { id, because } => {
                write!(f, "{id}: {} changed, building", because.display())
            }
            Self::Unchanged { id, took } => write!(
                f,
                "{id}: built in {:.1} s, and the same as before",
                took.as_secs_f64()
            ),
            Self::BuildFailed { id, error } => {
                write!(f, "{id}: not built, what runs stays: {error}")
            }
            Self::NothingBuilt { id, file } => {
                write!(f, "{id}: built, and there is nothing in {}", file.display())
            }
            Self::NothingToWatch { id } => write!(
                f,
                "{id}: no change builds it: name its sources in component.{id}.build.watch"
            ),
            Self::Absent { id, path } => write!(
                f,
                "{id}: watches {}, which does not exist yet",
                path.display()
            ),
            Self::Blind(error) => write!(f, "some changes go unseen: {error}"),
        }
    }
}
