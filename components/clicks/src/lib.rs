//! Clicks of the stream, recorded in batches. Private: the host alone asks.

mod logic;

use shared::{
    Answer, Refusal, Reply,
    config::config,
    db::{Database, Failure},
    guest::{self, Incoming},
    sql,
};

/// Bytes of a batch. The host sends less at once, but for an entry that is
/// larger by itself.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// How long the database may take, in nanoseconds: 5 s. Shorter than the
/// component's deadline, so that the host hears that it is away, not that the
/// batch is at fault.
const PATIENCE: u64 = 5_000_000_000;

shared::service!(handle);

async fn handle(request: Incoming) -> Answer {
    logic::route(&request.head)?;
    let body = request.into_bytes(MAX_BODY).await?;
    let parameters = logic::clicks(&body)?;
    let config = config().await?;
    let recorded = guest::in_time(PATIENCE, async {
        let database = Database::shared(config).await?;
        database.execute(sql::RECORD_CLICKS, parameters).await
    });
    match recorded.await {
        Some(recorded) => recorded?,
        None => return Err(Refusal::from(Failure::Unavailable)),
    };
    Ok(Reply::empty(204))
}
