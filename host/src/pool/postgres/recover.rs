//! What happens to a statement whose caller went away.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::permit::{Permit, Place};
use super::slot::Lane;

/// How long a statement may go on by itself before it is cancelled: most end
/// sooner than a request to cancel them would take.
const GRACE: Duration = Duration::from_millis(25);
/// An abandoned statement that is still seen to run after twice this is cancelled
/// for the sake of those behind it. Short beside any deadline; a statement that
/// ends by itself within it costs no second connection.
const IN_THE_WAY: Duration = Duration::from_millis(50);
/// How long the server gets to act on a cancellation, a rollback or a reset.
const PATIENCE: Duration = Duration::from_secs(3);
/// When to cancel again. A cancellation ends one statement only.
const AGAIN: Duration = Duration::from_millis(250);

/// The connection can no longer be trusted; it is being closed.
#[derive(Debug)]
pub(super) struct Unsettled;

/// Gives the place back once its statement has ended. Runs by itself.
pub(super) fn settle_later(place: Place) {
    let placement = place.pool.placement.clone();
    let core = place.connection.core;
    let leaving = Leaving(Some(place));
    placement.spawn(core, async move {
        if let Some(place) = &leaving.0 {
            // Unsettled is condemned: nothing is left to be done here.
            let _ = settle(place).await;
        }
    });
}

/// Gives the place back at the end of the task, however that comes.
struct Leaving(Option<Place>);

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(place) = self.0.take() {
            place.give_back(None);
        }
    }
}

/// Cancels what runs on a connection that one caller holds. Returns when it has
/// ended; the permit is then as good as before.
pub(super) async fn interrupt(permit: &Permit) -> Result<(), Unsettled> {
    let mark = Abandoned::mark(permit.place());
    quiet(permit.place()).await?;
    mark.settled();
    Ok(())
}

/// Rolls back and, if there is session state, resets the connection of a pin
/// that ended, then gives it to the next. Runs by itself.
pub(super) fn reset_later(mut permit: Permit, leaves_state: bool) {
    let placement = permit.pool().placement.clone();
    let core = permit.connection().core;
    // If the task is dropped half-way, the statement is settled like any other.
    permit.begin();
    placement.spawn(core, async move {
        // Unsettled is condemned, and closed once the permit is back.
        let _ = reset(permit.place(), leaves_state).await;
        permit.finish();
    });
}

async fn settle(place: &Place) -> Result<(), Unsettled> {
    let mark = Abandoned::mark(place);
    quiet(place).await?;
    roll_back(place).await?;
    mark.settled();
    Ok(())
}

async fn reset(place: &Place, leaves_state: bool) -> Result<(), Unsettled> {
    let mark = Abandoned::mark(place);
    quiet(place).await?;
    roll_back(place).await?;
    if leaves_state {
        if !place.connection.survives_discard() {
            return Err(Unsettled);
        }
        command(place, "DISCARD ALL").await?;
        place.connection.forget_all();
    }
    mark.settled();
    Ok(())
}

/// A statement that has no caller. Unless it is settled, its connection goes.
struct Abandoned<'a> {
    place: &'a Place,
    settled: bool,
}

impl<'a> Abandoned<'a> {
    fn mark(place: &'a Place) -> Self {
        place.pool.abandon(place);
        Self {
            place,
            settled: false,
        }
    }

    fn settled(mut self) {
        self.settled = true;
    }
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        let mut lanes = self.place.pool.lanes.lock();
        if !self.settled {
            lanes.condemn(self.place.slot);
            self.place.connection.kill();
        }
        lanes.settle(self.place.slot);
    }
}

/// Waits for the statement to end. If it does not, lets nobody else onto the
/// connection and cancels it: at once where it has no company, else when it is seen
/// to keep those behind it waiting. A statement that is hit in its stead is run
/// again, see [`super::dispatch`].
async fn quiet(place: &Place) -> Result<(), Unsettled> {
    let mut barrier = std::pin::pin!(place.connection.barrier());
    if let Ok(ended) = timeout(GRACE, &mut barrier).await {
        return passed(place, ended);
    }
    place.pool.lanes.lock().suspect(place.slot);
    tokio::select! {
        ended = &mut barrier => return passed(place, ended),
        () = deserted(place) => {}
        () = in_the_way(place) => {
            end_first(place).await?;
            // Those behind it have callers, and run as long as these want.
            tokio::select! {
                ended = &mut barrier => return passed(place, ended),
                () = deserted(place) => {}
            }
        }
    }
    let patience = Instant::now() + PATIENCE;
    while Instant::now() < patience {
        cancel(place).await?;
        if let Ok(ended) = timeout(AGAIN, &mut barrier).await {
            return passed(place, ended);
        }
        // It hit another abandoned statement, one that stood before this.
    }
    Err(Unsettled)
}

/// Whether the server has come to the barrier. A cancellation may hit the
/// barrier instead of a statement; then all before it has ended as well.
fn passed(place: &Place, ended: Result<(), tokio_postgres::Error>) -> Result<(), Unsettled> {
    match ended {
        Ok(()) => Ok(()),
        Err(error) if error.as_db_error().is_some() && !place.connection.is_closed() => Ok(()),
        Err(_) => Err(Unsettled),
    }
}

/// Returns when only statements without a caller are left on the connection.
async fn deserted(place: &Place) {
    loop {
        let told = place.connection.deserted.notified();
        tokio::pin!(told);
        // Registered before looking, so that no notice falls in between.
        told.as_mut().enable();
        if place.pool.lanes.lock().only_abandoned(place.slot) {
            return;
        }
        told.await;
    }
}

/// Returns when the statement has been the first of its connection for a while.
async fn in_the_way(place: &Place) {
    let line = &place.connection.line;
    let mut was_first = false;
    loop {
        tokio::time::sleep(IN_THE_WAY).await;
        let is_first = line.is_first(&place.turn);
        // The rows of another that somebody reads could not be had again; that it
        // is being read also says that this one does not run.
        let read = place.lane == Lane::Shared && place.pool.lanes.lock().is_held(place.slot);
        if is_first && was_first && !read {
            return;
        }
        was_first = is_first;
    }
}

/// Cancels the statement that the server runs, until it is done with it.
async fn end_first(place: &Place) -> Result<(), Unsettled> {
    let signals = &place.connection.signals;
    let before = signals.answered();
    let patience = Instant::now() + PATIENCE;
    while Instant::now() < patience {
        cancel(place).await?;
        if timeout(AGAIN, signals.answered_since(before)).await.is_ok() {
            place.connection.line.leave(&place.turn);
            return Ok(());
        }
    }
    Err(Unsettled)
}

async fn cancel(place: &Place) -> Result<(), Unsettled> {
    place.pool.metrics.cancels.inc();
    place.connection.note_cancel();
    let token = place.connection.client.cancel_token();
    match timeout(
        PATIENCE,
        place.pool.dialer.cancel(&token, place.connection.server),
    )
    .await
    {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a statement could not be cancelled; its connection is closed");
            Err(Unsettled)
        }
        Err(_) => Err(Unsettled),
    }
}

/// Leaves no transaction open.
async fn roll_back(place: &Place) -> Result<(), Unsettled> {
    if place.connection.signals.in_transaction() {
        command(place, "ROLLBACK").await?;
    }
    Ok(())
}

/// Runs a command of the pool's own.
async fn command(place: &Place, sql: &str) -> Result<(), Unsettled> {
    match timeout(PATIENCE, place.connection.client.batch_execute(sql)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Unsettled),
    }
}
