use super::*;
use crate::fleet::Verdict;
use crate::fleet::propose::{Ask, Refused};

const BASE: &str = "base";

fn ask(version: i64) -> Ask<'static> {
    Ask {
        version,
        component: "users",
        baseline: BASE,
        force: false,
        node: "n1",
    }
}

fn accepted(state: State) -> State {
    state.settle(Verdict {
        accepted: true,
        reason: None,
    })
}

fn refused(state: &State, reason: &str) -> State {
    state.settle(Verdict {
        accepted: false,
        reason: Some(reason.to_owned()),
    })
}

fn deployed(state: &State, version: i64, revision: &str) -> State {
    accepted(state.propose_deploy(&ask(version), revision, None).unwrap())
}

fn with_canary(state: &State, version: i64, revision: &str, share: u32) -> State {
    accepted(
        state
            .propose_deploy(&ask(version), revision, Some(share))
            .unwrap(),
    )
}

fn users(state: &State) -> Desired {
    state.desired("users", BASE)
}

#[test]
fn a_component_without_an_entry_runs_its_baseline() {
    assert_eq!(users(&State::default()), Desired::baseline(BASE));
}

#[test]
fn a_proposal_changes_nothing_until_it_is_accepted() {
    let proposed = State::default().propose_deploy(&ask(1), "a", None).unwrap();
    assert_eq!(users(&proposed).active, BASE);
    let proposal = proposed.proposal.clone().unwrap();
    assert_eq!((proposal.id, proposal.prepare.as_str()), (1, "a"));
    assert_eq!(proposal.node, "n1");

    let state = accepted(proposed.clone());
    assert_eq!(state.proposal, None);
    assert_eq!(users(&state).active, "a");
    assert_eq!(users(&state).previous, [BASE]);
    let decision = state.decision(1).unwrap();
    assert!(decision.accepted);
    assert_eq!(
        (decision.component.as_str(), decision.revision.as_str()),
        ("users", "a")
    );

    let state = refused(&proposed, "n2: no memory");
    assert_eq!(state.components, State::default().components);
    let decision = state.decision(1).unwrap();
    assert!(!decision.accepted);
    assert_eq!(decision.reason.as_deref(), Some("n2: no memory"));
}

#[test]
fn one_proposal_at_a_time() {
    let state = deployed(&State::default(), 1, "a");
    let state = with_canary(&state, 2, "b", 100);
    let busy = state.propose_deploy(&ask(4), "c", None).unwrap();
    let refused = Refused::Busy {
        component: "users".to_owned(),
        node: "n1".to_owned(),
    };
    let other = Ask {
        component: "urls",
        ..ask(5)
    };
    assert_eq!(busy.propose_deploy(&other, "d", None), Err(refused.clone()));
    assert_eq!(busy.propose_promote(&ask(5)), Err(refused.clone()));
    assert_eq!(busy.propose_rollback(&ask(5), None), Err(refused));
}

#[test]
fn deploying_what_serves_is_refused_unless_it_ends_a_canary() {
    let state = deployed(&State::default(), 1, "a");
    let serves = |revision: &str| {
        Err(Refused::ServesAlready {
            revision: revision.to_owned(),
        })
    };
    assert_eq!(state.propose_deploy(&ask(2), "a", None), serves("a"));
    assert_eq!(state.propose_deploy(&ask(2), "a", Some(10)), serves("a"));
    assert_eq!(
        State::default().propose_deploy(&ask(1), BASE, None),
        serves(BASE)
    );

    let state = with_canary(&state, 2, "b", 100);
    assert_eq!(state.propose_deploy(&ask(3), "b", Some(100)), serves("b"));
    let ended = deployed(&state, 3, "a");
    assert_eq!(users(&ended).canary, None);
    assert_eq!(users(&ended).previous, [BASE], "nothing became active");
}

