//! One scenario, from its load's first request to what it left behind.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use warmlink_tests::unique;

use crate::books::Books;
use crate::fault::Fault;
use crate::form::Extent;
use crate::judge::{Figures, Times, judge};
use crate::leaks::{GAUGES, Rest, left_behind};
use crate::load::Load;
use crate::overload;
use crate::scenario::{Deed, Scenario};
use crate::terminate;
use crate::world::World;

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
    /// One of them is about more than time: no machine is too busy for it.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "asked where a run may be void: in the short form")
    )]
    pub(crate) certain: bool,
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
        Deed::Overload(scarce) => overload::run(scarce, extent, world).await,
    }
}

async fn under_load(
    scenario: &Scenario,
    fault: Fault,
    extent: Extent,
    world: &mut World,
) -> anyhow::Result<Verdict> {
    let run = unique::name("run");
    let mut before = Vec::new();
    for host in &world.hosts {
        before.push(Rest::of(host, GAUGES).await);
    }
    // Starting a server again takes time, too.
    let load = Load::begin(
        &run,
        world.places.clone(),
        world.postgres.database.url(),
        extent.length() + Duration::from_secs(30),
    )
    .await?;
    sleep(extent.before).await;
    let inject = Instant::now();
    let done = async {
        fault.inject(world).await?;
        let injected = Instant::now();
        sleep(extent.hold).await;
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
    let amiss = books.broken(excused);
    let failed = figures.failed > 0 && scenario.promises.breaks.is_none();
    let certain = failed || !amiss.is_empty() || !left.is_empty();
    broken.extend(amiss);
    broken.extend(left.iter().map(|what| format!("left behind: {what}")));
    Ok(Verdict {
        figures,
        notes: Vec::new(),
        lost: books.lost(),
        doubled: books.doubled,
        left,
        broken,
        certain,
    })
}

/// A click is delivered within this where nothing is in its way.
const UNDELIVERED: Duration = Duration::from_secs(1);
