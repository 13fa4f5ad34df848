//! What the stores hold before anything is measured, and what they hold after.

use anyhow::ensure;
use redis::aio::MultiplexedConnection;
use tokio_postgres::Client;
use warmlink_tests::Api;
use warmlink_tests::database::connect;

use crate::work::{CACHED, HEAD, UNCACHED};

/// `$1` first letter of the codes, `$2` how many.
const LINKS: &str = "\
WITH made AS (
    INSERT INTO urls (short_code, original_url, title)
    SELECT $1::text || lpad(n::text, 7, '0'),
           'https://example.com/articles/' || n || '?ref=bench', 'Article ' || n
    FROM generate_series(0, $2::bigint - 1) AS n ORDER BY n
    RETURNING id, short_code
)
INSERT INTO codes (code, url_id) SELECT short_code, id FROM made";

/// Makes the links, and leaves the server with nothing to catch up on. The ones
/// to be cached come first, so that their ids run from 1.
///
/// # Errors
/// Where the database refuses, or does not keep what it confirms.
pub(crate) async fn tables(address: &str) -> anyhow::Result<()> {
    let database = connect(address).await;
    for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
        let value = shown(&database, setting).await?;
        ensure!(value == "on", "PostgreSQL's {setting} is {value}");
    }
    for (letter, count) in [("c", CACHED), ("p", UNCACHED)] {
        let count = i64::try_from(count)?;
        database.execute(LINKS, &[&letter, &count]).await?;
    }
    // Apart: neither may be in a transaction.
    for statement in ["VACUUM ANALYZE", "CHECKPOINT"] {
        database.batch_execute(statement).await?;
    }
    Ok(())
}

/// Has the application cache the links that are to be cached, and keeps them
/// there for the run. Gives the number of visits that took.
///
/// # Errors
/// Where they are not cached.
///
/// # Panics
/// Where the host does not answer.
pub(crate) async fn cache(api: &Api, valkey: &mut MultiplexedConnection) -> anyhow::Result<u64> {
    for turn in 0..CACHED {
        let path = HEAD.request.path_at(turn);
        api.get(&path).await.expect(302);
        let code = path.trim_start_matches('/');
        let kept: bool = redis::cmd("PERSIST")
            .arg(format!("link:{code}"))
            .query_async(valkey)
            .await?;
        ensure!(kept, "the application did not cache {code}");
    }
    Ok(CACHED)
}

/// How many visits are recorded.
///
/// # Errors
/// Where the database refuses.
pub(crate) async fn visits(address: &str) -> anyhow::Result<u64> {
    let database = connect(address).await;
    let row = database
        .query_one(
            "SELECT count(*) FROM events WHERE event_type = 'click'",
            &[],
        )
        .await?;
    Ok(u64::try_from(row.try_get::<_, i64>(0)?)?)
}

/// The server's version.
///
/// # Errors
/// Where the database refuses.
pub(crate) async fn version(address: &str) -> anyhow::Result<String> {
    let database = connect(address).await;
    shown(&database, "server_version").await
}

async fn shown(database: &Client, setting: &str) -> anyhow::Result<String> {
    let row = database.query_one(&format!("SHOW {setting}"), &[]).await?;
    Ok(row.try_get(0)?)
}
