//! One user of a pool, with a connection of its own when its commands need one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use redis::{Cmd, Value};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::command::{self, Effect, Need};
use super::dedicated::Lease;
use super::error::Error;
use super::near::Queued;
use super::{ValkeyPool, Wait};
use crate::pool::origin::Peer;
use crate::telemetry::trace::Span;

/// What one guest handle sends its commands through.
///
/// Creating one does no I/O. Ordinary commands go over the shared connections;
/// from the first command that leaves a trace (`MULTI`, `WATCH`, `SELECT` and
/// the like) to the one that removes it, or to the end of the session, all go
/// over one connection of its own. Dropping the session closes that connection.
pub struct Session {
    pool: ValkeyPool,
    own: OnceLock<Arc<Own>>,
}

struct Own {
    /// Whether `state` is something else than `Free`: spares ordinary commands
    /// the lock.
    bound: AtomicBool,
    state: Mutex<State>,
}

enum State {
    /// Everything goes over the shared connections.
    Free,
    Bound(Bound),
    Lost {
        reason: &'static str,
    },
}

struct Bound {
    lease: Lease,
    trace: Trace,
    /// What the commands of an open transaction may change.
    queued: Queued,
    used: Instant,
    _idle: AbortOnDropHandle<()>,
}

/// What a session has left on its connection.
#[derive(Debug, Default, Clone, Copy)]
struct Trace {
    multi: bool,
    watch: bool,
    altered: bool,
}

impl Trace {
    fn is_clean(self) -> bool {
        let Self {
            multi,
            watch,
            altered,
        } = self;
        !(multi || watch || altered)
    }

    fn after(self, effect: Option<Effect>, accepted: bool) -> Self {
        match effect {
            None | Some(Effect::Blocks) => self,
            Some(Effect::Multi) => Self {
                multi: self.multi || accepted,
                ..self
            },
            Some(Effect::Watch) => Self {
                watch: self.watch || accepted,
                ..self
            },
            Some(Effect::Unwatch) if self.multi => self,
            Some(Effect::Unwatch) => Self {
                watch: false,
                ..self
            },
            // A transaction that fails is over, too; without one, `EXEC` is an
            // error that leaves the watched keys as they were.
            Some(Effect::Exec) if self.multi => Self {
                multi: false,
                watch: false,
                ..self
            },
            Some(Effect::Exec) => self,
            // Queued in a transaction it still takes effect later.
            Some(Effect::Alters) => Self {
                altered: true,
                ..self
            },
        }
    }
}

impl Session {
    pub(super) fn new(pool: ValkeyPool) -> Self {
        Self {
            pool,
            own: OnceLock::new(),
        }
    }

    /// Sends one command and waits for its reply, at most until `deadline` and,
    /// unless the command itself may block, at most the pool's command timeout. `span`
    /// is told whether the near cache has the reply, where it may have it.
    pub async fn traced(&self, cmd: &Cmd, deadline: Instant, span: &Span) -> Result<Value, Error> {
        self.pool.appendable(cmd)?;
        let effect = match command::need(cmd) {
            Need::Shared if !self.is_bound() => {
                return self.pool.shared(cmd, deadline, span).await;
            }
            Need::Own(Effect::Blocks) if !self.is_bound() => {
                return self.pool.counted(self.block(cmd, deadline).await);
            }
            Need::Refused(refusal) => return self.pool.counted(Err(refusal.into())),
            Need::OwnAlready(refusal) if !self.is_bound() => {
                return self.pool.counted(Err(refusal.into()));
            }
            Need::Shared => None,
            Need::OwnAlready(_) => Some(Effect::Blocks),
            Need::Own(effect) => Some(effect),
        };
        match Box::pin(self.own(cmd, effect, deadline)).await {
            Some(outcome) => self.pool.counted(outcome),
            None => self.pool.shared(cmd, deadline, span).await,
        }
    }

    /// Whom its commands go to.
    pub fn peer(&self) -> &Peer {
        self.pool.peer()
    }

    fn is_bound(&self) -> bool {
        self.own
            .get()
            .is_some_and(|own| own.bound.load(Ordering::Acquire))
    }

    /// A command that blocks and leaves no trace has a connection for just as
    /// long as it takes, so that others of the session do not wait behind it.
    async fn block(&self, cmd: &Cmd, deadline: Instant) -> Result<Value, Error> {
        let dedicated = &self.pool.shared.dedicated;
        let room = self.pool.wait(deadline).until;
        let mut lease = Box::pin(dedicated.lease(room)).await?;
        let wait = Wait::until(deadline);
        let outcome = self.pool.exchange(&mut lease.wire, cmd, wait).await;
        if matches!(outcome, Ok(_) | Err(Error::Server(_))) {
            dedicated.park(lease);
        }
        outcome
    }

