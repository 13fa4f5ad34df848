//! Five times as much is asked of an endpoint as it can do: what is served is served
//! almost as ever, the rest is told so at once, and nobody else notices.

mod crowd;
mod judge;
mod measure;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;
use tokio::time::Instant;
use warmlink_tests::proxy::Lag;
use warmlink_tests::{Host, HostOptions, Manifest, unique};

use crate::form::Extent;
use crate::leaks::{GAUGES, OWN_GAUGES, Rest, left_by};
use crate::run::Verdict;
use crate::world::World;
use crowd::{Asker, Proof};
use judge::{Judged, judge};
use measure::{Guests, Seen, Times, rate};

/// What there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scarce {
    /// Places of one endpoint, on a node that has many.
    Endpoint,
    /// Places of the node: few beyond those of the endpoint.
    Node,
    /// Answers of a database that is far away.
    Database,
}

/// Of the guest that is flooded. The length of the queue is left at its default.
const PLACES: u32 = 16;
/// Of `urls`: as many as there are connections to the database.
pub(crate) const READS: u32 = 8;
/// Of the node, beyond these.
const SPARE: u32 = 4;
/// An instance is used by one core alone, so each may come to need as many as there
/// are places.
const CORES: u32 = 2;
/// How long the guest takes for an answer, in milliseconds, without using a core: two
/// can then ask for much more than is answered. Some take longer than others: places
/// that all are held equally long come free all at once, as they were taken.
const WORK: RangeInclusive<u64> = 20..=50;
/// Prime to how many these are, so that each comes in turn.
const STEP: usize = 7;
/// How often the other endpoint is asked, in a second.
const GENTLE: f64 = 20.0;
/// The distance to the servers, in each direction.
const AWAY: Lag = Lag {
    delay: Duration::from_millis(20),
    lost: 0.0,
    again: Duration::ZERO,
};
/// More than are ever in use at once: all places, all that wait, and those that are
/// being told that there is no room.
const CONNECTIONS: usize = 64;
/// Beyond what can be done at all.
const TIMES: f64 = 5.0;
/// What the flooded endpoint is asked before and after, of what it can do.
const CALM: f64 = 0.25;

/// An endpoint to flood, and another.
struct Scene<'a> {
    host: &'a Host,
    /// The component that is flooded.
    component: &'static str,
    places: u32,
    /// What an answer of it takes at most.
    work: Duration,
    /// What it has to have none of at rest.
    gauges: &'static [&'static str],
    flooded: Arc<Asker>,
    beside: Arc<Asker>,
}

/// # Errors
/// Where the load could not be offered: then nothing is known of the promises.
pub(crate) async fn run(scarce: Scarce, extent: Extent, world: &World) -> anyhow::Result<Verdict> {
    match scarce {
        Scarce::Endpoint => guests("", extent).await,
        Scarce::Node => {
            let places = PLACES + SPARE;
            guests(&format!("[limits]\nin_flight = {places}"), extent).await
        }
        Scarce::Database => database(extent, world).await,
    }
}

/// On a host of guests alone, with these limits.
async fn guests(node: &str, extent: Extent) -> anyhow::Result<Verdict> {
    let few = format!("in_flight = {PLACES}\nreuse = 1000000");
    let components = [
        ("flooded", "http", few.as_str()),
        ("beside", "http", "reuse = 1000000"),
    ];
    let manifest = Manifest::several(&components).with_tool(node);
    let options = HostOptions::new(manifest).env("WARMLINK_CORES", &CORES.to_string());
    let mut host = Host::start(options).await;
    let asker = |name| Asker::new(host.public(), work(name), Proof::Guest);
    let scene = Scene {
        host: &host,
        component: "flooded",
        places: PLACES,
        work: Duration::from_millis(*WORK.end()),
        gauges: OWN_GAUGES,
        flooded: asker("flooded"),
        beside: asker("beside"),
    };
    let verdict = Box::pin(flood(scene, extent)).await;
    host.terminate().await;
    verdict
}

/// What a guest is asked for in turn.
fn work(name: &str) -> Vec<String> {
    let times: Vec<u64> = WORK.collect();
    let in_turn = (0..times.len()).map(|it| times[it * STEP % times.len()]);
    in_turn
        .map(|millis| format!("/{name}/sleep?ms={millis}"))
        .collect()
}

