//! The watcher: from what is pending to changes, with builds in between.

mod intake;

use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::build;
use super::digest::{self, Digest};
use super::folders::Folders;
use super::pattern::normal;
use super::pending::Pending;
use super::plan::Plan;
use super::{Notice, WatchError};
use crate::manifest::Spec;

/// What happened in the application's sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A component's file holds other bytes now. Whether they are a component is
    /// for whoever loads them to find out.
    Component {
        /// The component.
        id: String,
        /// How long its build took, where one ran.
        built: Option<Duration>,
    },
    /// The manifest's text changed.
    Manifest,
}

/// Watches an application's sources. Dropping it kills a build under way.
pub struct Watcher {
    plan: Plan,
    base: PathBuf,
    folders: Folders,
    pending: Pending,
    manifest: Option<Digest>,
    /// The components' bytes, as last told of.
    known: HashMap<String, Option<Digest>>,
    /// Sources that were written while a build ran, as they were after it.
    rewritten: HashMap<PathBuf, Option<Digest>>,
    notify: Box<dyn Fn(Notice) + Send + Sync>,
}

impl Watcher {
    /// Watches from now on, inside of a Tokio runtime. `base` is what the paths
    /// of `spec` are relative to; `notify` is told what the developer is to see,
    /// and is not to wait.
    ///
    /// Begin before the components are loaded: a change in between is then told,
    /// where it would be missed otherwise.
    ///
    /// # Errors
    ///
    /// A pattern that is none, a folder that cannot be read, a limit of the
    /// kernel's.
    pub fn new(
        manifest: &Path,
        base: &Path,
        spec: &Spec,
        notify: impl Fn(Notice) + Send + Sync + 'static,
    ) -> Result<Self, WatchError> {
        let absolute = |path| std::path::absolute(path).map(|path| normal(&path));
        let manifest = absolute(manifest).map_err(WatchError::Start)?;
        let base = absolute(base).map_err(WatchError::Start)?;
        let plan = Plan::new(manifest, base.clone(), spec)?;
        let mut watcher = Self {
            plan,
            base,
            folders: Folders::new()?,
            pending: Pending::default(),
            manifest: None,
            known: HashMap::new(),
            rewritten: HashMap::new(),
            notify: Box::new(notify),
        };
        // Watched first and read after: what changes in between is seen.
        watcher.watch_folders()?;
        watcher.manifest = digest::of(&watcher.plan.manifest);
        for (id, component) in &watcher.plan.components {
            let bytes = digest::of(&component.file);
            watcher.known.insert(id.clone(), bytes);
            watcher.plan.hints(id).for_each(&watcher.notify);
        }
        Ok(watcher)
    }

    /// Follows another manifest from now on: other components, other patterns.
    /// Call it before these are loaded, as with [`Watcher::new`]. A component
    /// whose build is another one is built, and so is a new one without a file.
    ///
    /// # Errors
    ///
    /// As of [`Watcher::new`]. A pattern that is none leaves the former manifest
    /// followed; after any other fault some changes go unseen.
    pub fn follow(&mut self, spec: &Spec) -> Result<(), WatchError> {
        let plan = Plan::new(self.plan.manifest.clone(), self.base.clone(), spec)?;
        let former = mem::replace(&mut self.plan, plan);
        self.pending.keep(&self.plan);
        let watched = self.watch_folders();
        let mut known = mem::take(&mut self.known);
        for (id, component) in &self.plan.components {
            let before = former.components.get(id);
            let same_file = before.is_some_and(|before| before.file == component.file);
            let bytes = match known.remove(id) {
                Some(bytes) if same_file => bytes,
                _ => digest::of(&component.file),
            };
            self.known.insert(id.clone(), bytes);
            if before.is_none_or(|before| before.build != component.build) {
                self.plan.hints(id).for_each(&self.notify);
            }
            let stale = match before {
                Some(before) => component.builds_otherwise(before),
                None => component.build.is_some() && bytes.is_none(),
            };
            if stale {
                let because = self.plan.shown(&self.plan.manifest);
                self.pending.ask(id, because, Instant::now());
            }
        }
        watched.map(drop)
    }

    /// The next change. Builds run inside of it, one at a time, in the order of
    /// the manifest, and each is told as soon as it is done.
    ///
    /// May be dropped and called again: no change is lost. A build under way is
    /// killed by it and begins anew with the next call, so keep the future
    /// where builds are to end.
    pub async fn next(&mut self) -> Change {
        loop {
            self.take_in(false);
            let now = Instant::now();
            let change = if let Some((file, last)) = self.pending.whole(&self.plan, now) {
                self.look_at(file, last).await
            } else if let Some((id, because)) = self.pending.build(&self.plan, now) {
                self.build(id, because).await
            } else {
                self.pause().await;
                None
            };
            if let Some(change) = change {
                return change;
            }
        }
    }

    /// Waits for an event, or until something is due.
    async fn pause(&self) {
        let due = self.pending.next_due(&self.plan);
        let due = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ready = self.folders.readable() => if ready.is_err() {
                // The runtime is going away, and we with it.
                std::future::pending().await
            },
            () = due => {}
        }
    }

    /// Whether a file holds other bytes than were last told of. It stays pending
    /// until it does not: several components may share it.
    async fn look_at(&mut self, file: PathBuf, last: Instant) -> Option<Change> {
        let bytes = digest::read(file.clone()).await;
        self.take_in(false);
        if !self.pending.is_still(&file, last) {
            return None;
        }
        if bytes.is_some() && file == self.plan.manifest && self.manifest != bytes {
            self.manifest = bytes;
            return Some(Change::Manifest);
        }
        for (id, component) in &self.plan.components {
            if bytes.is_some() && component.file == file && self.known.get(id) != Some(&bytes) {
                self.known.insert(id.clone(), bytes);
                let (id, built) = (id.clone(), None);
                return Some(Change::Component { id, built });
            }
        }
        self.pending.looked_at(&file);
        None
    }

    async fn build(&mut self, id: String, because: PathBuf) -> Option<Change> {
        let component = self.plan.components.get(&id)?;
        let commands = component.build.as_ref().map(|build| &build.commands);
        (self.notify)(Notice::Building {
            id: id.clone(),
            because,
        });
        let began = Instant::now();
        let ended = build::run(
            commands.map_or(&[], Vec::as_slice),
            &component.workdir,
            std::env::vars_os().collect(),
        )
        .await;
        let took = began.elapsed();
        let file = component.file.clone();
        let bytes = digest::read(file.clone()).await;
        // Nothing is awaited from here on: the build counts, or runs again.
        self.pending.built(&id);
        self.take_in(true);
        let known = self.known.entry(id.clone()).or_default();
        let notice = match ended {
            Err(error) => {
                // What it left is not to be taken for a component built by hand.
                self.pending.looked_at(&file);
                Notice::BuildFailed { id, error }
            }
            Ok(()) if bytes.is_none() => {
                let file = self.plan.shown(&file);
                Notice::NothingBuilt { id, file }
            }
            Ok(()) if *known == bytes => Notice::Unchanged { id, took },
            Ok(()) => {
                *known = bytes;
                let built = Some(took);
                return Some(Change::Component { id, built });
            }
        };
        (self.notify)(notice);
        None
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher")
            .field("plan", &self.plan)
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}
