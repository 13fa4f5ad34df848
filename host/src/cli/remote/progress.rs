//! How far a rollout is, for whoever waits before a terminal.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::trouble::Begun;
use crate::cli::upload;
use crate::control::Phase;

/// A redraw while nodes compile, so that the clock beside the bar goes on.
const TICK: Duration = Duration::from_millis(200);

/// Two bars, one after the other: the upload's, then the nodes'. Both are drawn
/// on standard error, and only where it is a terminal.
#[derive(Debug)]
pub(super) struct Progress {
    upload: ProgressBar,
    /// What the upload is in all; 0 where there is none.
    length: u64,
    nodes: ProgressBar,
    begun: Cell<bool>,
}

impl Progress {
    /// Before anything of an upload of `length` bytes is sent.
    pub(super) fn new(length: u64) -> Self {
        let style =
            ProgressStyle::with_template("{msg:<12}[{bar:32}] {pos} of {len} nodes, {elapsed}")
                .expect("the template is well formed")
                .progress_chars("=> ");
        Self {
            upload: upload::bar("sending", length),
            length,
            nodes: ProgressBar::no_length().with_style(style),
            begun: Cell::new(false),
        }
    }

    /// The upload's bar, which the upload moves.
    pub(super) fn upload(&self) -> &ProgressBar {
        &self.upload
    }

    /// How many bytes of the upload are gone.
    pub(super) fn sent(&self) -> u64 {
        self.upload.position()
    }

    /// The node took it.
    pub(super) fn begin(&self) {
        self.begun.set(true);
        self.upload.finish_and_clear();
    }

    /// Where the nodes are.
    pub(super) fn show(&self, phase: Phase, nodes: &BTreeMap<String, bool>) {
        if self.nodes.is_hidden() {
            return;
        }
        let done = nodes.values().filter(|done| **done).count();
        self.nodes.set_length(nodes.len() as u64);
        self.nodes.set_position(done as u64);
        self.nodes.set_message(match phase {
            Phase::Proposed => "preparing",
            Phase::Active => "switching",
            Phase::Refused => "calling off",
        });
        self.nodes.enable_steady_tick(TICK);
    }

    /// Leaves the terminal as it was.
    pub(super) fn clear(&self) {
        self.upload.finish_and_clear();
        self.nodes.finish_and_clear();
    }

    /// How far the rollout is, as far as this end knows.
    pub(super) fn begun(&self) -> Begun {
        if self.begun.get() {
            Begun::Yes
        } else if self.sent() < self.length {
            Begun::No
        } else {
            Begun::Perhaps
        }
    }
}
