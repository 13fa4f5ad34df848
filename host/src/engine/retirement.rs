//! How a revision that was replaced comes to its end: nothing idle is kept,
//! what is at work finishes, and what never finishes is cut off.

use super::ticket::WorkerLink;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};

/// Of the workers enrolled on a core, those that are gone are forgotten when
/// the list has grown by this many beyond the living.
const FORGET_AFTER: usize = 32;

/// A revision's end, shared with each of its workers.
#[derive(Debug)]
pub struct Retirement {
    retired: AtomicBool,
    cut: AtomicBool,
    /// By core, so that cores do not wait for each other.
    workers: Vec<Mutex<Enrolled>>,
}

#[derive(Debug, Default)]
struct Enrolled {
    links: Vec<Weak<WorkerLink>>,
    living: usize,
}

impl Retirement {
    pub(super) fn new(cores: usize) -> Self {
        Self {
            retired: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            workers: (0..cores).map(|_| Mutex::default()).collect(),
        }
    }

    /// A worker of `core` that is to hear of the end.
    pub(super) fn enroll(&self, core: usize, link: &Arc<WorkerLink>) {
        let Some(enrolled) = self.workers.get(core) else {
            return;
        };
        let mut enrolled = enrolled.lock();
        if enrolled.links.len() >= 2 * enrolled.living + FORGET_AFTER {
            enrolled.links.retain(|link| link.strong_count() > 0);
            enrolled.living = enrolled.links.len();
        }
        enrolled.links.push(Arc::downgrade(link));
    }

    /// Whether idle workers are to go.
    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Relaxed)
    }

    /// Whether every worker is to go.
    pub fn is_cut(&self) -> bool {
        self.cut.load(Relaxed)
    }

    pub(super) fn retire(&self) {
        self.retired.store(true, Relaxed);
        self.wake();
    }

    /// Ends every worker, whatever it is at: requests without a response fail,
    /// bodies break off.
    pub fn cut(&self) {
        self.cut.store(true, Relaxed);
        self.retire();
    }

    fn wake(&self) {
        for enrolled in &self.workers {
            let links: Vec<_> = enrolled.lock().links.clone();
            for link in links.iter().filter_map(Weak::upgrade) {
                link.wake();
            }
        }
    }
}
