//! What a manifest asks to be watched, and which folders that takes.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::pattern::{Pattern, normal};
use super::{Notice, WatchError};
use crate::manifest::{Build, ComponentSpec, Source, Spec};

/// Everything that is watched. All paths are absolute.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) manifest: PathBuf,
    base: PathBuf,
    /// Components with a file, in the order of the manifest.
    pub(super) components: IndexMap<String, Component>,
}

/// A component whose bytes are in a file.
#[derive(Debug)]
pub(super) struct Component {
    pub(super) file: PathBuf,
    pub(super) build: Option<Build>,
    /// Where the build's commands run.
    pub(super) workdir: PathBuf,
    /// The build's sources. None where there is no build.
    sources: Vec<Pattern>,
}

impl Plan {
    /// What `spec` asks for, its paths being relative to `base`. A component
    /// that comes from an address is none of it: no build changes its bytes.
    ///
    /// # Errors
    ///
    /// When an entry of a `watch` is no glob.
    pub(super) fn new(manifest: PathBuf, base: PathBuf, spec: &Spec) -> Result<Self, WatchError> {
        let mut components = IndexMap::new();
        for component in spec.components.values() {
            if let Source::Path(file) = &component.source {
                let file = normal(&base.join(file));
                let read = Component::new(component, file, &base)?;
                components.insert(component.id.clone(), read);
            }
        }
        Ok(Self {
            manifest,
            base,
            components,
        })
    }

    /// A path as people know it: relative to the manifest's folder if inside.
    pub(super) fn shown(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.base) {
            Ok(below) if below.as_os_str().is_empty() => PathBuf::from("."),
            Ok(below) => below.to_owned(),
            Err(_) => path.to_owned(),
        }
    }

    /// The manifest and the components' files.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let components = self.components.values();
        std::iter::once(self.manifest.as_path())
            .chain(components.map(|component| component.file.as_path()))
    }

    /// Components that are built from this file. What a build makes is the
    /// source of none, even where a pattern would have it.
    pub(super) fn built_from(&self, file: &Path) -> impl Iterator<Item = &str> {
        let made = self.components.values().any(|other| other.file == file);
        self.components
            .iter()
            .filter(move |(_, component)| !made && component.is_source(file))
            .map(|(id, _)| id.as_str())
    }

    /// Components that lose sources when this folder goes elsewhere.
    pub(super) fn built_from_inside(&self, folder: &Path) -> impl Iterator<Item = &str> {
        self.components
            .iter()
            .filter(|(_, component)| component.roots().any(|pattern| pattern.reaches(folder)))
            .map(|(id, _)| id.as_str())
    }

    /// Whether a path leads to something that is watched, or is the place where
    /// a pattern begins: when it comes or goes, other folders are to be watched.
    pub(super) fn leads_to(&self, path: &Path) -> bool {
        let mut patterns = self.components.values().flat_map(Component::roots);
        self.files()
            .any(|file| file.starts_with(path) && file != path)
            || patterns.any(|pattern| pattern.root().starts_with(path))
    }

    /// Whether a folder is one that a pattern reaches.
    pub(super) fn reaches(&self, folder: &Path) -> bool {
        let mut patterns = self.components.values().flat_map(Component::roots);
        patterns.any(|pattern| pattern.reaches(folder))
    }

    /// What deserves a word about a component's patterns.
    pub(super) fn hints(&self, id: &str) -> impl Iterator<Item = Notice> {
        let component = self.components.get(id);
        let component = component.filter(|component| component.build.is_some());
        let nothing = component
            .filter(|component| component.roots().next().is_none())
            .map(|_| Notice::NothingToWatch { id: id.to_owned() });
        let roots = component.into_iter().flat_map(Component::roots);
        let absent = roots.filter(|pattern| !pattern.root().exists());
        nothing
            .into_iter()
            .chain(absent.map(|pattern| Notice::Absent {
                id: id.to_owned(),
                path: self.shown(pattern.root()),
            }))
    }

    /// The folders to watch as things are now: those of the files, those that
    /// patterns reach, and what leads to either, for that may come and go.
    ///
    /// # Errors
    ///
    /// When a folder cannot be read.
    pub(super) fn folders(&self) -> Result<BTreeSet<PathBuf>, WatchError> {
        let mut folders = BTreeSet::new();
        for file in self.files() {
            self.add_way_to(file, &mut folders);
        }
        for pattern in self.components.values().flat_map(Component::roots) {
            self.add_way_to(pattern.root(), &mut folders);
            add_inside(pattern.root(), pattern, &mut folders)?;
        }
        Ok(folders)
    }

    /// The nearest folder above a path, and those above up to the base.
    fn add_way_to(&self, path: &Path, folders: &mut BTreeSet<PathBuf>) {
        let above = path.ancestors().skip(1).filter(|folder| folder.is_dir());
        for (nth, folder) in above.enumerate() {
            if nth > 0 && !folder.starts_with(&self.base) {
                break;
            }
            folders.insert(folder.to_owned());
        }
    }
}

impl Component {
    fn new(spec: &ComponentSpec, file: PathBuf, base: &Path) -> Result<Self, WatchError> {
        let build = spec.build.clone();
        let within = build.as_ref().and_then(|build| build.workdir.as_deref());
        let workdir = within.map_or_else(|| base.to_owned(), |path| normal(&base.join(path)));
        let entries = build.iter().flat_map(|build| &build.watch);
        let sources = entries
            .map(|entry| {
                Pattern::new(&workdir, entry).map_err(|error| WatchError::Pattern {
                    id: spec.id.clone(),
                    pattern: entry.clone(),
                    reason: error.kind().to_string(),
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            file,
            build,
            workdir,
            sources,
        })
    }

    /// Whether its bytes may be others because it is built in another way.
    pub(super) fn builds_otherwise(&self, before: &Self) -> bool {
        let commands = |of: &Self| of.build.as_ref().map(|build| build.commands.clone());
        self.build.is_some()
            && (commands(self) != commands(before) || self.workdir != before.workdir)
    }

    /// Patterns that let files in.
    pub(super) fn roots(&self) -> impl Iterator<Item = &Pattern> {
        self.sources.iter().filter(|pattern| !pattern.excludes())
    }

    /// The last entry that means a file decides.
    fn is_source(&self, file: &Path) -> bool {
        let last = self.sources.iter().rfind(|pattern| pattern.matches(file));
        last.is_some_and(|pattern| !pattern.excludes())
    }
}

/// Adds a folder and what the pattern reaches below it. Links are not followed:
/// they may lead back. What is no folder, or none any more, adds nothing.
fn add_inside(
    folder: &Path,
    pattern: &Pattern,
    folders: &mut BTreeSet<PathBuf>,
) -> Result<(), WatchError> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(()),
        _ => Err(WatchError::Folder {
            path: folder.to_owned(),
            source: error,
        }),
    };
    if !pattern.reaches(folder) {
        return Ok(());
    }
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return unreadable(error),
    };
    folders.insert(folder.to_owned());
    for entry in entries {
        match entry.and_then(|entry| Ok((entry.file_type()?, entry.path()))) {
            Ok((kind, path)) if kind.is_dir() => add_inside(&path, pattern, folders)?,
            Ok(_) => {}
            Err(error) => unreadable(error)?,
        }
    }
    Ok(())
}
