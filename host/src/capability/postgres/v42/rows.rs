//! Rows on their way to the guest.

use super::super::bindings::spin::postgres4_2_0::postgres::{DbValue, Error, Row};
use super::super::failure::Failure;
use super::super::result::{Decoder, Sized};
use super::super::value::Kind;
use crate::pool::postgres::Rows;
use crate::telemetry::trace::Span;
use futures::stream::{self, BoxStream, StreamExt, try_unfold};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, StreamProducer, StreamResult, VecBuffer};

/// What is made ready for one read of the guest, however many rows it asks for.
const BATCH_ROWS: usize = 256;
/// The same in bytes; one row may be larger.
const BATCH_BYTES: usize = 256 << 10;

/// A result that is read as the guest reads it: a row that the guest has not
/// asked for is still the pool's, which bounds what it buffers, and takes the
/// connection back when nobody reads for too long. Dropped half read, the
/// result gives its connection back.
pub(super) struct RowStream {
    rows: BoxStream<'static, Result<Sized<DbValue>, Failure>>,
    outcome: Option<oneshot::Sender<Result<(), Error>>>,
    /// The statement's.
    span: Span,
}

/// What one look at the rows brought.
#[derive(Debug)]
enum Batch {
    /// Nothing yet.
    None,
    Rows(Vec<Row>),
    /// The last rows, maybe none, and how it ended.
    Last(Vec<Row>, Result<(), Failure>),
}

impl RowStream {
    /// The other end is told how it ended, or nothing if the guest drops the
    /// stream before its end.
    pub(super) fn new(rows: Rows, span: Span) -> (Self, oneshot::Receiver<Result<(), Error>>) {
        let decoder = Decoder::of(&rows, Kind::of);
        // Held across reads of the guest: a row's deadline is a timer that has
        // to stay in place for as long as the row is waited for.
        let rows = try_unfold((rows, decoder), |(mut rows, decoder)| async move {
            let Some(row) = rows.next().await else {
                return Ok(None);
            };
            let row = decoder.row(&row?)?;
            Ok(Some((row, (rows, decoder))))
        });
        let (stream, ended) = Self::over(rows.boxed());
        (Self { span, ..stream }, ended)
    }

    fn over(
        rows: BoxStream<'static, Result<Sized<DbValue>, Failure>>,
    ) -> (Self, oneshot::Receiver<Result<(), Error>>) {
        let (outcome, ended) = oneshot::channel();
        let outcome = Some(outcome);
        let span = Span::OFF;
        let stream = Self {
            rows,
            outcome,
            span,
        };
        (stream, ended)
    }

    /// The rows that are there, up to `room` and the batch's own limits.
    fn poll_batch(&mut self, cx: &mut Context<'_>, room: usize) -> Batch {
        let room = room.min(BATCH_ROWS);
        let mut batch = Vec::new();
        let mut total = 0;
        while batch.len() < room && total < BATCH_BYTES {
            match self.rows.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(Sized { row, bytes }))) => {
                    total += bytes;
                    batch.push(row);
                }
                Poll::Ready(Some(Err(failure))) => return Batch::Last(batch, Err(failure)),
                Poll::Ready(None) => return Batch::Last(batch, Ok(())),
                Poll::Pending if batch.is_empty() => return Batch::None,
                // Looked at again at the next read.
                Poll::Pending => break,
            }
        }
        Batch::Rows(batch)
    }

    fn end(&mut self, outcome: Result<(), Failure>) {
        // The connection goes back now, not when the guest drops the stream.
        self.rows = stream::empty().boxed();
        if let Err(failure) = &outcome {
            failure.tell(&self.span);
        }
        self.span.end();
        if let Some(sender) = self.outcome.take() {
            // A guest that dropped the future does not want to know.
            let _ = sender.send(outcome.map_err(Error::from));
        }
    }
}

