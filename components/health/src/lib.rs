//! `/health`: whether the service can do its work. `/openapi.json`: what that is.

mod document;
mod logic;

use futures::future;
use logic::{Asked, Cache, Database as State};
use shared::{
    Answer,
    cache::Links,
    config::{Config, config},
    db::Database,
    guest::{self, Incoming},
    sql,
};

/// How long a store may take to answer, in nanoseconds: 2 s, less than what
/// those who ask for health commonly wait.
const PATIENCE: u64 = 2_000_000_000;

shared::service!(handle);

async fn handle(request: Incoming) -> Answer {
    match logic::route(&request.head)? {
        Asked::Health => health().await,
        Asked::Document => {
            let known = request.header("if-none-match");
            Ok(document::reply(known.as_deref()))
        }
    }
}

async fn health() -> Answer {
    let config = config().await?;
    let database = guest::in_time(PATIENCE, database(config));
    let cache = guest::in_time(PATIENCE, cache(config));
    let (database, cache) = future::join(database, cache).await;
    logic::report(
        database.unwrap_or(State::Down),
        cache.unwrap_or(Cache::Down),
    )
}

async fn database(config: &Config) -> State {
    let answer = async {
        Database::shared(config)
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
