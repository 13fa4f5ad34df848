//! One entry of a build's `watch`: a path, or a glob over what is in a folder.

use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

/// What a glob never goes down into, wherever it begins: others write there, a
/// build most of all.
const SKIPPED: [&str; 5] = [".git", ".spin", ".warmlink", "node_modules", "target"];

/// An entry, made absolute. A `*` or `?` stays inside of one folder, `**` is any
/// number of them. A path that is a folder's means all that is in it.
#[derive(Debug)]
pub(super) struct Pattern {
    /// What comes before the first glob: the folder to watch, or the file.
    root: PathBuf,
    rest: Option<Rest>,
    excludes: bool,
}

#[derive(Debug)]
struct Rest {
    glob: GlobMatcher,
    /// How many folders below the root it can reach; `None`: any number.
    depth: Option<usize>,
}

impl Pattern {
    /// Reads an entry that is relative to `folder`, an absolute path. One that
    /// begins with `!` takes out what entries before it let in.
    ///
    /// # Errors
    ///
    /// When it is no glob.
    pub(super) fn new(folder: &Path, text: &str) -> Result<Self, globset::Error> {
        let (excludes, text) = match text.strip_prefix('!') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let names: Vec<&str> = text
            .split('/')
            .filter(|name| !matches!(*name, "" | "."))
            .collect();
        let literal = names.iter().take_while(|name| !is_glob(name)).count();
        let (literal, globs) = names.split_at(literal);
        let start = if text.starts_with('/') {
            Path::new("/")
        } else {
            folder
        };
        let root = normal(&start.join(literal.join("/")));
        let rest = if globs.is_empty() {
            None
        } else {
            let glob = GlobBuilder::new(&globs.join("/"))
                .literal_separator(true)
                .build()?;
            // A brace or a class may hold a `/`, so it may be any number too.
            let endless = |name: &&str| *name == "**" || name.contains(['{', '[']);
            Some(Rest {
                glob: glob.compile_matcher(),
                depth: (!globs.iter().any(endless)).then_some(globs.len() - 1),
            })
        };
        Ok(Self {
            root,
            rest,
            excludes,
        })
    }

    /// The path before the first glob.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether it takes out rather than lets in.
    pub(super) fn excludes(&self) -> bool {
        self.excludes
    }

    /// Whether it means this file.
    pub(super) fn matches(&self, file: &Path) -> bool {
        let Ok(below) = file.strip_prefix(&self.root) else {
            return false;
        };
        let scratch = || file.file_name().is_some_and(is_scratch);
        let skipped = || below.parent().is_some_and(is_skipped);
        match &self.rest {
            // A file that is named outright is meant, whatever it is called.
            rest if below.as_os_str().is_empty() => rest.is_none(),
            None => !skipped() && !scratch(),
            Some(rest) => rest.glob.is_match(below) && !skipped() && !scratch(),
        }
    }

    /// Whether files right inside of this folder can be meant.
    pub(super) fn reaches(&self, folder: &Path) -> bool {
        let Ok(below) = folder.strip_prefix(&self.root) else {
            return false;
        };
        let depth = self.rest.as_ref().and_then(|rest| rest.depth);
        depth.is_none_or(|depth| below.components().count() <= depth) && !is_skipped(below)
    }
}

/// The path without `.` and `..`. By its text alone: what it names need not exist.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            _ => normal.push(part),
        }
    }
    normal
}

fn is_glob(name: &str) -> bool {
    name.contains(['*', '?', '[', ']', '{', '}', '\\'])
}

fn is_skipped(below: &Path) -> bool {
    below
        .iter()
        .any(|name| SKIPPED.iter().any(|skipped| name == *skipped))
}

/// What editors leave beside a file while it is open: Vim's swap files and the
/// `4913` it tries a folder with, the backups and locks of Emacs.
fn is_scratch(name: &std::ffi::OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.ends_with(b"~")
        || name.ends_with(b".swp")
        || name.ends_with(b".swx")
        || name.starts_with(b".#")
        || name == b"4913"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(Path::new("/app/work"), text).unwrap()
    }

    #[track_caller]
    fn means(text: &str, yes: &[&str], no: &[&str]) {
        let pattern = pattern(text);
        for file in yes {
            assert!(pattern.matches(Path::new(file)), "{text} means {file}");
        }
        for file in no {
            assert!(!pattern.matches(Path::new(file)), "{text} leaves {file}");
        }
    }

    #[test]
    fn globs_are_relative_to_the_workdir() {
        means(
            "src/**/*.rs",
            &["/app/work/src/lib.rs", "/app/work/src/a/b/c.rs"],
            &[
                "/app/src/lib.rs",
                "/app/work/src/lib.txt",
                "/app/work/other/src/lib.rs",
            ],
        );
        means(
            "src/*.rs",
            &["/app/work/src/lib.rs"],
            &["/app/work/src/a/b.rs"],
        );
        means(
            "./?.{rs,toml}",
            &["/app/work/a.rs", "/app/work/b.toml"],
            &["/app/work/ab.rs", "/app/work/src/a.rs"],
        );
    }

    #[test]
    fn a_path_is_a_file_or_all_of_a_folder() {
        means(
            "Cargo.toml",
            &["/app/work/Cargo.toml"],
            &["/app/work/a/Cargo.toml"],
        );
        means(
            "src/",
            &["/app/work/src/lib.rs", "/app/work/src/a/b"],
            &["/app/work/srcs"],
        );
        means("../shared", &["/app/shared/a.rs"], &["/app/work/shared/a"]);
        means("/else/*.c", &["/else/a.c"], &["/app/work/else/a.c"]);
    }

    #[test]
    fn what_others_write_is_never_meant() {
        means(
            "**/*",
            &["/app/work/a", "/app/work/src/target.rs"],
            &[
                "/app/work/target/release/a",
                "/app/work/a/.git/index",
                "/app/work/src/.lib.rs.swp",
                "/app/work/src/lib.rs~",
                "/app/work/4913",
            ],
        );
        means("target/gen/*.rs", &["/app/work/target/gen/a.rs"], &[]);
    }

    #[test]
    fn folders_are_watched_as_deep_as_a_glob_reaches() {
        let reaches = |text: &str, folder: &str| pattern(text).reaches(Path::new(folder));
        assert!(reaches("src/*.rs", "/app/work/src"));
        assert!(!reaches("src/*.rs", "/app/work/src/a"));
        assert!(reaches("src/*/*.rs", "/app/work/src/a"));
        assert!(!reaches("src/*/*.rs", "/app/work/src/a/b"));
        assert!(reaches("src/**/*.rs", "/app/work/src/a/b"));
        assert!(!reaches("src/**/*.rs", "/app/work"));
        assert!(reaches("**/*.rs", "/app/work/a"));
        assert!(!reaches("**/*.rs", "/app/work/target"));
    }

    #[test]
    fn a_broken_glob_is_an_error() {
        assert!(Pattern::new(Path::new("/app"), "src/{a").is_err());
    }
}
