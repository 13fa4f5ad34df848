//! `/health`: whether the service can do its work.

mod logic;

use futures::{
    FutureExt,
    future::{self, Either},
    pin_mut,
};
use logic::{Cache, Database as State};
use shared::{
    Answer,
    cache::Links,
    config::{Config, config},
    db::Database,
    guest::Incoming,
    sql,
};
use spin_sdk::wasip3::clocks::monotonic_clock;

/// How long a store may take to answer, in nanoseconds: 2 s, less than what
/// those who ask for health commonly wait.
const PATIENCE: u64 = 2_000_000_000;

shared::service!(handle);

async fn handle(request: Incoming) -> Answer {
    logic::route(&request.head)?;
    let config = config().await?;
    let (database, cache) = future::join(in_time(database(config)), in_time(cache(config))).await;
    logic::report(
        database.unwrap_or(State::Down),
        cache.unwrap_or(Cache::Down),
    )
}

async fn database(config: &Config) -> State {
    let answer = async {
        Database::open(config)
            .await?
            .execute(sql::PING, vec![])
            .await
    };
    if answer.await.is_ok() {
        State::Up
    } else {
        State::Down
    }
}

async fn cache(config: &Config) -> Cache {
    if config.valkey_url.is_none() {
        return Cache::None;
    }
    match Links::open(config).await {
        Some(links) if links.ping().await => Cache::Up,
        _ => Cache::Down,
    }
}

/// What a probe finds, unless it takes too long.
async fn in_time<T>(probe: impl Future<Output = T>) -> Option<T> {
    let clock = monotonic_clock::wait_for(PATIENCE).fuse();
    pin_mut!(probe, clock);
    match future::select(probe, clock).await {
        Either::Left((found, _)) => Some(found),
        Either::Right(_) => None,
    }
}