    /// Sends over the session's own connection; `None` where it has none and
    /// the command needs none.
    async fn own(
        &self,
        cmd: &Cmd,
        effect: Option<Effect>,
        deadline: Instant,
    ) -> Option<Result<Value, Error>> {
        let pool = &self.pool;
        let own = self.own.get_or_init(|| {
            Arc::new(Own {
                bound: AtomicBool::new(false),
                state: Mutex::new(State::Free),
            })
        });
        let start = Instant::now();
        let Ok(mut state) = timeout_at(deadline, own.state.lock()).await else {
            return Some(Err(Error::Deadline {
                waited: start.elapsed(),
            }));
        };
        // Whoever drops this call midway leaves the session lost: the reply of
        // what it sent would be somebody else's.
        let abandoned = State::Lost {
            reason: "a command was abandoned before its reply",
        };
        let mut bound = match std::mem::replace(&mut *state, abandoned) {
            State::Bound(bound) => bound,
            State::Lost { reason } => {
                *state = State::Lost { reason };
                return Some(Err(Error::SessionLost { reason }));
            }
            State::Free => {
                *state = State::Free;
                effect?;
                let lease = match pool.shared.dedicated.lease(pool.wait(deadline).until).await {
                    Ok(lease) => lease,
                    Err(error) => return Some(Err(error)),
                };
                *state = State::Lost {
                    reason: "a command was abandoned before its reply",
                };
                own.bound.store(true, Ordering::Release);
                let idle = give_up_idle(Arc::downgrade(own), pool.shared.settings.idle);
                Bound {
                    lease,
                    trace: Trace::default(),
                    queued: Queued::default(),
                    used: Instant::now(),
                    _idle: AbortOnDropHandle::new(tokio::spawn(idle)),
                }
            }
        };
        let wait = match effect {
            Some(Effect::Blocks) => Wait::until(deadline),
            _ => pool.wait(deadline),
        };
        let near = pool.shared.near.as_ref();
        let _executing = match effect {
            Some(Effect::Exec) => {
                near.and_then(|near| near.executing(std::mem::take(&mut bound.queued)))
            }
            _ => None,
        };
        let outcome = pool.exchange(&mut bound.lease.wire, cmd, wait).await;
        if let Some(near) = near.filter(|_| bound.trace.multi && effect != Some(Effect::Exec)) {
            near.queue(cmd, &mut bound.queued);
        }
        match &outcome {
            Ok(_) | Err(Error::Server(_)) => {
                bound.trace = bound.trace.after(effect, outcome.is_ok());
                bound.used = Instant::now();
            }
            Err(Error::ConnectionLost) => {
                *state = State::Lost {
                    reason: "the server closed it",
                };
                return Some(outcome);
            }
            Err(_) => {
                *state = State::Lost {
                    reason: "a command on it had no reply in time",
                };
                return Some(outcome);
            }
        }
        if bound.trace.is_clean() {
            *state = State::Free;
            own.bound.store(false, Ordering::Release);
            pool.shared.dedicated.park(bound.lease);
        } else {
            *state = State::Bound(bound);
        }
        Some(outcome)
    }
}

/// Takes the connection from a session that does not use it: it is one of few.
async fn give_up_idle(own: Weak<Own>, idle: Duration) {
    loop {
        let next = {
            let Some(own) = own.upgrade() else { return };
            match own.state.try_lock() {
                // In use right now.
                Err(_) => None,
                Ok(mut state) => match &*state {
                    State::Bound(bound) if bound.used + idle <= Instant::now() => {
                        *state = State::Lost {
                            reason: "it was not used for too long",
                        };
                        return;
                    }
                    State::Bound(bound) => Some(bound.used + idle),
                    State::Free | State::Lost { .. } => return,
                },
            }
        };
        match next {
            Some(next) => sleep_until(next).await,
            None => sleep(idle).await,
        }
    }
}

#[cfg(test)]
impl Session {
    /// As [`Self::traced`], with nothing traced.
    pub(super) async fn command(&self, cmd: &Cmd, deadline: Instant) -> Result<Value, Error> {
        self.traced(cmd, deadline, &Span::OFF).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_begins_and_ends() {
        let clean = Trace::default();
        assert!(clean.after(None, true).is_clean());
        assert!(clean.after(Some(Effect::Blocks), true).is_clean());
        let multi = clean.after(Some(Effect::Multi), true);
        assert!(!multi.is_clean());
        assert!(multi.after(Some(Effect::Exec), false).is_clean());
    }

    #[test]
    fn watched_keys_last_until_exec_or_unwatch() {
        let watch = Trace::default().after(Some(Effect::Watch), true);
        assert!(!watch.is_clean());
        assert!(!watch.after(Some(Effect::Exec), false).is_clean());
        assert!(watch.after(Some(Effect::Unwatch), true).is_clean());
        let both = watch.after(Some(Effect::Multi), true);
        assert!(!both.after(Some(Effect::Unwatch), true).is_clean());
        assert!(both.after(Some(Effect::Exec), true).is_clean());
    }

    #[test]
    fn what_is_altered_stays_altered() {
        let altered = Trace::default().after(Some(Effect::Alters), false);
        let after = altered
            .after(Some(Effect::Multi), true)
            .after(Some(Effect::Exec), true);
        assert!(!after.is_clean());
    }
}
