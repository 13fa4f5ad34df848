//! The control database, as it comes and goes.

use crate::fleet::{Changes, Error, Settings, Snapshot, Store};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};

/// Bytes that do not keep anybody waiting: a tenth of a second on a slow network.
const FEW_BYTES: u64 = 4 << 20;

/// A store, while there is one.
#[derive(Debug)]
pub(super) struct Shared {
    settings: Mutex<Settings>,
    store: Mutex<Option<Arc<Store>>>,
    error: Mutex<Option<String>>,
    /// The highest version seen. One that is lower is a replay.
    seen: AtomicI64,
    rebased: AtomicBool,
}

impl Shared {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings: Mutex::new(settings),
            store: Mutex::new(None),
            error: Mutex::new(None),
            seen: AtomicI64::new(0),
            rebased: AtomicBool::new(false),
        }
    }

    /// The open store.
    ///
    /// # Errors
    /// [`Error::Unavailable`], with what was wrong last.
    pub(super) fn store(&self) -> Result<Arc<Store>, Error> {
        let open = self.store.lock().clone();
        open.filter(|store| !store.is_closed()).ok_or_else(|| {
            let why = self.error.lock().clone();
            Error::Unavailable(why.unwrap_or_else(|| "not connected yet".to_owned()))
        })
    }

    /// The same, opened if it is not. Answers what is announced there.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub(super) async fn connect(&self) -> Result<Changes, Error> {
        if let Ok(store) = self.store() {
            return Ok(store.changes());
        }
        let settings = self.settings.lock().clone();
        let manifest = settings.manifest.clone();
        let store = Arc::new(Store::open(settings).await?);
        let changes = store.changes();
        // Unless the manifest was changed meanwhile: then it is opened again.
        if self.settings.lock().manifest == manifest {
            *self.store.lock() = Some(store);
        }
        Ok(changes)
    }

    /// A store for so many bytes of a component: one of its own where they are
    /// many. Statements on one connection wait for each other: behind many bytes
    /// this node's reports would be late, and it would count as gone.
    ///
    /// # Errors
    /// As for [`Store::open`]; those of [`Shared::store`] at once.
    pub(super) async fn store_for(&self, bytes: u64) -> Result<Arc<Store>, Error> {
        let open = self.store()?;
        if bytes <= FEW_BYTES {
            return Ok(open);
        }
        let settings = self.settings.lock().clone();
        Ok(Arc::new(Store::open(settings).await?))
    }

    pub(super) async fn read(&self) -> Result<Snapshot, Error> {
        let snapshot = self.store()?.read(self.seen.load(Relaxed)).await?;
        self.seen.fetch_max(snapshot.version, Relaxed);
        Ok(snapshot)
    }

    /// Lets go of the store, to open it again for another manifest.
    pub(super) fn rebase(&self, manifest: &str) {
        self.rebased.store(true, Relaxed);
        manifest.clone_into(&mut self.settings.lock().manifest);
        *self.store.lock() = None;
        self.seen.store(0, Relaxed);
    }

    /// Whether the store is closed only because the manifest changed.
    pub(super) fn take_rebased(&self) -> bool {
        self.rebased.swap(false, Relaxed)
    }

    /// Remembers how the last attempt went. Answers whether that is news.
    pub(super) fn went(&self, error: Option<&Error>) -> bool {
        let error = error.map(|error| match error {
            // Which is what it will be reported as again.
            Error::Unavailable(why) => why.clone(),
            other => other.to_string(),
        });
        let mut last = self.error.lock();
        let news = *last != error;
        *last = error;
        news
    }

    pub(super) fn error(&self) -> Option<String> {
        self.error.lock().clone()
    }
}
