//! Runs one statement on one connection.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use futures::{FutureExt, StreamExt};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, RowStream, Statement};
use tokio_util::task::AbortOnDropHandle;

use super::classify::Class;
use super::connection::Connection;
use super::encoded;
use super::error::Error;
use super::inner::Inner;
use super::known::Text;
use super::line::Turn;
use super::permit::Permit;
use super::rows::Rows;
use super::session::CONNECTED;
use super::slot::Lane;
use crate::telemetry::trace::Span;

pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// What the caller wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Rows,
    Count,
}

pub(super) enum Reply {
    Rows(Rows),
    Count(u64),
}

/// Why a statement failed, and whether it may be sent again.
pub(super) struct Failure {
    pub(super) error: Error,
    /// It cannot have run.
    unsent: bool,
    /// It was cancelled in the stead of another, and undone by that.
    mistaken: bool,
}

impl Failure {
    fn sent(error: Error) -> Self {
        Self {
            error,
            unsent: false,
            mistaken: false,
        }
    }
}

/// The answer to a statement, as far as the driver has it.
pub(super) enum Answer {
    Rows(Statement, Pin<Box<RowStream>>),
    Count(u64),
}

/// Runs a statement that needs no session on whatever connection suits it.
pub(super) async fn single(
    pool: &Arc<Inner>,
    text: &Arc<Text>,
    params: Params<'_>,
    want: Want,
    deadline: Instant,
    span: &Span,
) -> Result<Reply, Error> {
    let lane = match text.class {
        Class::Shared if !text.is_heavy() => Lane::Shared,
        _ => Lane::Exclusive,
    };
    let mut may_retry = true;
    loop {
        let permit = pool.checkout(lane, deadline).await?;
        if permit.connection().is_closed() {
            // Its driver is about to say so.
            pool.lanes.lock().condemn(permit.place().slot);
            continue;
        }
        span.event(CONNECTED);
        let begun = Instant::now();
        match timeout_at(deadline, run(permit, text, params, want, deadline)).await {
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(failure)) if failure.unsent && may_retry => {
                may_retry = false;
                pool.metrics.retries.inc();
            }
            // Each time another caller's statement was in the way, so not forever.
            Ok(Err(failure)) if failure.mistaken => {
                pool.metrics.retries.inc();
            }
            Ok(Err(failure)) => return Err(failure.error),
            Err(_) => {
                let ran = begun.elapsed();
                let ran_there = ran.saturating_sub(pool.way.least());
                text.note_run(ran_there, pool.settings.slow_statement);
                return Err(Error::Deadline { ran });
            }
        }
    }
}

/// Runs the statement on the caller's task, or on one of its own next to the
/// connection: the caller may be busy with other things while a long answer
/// comes in and others wait behind it. What one read of the socket gives is
/// taken over even if nobody asks for it.
async fn run(
    mut permit: Permit,
    text: &Arc<Text>,
    params: Params<'_>,
    want: Want,
    deadline: Instant,
) -> Result<Reply, Failure> {
    permit.begin();
    if permit.is_exclusive() || !text.is_bulky() || want == Want::Count {
        return answer(permit, text, params, want, deadline).await;
    }
    let pool = permit.pool().clone();
    let prepared = permit
        .connection()
        .prepare(text, &pool.placement, &pool.metrics)
        .await;
    let encoded = match &prepared {
        Ok(statement) => encoded::encode(params, statement.params()),
        Err(_) => None,
    };
    let Some(encoded) = encoded else {
        return answer(permit, text, params, want, deadline).await;
    };
    let core = permit.connection().core;
    let text = text.clone();
    let apart = pool.placement.spawn(core, async move {
        let params: Vec<_> = encoded
            .iter()
            .map(|value| value as &(dyn ToSql + Sync))
            .collect();
        answer(permit, &text, &params, want, deadline).await
    });
    AbortOnDropHandle::new(apart).await.unwrap_or_else(|_| {
        // The runtime is shutting down.
        Err(Failure::sent(Error::ConnectionLost))
    })
}

