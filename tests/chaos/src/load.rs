//! A steady mix of requests, each of which is known again afterwards.
//!
//! It is offered at a fixed rate, whether what was asked before is answered or not:
//! as clients do, who do not know of each other.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, REFERER};
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};
use warmlink_tests::database::connect;
use warmlink_tests::{Api, Reply};

/// Between two requests. Two cores do this with ease beside the servers, and a
/// database that hangs for seconds gathers hundreds of requests all the same.
const BETWEEN: Duration = Duration::from_millis(10);

/// Ten requests, over and over.
const MIX: [Kind; 10] = [
    Kind::Cached,
    Kind::Read,
    Kind::Cached,
    Kind::Create,
    Kind::Cached,
    Kind::Uncached,
    Kind::Cached,
    Kind::List,
    Kind::Cached,
    Kind::Read,
];

/// Links that are visited again and again.
const CACHED: usize = 20;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `POST /urls`.
    Create,
    /// `GET /CODE` of a link that was visited a moment ago.
    Cached,
    /// `GET /CODE` of a link that nobody has visited.
    Uncached,
    /// `GET /urls/ID`.
    Read,
    /// `GET /urls`.
    List,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Create,
        Self::Cached,
        Self::Uncached,
        Self::Read,
        Self::List,
    ];

    /// Whether it records a click.
    pub(crate) fn clicks(self) -> bool {
        matches!(self, Self::Cached | Self::Uncached)
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As it should be.
    Answered,
    /// A 503 or 504 that says why.
    Refused(u16),
    /// Anything else: a connection that broke, an answer that is wrong.
    Failed(String),
}

/// A request that was made.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) kind: Kind,
    /// Its own, within the run.
    pub(crate) number: usize,
    /// The place of whom it was asked of.
    pub(crate) place: usize,
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    pub(crate) outcome: Outcome,
}

/// A link that is there from the beginning.
#[derive(Clone, Debug)]
struct Link {
    id: i64,
    code: String,
    target: String,
}

/// The hosts that requests go to. One that comes back at another port takes the
/// place of the one that went.
pub(crate) type Places = Vec<Arc<Mutex<Api>>>;

/// A load that is being offered.
pub(crate) struct Load {
    stop: watch::Sender<bool>,
    task: JoinHandle<Vec<Sample>>,
}

struct Crowd {
    run: String,
    places: Places,
    cached: Vec<Link>,
    uncached: Vec<Link>,
    visited: AtomicUsize,
}

impl Load {
    /// Makes links, as many as a load of this length needs, has some of them cached,
    /// and begins. All that it leaves in the database carries the word `run`.
    ///
    /// # Errors
    /// Where the database or a host does not do its part.
    pub(crate) async fn begin(
        run: &str,
        places: Places,
        database: &str,
        length: Duration,
    ) -> anyhow::Result<Self> {
        let ticks = length.as_millis() / BETWEEN.as_millis();
        // Uncached ones are a tenth; half as many again, for whatever takes longer.
        let count = CACHED + usize::try_from(ticks)? * 3 / 20;
        let mut links = links(database, run, count).await?;
        let cached: Vec<Link> = links.drain(..CACHED).collect();
        for place in &places {
            let api = api(place);
            for link in &cached {
                let path = format!("/{}", link.code);
                api.get(&path).await.expect(302);
            }
        }
        let crowd = Arc::new(Crowd {
            run: run.to_owned(),
            places,
            cached,
            uncached: links,
            visited: AtomicUsize::new(0),
        });
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(offer(crowd, stopping));
        Ok(Self { stop, task })
    }

    /// Asks for nothing more, and waits for what was asked for.
    ///
    /// # Errors
    /// Where the load itself is at fault.
    pub(crate) async fn end(self) -> anyhow::Result<Vec<Sample>> {
        self.stop.send_replace(true);
        self.task.await.context("the load")
    }
}

async fn offer(crowd: Arc<Crowd>, mut stop: watch::Receiver<bool>) -> Vec<Sample> {
    let mut ticks = interval(BETWEEN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut requests = JoinSet::new();
    let mut samples = Vec::new();
    let mut number = 0;
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            _ = ticks.tick() => {
                let crowd = crowd.clone();
                requests.spawn(async move { crowd.request(number).await });
                number += 1;
            }
            Some(sample) = requests.join_next() => samples.extend(sample),
        }
    }
    while let Some(sample) = requests.join_next().await {
        samples.extend(sample);
    }
    samples
}

