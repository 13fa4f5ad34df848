//! Connections to one Valkey (or Redis) server, shared by all who talk to it.
//!
//! A pool holds a few multiplexed connections. Commands of many callers travel
//! on one connection at once and their replies come back in order, so a handful
//! serves a node; more of them only spread the work over the cores. Each
//! replaces itself when it is lost. Meanwhile commands go to the others, and
//! with none left they fail at once: nothing hangs.
//!
//! - `link` keeps one shared connection up.
//! - `dedicated` lends connections for commands that cannot
//!   share one; `command` knows which those are.
//! - [`Session`] is one user of the pool.
//! - [`Line`] is a connection beside it, for the host itself.
//! - `held` refuses appends to streams that are full.
//! - `near` keeps values of the server in this process, where that is wanted;
//!   `reading` is how a read goes by way of it.

mod command;
mod dedicated;
mod error;
mod held;
mod line;
mod link;
mod metrics;
mod near;
mod reading;
mod sentinel;
mod session;
mod settings;
mod target;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use redis::{Cmd, Value};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

pub use self::error::{Error, ErrorKind};
pub use self::line::Line;
pub use self::link::Arrivals;
pub use self::metrics::Metrics;
pub use self::near::{Epoch, Repairs};
pub use self::session::Session;
pub use self::settings::{NearSettings, Settings};
pub use self::target::{AddressError, Target};

use self::command::{Need, Refusal};
use self::dedicated::Dedicated;
use self::held::Held;
use self::link::{Link, Probed};
use self::metrics::{Counted, PoolMetrics};
use self::near::Near;
use self::wire::{Connector, Wire};
use crate::pool::origin::Peer;
use crate::pool::placement::{self, Placement};
use crate::telemetry::trace::Span;

/// A pool; clones share it. The last clone to go closes the connections.
#[derive(Clone)]
pub struct ValkeyPool {
    shared: Arc<Shared>,
}

struct Shared {
    target: Target,
    peer: Peer,
    settings: Settings,
    placement: Placement,
    /// Link `i` lives on core `i` modulo the number of cores.
    links: Vec<Link>,
    turn: AtomicUsize,
    room: Semaphore,
    dedicated: Arc<Dedicated>,
    held: Held,
    near: Option<Near>,
    metrics: PoolMetrics,
}

impl ValkeyPool {
    /// Starts connecting in the background. Commands sent meanwhile wait for the
    /// first attempt, within their own limits.
    pub fn new(
        target: Target,
        settings: Settings,
        placement: Placement,
        metrics: &Metrics,
    ) -> Self {
        let address = target.to_string();
        let series = settings.series.unwrap_or(&address);
        let near_metrics = metrics.near(series);
        let metrics = metrics.of(series);
        let in_flight = settings.in_flight.get();
        let connector = Arc::new(Connector::new(&target, settings.connect_timeout, in_flight));
        let reply_timeout = settings.command_timeout;
        let connections = settings.connections.get();
        let links = (0..connections)
            .map(|index| {
                Link::start(
                    &placement,
                    index,
                    target.clone(),
                    Arc::clone(&connector),
                    Probed { reply_timeout },
                    metrics.clone(),
                )
            })
            .collect();
        let near = settings.near.as_ref().map(|near| {
            Near::new(near, reply_timeout, near_metrics, |tracker| {
                Link::start(
                    &placement,
                    connections,
                    target.clone(),
                    Arc::clone(&connector),
                    tracker,
                    metrics.clone(),
                )
            })
        });
        let dedicated = Arc::new(Dedicated::new(
            connector,
            settings.dedicated,
            settings.idle,
            metrics.clone(),
        ));
        let room = Semaphore::new(in_flight.min(Semaphore::MAX_PERMITS));
        let turn = AtomicUsize::new(0);
        Self {
            shared: Arc::new(Shared {
                peer: target.peer(),
                target,
                settings,
                placement,
                links,
                turn,
                room,
                dedicated,
                held: Held::default(),
                near,
                metrics,
            }),
        }
    }

