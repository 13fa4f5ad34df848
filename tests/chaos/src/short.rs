//! The scenarios that everything else rests on, shorter, in one world.

use std::time::Duration;

use warmlink_tests::runtime::run_within;

use crate::run::{Extent, run};
use crate::scenario::{Deed, named};
use crate::world::{Stage, World};

/// The last of them ends the host.
const SHORT: [&str; 3] = ["valkey-frozen", "both-killed", "host-terminated"];

/// Of an overload, whose promises are about ratios: nobody else may be at work.
const OVERLOAD: Extent = Extent {
    before: Duration::from_millis(400),
    hold: Duration::from_secs(2),
    after: Duration::from_millis(2_100),
};

/// Another process that is busy for a moment makes one void, not so many.
const TRIES: usize = 3;

#[test]
fn the_promises_that_all_else_rests_on_are_kept() {
    run_within(Duration::from_secs(120), async {
        let mut world = World::start(Stage::Plain).await.unwrap();
        let mut broken = Vec::new();
        let short = SHORT.map(|name| (name, Extent::SHORT));
        for (name, extent) in [("overload-endpoint", OVERLOAD)].into_iter().chain(short) {
            let scenario = named(name).unwrap();
            let mut verdict = Box::pin(run(scenario, extent, &mut world)).await;
            for _ in 1..TRIES {
                // Of one that could not be carried out nothing is known.
                if verdict.is_err() && matches!(scenario.what, Deed::Overload(_)) {
                    verdict = Box::pin(run(scenario, extent, &mut world)).await;
                }
            }
            let verdict = verdict.unwrap();
            println!("{name}: {:?} {:?}", verdict.figures, verdict.notes);
            broken.extend(
                verdict
                    .broken
                    .into_iter()
                    .map(|what| format!("{name}: {what}")),
            );
        }
        assert!(broken.is_empty(), "{}", broken.join("\n"));
        world.end().await.unwrap();
    });
}
