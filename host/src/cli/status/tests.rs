use super::*;
use crate::control::{CanaryStatus, SetAside};
use std::collections::BTreeMap;

fn component(name: &str, digit: &str) -> ComponentStatus {
    ComponentStatus {
        name: name.into(),
        active: digit.repeat(64),
        from_manifest: true,
        canary: None,
        draining: 0,
        last_verdict: None,
        error: None,
    }
}

fn node(digit: &str) -> NodeStatus {
    NodeStatus {
        live: true,
        seen: 0.4,
        generation: 7,
        manifest: "e".repeat(64),
        revisions: BTreeMap::from([("redirect".into(), digit.repeat(64))]),
        error: None,
    }
}

fn alone() -> Status {
    Status {
        application: "links".into(),
        node: "node-a".into(),
        generation: 7,
        manifest: "e".repeat(64),
        control: Control {
            shared: false,
            reachable: false,
            error: None,
        },
        components: vec![component("redirect", "1"), component("users", "2")],
        set_aside: Vec::new(),
        nodes: BTreeMap::from([("node-a".into(), node("1"))]),
        rollout: None,
    }
}

#[test]
fn a_node_alone_says_how_to_share() {
    let expected = "\
application  links
node         node-a, generation 7, manifest eeeeeeeeeeee
control      this node only: set WARMLINK_CONTROL_URL to share

COMPONENT  REVISION      STATE
redirect   111111111111  active, from manifest
users      222222222222  active, from manifest

NODE    STATE  SEEN  GENERATION  MANIFEST      RUNS
node-a  live   now   7           eeeeeeeeeeee  the same
";
    assert_eq!(render(&alone(), Colours::NONE), expected);
}

#[test]
fn a_fleet_in_the_middle_of_everything() {
    let mut status = alone();
    status.control = Control {
        shared: true,
        reachable: false,
        error: Some("connection\nrefused".into()),
    };
    status.components[0] = ComponentStatus {
        from_manifest: false,
        canary: Some(CanaryStatus {
            revision: "3".repeat(64),
            percent: 10.0,
            requests: 120,
            failures: 3,
            baseline_requests: 1080,
            baseline_failures: 1,
        }),
        draining: 2,
        ..component("redirect", "1")
    };
    status.components[1].last_verdict = Some("4 of 50 requests failed".into());
    status.set_aside.push(SetAside {
        component: "users".into(),
        revision: "4".repeat(64),
        manifest: "f".repeat(64),
    });
    status.nodes.insert(
        "node-b\u{7}".into(),
        NodeStatus {
            live: false,
            seen: 200.0,
            generation: 6,
            manifest: "f".repeat(64),
            error: Some("redirect: it trapped".into()),
            ..node("5")
        },
    );
    status.rollout = Some(RolloutStatus {
        component: "users".into(),
        revision: "6".repeat(64),
        canary: Some(0.5),
        node: "node-a".into(),
        nodes: BTreeMap::from([("node-a".into(), true), ("node-c".into(), false)]),
    });
    let expected = "\
application  links
node         node-a, generation 7, manifest eeeeeeeeeeee
control      shared, but not reached now: connection refused

COMPONENT  REVISION      STATE                  REQUESTS  FAILED  DRAINING
redirect   111111111111  active                 1080      1       2
           333333333333  canary 10 %            120       3
users      222222222222  active, from manifest

the last canary of users was called off: 4 of 50 requests failed

rollout under way of users 666666666666 to 0.5 % of requests, proposed by node-a: \
prepared on 1 of 2 nodes, not yet on node-c

NODE    STATE  SEEN       GENERATION  MANIFEST      RUNS
node-a  live   now        7           eeeeeeeeeeee  the same
node-b  away   3 min ago  6           ffffffffffff  redirect 555555555555
node-b: redirect: it trapped

set aside: deployed against another manifest, so this node runs what its own says; \
deploy again to change that
COMPONENT  REVISION      MANIFEST
users      444444444444  ffffffffffff
";
    assert_eq!(render(&status, Colours::NONE), expected);
}
