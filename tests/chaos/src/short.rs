//! The scenarios that everything else rests on, shorter, in one world.

use std::time::Duration;

use warmlink_tests::runtime::run_within;

use crate::run::{Extent, run};
use crate::scenario::named;
use crate::world::{Stage, World};

/// The last of them ends the host.
const SHORT: [&str; 3] = ["valkey-frozen", "both-killed", "host-terminated"];

#[test]
fn promises_are_kept_when_servers_go_and_come_back() {
    run_within(Duration::from_secs(120), async {
        let mut world = World::start(Stage::Plain).await.unwrap();
        let mut broken = Vec::new();
        for name in SHORT {
            let scenario = named(name).unwrap();
            let verdict = Box::pin(run(scenario, Extent::SHORT, &mut world)).await;
            let verdict = verdict.unwrap();
            println!("{name}: {:?}", verdict.figures);
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
