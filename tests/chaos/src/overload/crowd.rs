//! Clients that ask one endpoint for one thing: again as soon as they are answered, or
//! at a fixed rate, whether what was asked before is answered or not.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use warmlink_tests::load::Solo;

/// Whoever is kept waiting for longer is not answered.
const LIMIT: Duration = Duration::from_secs(20);

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Came {
    Served,
    /// Told at once, by the host itself, to come again later.
    Shed,
    /// Anything else.
    Wrong(String),
}

#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) begun: Instant,
    pub(super) ended: Instant,
    pub(super) came: Came,
}

impl Answer {
    pub(super) fn took(&self) -> Duration {
        self.ended - self.begun
    }
}

/// How a right answer is known.
#[derive(Clone, Debug)]
pub(super) enum Proof {
    /// The guest says which instance it is, and how many requests that has begun.
    Guest,
    /// The body has this in it.
    Body(String),
    /// It leads there.
    Location(String),
}

/// All who ask one endpoint, over connections that are kept: a request takes one that
/// is free, or makes another, so that none waits for the answer of one before it.
pub(super) struct Asker {
    address: SocketAddr,
    /// Asked for in turn.
    paths: Vec<String>,
    proof: Proof,
    /// The one that is free for longest is next: none is idle until the host ends it.
    free: Mutex<VecDeque<Solo>>,
    asked: AtomicUsize,
    served: AtomicU64,
    /// How many requests each instance said to have begun, at the most.
    guests: Mutex<HashMap<String, u64>>,
}

impl Asker {
    pub(super) fn new(address: SocketAddr, paths: Vec<String>, proof: Proof) -> Arc<Self> {
        Arc::new(Self {
            address,
            paths,
            proof,
            free: Mutex::default(),
            asked: AtomicUsize::new(0),
            served: AtomicU64::new(0),
            guests: Mutex::default(),
        })
    }

    /// Opens so many connections.
    ///
    /// # Errors
    /// Where one is not accepted.
    pub(super) async fn open(&self, count: usize) -> anyhow::Result<()> {
        for _ in 0..count {
            let solo = Solo::connect(self.address).await?;
            lock(&self.free).push_back(solo);
        }
        Ok(())
    }

    /// So many clients, each of which asks as soon as it is answered.
    pub(super) async fn again_and_again(
        self: &Arc<Self>,
        clients: u32,
        length: Duration,
    ) -> Vec<Answer> {
        let until = Instant::now() + length;
        let mut crowd = JoinSet::new();
        for _ in 0..clients {
            let asker = self.clone();
            crowd.spawn(async move {
                let mut answers = Vec::new();
                while Instant::now() < until {
                    answers.push(asker.ask().await);
                }
                answers
            });
        }
        crowd.join_all().await.into_iter().flatten().collect()
    }

    /// So many requests a second, from one moment to another.
    pub(super) async fn at_rate(
        self: &Arc<Self>,
        rate: f64,
        from: Instant,
        until: Instant,
    ) -> Vec<Answer> {
        let mut due = interval_at(from, Duration::from_secs_f64(rate.recip()));
        due.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut requests = JoinSet::new();
        let mut answers = Vec::new();
        loop {
            tokio::select! {
                biased;
                at = due.tick() => {
                    if at >= until {
                        break;
                    }
                    let asker = self.clone();
                    requests.spawn(async move { asker.ask().await });
                }
                Some(answer) = requests.join_next() => answers.extend(answer),
            }
        }
        answers.extend(requests.join_all().await);
        answers
    }

    /// How many requests were served, ever.
    pub(super) fn served(&self) -> u64 {
        self.served.load(Relaxed)
    }

    /// How many requests the instances have begun by their own word, where they say.
    pub(super) fn begun(&self) -> Option<u64> {
        matches!(self.proof, Proof::Guest).then(|| lock(&self.guests).values().sum())
    }

    /// Ends the connections that are free.
    pub(super) fn close(&self) {
        lock(&self.free).clear();
    }

    async fn ask(&self) -> Answer {
        let begun = Instant::now();
        let came = match timeout(LIMIT, self.exchange()).await {
            Ok(Ok(came)) => came,
            Ok(Err(error)) => Came::Wrong(format!("{error:#}")),
            Err(_) => Came::Wrong(format!("no answer within {LIMIT:?}")),
        };
        Answer {
            begun,
            ended: Instant::now(),
            came,
        }
    }

    async fn exchange(&self) -> anyhow::Result<Came> {
        let path = &self.paths[self.asked.fetch_add(1, Relaxed) % self.paths.len()];
        let free = lock(&self.free).pop_front();
        let mut solo = match free {
            Some(solo) => solo,
            None => Solo::connect(self.address).await?,
        };
        let (status, headers, body) = solo.send(Method::GET, path, None).await?;
        lock(&self.free).push_back(solo);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            check_shed(&headers, &body)?;
            return Ok(Came::Shed);
        }
        let right = match &self.proof {
            Proof::Guest => status == StatusCode::OK && self.heard(&body),
            Proof::Body(part) => {
                status == StatusCode::OK && String::from_utf8_lossy(&body).contains(part)
            }
            Proof::Location(target) => {
                let found = headers.get(LOCATION).map(|it| it.as_bytes());
                status == StatusCode::FOUND && found == Some(target.as_bytes())
            }
        };
        ensure!(right, "{status}: {}", String::from_utf8_lossy(&body));
        self.served.fetch_add(1, Relaxed);
        Ok(Came::Served)
    }

    /// Takes an instance at its word.
    fn heard(&self, body: &[u8]) -> bool {
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let (Some(name), Some(begun)) = (value["instance"].as_str(), value["begun"].as_u64())
        else {
            return false;
        };
        let mut guests = lock(&self.guests);
        let most = guests.entry(name.to_owned()).or_default();
        *most = begun.max(*most);
        true
    }
}

/// All that such an answer promises.
///
/// # Errors
/// Where something is missing.
fn check_shed(headers: &HeaderMap, body: &Bytes) -> anyhow::Result<()> {
    let text = String::from_utf8_lossy(body);
    let value: Value = serde_json::from_slice(body).with_context(|| format!("a 503: {text}"))?;
    ensure!(value["kind"] == "shed", "a 503 that says {text}");
    ensure!(value["error"].is_string(), "a 503 that says {text}");
    let header = |name| headers.get(name).and_then(|it| it.to_str().ok());
    let json = header(CONTENT_TYPE).is_some_and(|it| it.starts_with("application/json"));
    ensure!(json, "a 503 of another type than JSON");
    match header(RETRY_AFTER).map(str::parse::<u64>) {
        Some(Ok(1..=60)) => Ok(()),
        _ => bail!("a 503 that does not say when to come again"),
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_lacks_a_part_is_none_of_the_admission() {
        let shed = |after: Option<&str>, kind: &str, body: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
            if let Some(after) = after {
                headers.insert(RETRY_AFTER, after.parse().unwrap());
            }
            check_shed(&headers, &Bytes::copy_from_slice(body.as_bytes()))
        };
        let (json, body) = ("application/json", r#"{"error":"busy","kind":"shed"}"#);
        shed(Some("1"), json, body).unwrap();
        for (after, kind, body) in [
            (None, json, body),
            (Some("0"), json, body),
            (Some("1"), "text/plain", body),
            (Some("1"), json, "busy"),
            (Some("1"), json, r#"{"error":"busy","kind":"not_ready"}"#),
            (Some("1"), json, r#"{"kind":"shed"}"#),
        ] {
            shed(after, kind, body).unwrap_err();
        }
    }
}