impl<T: 'static> StreamProducer<T> for RowStream {
    type Item = Row;
    type Buffer = VecBuffer<Row>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'a, T>,
        mut destination: Destination<'a, Row, VecBuffer<Row>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        // No more than the guest has room for: then it has taken all rows when
        // it is told how the statement ended.
        let room = destination.remaining(store).unwrap_or(BATCH_ROWS);
        if room == 0 {
            // A read of nothing asks whether there is something; the next real
            // read finds out.
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        match self.poll_batch(cx, room) {
            Batch::Rows(rows) => {
                destination.set_buffer(rows.into());
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Batch::Last(rows, outcome) => {
                destination.set_buffer(rows.into());
                self.end(outcome);
                Poll::Ready(Ok(StreamResult::Dropped))
            }
            // The row under way is kept for the next read.
            Batch::None if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Batch::None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::channel::mpsc;
    use std::task::Waker;

    fn row(number: i32, bytes: usize) -> Result<Sized<DbValue>, Failure> {
        Ok(Sized {
            row: vec![DbValue::Int32(number)],
            bytes,
        })
    }

    fn numbers(rows: &[Row]) -> Vec<i32> {
        rows.iter()
            .map(|row| match row[..] {
                [DbValue::Int32(number)] => number,
                _ => panic!("{row:?}"),
            })
            .collect()
    }

    fn batch(rows: &mut RowStream, room: usize) -> (Vec<i32>, Option<Result<(), Failure>>) {
        match rows.poll_batch(&mut Context::from_waker(Waker::noop()), room) {
            Batch::None => panic!("nothing there"),
            Batch::Rows(rows) => (numbers(&rows), None),
            Batch::Last(rows, end) => (numbers(&rows), Some(end)),
        }
    }

    #[test]
    fn no_more_rows_are_taken_than_there_is_room_for() {
        let (mut rows, _ended) = RowStream::over(stream::iter((0..5).map(|n| row(n, 8))).boxed());
        assert_eq!(batch(&mut rows, 2), (vec![0, 1], None));
        assert_eq!(batch(&mut rows, 3), (vec![2, 3, 4], None));
        assert_eq!(batch(&mut rows, 3), (vec![], Some(Ok(()))));
    }

    #[test]
    fn a_batch_is_bounded_in_rows_and_bytes() {
        let (mut rows, _ended) =
            RowStream::over(stream::iter((0..1000).map(|n| row(n, 8))).boxed());
        assert_eq!(batch(&mut rows, usize::MAX).0.len(), BATCH_ROWS);
        let large = stream::iter((0..9).map(|n| row(n, BATCH_BYTES / 2)));
        let (mut rows, _ended) = RowStream::over(large.boxed());
        assert_eq!(batch(&mut rows, 9), (vec![0, 1], None));
        let huge = stream::iter((0..9).map(|n| row(n, BATCH_BYTES * 9)));
        let (mut rows, _ended) = RowStream::over(huge.boxed());
        assert_eq!(batch(&mut rows, 9), (vec![0], None));
    }

    #[test]
    fn rows_before_a_failure_are_delivered_with_it() {
        let failure = Failure::Other("lost".into());
        let items = [row(0, 8), row(1, 8), Err(failure.clone())];
        let (mut rows, mut ended) = RowStream::over(stream::iter(items).boxed());
        let (read, end) = batch(&mut rows, 9);
        assert_eq!((read, end), (vec![0, 1], Some(Err(failure.clone()))));
        rows.end(Err(failure));
        let told = ended.try_recv().unwrap();
        assert!(matches!(told, Err(Error::Other(text)) if text == "lost"));
    }

    #[test]
    fn what_is_there_is_handed_out_without_waiting_for_more() {
        let (sender, receiver) = mpsc::unbounded();
        let (mut rows, _ended) = RowStream::over(receiver.boxed());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(rows.poll_batch(&mut cx, 9), Batch::None));
        sender.unbounded_send(row(7, 8)).unwrap();
        assert_eq!(batch(&mut rows, 9), (vec![7], None));
    }

    #[test]
    fn the_end_lets_go_of_the_result_and_so_does_a_drop() {
        let (sender, receiver) = mpsc::unbounded();
        let (mut rows, _ended) = RowStream::over(receiver.boxed());
        rows.end(Ok(()));
        assert!(sender.is_closed());

        let (sender, receiver) = mpsc::unbounded();
        let (rows, mut ended) = RowStream::over(receiver.boxed());
        drop(rows);
        assert!(sender.is_closed());
        assert!(ended.try_recv().is_err(), "nobody is told of an end");
    }
}
