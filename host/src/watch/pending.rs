//! What was seen to change and is not dealt with yet, and when it is time to.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::plan::Plan;

/// Silence that ends a change: editors save in several steps.
const QUIET: Duration = Duration::from_millis(50);

/// Longest wait for that silence.
const LONGEST: Duration = Duration::from_millis(500);

/// Silence after which a file is as whole as it gets, though its writer has not
/// closed it.
const STALLED: Duration = Duration::from_secs(5);

/// Changes that wait.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Files whose bytes may be others.
    files: BTreeMap<PathBuf, Written>,
    /// Components to build.
    builds: HashMap<String, Asked>,
}

#[derive(Debug)]
struct Written {
    burst: Burst,
    writing: bool,
}

#[derive(Debug)]
struct Asked {
    burst: Burst,
    because: PathBuf,
}

/// Events that belong together.
#[derive(Debug, Clone, Copy)]
struct Burst {
    first: Instant,
    last: Instant,
}

impl Burst {
    fn new(now: Instant) -> Self {
        Self {
            first: now,
            last: now,
        }
    }

    fn due(self) -> Instant {
        (self.last + QUIET).min(self.first + LONGEST)
    }
}

impl Written {
    fn due(&self) -> Instant {
        if self.writing {
            self.burst.last + STALLED
        } else {
            self.burst.due()
        }
    }
}

impl Pending {
    /// A file was written, or is being written.
    pub(super) fn wrote(&mut self, file: &Path, writing: bool, now: Instant) {
        let burst = Burst::new(now);
        let entry = self.files.entry(file.to_owned());
        let written = entry.or_insert(Written { burst, writing });
        written.burst.last = now;
        written.writing = writing;
    }

    /// A component's source changed. `because` is kept if it is the first.
    pub(super) fn ask(&mut self, id: &str, because: PathBuf, now: Instant) {
        let burst = Burst::new(now);
        let entry = self.builds.entry(id.to_owned());
        entry.or_insert(Asked { burst, because }).burst.last = now;
    }

    /// A file that is whole, the manifest before all others, and when it was
    /// last written. One that waits for a build is the build's to look at: it
    /// may be what a failed one left.
    pub(super) fn whole(&self, plan: &Plan, now: Instant) -> Option<(PathBuf, Instant)> {
        let whole = |(path, written): &(&PathBuf, &Written)| {
            written.due() <= now && !self.awaits_build(plan, path)
        };
        let manifest = self.files.get_key_value(&plan.manifest);
        let (path, written) = manifest.into_iter().chain(&self.files).find(whole)?;
        Some((path.clone(), written.burst.last))
    }

    /// Whether a file was not written since; if it was, it is due anew.
    pub(super) fn is_still(&mut self, file: &Path, last: Instant) -> bool {
        let Some(written) = self.files.get_mut(file) else {
            return true;
        };
        let still = written.burst.last == last;
        if !still {
            written.burst.first = written.burst.last;
        }
        still
    }

    /// A file was looked at.
    pub(super) fn looked_at(&mut self, file: &Path) {
        self.files.remove(file);
    }

    /// The next component to build and why: the manifest's order among those
    /// whose sources are quiet.
    pub(super) fn build(&self, plan: &Plan, now: Instant) -> Option<(String, PathBuf)> {
        plan.components.keys().find_map(|id| {
            let asked = self.builds.get(id)?;
            (asked.burst.due() <= now).then(|| (id.clone(), asked.because.clone()))
        })
    }

    /// A component was built or failed to be.
    pub(super) fn built(&mut self, id: &str) {
        self.builds.remove(id);
    }

    /// When something is due next.
    pub(super) fn next_due(&self, plan: &Plan) -> Option<Instant> {
        let files = self.files.iter();
        let files = files.filter(|(path, _)| !self.awaits_build(plan, path));
        let builds = self.builds.values().map(|asked| asked.burst.due());
        files.map(|(_, written)| written.due()).chain(builds).min()
    }

    /// Leaves out what another plan does not know.
    pub(super) fn keep(&mut self, plan: &Plan) {
        self.files
            .retain(|path, _| plan.files().any(|file| file == path));
        self.builds.retain(|id, _| {
            let component = plan.components.get(id);
            component.is_some_and(|component| component.build.is_some())
        });
    }

    fn awaits_build(&self, plan: &Plan, file: &Path) -> bool {
        plan.components
            .iter()
            .any(|(id, component)| component.file == file && self.builds.contains_key(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::tests::project::spec;

    fn plan() -> Plan {
        let spec = spec("[component.a]\nsource = \"a.wasm\"\nbuild.command = \"true\"");
        Plan::new("/app/spin.toml".into(), "/app".into(), &spec).unwrap()
    }

    #[test]
    fn silence_ends_a_change_and_is_not_waited_for_forever() {
        let (plan, mut pending) = (plan(), Pending::default());
        let start = Instant::now();
        let mut now = start;
        while now < start + LONGEST {
            assert!(pending.build(&plan, now).is_none());
            pending.ask("a", "src".into(), now);
            assert!(pending.next_due(&plan).unwrap() <= now + QUIET);
            now += QUIET / 2;
        }
        assert_eq!(pending.build(&plan, now).unwrap().0, "a");
        pending.built("a");
        assert_eq!(pending.next_due(&plan), None);
        pending.ask("a", "src".into(), now);
        assert!(pending.build(&plan, now).is_none());
        assert!(pending.build(&plan, now + QUIET).is_some());
    }

    #[test]
    fn a_file_that_is_never_closed_is_taken_as_it_is_in_the_end() {
        let (plan, mut pending) = (plan(), Pending::default());
        let (file, now) = (Path::new("/app/a.wasm"), Instant::now());
        pending.wrote(file, true, now);
        assert_eq!(pending.whole(&plan, now + LONGEST), None);
        assert!(pending.whole(&plan, now + STALLED).is_some());
        pending.wrote(file, false, now);
        assert!(pending.whole(&plan, now + QUIET).is_some());
        // While it is to be built it is the build's.
        pending.ask("a", "src".into(), now);
        assert_eq!(pending.whole(&plan, now + QUIET), None);
        // The manifest goes first.
        pending.built("a");
        pending.wrote(&plan.manifest, false, now);
        let (first, _) = pending.whole(&plan, now + QUIET).unwrap();
        assert_eq!(first, plan.manifest);
    }

    #[test]
    fn a_file_that_is_written_while_it_is_read_is_due_anew() {
        let (plan, mut pending) = (plan(), Pending::default());
        let (file, now) = (Path::new("/app/a.wasm"), Instant::now());
        pending.wrote(file, false, now);
        assert!(pending.is_still(file, now));
        let later = now + LONGEST;
        pending.wrote(file, false, later);
        assert!(!pending.is_still(file, now));
        assert_eq!(pending.whole(&plan, later), None);
        assert!(pending.is_still(file, later));
    }
}
