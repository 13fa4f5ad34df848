//! Those who mean no harm: asked all the while, they never fail nor wait long.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;
use warmlink_tests::load::Solo;
use warmlink_tests::probe::open;
use warmlink_tests::traffic::Traffic;
use warmlink_tests::{Database, Host};

/// The longest that a neighbour may wait: a third of its deadline. A guest that
/// spins gives way every 10 ms, and a query that never ends is ended after a tenth
/// of a second; the rest is for a machine that is at work on other things.
const LONGEST: Duration = Duration::from_secs(10);
/// Between one request of a client's and the next: to ask is not to be a load.
const BETWEEN: Duration = Duration::from_millis(5);

/// Clients of two components: one that asks nobody, and one that asks the
/// database that the hostile ones ask, too.
pub(super) struct Neighbours {
    traffic: Traffic,
    waits: Arc<Mutex<Vec<Duration>>>,
}

pub(super) fn begin(host: &Host, database: &Database) -> Neighbours {
    let waits = Arc::<Mutex<Vec<Duration>>>::default();
    let mut traffic = Traffic::default();
    let select = json!([
        open("c", database.url()),
        { "query": { "on": "c", "sql": "SELECT 1" } }
    ]);
    for (what, method, path, body) in [
        ("neighbour", Method::GET, "/neighbour/echo", None),
        ("books", Method::POST, "/books/", Some(select)),
    ] {
        let (address, waits) = (host.public(), waits.clone());
        let round = move |solo: Option<Solo>| {
            let (method, body, waits) = (method.clone(), body.clone(), waits.clone());
            async move {
                let mut solo = match solo {
                    Some(solo) => solo,
                    None => Solo::connect(address).await?,
                };
                let began = Instant::now();
                let (_, answer) = solo.expect(200, method, path, body.as_ref()).await?;
                let took = began.elapsed();
                let answer: Value = serde_json::from_slice(&answer)?;
                let failed = |step: &Value| step.get("err").is_some();
                let failed = answer.as_array().is_some_and(|all| all.iter().any(failed));
                anyhow::ensure!(!failed, "{what}: {answer}");
                anyhow::ensure!(took <= LONGEST, "{what} waited for {took:?}");
                waits.lock().unwrap().push(took);
                tokio::time::sleep(BETWEEN).await;
                Ok(Some(solo))
            }
        };
        traffic.add(what, 2, || None, round);
    }
    Neighbours { traffic, waits }
}

impl Neighbours {
    /// Fails where a neighbour did.
    pub(super) async fn end(self) -> Waits {
        self.traffic.stop().await;
        let mut waits = std::mem::take(&mut *self.waits.lock().unwrap());
        waits.sort_unstable();
        assert!(!waits.is_empty(), "neighbours were asked");
        Waits(waits)
    }
}

/// How long the neighbours waited, the shortest first.
pub(super) struct Waits(Vec<Duration>);

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, last) = (self.0.len(), self.0[self.0.len() - 1]);
        let (half, most) = (self.0[count / 2], self.0[count * 99 / 100]);
        write!(
            f,
            "{count} of neighbours, p50 {half:.1?}, p99 {most:.1?}, max {last:.1?}"
        )
    }
}
