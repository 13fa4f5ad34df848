//! From events to what is pending.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tokio::time::Instant;

use super::Watcher;
use crate::watch::digest;
use crate::watch::folders::Event;
use crate::watch::{Notice, WatchError};

impl Watcher {
    /// Reads events into what is pending. Those of a build's own time do not ask
    /// for another one where a build rewrote its sources as they were.
    pub(super) fn take_in(&mut self, built: bool) {
        let now = Instant::now();
        let mut touched = BTreeSet::new();
        let mut moved = false;
        for event in self.folders.read() {
            match event {
                Event::File { path, writing } => {
                    // It may be a link to a folder.
                    if self.plan.leads_to(&path) {
                        self.folders.forget(&path);
                        moved = true;
                    }
                    self.wrote(&path, writing, now);
                    touched.insert(path);
                }
                Event::Folder { path, moved: away } => {
                    if !self.plan.leads_to(&path) && !self.plan.reaches(&path) {
                        continue;
                    }
                    self.folders.forget(&path);
                    moved = true;
                    if away {
                        let because = self.plan.shown(&path);
                        for id in self.plan.built_from_inside(&path) {
                            self.pending.ask(id, because.clone(), now);
                        }
                    }
                }
                Event::Overflow => {
                    moved = true;
                    self.suspect_all(now);
                }
            }
        }
        if moved {
            match self.watch_folders() {
                Ok(files) => {
                    for file in &files {
                        self.wrote(file, false, now);
                    }
                    touched.extend(files);
                }
                Err(error) => (self.notify)(Notice::Blind(error)),
            }
        }
        for file in touched {
            if self.plan.built_from(&file).next().is_none() {
                continue;
            }
            if built {
                let bytes = digest::of(&file);
                if self.rewritten.insert(file.clone(), bytes) == Some(bytes) {
                    continue;
                }
            } else {
                self.rewritten.remove(&file);
            }
            let because = self.plan.shown(&file);
            for id in self.plan.built_from(&file) {
                self.pending.ask(id, because.clone(), now);
            }
        }
    }

    fn wrote(&mut self, path: &Path, writing: bool, now: Instant) {
        if self.plan.files().any(|file| file == path) {
            self.pending.wrote(path, writing, now);
        }
    }

    /// After events were lost: anything may have changed.
    fn suspect_all(&mut self, now: Instant) {
        for file in self.plan.files() {
            self.pending.wrote(file, false, now);
        }
        let because = self.plan.shown(&self.base);
        for (id, component) in &self.plan.components {
            if component.roots().next().is_some() {
                self.pending.ask(id, because.clone(), now);
            }
        }
    }

    /// Watches the folders that there are now. Returns the files in those that
    /// were not watched before: they may have been written before that.
    pub(super) fn watch_folders(&mut self) -> Result<Vec<PathBuf>, WatchError> {
        let mut files = Vec::new();
        loop {
            // Until nothing is new: a folder may have got others before it was
            // watched.
            let new = self.folders.watch(&self.plan.folders()?)?;
            if new.is_empty() {
                return Ok(files);
            }
            let entries = new.iter().filter_map(|folder| fs::read_dir(folder).ok());
            let entries = entries.flatten().flatten();
            let no_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|is| !is.is_dir());
            files.extend(entries.filter(no_folder).map(|entry| entry.path()));
        }
    }
}