async fn answer(
    permit: Permit,
    text: &Arc<Text>,
    params: Params<'_>,
    want: Want,
    deadline: Instant,
) -> Result<Reply, Failure> {
    let connection = permit.connection().clone();
    let cancels = connection.cancels();
    let result = transmit(permit, text, params, want, deadline).await;
    result.map_err(|failure| Failure {
        mistaken: connection.cancels() != cancels && is_cancelled(&failure.error),
        ..failure
    })
}

async fn transmit(
    mut permit: Permit,
    text: &Arc<Text>,
    params: Params<'_>,
    want: Want,
    deadline: Instant,
) -> Result<Reply, Failure> {
    let place = permit.place();
    match send(
        &place.pool,
        &place.connection,
        text,
        params,
        want,
        true,
        Some(&place.turn),
    )
    .await
    {
        Ok(Answer::Count(count)) => {
            permit.complete(text);
            Ok(Reply::Count(count))
        }
        Ok(Answer::Rows(statement, stream)) => collect(permit, text, statement, stream, deadline)
            .await
            .map(Reply::Rows)
            .map_err(Failure::sent),
        Err(failure) => {
            finish_failed(&mut permit, &failure.error);
            Err(failure)
        }
    }
}

/// Whether a statement that failed is over. Where the driver did not understand
/// the server, that is found out before anyone else gets the connection.
fn finish_failed(permit: &mut Permit, error: &Error) {
    if !matches!(error, Error::Statement { .. }) {
        permit.finish();
    }
}

/// Prepares the statement if need be and sends it, as the caller's `turn` where others
/// use the connection, too. Returns when the server has begun to answer, or with the
/// count when it is done.
pub(super) async fn send(
    pool: &Arc<Inner>,
    connection: &Arc<Connection>,
    text: &Arc<Text>,
    params: Params<'_>,
    want: Want,
    may_repeat: bool,
    turn: Option<&Turn>,
) -> Result<Answer, Failure> {
    let mut may_repeat = may_repeat;
    loop {
        let statement = connection
            .prepare(text, &pool.placement, &pool.metrics)
            .await
            .map_err(|error| Failure {
                unsent: matches!(error, Error::ConnectionLost),
                mistaken: false,
                error,
            })?;
        pool.metrics.statements.inc();
        let written = connection.signals.written();
        let client = &connection.client;
        let params = params.iter().copied();
        let answer = match want {
            Want::Rows => in_turn(connection, turn, client.query_raw(&statement, params))
                .await
                .map(|stream| Answer::Rows(statement, Box::pin(stream))),
            Want::Count => in_turn(connection, turn, client.execute_raw(&statement, params))
                .await
                .map(Answer::Count),
        };
        let error = match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => Error::from_driver(error),
        };
        if is_stale(&error) {
            connection.forget(text);
            if may_repeat {
                may_repeat = false;
                continue;
            }
        }
        // Nothing went out since; or the server ended the session with a last
        // word, which went to the statement before this one.
        let signals = &connection.signals;
        let unsent = matches!(error, Error::ConnectionLost)
            && (signals.written() == written || signals.is_fatal());
        return Err(Failure {
            error,
            unsent,
            mistaken: false,
        });
    }
}

fn is_cancelled(error: &Error) -> bool {
    matches!(error, Error::Database(db) if *db.code() == SqlState::QUERY_CANCELED)
}

/// The driver is given a statement when its future is polled first: that moment is the
/// statement's turn.
async fn in_turn<F: Future>(connection: &Connection, turn: Option<&Turn>, sent: F) -> F::Output {
    let mut sent = std::pin::pin!(sent);
    let first = poll_fn(|cx| {
        let mut send = || sent.as_mut().poll(cx);
        Poll::Ready(match turn {
            Some(turn) => connection.line.join(turn, send),
            None => send(),
        })
    });
    match first.await {
        Poll::Ready(answer) => answer,
        Poll::Pending => sent.await,
    }
}

