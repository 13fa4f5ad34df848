//! Swapping what a developer changes, and telling them.

use super::{loading, say};
use crate::engine::Sizing;
use crate::live::Rollouts;
use crate::live::rollout::Baseline;
use crate::manifest::{RepairSpec, Spec, StreamSpec};
use crate::watch::{Change, Notice, WatchError, Watcher};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Reads the manifest again: its text and what it comes to, or all its faults.
type Reread = Box<dyn Fn() -> Result<(String, Spec), String> + Send + Sync>;

/// What is watched.
pub struct Watch {
    /// The manifest's file.
    pub manifest: PathBuf,
    /// Reads it again.
    pub reread: Reread,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("manifest", &self.manifest)
            .finish_non_exhaustive()
    }
}

/// A watch that has begun: what changes from now on is seen.
pub(super) struct Watching {
    watch: Watch,
    watcher: Watcher,
    /// What this process has room for.
    room: Sizing,
    /// The manifest could not be applied as it is: a file that it names may have
    /// been missing.
    behind: bool,
}

impl Watching {
    /// Begins to watch. To be called before anything is loaded, so that no change
    /// falls in between.
    ///
    /// # Errors
    ///
    /// Where the system watches nothing more, or a pattern is none.
    pub(super) fn begin(watch: Watch, base: &Path, spec: &Spec) -> Result<Self, WatchError> {
        let watcher = Watcher::new(&watch.manifest, base, spec, |notice| tell(&notice))?;
        Ok(Self {
            watch,
            watcher,
            room: loading::roomy(loading::sizing(spec)),
            behind: false,
        })
    }

    /// How much this process is to set aside for what is swapped in later.
    pub(super) fn room(&self) -> Sizing {
        self.room
    }

    /// Swaps whatever changes, for as long as it is polled.
    pub(super) async fn follow(mut self, rollouts: Rollouts) {
        loop {
            match self.watcher.next().await {
                Change::Component { .. } if self.behind => self.reread(&rollouts).await,
                Change::Component { id, built } => {
                    let began = Instant::now();
                    let swapped = match rollouts.rebuilt(&id).await {
                        Ok(baseline) => rollouts.rebase(baseline).await,
                        Err(error) => Err(error),
                    };
                    match swapped {
                        Ok(()) => said(&id, built, began),
                        Err(error) => note(format_args!("{error}; the old code serves on")),
                    }
                }
                Change::Manifest => self.reread(&rollouts).await,
            }
        }
    }

    async fn reread(&mut self, rollouts: &Rollouts) {
        let began = Instant::now();
        self.behind = true;
        let (text, spec) = match (self.watch.reread)() {
            Ok(read) => read,
            Err(faults) => {
                note(format_args!("{faults}\nthe old manifest stays in force"));
                return;
            }
        };
        if let Some(limit) = beyond(&loading::sizing(&spec), &self.room) {
            note(format_args!(
                "{limit} is more than this process has set aside: start it again; \
                 the old manifest stays in force"
            ));
            return;
        }
        if let Err(error) = self.watcher.follow(&spec) {
            note(format_args!("{error}; the old manifest stays in force"));
            return;
        }
        let before = rollouts.baseline();
        let spec = Arc::new(spec);
        let swapped = match rollouts.reread(&text, spec.clone()).await {
            Ok(baseline) => rollouts.rebase(baseline).await,
            Err(error) => Err(error),
        };
        match swapped {
            Ok(()) => {
                self.behind = false;
                said("the manifest", None, began);
                for key in at_the_next_start(&before, &spec) {
                    note(format_args!("{key} takes effect at the next start"));
                }
            }
            Err(error) => note(format_args!("{error}; the old manifest stays in force")),
        }
    }
}

/// What `wanted` asks for beyond `room`.
fn beyond(wanted: &Sizing, room: &Sizing) -> Option<&'static str> {
    if wanted.memory > room.memory {
        Some("a component's memory")
    } else if wanted.table_elements > room.table_elements {
        Some("a component's table_elements")
    } else if wanted.instances > room.instances {
        Some("the number of instances (limits.in_flight, and every component's warm)")
    } else {
        None
    }
}

/// What a process reads once.
fn at_the_next_start(before: &Baseline, spec: &Spec) -> Vec<&'static str> {
    let old = &before.spec;
    [
        ("limits", old.limits != spec.limits),
        ("metrics", old.metrics_path != spec.metrics_path),
        ("postgres", old.postgres != spec.postgres),
        ("valkey", old.valkey != spec.valkey),
        ("migrations", old.migrations != spec.migrations),
        ("stream and repair", upkeep(old) != upkeep(spec)),
        ("rate", !old.rates().eq(spec.rates())),
        (
            "trusted_proxies",
            old.trusted_proxies != spec.trusted_proxies,
        ),
        ("the application's name", old.name != spec.name),
    ]
    .into_iter()
    .filter_map(|(key, changed)| changed.then_some(key))
    .collect()
}

/// What the host asks private components for.
fn upkeep(spec: &Spec) -> Vec<(&str, &Option<StreamSpec>, &Option<RepairSpec>)> {
    let components = spec.components.values();
    components
        .filter(|component| component.stream.is_some() || component.repair.is_some())
        .map(|component| (&*component.id, &component.stream, &component.repair))
        .collect()
}

fn tell(notice: &Notice) {
    note(format_args!("{notice}"));
}

fn note(text: fmt::Arguments<'_>) {
    say(&format!("watch   {text}"));
}

fn said(what: &str, built: Option<Duration>, began: Instant) {
    let swapped = began.elapsed().as_secs_f64() * 1000.0;
    match built {
        Some(built) => note(format_args!(
            "{what} built in {:.1} s, swapped in {swapped:.0} ms",
            built.as_secs_f64()
        )),
        None => note(format_args!("{what} swapped in {swapped:.0} ms")),
    }
}
