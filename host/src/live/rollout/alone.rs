//! Desired state where there is no control database: this node's alone, for as
//! long as it runs.

use crate::engine::Digest;
use crate::fleet::{Error, NodeReport, Report, Snapshot, State, StoredRevision};
use crate::live::artifacts::Artifacts;
use chrono::{SecondsFormat, Utc};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// The state, and what was deployed. Bytes are on disk.
#[derive(Debug)]
pub(super) struct Alone {
    node: String,
    artifacts: Artifacts,
    keep: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    manifest: String,
    version: i64,
    state: State,
    proposed: Instant,
    report: Report,
    /// Newest first.
    revisions: BTreeMap<String, Vec<StoredRevision>>,
}

impl Alone {
    /// `keep` revisions of a component are kept.
    pub(super) fn new(node: &str, manifest: &str, artifacts: Artifacts, keep: usize) -> Self {
        Self {
            node: node.to_owned(),
            artifacts,
            keep,
            kept: Mutex::new(Kept {
                manifest: manifest.to_owned(),
                version: 0,
                state: State::default(),
                proposed: Instant::now(),
                report: Report::default(),
                revisions: BTreeMap::new(),
            }),
        }
    }

    pub(super) fn read(&self) -> Snapshot {
        let kept = self.kept.lock();
        Snapshot {
            manifest: kept.manifest.clone(),
            version: kept.version,
            state: kept.state.clone(),
            age_of_proposal: match kept.state.proposal {
                Some(_) => kept.proposed.elapsed(),
                None => Duration::ZERO,
            },
            nodes: vec![NodeReport {
                instance: String::new(),
                node: self.node.clone(),
                live: true,
                seen: Duration::ZERO,
                manifest: kept.manifest.clone(),
                report: kept.report.clone(),
            }],
            set_aside: Vec::new(),
        }
    }

    pub(super) fn write(&self, expected: i64, state: &State) -> bool {
        let mut kept = self.kept.lock();
        if kept.version != expected {
            return false;
        }
        kept.version += 1;
        let version = kept.version;
        if state.proposal.as_ref().is_some_and(|new| new.id == version) {
            kept.proposed = Instant::now();
        }
        kept.state = state.clone();
        true
    }

    pub(super) fn report(&self, report: &Report) {
        self.kept.lock().report = report.clone();
    }

    pub(super) async fn put_revision(
        &self,
        component: &str,
        digest: &str,
        bytes: Vec<u8>,
        note: Option<&str>,
    ) -> Result<(), Error> {
        let revision = StoredRevision {
            digest: digest.to_owned(),
            bytes: bytes.len() as u64,
            note: note.map(str::to_owned),
            node: self.node.clone(),
            deployed_at: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
        };
        let named = Digest(digest.into());
        self.artifacts
            .put(&named, bytes)
            .await
            .map_err(|error| Error::Unavailable(format!("the state folder: {error}")))?;
        let mut kept = self.kept.lock();
        let revisions = kept.revisions.entry(component.to_owned()).or_default();
        revisions.retain(|old| old.digest != digest);
        revisions.insert(0, revision);
        Ok(())
    }

    pub(super) async fn bytes(&self, digest: &str) -> Option<Vec<u8>> {
        self.artifacts.get(&Digest(digest.into())).await
    }

    pub(super) fn revisions(&self, component: &str) -> Vec<StoredRevision> {
        let kept = self.kept.lock();
        kept.revisions.get(component).cloned().unwrap_or_default()
    }

    pub(super) async fn prune(&self, component: &str, named: &BTreeSet<String>) {
        let mut removed = Vec::new();
        {
            let kept = &mut *self.kept.lock();
            let revisions = kept.revisions.entry(component.to_owned()).or_default();
            let mut place = 0;
            revisions.retain(|revision| {
                place += 1;
                let keep = place <= self.keep || named.contains(&revision.digest);
                if !keep {
                    removed.push(revision.digest.clone());
                }
                keep
            });
            // Another component may have been given the same bytes.
            removed.retain(|digest| {
                let mut all = kept.revisions.values().flatten();
                all.all(|revision| revision.digest != *digest)
            });
        }
        for digest in removed {
            self.artifacts.remove(&Digest(digest.into())).await;
        }
    }

    pub(super) fn rebase(&self, manifest: &str) {
        let mut kept = self.kept.lock();
        kept.manifest = manifest.to_owned();
        kept.version = 0;
        kept.state = State::default();
        kept.report = Report::default();
    }
}