impl Crowd {
    async fn request(&self, number: usize) -> Sample {
        let kind = MIX[number % MIX.len()];
        // Each place gets all kinds in turn.
        let place = (number + number / MIX.len()) % self.places.len();
        let api = api(&self.places[place]);
        let begun = Instant::now();
        let outcome = match self.ask(&api, kind, number).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        Sample {
            kind,
            number,
            place,
            begun,
            ended: Instant::now(),
            outcome,
        }
    }

    async fn ask(&self, api: &Api, kind: Kind, number: usize) -> anyhow::Result<Outcome> {
        let name = format!("{}-{number}", self.run);
        let of_cached = || &self.cached[number % self.cached.len()];
        match kind {
            Kind::Create => {
                let target = format!("https://example.com/{name}");
                let body = json!({ "original_url": target, "title": name });
                let body = body.to_string().into();
                let headers = [(CONTENT_TYPE, "application/json")];
                let reply = send(api, Method::POST, "/urls", &headers, body).await?;
                answer(&reply, StatusCode::CREATED, || {
                    let url = json(&reply)?;
                    ensure!(
                        url["title"] == name && url["original_url"] == target,
                        "{url}"
                    );
                    Ok(())
                })
            }
            Kind::Cached => visit(api, of_cached(), &name).await,
            Kind::Uncached => {
                let next = self.visited.fetch_add(1, Relaxed);
                let link = self.uncached.get(next);
                visit(api, link.context("more links are needed")?, &name).await
            }
            Kind::Read => {
                let link = of_cached();
                let path = format!("/urls/{}", link.id);
                let reply = send(api, Method::GET, &path, &[], Bytes::new()).await?;
                answer(&reply, StatusCode::OK, || {
                    let url = json(&reply)?;
                    ensure!(url["original_url"] == link.target.as_str(), "{url}");
                    Ok(())
                })
            }
            Kind::List => {
                let first = &self.cached[0];
                let path = format!("/urls?per_page=10&after_id={}", first.id - 1);
                let reply = send(api, Method::GET, &path, &[], Bytes::new()).await?;
                answer(&reply, StatusCode::OK, || {
                    let list = json(&reply)?;
                    let right = list.as_array().is_some_and(|list| {
                        list.len() == 10 && list[0]["short_code"] == first.code.as_str()
                    });
                    ensure!(right, "{list}");
                    Ok(())
                })
            }
        }
    }
}

async fn visit(api: &Api, link: &Link, name: &str) -> anyhow::Result<Outcome> {
    let path = format!("/{}", link.code);
    let reply = send(api, Method::GET, &path, &[(REFERER, name)], Bytes::new()).await?;
    answer(&reply, StatusCode::FOUND, || {
        let location = reply.header("location");
        ensure!(location == Some(&link.target), "it leads to {location:?}");
        Ok(())
    })
}

async fn send(
    api: &Api,
    method: Method,
    path: &str,
    headers: &[(HeaderName, &str)],
    body: Bytes,
) -> anyhow::Result<Reply> {
    let body = Full::new(body).map_err(|never| match never {}).boxed();
    api.try_send(method, path, headers, body).await
}

/// Sorts a reply; `check` looks at one of the wanted status.
fn answer(
    reply: &Reply,
    wanted: StatusCode,
    check: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    match reply.status.as_u16() {
        _ if reply.status == wanted => check().map(|()| Outcome::Answered),
        status @ (503 | 504) => {
            let error = json(reply)?;
            ensure!(error["error"].is_string(), "a {status} that says {error}");
            Ok(Outcome::Refused(status))
        }
        status => anyhow::bail!("{status}: {}", reply.text()),
    }
}

fn json(reply: &Reply) -> anyhow::Result<Value> {
    serde_json::from_slice(&reply.body).with_context(|| format!("not JSON: {}", reply.text()))
}

fn api(place: &Mutex<Api>) -> Api {
    place.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// `$1` the run, `$2` how many → the links, in order.
const LINKS: &str = "\
WITH made AS (
    INSERT INTO urls (short_code, original_url, title)
    SELECT $1::text || 'x' || n, 'https://example.com/' || $1::text || '/' || n, 'there before'
    FROM generate_series(1, $2::bigint) AS n ORDER BY n
    RETURNING id, short_code, original_url
), claims AS (
    INSERT INTO codes (code, url_id) SELECT short_code, id FROM made
)
SELECT id, short_code, original_url FROM made ORDER BY id";

async fn links(database: &str, run: &str, count: usize) -> anyhow::Result<Vec<Link>> {
    let client = connect(database).await;
    let count = i64::try_from(count)?;
    let rows = client.query(LINKS, &[&run, &count]).await?;
    let links = rows.iter().map(|row| {
        Ok(Link {
            id: row.try_get(0)?,
            code: row.try_get(1)?,
            target: row.try_get(2)?,
        })
    });
    links.collect()
}
