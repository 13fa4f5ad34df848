//! The cache, told of changes that it missed. Private: the host alone asks.

mod logic;

use futures::stream::{self, StreamExt};
use logic::{Asked, Intent};
use shared::{
    Answer, Refusal, Reply, cache::Links, config::config, db::Database, guest::Incoming, sql,
};

/// Bytes of a request.
const MAX_BODY: usize = 1024;

/// Intents read and marked at a time.
const BATCH: i64 = 256;

/// Links written at once.
const AT_ONCE: usize = 32;

shared::service!(handle);

async fn handle(request: Incoming) -> Answer {
    logic::route(&request.head)?;
    let asked = logic::asked(&request.into_bytes(MAX_BODY).await?)?;
    let config = config().await?;
    let Some(links) = Links::open(config).await else {
        return match config.valkey_url {
            Some(_) => Err(Refusal::unavailable("the cache")),
            None => Ok(Reply::empty(204)),
        };
    };
    let database = Database::shared(config).await?;
    let statement = match asked {
        Asked::All => sql::ALL_INTENTS,
        Asked::Left => sql::LEFT_INTENTS,
    };
    let mut after = String::new();
    loop {
        let intents: Vec<Intent> = database
            .rows(statement, vec![after.into(), BATCH.into()])
            .await?;
        let Some(last) = intents.last() else {
            break;
        };
        after = last.short_code.clone();
        let written: Vec<bool> = stream::iter(&intents)
            .map(|intent| links.put(&intent.short_code, &intent.cached))
            .buffered(AT_ONCE)
            .collect()
            .await;
        let done = logic::written(&intents, &written);
        database.execute(sql::WRITTEN, done).await?;
        if written.contains(&false) {
            return Err(Refusal::unavailable("the cache"));
        }
    }
    if asked == Asked::Left {
        database.execute(sql::FORGET_INTENTS, vec![]).await?;
    }
    Ok(Reply::empty(204))
}
