//! An instance pool that is full.

use futures::future::join_all;
use warmlink_tests::{Host, HostOptions, Manifest, Reply, eventually, run};

use crate::host::SOON;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
/// The node's places, of which each component may have all.
const PLACES: usize = 100;

async fn host(idle: &str) -> Host {
    let limits = format!("reuse = 1000\nwarm = 0\nidle = \"{idle}\"");
    let components = NAMES.map(|name| (name, "http", limits.as_str()));
    let tool = format!("[limits]\nin_flight = {PLACES}");
    let manifest = Manifest::several(&components).with_tool(&tool);
    Host::start(HostOptions::new(manifest)).await
}

/// As many requests at once as there are places. Each has an instance, which stays.
async fn all_places(host: &Host, name: &str) -> Vec<Reply> {
    let path = format!("/{name}/sleep?ms=300");
    let apis = (0..PLACES).map(|_| host.api());
    join_all(apis.map(async |api| api.get(&path).await)).await
}

#[test]
fn idle_instances_of_one_component_are_in_no_other_ones_way() {
    run(async {
        let host = host("10m").await;
        // Together they leave more behind than there is room for.
        for name in NAMES {
            for reply in all_places(&host, name).await {
                reply.expect(200);
            }
        }
    });
}

#[test]
fn a_full_pool_is_503_for_as_long_as_it_is_full() {
    run(async {
        let host = host("1s").await;
        for name in NAMES {
            for reply in all_places(&host, name).await {
                if reply.status != 200 {
                    reply.error(503);
                    assert_eq!(reply.value()["kind"], "instantiation");
                    assert!(reply.header("retry-after").is_some());
                }
            }
        }
        eventually("all places can be had again", SOON, || async {
            let replies = all_places(&host, "a").await;
            replies
                .iter()
                .all(|reply| reply.status == 200)
                .then_some(())
        })
        .await;
    });
}
