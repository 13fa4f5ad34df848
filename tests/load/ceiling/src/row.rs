//! A row by its primary key, over pipelined connections, as the JSON that
//! `GET /urls/ID` answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use anyhow::Context as _;
use bytes::Bytes;
use chrono::NaiveDateTime;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::{Serialize, Serializer};
use tokio_postgres::{Client, NoTls, Row, Statement};

use crate::cores::Cores;
use crate::listener::Work;

const SELECT: &str = "\
SELECT id, user_id, short_code, original_url, title, is_active, created_at, updated_at
FROM urls WHERE id = $1";

/// One core's connections.
#[derive(Clone)]
pub(crate) struct Rows(Arc<Shared>);

struct Shared {
    connections: Vec<Prepared>,
    next: AtomicUsize,
}

struct Prepared {
    client: Client,
    select: Statement,
}

#[derive(Serialize)]
struct Url<'a> {
    id: i64,
    user_id: Option<i64>,
    short_code: &'a str,
    original_url: &'a str,
    title: Option<&'a str>,
    is_active: bool,
    created_at: Time,
    updated_at: Time,
}

/// UTC, whole seconds, no zone.
struct Time(NaiveDateTime);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // What it shows for debugging is the API's form.
        serializer.collect_str(&format_args!("{:?}", self.0))
    }
}

impl Rows {
    /// Opens `connections` in all, the statement prepared, and deals them out.
    ///
    /// # Errors
    /// Where PostgreSQL cannot be reached, or has no such table.
    pub(crate) fn connect(
        cores: &Cores,
        address: &str,
        connections: usize,
    ) -> anyhow::Result<Vec<Self>> {
        let mut dealt: Vec<Vec<Prepared>> = Vec::new();
        dealt.resize_with(cores.count(), Vec::new);
        for number in 0..connections.max(cores.count()) {
            let address = address.to_owned();
            let prepared = cores.run(number, Box::pin(open(address)))?;
            dealt[number % cores.count()].push(prepared);
        }
        let rows = dealt.into_iter().map(|connections| {
            Self(Arc::new(Shared {
                connections,
                next: AtomicUsize::new(0),
            }))
        });
        Ok(rows.collect())
    }
}

async fn open(address: String) -> anyhow::Result<Prepared> {
    let (client, connection) = tokio_postgres::connect(&address, NoTls)
        .await
        .context("connecting to PostgreSQL")?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            eprintln!("a connection to PostgreSQL ended: {error}");
        }
    });
    let select = client.prepare(SELECT).await?;
    Ok(Prepared { client, select })
}

impl Work for Rows {
    async fn answer(&self, request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
        let id = request.uri().path().rsplit('/').next().unwrap_or_default();
        let id: i64 = id.parse().context("an id")?;
        let turn = self.0.next.fetch_add(1, Relaxed);
        let connection = &self.0.connections[turn % self.0.connections.len()];
        let row = connection
            .client
            .query_one(&connection.select, &[&id])
            .await?;
        let mut response = Response::new(Full::from(json(&row)?));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }
}

fn json(row: &Row) -> anyhow::Result<Vec<u8>> {
    let url = Url {
        id: row.try_get(0)?,
        user_id: row.try_get(1)?,
        short_code: row.try_get(2)?,
        original_url: row.try_get(3)?,
        title: row.try_get(4)?,
        is_active: row.try_get(5)?,
        created_at: Time(row.try_get(6)?),
        updated_at: Time(row.try_get(7)?),
    };
    Ok(serde_json::to_vec(&url)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_the_apis() {
        let time = "2025-09-19T22:25:05".parse().map(Time).unwrap();
        assert_eq!(
            serde_json::to_string(&time).unwrap(),
            r#""2025-09-19T22:25:05""#
        );
    }
}
