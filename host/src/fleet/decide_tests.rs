use super::*;
use crate::fleet::node::Report;
use crate::fleet::propose::Ask;

const LIMIT: Duration = Duration::from_secs(60);
const YOUNG: Duration = Duration::from_secs(1);
const OLD: Duration = Duration::from_secs(61);

fn proposed(force: bool) -> State {
    let ask = Ask {
        version: 7,
        component: "users",
        baseline: "base",
        force,
        node: "a",
    };
    State::default().propose_deploy(&ask, "new", None).unwrap()
}

fn node(name: &str, proposal: Option<(i64, Result<(), String>)>) -> NodeReport {
    NodeReport {
        instance: name.to_owned(),
        node: name.to_owned(),
        live: true,
        seen: Duration::ZERO,
        manifest: "m".to_owned(),
        report: Report {
            proposal,
            ..Report::default()
        },
    }
}

fn prepared(name: &str) -> NodeReport {
    node(name, Some((7, Ok(()))))
}

fn refusing(name: &str, reason: &str) -> NodeReport {
    node(name, Some((7, Err(reason.to_owned()))))
}

fn verdict(accepted: bool, reason: Option<&str>) -> Option<Verdict> {
    Some(Verdict {
        accepted,
        reason: reason.map(str::to_owned),
    })
}

#[test]
fn without_a_proposal_there_is_nothing_to_decide() {
    let nodes = [prepared("a")];
    assert_eq!(State::default().decide("m", &nodes, OLD, LIMIT), None);
}

#[test]
fn all_live_nodes_of_the_manifest_are_waited_for() {
    let state = proposed(false);
    let waiting = [
        node("b", None),
        node("b", Some((6, Ok(())))),
        node("b", Some((6, Err("of an earlier one".to_owned())))),
    ];
    for other in waiting {
        let nodes = [prepared("a"), other];
        assert_eq!(state.decide("m", &nodes, YOUNG, LIMIT), None);
        assert_eq!(state.decide("m", &nodes, LIMIT, LIMIT), None);
    }
    let nodes = [prepared("a"), prepared("b")];
    assert_eq!(state.decide("m", &nodes, YOUNG, LIMIT), verdict(true, None));
}

#[test]
fn dead_nodes_and_those_of_other_manifests_have_no_say() {
    let state = proposed(false);
    let mut dead = refusing("b", "dead");
    dead.live = false;
    let mut other = node("c", None);
    other.manifest = "other".to_owned();
    let nodes = [prepared("a"), dead, other];
    assert_eq!(state.decide("m", &nodes, YOUNG, LIMIT), verdict(true, None));
}

#[test]
fn one_that_refuses_refuses_for_all() {
    let state = proposed(false);
    let nodes = [
        prepared("a"),
        refusing("b", "warm: no memory"),
        refusing("c", "compile: not a component"),
    ];
    assert_eq!(
        state.decide("m", &nodes, YOUNG, LIMIT),
        verdict(
            false,
            Some("b: warm: no memory; c: compile: not a component")
        )
    );
}

#[test]
fn by_force_one_prepared_node_is_enough() {
    let state = proposed(true);
    let nodes = [refusing("a", "x"), node("b", None)];
    assert_eq!(state.decide("m", &nodes, YOUNG, LIMIT), None);
    let nodes = [refusing("a", "x"), prepared("b")];
    assert_eq!(
        state.decide("m", &nodes, YOUNG, LIMIT),
        verdict(true, Some("a: x"))
    );
    let nodes = [refusing("a", "x"), refusing("b", "y")];
    assert_eq!(
        state.decide("m", &nodes, YOUNG, LIMIT),
        verdict(false, Some("a: x; b: y"))
    );
}

#[test]
fn after_the_limit_silence_is_refusal() {
    let nodes = [prepared("a"), node("b", None)];
    let late = "b: did not prepare in time";
    assert_eq!(
        proposed(false).decide("m", &nodes, OLD, LIMIT),
        verdict(false, Some(late))
    );
    assert_eq!(
        proposed(true).decide("m", &nodes, OLD, LIMIT),
        verdict(true, Some(late))
    );
}

#[test]
fn with_nobody_there_it_ends_at_the_limit() {
    for force in [false, true] {
        let state = proposed(force);
        assert_eq!(state.decide("m", &[], YOUNG, LIMIT), None);
        assert_eq!(
            state.decide("m", &[], OLD, LIMIT),
            verdict(false, Some("no live node prepared it in time"))
        );
    }
}

#[test]
fn long_reasons_are_cut() {
    let nodes = [refusing("a", &"ä".repeat(5_000))];
    let verdict = proposed(false).decide("m", &nodes, YOUNG, LIMIT).unwrap();
    assert_eq!(
        verdict.reason.unwrap().chars().count(),
        REASON + "a: ".len()
    );
}
