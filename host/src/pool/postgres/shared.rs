//! The pool as its users see it.

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::address::Target;
use super::connect::Dialer;
use super::error::Error;
use super::inner::Inner;
use super::lanes::Lanes;
use super::metrics::Metrics;
use super::opener;
use super::session::Session;
use super::settings::Settings;
use super::slot::Limits;
use crate::pool::origin::Peer;
use crate::pool::placement::Placement;
use crate::telemetry::trace::Span;

/// A pool of connections to one [`Target`]. Cloning shares it; when the last
/// clone and the last session are gone, its connections are closed.
#[derive(Clone)]
pub struct PostgresPool {
    inner: Arc<Inner>,
}

/// What the server allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// `max_connections`.
    pub max_connections: u32,
    /// Of these, not for ordinary roles.
    pub reserved: u32,
}

/// A pool at one moment, in connections and callers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// As many as there may be.
    pub max: usize,
    /// Open, opening and closing.
    pub size: usize,
    /// Open.
    pub open: usize,
    /// Open and without a statement.
    pub idle: usize,
    /// With one caller only.
    pub exclusive: usize,
    /// Callers in the queue.
    pub waiting: usize,
}

/// `reserved_connections` is new in PostgreSQL 16.
const SERVER_LIMITS: &str = "SELECT current_setting('max_connections')::int4, \
     current_setting('superuser_reserved_connections')::int4 \
     + coalesce(nullif(current_setting('reserved_connections', true), ''), '0')::int4";

impl PostgresPool {
    /// Makes a pool. It opens `min` connections in the background, the others
    /// as they are needed. No I/O by the caller, but for a file of root
    /// certificates; [`Target::check`] says beforehand whether it can be used.
    #[must_use]
    pub fn new(
        target: Target,
        settings: Settings,
        placement: Placement,
        metrics: &Metrics,
    ) -> Self {
        let dialer = Dialer::new(&target, &settings);
        let (user, database) = (target.user(), target.database());
        let name = format!("{user}@{}/{database}", target.authority());
        let max = settings.max.get();
        let lanes = Lanes::new(Limits {
            min: settings.min.min(max),
            max,
            exclusive: settings.pin_limit(),
            depth: settings.pipeline_depth.get(),
            slow_after: settings.slow_after,
        });
        let series = settings.series.unwrap_or(&name);
        let samples = metrics.pool(series.to_owned());
        let peer = Peer::new(&target.servers(), database.to_owned());
        let inner = Arc::new(Inner::new(
            name, peer, settings, placement, dialer, samples, lanes,
        ));
        metrics.watch(&inner);
        opener::start(&inner);
        Self { inner }
    }

    /// Returns when `min` connections are open and the statements known so far
    /// are prepared on them. Waits as long as it takes: the caller bounds it.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn warm(&self) -> Result<(), Error> {
        let wanted = self.inner.settings.min.min(self.inner.settings.max.get());
        let open = self
            .until(|pool| {
                let lanes = pool.lanes.lock();
                if lanes.is_closed() {
                    return Some(Err(Error::Closed));
                }
                (lanes.counts().open >= wanted).then(|| Ok(lanes.connections()))
            })
            .await?;
        // What became known after a connection was opened is still missing there.
        let known = self
            .inner
            .known
            .recurring(self.inner.settings.statement_cache.get() / 2);
        let prepare = open.iter().map(|connection| connection.prepare_all(&known));
        futures::future::join_all(prepare).await;
        Ok(())
    }

    /// A session. No I/O.
    #[must_use]
    pub fn session(&self) -> Session {
        Session::new(self.inner.clone())
    }

    /// Makes statements known before their first use, so that they are
    /// prepared on every connection that is opened from now on.
    pub fn remember<'a>(&self, statements: impl IntoIterator<Item = &'a str>) {
        for sql in statements {
            self.inner.known.remember(sql);
        }
    }

    /// What the server allows, for comparing with `max` times the nodes.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn server_limits(&self, deadline: Instant) -> Result<ServerLimits, Error> {
        let mut rows = self
            .session()
            .query(SERVER_LIMITS, &[], deadline, &Span::OFF)
            .await?;
        let row = rows
            .next()
            .await
            .transpose()?
            .ok_or(Error::ConnectionLost)?;
        let number = |column: usize| {
            let number: i32 = row
                .try_get(column)
                .map_err(|error| Error::Statement { error })?;
            Ok::<_, Error>(u32::try_from(number).unwrap_or_default())
        };
        Ok(ServerLimits {
            max_connections: number(0)?,
            reserved: number(1)?,
        })
    }

    /// Whether anybody holds the pool, or a session of it, besides this clone.
    #[must_use]
    pub fn is_held(&self) -> bool {
        Arc::strong_count(&self.inner) > 1
    }

    /// The pool at this moment.
    #[must_use]
    pub fn status(&self) -> Status {
        self.inner.status()
    }

    /// What the last attempt to connect met, if none has succeeded since.
    #[must_use]
    pub fn last_connect_error(&self) -> Option<String> {
        self.inner.health.lock().last_error()
    }

    /// Refuses new statements, lets the running ones finish and closes all
    /// connections. Returns when they are gone: the caller bounds it.
    pub async fn close(&self) {
        let (waiting, idle) = self.inner.lanes.lock().close();
        drop((waiting, idle));
        self.until(|pool| (pool.lanes.lock().counts().size == 0).then_some(()))
            .await;
    }

    /// Waits for something that a connection's coming or going brings about.
    async fn until<T>(&self, look: impl Fn(&Inner) -> Option<T>) -> T {
        loop {
            let changed = self.inner.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, so that no change falls in between.
            changed.as_mut().enable();
            if let Some(found) = look(&self.inner) {
                return found;
            }
            changed.await;
        }
    }
}

impl Inner {
    pub(super) fn status(&self) -> Status {
        let counts = self.lanes.lock().counts();
        Status {
            max: self.settings.max.get(),
            size: counts.size,
            open: counts.open,
            idle: counts.idle,
            exclusive: counts.held,
            waiting: counts.waiting,
        }
    }
}

impl fmt::Debug for PostgresPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresPool")
            .field("name", &self.inner.name)
            .field("status", &self.status())
            .finish()
    }
}
