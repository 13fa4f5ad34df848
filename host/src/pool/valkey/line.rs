//! A connection of the host's own.

use std::time::Duration;

use redis::{Cmd, Pipeline, Value};
use tokio::time::{Instant, timeout};

use super::error::Error;
use super::wire::Wire;

/// A connection that nobody else uses and that no guest's limit counts, for
/// commands that block and for transactions. It does not replace itself.
pub struct Line(Wire);

impl Line {
    pub(super) fn new(wire: Wire) -> Self {
        Self(wire)
    }

    /// Sends one command and waits for its reply.
    ///
    /// # Errors
    /// Where there is none within `patience`, or the server's own error.
    pub async fn command(&mut self, cmd: &Cmd, patience: Duration) -> Result<Value, Error> {
        let sent = Instant::now();
        match timeout(patience, self.0.connection.send_packed_command(cmd)).await {
            Ok(Ok(Value::ServerError(error))) => {
                self.0.heard(&error);
                Err(Error::Server(error))
            }
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Error::in_command(error)),
            Err(_) => Err(Error::Timeout {
                waited: sent.elapsed(),
            }),
        }
    }

    /// Sends several commands in one write and waits for all their replies.
    ///
    /// # Errors
    /// Where one is missing within `patience`, or is an error.
    pub async fn pipeline(
        &mut self,
        commands: &Pipeline,
        patience: Duration,
    ) -> Result<Vec<Value>, Error> {
        let sent = Instant::now();
        match timeout(patience, commands.query_async(&mut self.0.connection)).await {
            Ok(replies) => replies.map_err(Error::in_command),
            Err(_) => Err(Error::Timeout {
                waited: sent.elapsed(),
            }),
        }
    }
}