    /// Whether anybody holds the pool, or a session of it, besides this clone.
    pub fn is_held(&self) -> bool {
        Arc::strong_count(&self.shared) > 1
    }

    pub fn target(&self) -> &Target {
        &self.shared.target
    }

    /// Whom its commands go to.
    pub fn peer(&self) -> &Peer {
        &self.shared.peer
    }

    /// Waits until every connection is up and has answered a `PING`.
    ///
    /// # Errors
    /// [`Error::Rejected`] as soon as the server refuses this client for good;
    /// [`Error::Unavailable`] with the last cause once `deadline` has passed.
    /// The connections go on trying in either case.
    pub async fn warm(&self, deadline: Instant) -> Result<(), Error> {
        let Shared { links, near, .. } = &*self.shared;
        let near = near.as_ref().map(Near::link);
        let links = links.iter().chain(near);
        futures::future::try_join_all(links.map(|link| link.warm(deadline)))
            .await
            .map(|_| ())
    }

    /// Says that somebody repairs what the server missed while it was away. From
    /// now on values of the near cache's prefixes are told only after a repair.
    /// Nothing where the pool has no near cache.
    pub fn repaired_by(&self) -> Option<Repairs> {
        self.shared.near.as_ref().map(Near::repairs)
    }

    /// Sends one command over a shared connection and waits for its reply, at
    /// most until `deadline` and at most the command timeout.
    ///
    /// # Errors
    /// [`Error::Refused`] for a command that needs a [`Session`].
    pub async fn command(&self, cmd: &Cmd, deadline: Instant) -> Result<Value, Error> {
        self.traced(cmd, deadline, &Span::OFF).await
    }

    /// The same, within a span of the command's: that is told whether the near cache
    /// has the reply, where it may have it.
    ///
    /// # Errors
    /// As of [`Self::command`].
    pub async fn traced(&self, cmd: &Cmd, deadline: Instant, span: &Span) -> Result<Value, Error> {
        self.appendable(cmd)?;
        match command::need(cmd) {
            Need::Shared => self.shared(cmd, deadline, span).await,
            Need::Refused(refusal) | Need::OwnAlready(refusal) => self.counted(Err(refusal.into())),
            Need::Own(_) => self.counted(Err(Error::Refused {
                command: "this command",
                reason: "it needs a connection of its own",
            })),
        }
    }

    /// A new user of this pool. Does no I/O.
    pub fn session(&self) -> Session {
        Session::new(self.clone())
    }

    /// A connection beside those that are shared, for the host's own use. It
    /// lives on the runtime that polls this.
    ///
    /// # Errors
    /// [`Error::Unavailable`] after one attempt.
    pub async fn line(&self) -> Result<Line, Error> {
        match Box::pin(self.shared.dedicated.connector().connect()).await {
            Ok(wire) => Ok(Line::new(wire)),
            Err(error) => Err(Error::Unavailable { cause: error.cause }),
        }
    }

    /// Whether `XADD` to `key` is refused at once, on this node, from now on.
    pub fn hold_appends(&self, key: &[u8], held: bool) {
        self.shared.held.set(key, held);
    }

    /// Follows when the server is reached, and reached again.
    pub fn arrivals(&self) -> Arrivals {
        self.shared.links[0].arrivals()
    }

    fn appendable(&self, cmd: &Cmd) -> Result<(), Error> {
        match self.shared.held.check(cmd) {
            Ok(()) => Ok(()),
            refused => self.counted(refused),
        }
    }

    /// The bounds of a wait that begins now.
    fn wait(&self, deadline: Instant) -> Wait {
        let start = Instant::now();
        let until = deadline.min(start + self.shared.settings.command_timeout);
        Wait {
            start,
            until,
            by_caller: until == deadline,
        }
    }

