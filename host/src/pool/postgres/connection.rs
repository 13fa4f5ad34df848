//! An open connection and the statements prepared on it.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::{Notify, OnceCell};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Statement};

use super::error::Error;
use super::known::Text;
use super::line::Line;
use super::metrics::PoolMetrics;
use super::sniff::Signals;
use crate::pool::placement::Placement;

/// A prepared statement, or one that is being prepared for several callers.
type Prepared = Arc<OnceCell<Statement>>;

pub(super) struct Connection {
    pub(super) client: Client,
    /// Which of the address's servers it is.
    pub(super) server: usize,
    pub(super) signals: Arc<Signals>,
    /// The core whose runtime does the I/O.
    pub(super) core: usize,
    /// The statements that were sent.
    pub(super) line: Line,
    /// Cancellations that were asked for; each may hit another statement than the
    /// one it was meant for.
    cancels: AtomicU64,
    /// Told when the last statement with a caller has ended.
    pub(super) deserted: Notify,
    /// Ends the driver, whatever it is doing.
    kill: Arc<Notify>,
    statements: Mutex<LruCache<u64, Prepared>>,
    /// The driver holds prepared look-ups of its own for types that are not
    /// built in, and does not notice when they are discarded.
    looked_up_types: AtomicBool,
}

impl Connection {
    pub(super) fn new(
        client: Client,
        server: usize,
        signals: Arc<Signals>,
        core: usize,
        capacity: NonZeroUsize,
        kill: Arc<Notify>,
    ) -> Self {
        Self {
            client,
            server,
            signals,
            core,
            line: Line::default(),
            cancels: AtomicU64::new(0),
            deserted: Notify::new(),
            kill,
            statements: Mutex::new(LruCache::new(capacity)),
            looked_up_types: AtomicBool::new(false),
        }
    }

    /// Ends the connection without regard to what runs on it.
    pub(super) fn kill(&self) {
        self.kill.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// A cancellation is about to be asked for.
    pub(super) fn note_cancel(&self) {
        self.cancels.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn cancels(&self) -> u64 {
        self.cancels.load(Ordering::Acquire)
    }

    /// Returns when the server has finished all that was sent before.
    pub(super) async fn barrier(&self) -> Result<(), tokio_postgres::Error> {
        self.client.check_connection().await
    }

    /// The statement, if it is prepared.
    pub(super) fn prepared(&self, text: &Text) -> Option<Statement> {
        self.statements.lock().get(&text.id)?.get().cloned()
    }

    /// Prepares the statement, together with whoever else asks for it. The
    /// work goes on if the caller is dropped: a statement must not stay behind
    /// on the server without its handle here.
    pub(super) async fn prepare(
        self: &Arc<Self>,
        text: &Arc<Text>,
        placement: &Placement,
        metrics: &PoolMetrics,
    ) -> Result<Statement, Error> {
        if let Some(statement) = self.prepared(text) {
            metrics.cache_hits.inc();
            return Ok(statement);
        }
        metrics.cache_misses.inc();
        let cell = self.cell(text);
        let connection = self.clone();
        let text = text.clone();
        let prepare = async move {
            cell.get_or_try_init(|| connection.prepare_now(&text))
                .await
                .cloned()
        };
        match placement.spawn(self.core, prepare).await {
            Ok(prepared) => prepared.map_err(Error::from_driver),
            // The runtime is shutting down, and its connections with it.
            Err(_) => Err(Error::ConnectionLost),
        }
    }

    /// The place for the statement in the cache; what it pushes out is closed
    /// on the server by its drop, outside the lock.
    fn cell(&self, text: &Text) -> Prepared {
        let cell = Prepared::default();
        if !text.kept {
            return cell;
        }
        let mut statements = self.statements.lock();
        if let Some(known) = statements.get(&text.id) {
            return known.clone();
        }
        let pushed_out = statements.push(text.id, cell.clone());
        drop(statements);
        drop(pushed_out);
        cell
    }

    async fn prepare_now(&self, text: &Text) -> Result<Statement, tokio_postgres::Error> {
        let statement = self.client.prepare(&text.sql).await?;
        let foreign = |ty: &Type| Type::from_oid(ty.oid()).is_none();
        if statement.params().iter().any(foreign)
            || statement
                .columns()
                .iter()
                .any(|column| foreign(column.type_()))
        {
            self.looked_up_types.store(true, Ordering::Relaxed);
        }
        Ok(statement)
    }

    /// Prepares ahead of use. What fails will fail again for its caller, who
    /// gets to know.
    pub(super) async fn prepare_all(&self, texts: &[Arc<Text>]) {
        let each = texts.iter().map(|text| async {
            let cell = self.cell(text);
            let _ = cell.get_or_try_init(|| self.prepare_now(text)).await;
        });
        futures::future::join_all(each).await;
    }

    /// Drops the statement, so that it is prepared anew.
    pub(super) fn forget(&self, text: &Text) {
        let forgotten = self.statements.lock().pop(&text.id);
        drop(forgotten);
    }

    /// Drops all statements, after the server dropped them.
    pub(super) fn forget_all(&self) {
        let mut statements = self.statements.lock();
        let empty = LruCache::new(statements.cap());
        let forgotten = std::mem::replace(&mut *statements, empty);
        drop(statements);
        drop(forgotten);
    }

    /// Whether the connection is still good after `DISCARD ALL`.
    pub(super) fn survives_discard(&self) -> bool {
        !self.looked_up_types.load(Ordering::Relaxed)
    }
}
