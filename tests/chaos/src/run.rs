//! One scenario, from its load's first request to what it left behind.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use warmlink_tests::unique;

use crate::books::Books;
use crate::fault::Fault;
use crate::judge::{Figures, Times, judge};
use crate::leaks::{GAUGES, Rest, left_behind};
use crate::load::Load;
use crate::overload;
use crate::scenario::{Deed, Scenario};
use crate::terminate;
use crate::world::World;

/// How long each part of a run is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) before: Duration,
    /// The longest that a fault is held.
    pub(crate) hold: Duration,
    /// Long enough for the promised recovery and a good second after it.
    pub(crate) after: Duration,
}

impl Extent {
    /// What a scenario says.
    pub(crate) const LONG: Self = Self {
        before: Duration::from_secs(2),
        hold: Duration::MAX,
        after: Duration::from_secs(6),
    };
    /// What fits between other tests. A fault that is held for less than a statement
    /// waits for a connection, 2 s, may be felt by nobody.
    #[cfg(test)]
    pub(crate) const SHORT: Self = Self {
        before: Duration::from_millis(500),
        hold: Duration::from_secs(3),
        after: Duration::from_millis(3_200),
    };
}

/// What a scenario came to.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) figures: Figures,
    /// What was measured beyond these, in words.
    pub(crate) notes: Vec<String>,
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    /// What it left behind.
    pub(crate) left: Vec<String>,
    /// The promises that were broken, in words.
    pub(crate) broken: Vec<String>,
}

/// Runs it in a world of its stage.
///
/// # Errors
/// Where it could not be carried out: then nothing is known of the promises.
pub(crate) async fn run(
    scenario: &Scenario,
    extent: Extent,
    world: &mut World,
) -> anyhow::Result<Verdict> {
    match scenario.what {
        Deed::Fault(fault) => under_load(scenario, fault, extent, world).await,
        Deed::Terminate => terminate::run(extent, world).await,
        Deed::Overload(scarce) => {
            let hold = scenario.hold.min(extent.hold);
            overload::run(scarce, Extent { hold, ..extent }, world).await
        }
    }
}

async fn under_load(
    scenario: &Scenario,
    fault: Fault,
    extent: Extent,
    world: &mut World,
) -> anyhow::Result<Verdict> {
    let run = unique::name("run");
    let hold = scenario.hold.min(extent.hold);
    let length = extent.before + hold + extent.after;
    let mut before = Vec::new();
    for host in &world.hosts {
        before.push(Rest::of(host, GAUGES).await);
    }
    // Starting a server again takes time, too.
    let load = Load::begin(
        &run,
        world.places.clone(),
        world.postgres.database.url(),
        length + Duration::from_secs(30),
    )
    .await?;
    sleep(extent.before).await;
    let inject = Instant::now();
    let done = async {
        fault.inject(world).await?;
        let injected = Instant::now();
        sleep(hold).await;
        fault.heal(world).await?;
        anyhow::Ok((injected, Instant::now()))
    };
    let done = done.await;
    sleep(extent.after).await;
    let end = Instant::now();
    let samples = load.end().await?;
    let (injected, healed) = done?;
    let times = Times {
        inject,
        injected,
        healed,
        end,
    };
    let (figures, mut broken) = judge(&samples, &times, &scenario.promises);
    let books = Books::audit(&run, &samples, &world.database_url(), &world.valkey).await?;
    // Connections of the load's are no host's leak.
    world.forget_clients();
    let left = left_behind(world, &before).await?;
    // What it held and had not given away is gone with it: that is what it does.
    // A replica has it a moment later.
    let loses = matches!(fault, Fault::ValkeyEmptied | Fault::ValkeyFailover);
    let excused = loses.then_some((inject - UNDELIVERED, injected));
    broken.extend(books.broken(excused));
    broken.extend(left.iter().map(|what| format!("left behind: {what}")));
    Ok(Verdict {
        figures,
        notes: Vec::new(),
        lost: books.lost(),
        doubled: books.doubled,
        left,
        broken,
    })
}

/// A click is delivered within this where nothing is in its way.
const UNDELIVERED: Duration = Duration::from_secs(1);