/// Whether the prepared form no longer fits: the result's type has changed, or
/// the statement is not there any more. Both are found before anything runs.
fn is_stale(error: &Error) -> bool {
    let Error::Database(db) = error else {
        return false;
    };
    // The message is translated; the routine is not.
    (*db.code() == SqlState::FEATURE_NOT_SUPPORTED && db.routine() == Some("RevalidateCachedQuery"))
        || *db.code() == SqlState::INVALID_SQL_STATEMENT_NAME
}

/// A result on its way into the buffer.
pub(super) struct Buffer {
    pub(super) statement: Statement,
    pub(super) stream: Pin<Box<RowStream>>,
    pub(super) rows: Vec<Row>,
    bytes: usize,
}

/// How far a result got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It is all there.
    Complete,
    /// The buffer is full.
    Full,
}

impl Buffer {
    pub(super) fn new(statement: Statement, stream: Pin<Box<RowStream>>) -> Self {
        Self {
            statement,
            stream,
            rows: Vec::new(),
            bytes: 0,
        }
    }

    /// Takes over rows until the end, or until there are more than `limit`
    /// bytes of them.
    pub(super) async fn fill(&mut self, limit: usize) -> Result<Progress, Error> {
        while self.bytes <= limit {
            match self.stream.next().await {
                Some(Ok(row)) => {
                    self.bytes += size_of::<Row>()
                        + row.raw_size_bytes()
                        + row.len() * size_of::<Option<std::ops::Range<usize>>>();
                    self.rows.push(row);
                }
                Some(Err(error)) => return Err(Error::from_driver(error)),
                None => return Ok(Progress::Complete),
            }
        }
        Ok(Progress::Full)
    }

    pub(super) fn into_complete(self) -> Rows {
        let affected = self.stream.rows_affected();
        Rows::complete(self.statement, self.rows, affected)
    }
}

/// Takes over the result, so that it is out of the way of those behind it.
async fn collect(
    mut permit: Permit,
    text: &Arc<Text>,
    statement: Statement,
    stream: Pin<Box<RowStream>>,
    deadline: Instant,
) -> Result<Rows, Error> {
    let mut buffer = Buffer::new(statement, stream);
    let limit = permit.pool().settings.row_buffer_bytes;
    // What a point query returns has arrived with the first answer.
    match buffer.fill(limit).now_or_never() {
        Some(Ok(Progress::Complete)) => {
            text.note_bulk(false);
            permit.complete(text);
            Ok(buffer.into_complete())
        }
        Some(Err(error)) => {
            finish_failed(&mut permit, &error);
            Err(error)
        }
        Some(Ok(Progress::Full)) | None => {
            text.note_bulk(true);
            finish(permit, text, buffer, deadline).await
        }
    }
}

async fn finish(
    mut permit: Permit,
    text: &Text,
    mut buffer: Buffer,
    deadline: Instant,
) -> Result<Rows, Error> {
    let mut limit = permit.pool().settings.row_buffer_bytes;
    loop {
        match buffer.fill(limit).await {
            Ok(Progress::Complete) => {
                text.note_size(false);
                permit.complete(text);
                return Ok(buffer.into_complete());
            }
            Ok(Progress::Full) => {
                let settings = &permit.pool().settings;
                let hurry = !permit.is_exclusive()
                    && permit.pool().lanes.lock().has_company(permit.place().slot);
                if hurry && limit < settings.row_buffer_limit {
                    // By and by, for those behind may have gone meanwhile.
                    limit = (limit * 2).min(settings.row_buffer_limit);
                    continue;
                }
                text.note_size(true);
                permit.promote();
                let Buffer {
                    statement,
                    stream,
                    rows,
                    ..
                } = buffer;
                return Ok(Rows::streaming(statement, rows, stream, permit, deadline));
            }
            Err(error) => {
                finish_failed(&mut permit, &error);
                return Err(error);
            }
        }
    }
}
