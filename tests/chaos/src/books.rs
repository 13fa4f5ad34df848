//! What the database has of what was answered: all of it, once.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::Client;
use warmlink_tests::eventually::within;

use crate::load::{Kind, Outcome, Sample};
use crate::postgres::connect;
use crate::valkey::Valkey;

/// What waits in the stream is recorded within this, once everything is back. The
/// longest pause between two tries is 3 s; an entry of a host that is gone is taken
/// over after the component's `claim_after`.
const DELIVERED: Duration = Duration::from_secs(20);

/// What is wrong with the books.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// Creates that were answered and are not there.
    pub(crate) lost_creates: usize,
    /// When the redirects were answered whose click is not there.
    pub(crate) lost_clicks: Vec<Instant>,
    /// Creates and clicks that are there more than once, answered or not.
    pub(crate) doubled: usize,
    /// Clicks that nobody could record.
    pub(crate) dead: u64,
    /// Entries of the stream that nobody takes.
    pub(crate) stuck: u64,
}

impl Books {
    /// Waits until the stream is empty, and compares.
    ///
    /// # Errors
    /// Where a server does not answer.
    pub(crate) async fn audit(
        run: &str,
        samples: &[Sample],
        database: &str,
        valkey: &Valkey,
    ) -> anyhow::Result<Self> {
        let empty = within(DELIVERED, || async {
            (valkey.entries("clicks").await.ok()? == 0).then_some(())
        });
        let stuck = match empty.await {
            Some(()) => 0,
            None => valkey.entries("clicks").await?,
        };
        let database = connect(database).await?;
        let created = counted(&database, CREATED, run).await?;
        let clicked = counted(&database, CLICKED, run).await?;
        let told = counted(&database, TOLD, run).await?;
        let mut books = Self {
            dead: valkey.entries("clicks:dead").await?,
            stuck,
            ..Self::default()
        };
        for sample in samples {
            let answered = sample.outcome == Outcome::Answered;
            let name = format!("{run}-{}", sample.number);
            let times = |of: &HashMap<String, i64>| of.get(&name).copied().unwrap_or(0);
            let there = match sample.kind {
                Kind::Create => {
                    let (rows, events) = (times(&created), times(&told));
                    books.lost_creates += usize::from(answered && rows == 0);
                    // A row and its event are one deed.
                    books.doubled += usize::from(rows != events);
                    rows
                }
                kind if kind.clicks() => {
                    let clicks = times(&clicked);
                    if answered && clicks == 0 {
                        books.lost_clicks.push(sample.ended);
                    }
                    clicks
                }
                _ => 0,
            };
            books.doubled += usize::from(there > 1);
        }
        Ok(books)
    }

    /// How many writes are lost.
    pub(crate) fn lost(&self) -> usize {
        self.lost_creates + self.lost_clicks.len()
    }

    /// Which promises are broken. Clicks that were answered in the time `excused`
    /// were in a store whose loss is the fault.
    pub(crate) fn broken(&self, excused: Option<(Instant, Instant)>) -> Vec<String> {
        let held = |at: &&Instant| !excused.is_some_and(|(from, to)| (from..=to).contains(at));
        let lost = self.lost_clicks.iter().filter(held).count();
        let counts = [
            (self.lost_creates as u64, "creates were answered and lost"),
            (lost as u64, "redirects were answered and their clicks lost"),
            (self.doubled as u64, "writes are there more than once"),
            (self.dead, "clicks are dead letters"),
            (self.stuck, "clicks stay in the stream"),
        ];
        let broken = counts.iter().filter(|(count, _)| *count > 0);
        broken
            .map(|(count, what)| format!("{count} {what}"))
            .collect()
    }
}

const CREATED: &str = "\
SELECT title, count(*) FROM urls WHERE starts_with(title, $1) GROUP BY 1";

const CLICKED: &str = "\
SELECT details->>'referrer', count(*) FROM events
WHERE event_type = 'click' AND starts_with(details->>'referrer', $1) GROUP BY 1";

/// The events of creates, by the title of what was created.
const TOLD: &str = "\
SELECT title, count(*) FROM events JOIN urls ON urls.id = events.url_id
WHERE event_type = 'created' AND starts_with(title, $1) GROUP BY 1";

async fn counted(database: &Client, sql: &str, run: &str) -> anyhow::Result<HashMap<String, i64>> {
    let rows = database.query(sql, &[&format!("{run}-")]).await?;
    let counts = rows
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    counts.collect()
}
