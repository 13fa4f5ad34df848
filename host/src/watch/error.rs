//! Why sources cannot be watched.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// A fault of watching, told with what mends it.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// An entry of a component's `watch` is no glob.
    #[error("component.{id}.build.watch: {pattern:?} is no pattern: {reason}")]
    Pattern {
        /// The component.
        id: String,
        /// The entry.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The kernel watches no more for this user.
    #[error(
        "{what}, and the limit {limit} of {now} is reached: raise it with `sysctl {limit}=NUMBER`"
    )]
    Limit {
        /// What could not be done.
        what: String,
        /// The limit's name.
        limit: Limit,
        /// What it is now: a number, or "unknown size".
        now: String,
    },
    /// A folder cannot be watched or read.
    #[error("{} cannot be watched: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// No watch can be had at all.
    #[error("files cannot be watched: {0}")]
    Start(#[source] io::Error),
}

/// A limit of the kernel's for one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Folders that are watched.
    Watches,
    /// Processes that watch, as it were.
    Instances,
}

impl Limit {
    fn name(self) -> &'static str {
        match self {
            Self::Watches => "max_user_watches",
            Self::Instances => "max_user_instances",
        }
    }

    fn now(self) -> String {
        fs::read_to_string(Path::new("/proc/sys/fs/inotify").join(self.name()))
            .map_or_else(|_| "unknown size".to_owned(), |text| text.trim().to_owned())
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fs.inotify.{}", self.name())
    }
}

impl WatchError {
    /// When there is no watching at all.
    pub(super) fn start(error: Errno) -> Self {
        // EMFILE is also what a process gets that has no file left to open; the
        // host raises that limit as far as it goes, so it is the other one.
        if error == Errno::MFILE {
            return Self::limit("files cannot be watched".to_owned(), Limit::Instances);
        }
        Self::Start(error.into())
    }

    /// When a folder cannot be watched.
    pub(super) fn folder(path: &Path, error: Errno) -> Self {
        if error == Errno::NOSPC {
            let what = format!("{} cannot be watched", path.display());
            return Self::limit(what, Limit::Watches);
        }
        Self::Folder {
            path: path.to_owned(),
            source: error.into(),
        }
    }

    fn limit(what: String, limit: Limit) -> Self {
        Self::Limit {
            what,
            limit,
            now: limit.now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_named_with_its_number() {
        let text = WatchError::folder(Path::new("/app/src"), Errno::NOSPC).to_string();
        let now = Limit::Watches.now();
        assert!(now.parse::<u32>().is_ok(), "{now}");
        assert_eq!(
            text,
            format!(
                "/app/src cannot be watched, and the limit fs.inotify.max_user_watches of {now} \
                 is reached: raise it with `sysctl fs.inotify.max_user_watches=NUMBER`"
            )
        );
        let text = WatchError::start(Errno::MFILE).to_string();
        assert!(text.contains("fs.inotify.max_user_instances"), "{text}");
    }

    #[test]
    fn another_fault_is_told_as_it_is() {
        let text = WatchError::folder(Path::new("/app"), Errno::ACCESS).to_string();
        assert!(text.starts_with("/app cannot be watched: Perm"), "{text}");
    }
}