#[test]
fn a_canary_gets_its_share_beside_what_is_active() {
    for share in [0, FULL, u32::MAX] {
        let asked = State::default().propose_deploy(&ask(1), "a", Some(share));
        assert_eq!(asked, Err(Refused::Share));
    }
    let state = with_canary(&State::default(), 1, "a", 1);
    assert_eq!(users(&state).active, BASE);
    let canary = users(&state).canary.unwrap();
    assert_eq!((canary.revision.as_str(), canary.basis_points), ("a", 1));

    let wider = with_canary(&state, 2, "a", 9_999);
    assert_eq!(users(&wider).canary.unwrap().basis_points, 9_999);
    let other = with_canary(&wider, 3, "b", 50);
    assert_eq!(users(&other).canary.unwrap().revision, "b");
    assert_eq!(users(&other).previous, Vec::<String>::new());
}

#[test]
fn promoting_makes_the_canary_active() {
    assert_eq!(
        State::default().propose_promote(&ask(1)),
        Err(Refused::NoCanary)
    );
    let state = with_canary(&State::default(), 1, "a", 100);
    let proposed = state.propose_promote(&ask(2)).unwrap();
    assert_eq!(proposed.proposal.as_ref().unwrap().prepare, "a");
    let state = accepted(proposed);
    assert_eq!(users(&state).active, "a");
    assert_eq!(users(&state).canary, None);
    assert_eq!(users(&state).previous, [BASE]);
}

#[test]
fn going_back_goes_one_step_each_time() {
    let mut state = State::default();
    for (version, revision) in [(1, "a"), (2, "b"), (3, "c")] {
        state = deployed(&state, version, revision);
    }
    let mut seen = Vec::new();
    for version in 4.. {
        match state.propose_rollback(&ask(version), None) {
            Ok(next) => {
                let prepare = next.proposal.as_ref().unwrap().prepare.clone();
                state = accepted(next);
                assert_eq!(users(&state).active, prepare);
                seen.push(prepare);
            }
            Err(error) => {
                assert_eq!(error, Refused::NothingBefore);
                break;
            }
        }
    }
    assert_eq!(seen, ["b", "a", BASE]);
}

#[test]
fn going_back_withdraws_a_canary_first() {
    let state = deployed(&State::default(), 1, "a");
    let state = with_canary(&state, 2, "b", 100);
    let proposed = state.propose_rollback(&ask(3), None).unwrap();
    assert_eq!(proposed.proposal.as_ref().unwrap().prepare, "a");
    let state = accepted(proposed);
    assert_eq!(users(&state).active, "a");
    assert_eq!(users(&state).canary, None);
    assert_eq!(users(&state).previous, [BASE]);
}

#[test]
fn going_back_ends_at_the_baseline_even_where_nothing_is_remembered() {
    let mut state = State::default();
    state
        .components
        .insert("users".to_owned(), Desired::baseline("a"));
    let state = accepted(state.propose_rollback(&ask(1), None).unwrap());
    assert_eq!(users(&state).active, BASE);
    assert_eq!(
        state.propose_rollback(&ask(2), None),
        Err(Refused::NothingBefore)
    );
}

#[test]
fn going_back_to_a_named_revision_forgets_what_came_after_it() {
    let mut state = State::default();
    for (version, revision) in [(1, "a"), (2, "b"), (3, "c")] {
        state = deployed(&state, version, revision);
    }
    let named = accepted(state.propose_rollback(&ask(4), Some("a")).unwrap());
    assert_eq!(users(&named).active, "a");
    assert_eq!(users(&named).previous, [BASE]);

    let kept = accepted(state.propose_rollback(&ask(4), Some("z")).unwrap());
    assert_eq!(users(&kept).active, "z");
    assert_eq!(users(&kept).previous, ["b", "a", BASE]);

    assert!(matches!(
        state.propose_rollback(&ask(4), Some("c")),
        Err(Refused::ServesAlready { .. })
    ));
    let trying = with_canary(&state, 4, "d", 100);
    assert!(matches!(
        trying.propose_rollback(&ask(5), Some("d")),
        Err(Refused::IsCanary { .. })
    ));
    let ended = accepted(trying.propose_rollback(&ask(5), Some("c")).unwrap());
    assert_eq!(users(&ended), users(&state));
}