    /// Sends one command over a shared connection, whatever the near cache knows.
    async fn direct(&self, cmd: &Cmd, deadline: Instant) -> Result<Value, Error> {
        let wait = self.wait(deadline);
        let outcome = async {
            let _room = self.room(wait).await?;
            let mut wire = self.wire(wait.until).await?;
            let sent = Instant::now();
            let outcome = self.exchange(&mut wire, cmd, wait).await;
            match &outcome {
                Ok(_) | Err(Error::Server(_)) => {
                    self.shared
                        .metrics
                        .latency
                        .observe(sent.elapsed().as_secs_f64());
                }
                Err(Error::Timeout { .. } | Error::Deadline { .. }) => wire.signal.suspect(),
                Err(_) => {}
            }
            outcome
        };
        self.counted(outcome.await)
    }

    /// A place under the in-flight cap, first come first served.
    async fn room(&self, wait: Wait) -> Result<(SemaphorePermit<'_>, Counted), Error> {
        let Shared { room, metrics, .. } = &*self.shared;
        let permit = match room.try_acquire() {
            Ok(permit) => permit,
            Err(_) => {
                let permit = timeout_at(wait.until, room.acquire()).await;
                metrics.wait.observe(wait.start.elapsed().as_secs_f64());
                match permit {
                    // A place that comes free just then is of no use any more.
                    Ok(Ok(permit)) if Instant::now() < wait.until => permit,
                    _ => {
                        return Err(Error::Overloaded {
                            waited: wait.start.elapsed(),
                        });
                    }
                }
            }
        };
        Ok((permit, Counted::new(&metrics.in_flight)))
    }

    /// A connection that is up, of the caller's own core where there is one.
    async fn wire(&self, until: Instant) -> Result<Wire, Error> {
        let links = &self.shared.links;
        let first = self.preferred();
        let (before, from) = links.split_at(first);
        match from.iter().chain(before).find_map(Link::wire) {
            Some(wire) => Ok(wire),
            None => links[first].decided(until).await,
        }
    }

    fn preferred(&self) -> usize {
        let count = self.shared.links.len();
        let cores = self.shared.placement.cores();
        let turn = || self.shared.turn.fetch_add(1, Ordering::Relaxed);
        match placement::core() {
            Some(core) if count <= cores => core % count,
            Some(core) => {
                let core = core % cores;
                core + turn() % (count - core).div_ceil(cores) * cores
            }
            None => turn() % count,
        }
    }

    /// Sends a command over one connection and awaits the reply. All commands of
    /// callers pass here, but for reads by way of the near cache.
    async fn exchange(&self, wire: &mut Wire, cmd: &Cmd, wait: Wait) -> Result<Value, Error> {
        self.shared.metrics.commands.inc();
        let near = self.shared.near.as_ref();
        let _writing = near.and_then(|near| near.writing(cmd));
        match timeout_at(wait.until, wire.connection.send_packed_command(cmd)).await {
            Ok(Ok(Value::ServerError(error))) => {
                wire.heard(&error);
                Err(Error::Server(error))
            }
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Error::in_command(error)),
            Err(_) => Err(wait.over()),
        }
    }

    fn counted<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &outcome {
            self.shared.metrics.failed(error.kind());
        }
        outcome
    }
}

impl fmt::Debug for ValkeyPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ValkeyPool")
            .field(&self.shared.target)
            .finish()
    }
}

/// How long a command may take.
#[derive(Debug, Clone, Copy)]
struct Wait {
    start: Instant,
    until: Instant,
    /// Whether the caller's own deadline comes first.
    by_caller: bool,
}

impl Wait {
    /// As long as the caller has time.
    fn until(deadline: Instant) -> Self {
        Self {
            start: Instant::now(),
            until: deadline,
            by_caller: true,
        }
    }

    fn over(self) -> Error {
        let waited = self.start.elapsed();
        if self.by_caller {
            Error::Deadline { waited }
        } else {
            Error::Timeout { waited }
        }
    }
}

impl From<Refusal> for Error {
    fn from(Refusal { command, reason }: Refusal) -> Self {
        Error::Refused { command, reason }
    }
}
