//! Reads that go by way of the near cache.

use redis::{Cmd, Pipeline, Value};
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, timeout_at};

use super::error::Error;
use super::near::{self, Answer, Kept, Landing, Look, Near, Pilot, Seat};
use super::{ValkeyPool, Wait};
use crate::telemetry::trace::Span;

/// What a span is told of a key that the near cache may have.
const HIT: &str = "warmlink.near_cache.hit";

impl ValkeyPool {
    /// Sends one command over a shared connection, unless the near cache has
    /// its reply.
    pub(super) async fn shared(
        &self,
        cmd: &Cmd,
        deadline: Instant,
        span: &Span,
    ) -> Result<Value, Error> {
        let near = self.shared.near.as_ref();
        let Some((near, look)) = near.and_then(|near| Some((near, near.look(cmd)?))) else {
            return self.direct(cmd, deadline).await;
        };
        span.set(HIT, matches!(look, Look::Hit(_)));
        match look {
            Look::Hit(value) => {
                // To a guest this is a wait like any other, and to its neighbours
                // a chance: whoever reads on and on is no spinning guest.
                consume_budget().await;
                Ok(value)
            }
            Look::Refused => self.counted(Err(near::not_repaired())),
            Look::Bypass => self.past(near, cmd, deadline).await,
            Look::Join(seat) => self.wait_for(seat, near, cmd, deadline).await,
            Look::Ask(pilot, seat) => {
                // A task of its own: whoever began may give up, others wait, too.
                tokio::spawn(self.clone().fly(pilot));
                self.wait_for(seat, near, cmd, deadline).await
            }
        }
    }

    async fn wait_for(
        &self,
        seat: Seat,
        near: &Near,
        cmd: &Cmd,
        deadline: Instant,
    ) -> Result<Value, Error> {
        let wait = self.wait(deadline);
        let outcome = match timeout_at(wait.until, seat.landing()).await {
            Ok(Landing::Answer(value)) => Ok(near::reply(value)),
            Ok(Landing::Failed(error)) => Err(error),
            Ok(Landing::Lost) => return self.past(near, cmd, deadline).await,
            Err(_) => Err(wait.over()),
        };
        self.counted(outcome)
    }

    /// Asks the server as if there was no near cache, if it may be asked.
    async fn past(&self, near: &Near, cmd: &Cmd, deadline: Instant) -> Result<Value, Error> {
        if !near.refuses() {
            let outcome = self.direct(cmd, deadline).await;
            // A server that was away meanwhile may have answered with what it
            // knew before.
            if !near.refuses() {
                return outcome;
            }
        }
        self.counted(Err(near::not_repaired()))
    }

    /// Asks the server for a key on behalf of all who wait for it.
    async fn fly(self, pilot: Pilot) {
        let wait = self.patience();
        let Some(near) = &self.shared.near else {
            return;
        };
        let _room = match self.room(wait).await {
            Ok(room) => room,
            Err(error) => return pilot.give_up(Landing::Failed(error)),
        };
        let Some(mut wire) = near.wire() else {
            return pilot.give_up(Landing::Lost);
        };
        let mut questions = Pipeline::with_capacity(2);
        questions.cmd("GET").arg(pilot.key());
        questions.cmd("PTTL").arg(pilot.key());
        let sent = Instant::now();
        let metrics = &self.shared.metrics;
        metrics.commands.inc_by(2);
        let replies = wire.connection.send_packed_commands(&questions, 0, 2);
        let answer = match timeout_at(wait.until, replies).await {
            Ok(Ok(replies)) => {
                metrics.latency.observe(sent.elapsed().as_secs_f64());
                near::read(replies)
            }
            Ok(Err(error)) => Err(Error::in_command(error)),
            Err(_) => Err(wait.over()),
        };
        match answer {
            // It may come from before the server was away.
            Ok(_) if near.refuses() => pilot.give_up(Landing::Lost),
            Ok(Answer { value, life }) => {
                let signal = &wire.signal;
                pilot.land(Landing::Answer(value), Kept { signal, sent, life });
            }
            Err(Error::ConnectionLost) => pilot.give_up(Landing::Lost),
            Err(error) => pilot.give_up(Landing::Failed(error)),
        }
    }

    /// The bounds of a wait that is nobody's in particular.
    fn patience(&self) -> Wait {
        let start = Instant::now();
        Wait {
            start,
            until: start + self.shared.settings.command_timeout,
            by_caller: false,
        }
    }
}