#[test]
fn former_revisions_are_few_and_each_is_there_once() {
    let mut state = State::default();
    for version in 1..=20 {
        state = deployed(&state, version, &format!("r{version}"));
    }
    assert_eq!(users(&state).previous.len(), PREVIOUS);
    assert_eq!(users(&state).previous[0], "r19");

    let state = deployed(&state, 21, "r18");
    assert_eq!(users(&state).previous[..3], ["r20", "r19", "r17"]);
}

#[test]
fn the_last_decisions_are_kept() {
    let mut state = State::default();
    for version in 1..=30 {
        state = deployed(&state, version, &format!("r{version}"));
    }
    assert_eq!(state.decided.len(), DECISIONS);
    assert_eq!(state.decided[0].id, 30);
    assert!(state.decision(15).is_some());
    assert!(state.decision(14).is_none());
}

#[test]
fn a_canary_is_called_off_at_once_and_the_verdict_stays() {
    let state = with_canary(&State::default(), 1, "a", 100);
    let state = state.withdraw_canary("users", "a", "too many 502").unwrap();
    assert_eq!(users(&state).active, BASE);
    assert_eq!(users(&state).canary, None);
    assert_eq!(users(&state).verdict.as_deref(), Some("too many 502"));
    assert_eq!(state.withdraw_canary("users", "a", "again"), None);

    let next = with_canary(&state, 3, "b", 100);
    assert_eq!(users(&next).verdict, None, "a new canary has none yet");
    assert_eq!(next.withdraw_canary("users", "a", "late"), None);
    assert_eq!(next.withdraw_canary("urls", "b", "unknown"), None);
}

#[test]
fn a_canary_that_is_called_off_is_not_promoted() {
    let state = with_canary(&State::default(), 1, "a", 100);
    let proposals = [
        state.propose_promote(&ask(2)),
        state.propose_deploy(&ask(2), "a", None),
        state.propose_deploy(&ask(2), "a", Some(5_000)),
    ];
    for proposed in proposals {
        let state = proposed
            .unwrap()
            .withdraw_canary("users", "a", "bad")
            .unwrap();
        assert_eq!(state.proposal, None);
        assert_eq!(users(&state).canary, None);
        let decision = state.decision(2).unwrap();
        assert!(!decision.accepted);
        assert_eq!(decision.reason.as_deref(), Some("bad"));
    }
}

#[test]
fn other_proposals_outlive_a_canary_that_is_called_off() {
    let state = with_canary(&State::default(), 1, "a", 100);
    let other = state.propose_deploy(&ask(2), "b", None).unwrap();
    let state_after = accepted(other.withdraw_canary("users", "a", "bad").unwrap());
    assert_eq!(users(&state_after).active, "b");

    let back = state.propose_rollback(&ask(2), None).unwrap();
    let state_after = accepted(back.withdraw_canary("users", "a", "bad").unwrap());
    assert_eq!(users(&state_after).canary, None);
    assert_eq!(users(&state_after).verdict.as_deref(), Some("bad"));

    // Of another component's the revision may even be the same.
    let urls = Ask {
        component: "urls",
        ..ask(2)
    };
    let other = state.propose_deploy(&urls, "a", None).unwrap();
    let after = other.withdraw_canary("users", "a", "bad").unwrap();
    assert_eq!(after.proposal, other.proposal);
}

#[test]
fn states_are_read_back_and_earlier_ones_too() {
    let state = with_canary(&deployed(&State::default(), 1, "a"), 2, "b", 100);
    let state = state.propose_promote(&ask(3)).unwrap();
    let text = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
    assert_eq!(
        serde_json::from_str::<State>("{}").unwrap(),
        State::default()
    );
}