/// On the application: reads ask the database, redirects find their link in the cache.
/// Their clicks go to a Valkey that is as far away, so that what a redirect takes is
/// the way there, and not this machine's mood.
async fn database(extent: Extent, world: &World) -> anyhow::Result<Verdict> {
    let host = &world.hosts[0];
    let target = format!("https://example.com/{}", unique::name("overload"));
    let link = json!({ "original_url": target });
    let link = host.api().post("/urls", &link).await.expect(201).value();
    let code = link["short_code"].as_str().context("a code")?;
    let relays = world.relays()?;
    relays.postgres.slow(AWAY);
    relays.valkey.slow(AWAY);
    let read = vec![format!("/urls/{}", link["id"])];
    let visit = vec![format!("/{code}")];
    let scene = Scene {
        host,
        component: "urls",
        places: READS,
        work: AWAY.delay * 2,
        gauges: GAUGES,
        flooded: Asker::new(host.public(), read, Proof::Body(target.clone())),
        beside: Asker::new(host.public(), visit, Proof::Location(target)),
    };
    let verdict = Box::pin(flood(scene, extent)).await;
    relays.postgres.slow(Lag::default());
    relays.valkey.slow(Lag::default());
    verdict
}

async fn flood(scene: Scene<'_>, extent: Extent) -> anyhow::Result<Verdict> {
    let host = scene.host;
    let rest = Rest::of(host, scene.gauges).await;
    let before = given(host, scene.component).await;
    let (flooded, beside) = (&scene.flooded, &scene.beside);
    // Every connection that is needed, and every instance, is there before it counts.
    flooded.open(CONNECTIONS).await?;
    tokio::join!(
        flooded.again_and_again(scene.places, extent.before / 4),
        beside.again_and_again(1, extent.before / 4),
    );
    let busy = Instant::now();
    let capacity = flooded.again_and_again(scene.places, extent.before).await;
    let capable = rate(&capacity, extent.before);
    ensure!(capable > 0.0, "nothing was answered before the flood");

    let calm = Instant::now();
    let flood = calm + extent.before * 2;
    let over = flood + extent.hold;
    let end = over + extent.after;
    let (parts, beside_them) = tokio::join!(
        async {
            tokio::join!(
                flooded.at_rate(capable * CALM, calm, flood),
                flooded.at_rate(capable * TIMES, flood, over),
                flooded.at_rate(capable * CALM, over, end),
            )
        },
        beside.at_rate(GENTLE, calm, end),
    );
    // Connections of the load's are no host's leak.
    flooded.close();
    beside.close();
    let left = left_by(host, &rest).await;
    let reached = match flooded.begun() {
        Some(begun) => begun,
        // It is at rest: all that it was given is counted.
        None => given(host, scene.component).await - before,
    };
    let seen = Seen {
        capacity,
        length: extent.before,
        work: scene.work,
        flooded: [parts.0, parts.1, parts.2].concat(),
        beside: beside_them,
        times: Times {
            busy,
            calm,
            flood,
            over,
            end,
        },
        guests: Guests {
            served: flooded.served(),
            reached,
            made: of_component(host, "warmlink_instantiations_total", scene.component).await,
            most: u64::from(scene.places * CORES),
        },
    };
    let Judged {
        figures,
        measured,
        mut broken,
    } = judge(&seen)?;
    broken.extend(left.iter().map(|what| format!("left behind: {what}")));
    let certain = figures.failed > 0 || !left.is_empty();
    Ok(Verdict {
        figures,
        certain,
        notes: vec![measured.to_string()],
        left,
        broken,
        ..Verdict::default()
    })
}

/// How many requests the component was given, by the host's word.
async fn given(host: &Host, component: &str) -> u64 {
    of_component(host, "warmlink_revision_requests_total", component).await
}

async fn of_component(host: &Host, name: &str, component: &str) -> u64 {
    let scrape = host.metrics().await;
    let sum = scrape.sum(name, &[("component", component)]);
    sum.unwrap_or_default() as u64
}
