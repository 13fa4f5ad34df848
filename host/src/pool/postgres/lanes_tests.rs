use std::time::Duration;

use super::*;

type Pool = Lanes<&'static str, u32>;

const NAMES: [&str; 8] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"];

fn pool(max: usize, open: usize) -> (Pool, Instant) {
    let now = Instant::now();
    let mut lanes = Lanes::new(Limits {
        min: open,
        max,
        exclusive: (max - max.div_ceil(4)).max(1),
        depth: 4,
        slow_after: Duration::from_millis(10),
    });
    for name in NAMES.into_iter().take(open) {
        let slot = lanes.begin_opening(0, now);
        assert!(lanes.opened(slot, name, now));
    }
    (lanes, now)
}

fn take(lanes: &mut Pool, lane: Lane, now: Instant) -> Option<(SlotId, &'static str)> {
    lanes
        .acquire(lane, 0, now)
        .map(|grant| (grant.slot, grant.connection))
}

fn waiters(granted: Vec<(Lane, u32, Grant<&'static str>)>) -> Vec<u32> {
    granted.into_iter().map(|(_, waiter, _)| waiter).collect()
}

#[test]
fn statements_spread_before_they_stack() {
    let (mut lanes, now) = pool(2, 2);
    let order: Vec<_> = (0..8)
        .map(|_| take(&mut lanes, Lane::Shared, now).unwrap().1)
        .collect();
    for pair in order.chunks(2) {
        assert_ne!(pair[0], pair[1]);
    }
    assert!(
        take(&mut lanes, Lane::Shared, now).is_none(),
        "the depth is a bound"
    );
}

#[test]
fn what_is_local_is_preferred_but_not_at_any_price() {
    let (mut lanes, now) = pool(2, 1);
    let remote = lanes.begin_opening(1, now);
    lanes.opened(remote, "remote", now);
    let order: Vec<_> = (0..4)
        .map(|_| lanes.acquire(Lane::Shared, 0, now).unwrap().connection)
        .collect();
    assert_eq!(order[..2], ["c0", "c0"]);
    assert!(order[2..].contains(&"remote"), "{order:?}");
    let (mut lanes, now) = pool(2, 1);
    let remote = lanes.begin_opening(1, now);
    lanes.opened(remote, "remote", now);
    assert_eq!(
        lanes.acquire(Lane::Exclusive, 1, now).unwrap().connection,
        "remote"
    );
}

#[test]
fn quick_statements_gather_and_slow_ones_spread() {
    let (mut lanes, now) = pool(2, 2);
    let run_on_both = |lanes: &mut Pool, run: Duration| {
        for _ in 0..40 {
            let slots = [(); 2].map(|()| take(lanes, Lane::Shared, now).unwrap().0);
            for slot in slots {
                lanes.release(slot, Lane::Shared, Some(now), now + run);
            }
        }
    };
    run_on_both(&mut lanes, Duration::from_micros(10));
    let order = [(); 4].map(|()| take(&mut lanes, Lane::Shared, now).unwrap().0);
    assert!(order.iter().all(|slot| *slot == order[0]), "{order:?}");
    for slot in order {
        lanes.release(slot, Lane::Shared, None, now);
    }
    run_on_both(&mut lanes, Duration::from_millis(1));
    let order = [(); 2].map(|()| take(&mut lanes, Lane::Shared, now).unwrap().0);
    assert_ne!(order[0], order[1]);
}

#[test]
fn a_statement_ran_from_when_the_one_before_it_ended() {
    let (mut lanes, now) = pool(1, 1);
    let ms = Duration::from_millis;
    let (slot, _) = take(&mut lanes, Lane::Shared, now).unwrap();
    take(&mut lanes, Lane::Shared, now).unwrap();
    let mut run = |at| {
        lanes
            .release(slot, Lane::Shared, Some(now), now + ms(at))
            .unwrap()
            .run
    };
    assert_eq!(run(3), Some(ms(3)));
    assert_eq!(run(5), Some(ms(2)));
}

#[test]
fn nothing_queues_behind_a_slow_statement() {
    let (mut lanes, now) = pool(2, 2);
    let (slow, name) = take(&mut lanes, Lane::Shared, now).unwrap();
    let later = now + Duration::from_millis(11);
    for _ in 0..4 {
        assert_ne!(take(&mut lanes, Lane::Shared, later).unwrap().1, name);
    }
    assert!(take(&mut lanes, Lane::Shared, later).is_none());
    lanes.enqueue(Lane::Shared, 0, 7);
    assert!(lanes.pump(later).is_empty());
    lanes.release(slow, Lane::Shared, None, later);
    assert_eq!(waiters(lanes.pump(later)), [7]);
}

#[test]
fn a_connection_that_moves_is_not_slow() {
    let (mut lanes, now) = pool(1, 1);
    let (slot, _) = take(&mut lanes, Lane::Shared, now).unwrap();
    take(&mut lanes, Lane::Shared, now).unwrap();
    let later = now + Duration::from_millis(9);
    lanes.release(slot, Lane::Shared, None, later);
    let later = later + Duration::from_millis(9);
    assert!(take(&mut lanes, Lane::Shared, later).is_some());
}

#[test]
fn the_last_quarter_is_never_held() {
    let (mut lanes, now) = pool(8, 8);
    let held: Vec<_> = (0..6)
        .map(|_| take(&mut lanes, Lane::Exclusive, now).unwrap().0)
        .collect();
    assert!(take(&mut lanes, Lane::Exclusive, now).is_none());
    for _ in 0..8 {
        let (slot, _) = take(&mut lanes, Lane::Shared, now).unwrap();
        assert!(!held.contains(&slot));
    }
    assert!(take(&mut lanes, Lane::Shared, now).is_none());
    assert_eq!(lanes.counts().held, 6);
}

#[test]
fn shared_traffic_does_not_starve_a_transaction() {
    let (mut lanes, now) = pool(2, 2);
    let busy: Vec<_> = (0..4)
        .map(|_| take(&mut lanes, Lane::Shared, now).unwrap().0)
        .collect();
    assert!(take(&mut lanes, Lane::Exclusive, now).is_none());
    lanes.enqueue(Lane::Exclusive, 0, 1);
    // One of the two is kept from filling up; new statements go to the other.
    let others: Vec<_> = (0..2)
        .map(|_| take(&mut lanes, Lane::Shared, now).unwrap().0)
        .collect();
    assert_eq!(others[0], others[1]);
    let kept = *busy.iter().find(|slot| **slot != others[0]).unwrap();
    for slot in busy.iter().filter(|slot| **slot == kept) {
        assert!(lanes.pump(now).is_empty());
        lanes.release(*slot, Lane::Shared, None, now);
    }
    assert_eq!(waiters(lanes.pump(now)), [1]);
    assert_eq!(lanes.counts().held, 1);
}

#[test]
fn one_connection_is_lent_in_the_order_of_asking() {
    let (mut lanes, now) = pool(1, 1);
    let (slot, _) = take(&mut lanes, Lane::Exclusive, now).unwrap();
    lanes.enqueue(Lane::Shared, 0, 1);
    lanes.enqueue(Lane::Exclusive, 0, 2);
    lanes.enqueue(Lane::Shared, 0, 3);
    assert!(lanes.pump(now).is_empty());
    lanes.release(slot, Lane::Exclusive, None, now);
    assert_eq!(waiters(lanes.pump(now)), [1], "3 came after 2");
    lanes.release(slot, Lane::Shared, None, now);
    assert_eq!(waiters(lanes.pump(now)), [2]);
    lanes.release(slot, Lane::Exclusive, None, now);
    assert_eq!(waiters(lanes.pump(now)), [3]);
}

#[test]
fn waiting_is_first_come_first_served() {
    let (mut lanes, now) = pool(1, 1);
    let slots: Vec<_> = (0..4)
        .map(|_| take(&mut lanes, Lane::Shared, now).unwrap().0)
        .collect();
    let tickets: Vec<_> = (0..3)
        .map(|name| lanes.enqueue(Lane::Shared, 0, name))
        .collect();
    assert!(
        take(&mut lanes, Lane::Shared, now).is_none(),
        "nobody jumps the queue"
    );
    assert_eq!(lanes.leave(Lane::Shared, tickets[1]), Some(1));
    assert_eq!(lanes.leave(Lane::Shared, tickets[1]), None);
    lanes.release(slots[0], Lane::Shared, None, now);
    lanes.release(slots[1], Lane::Shared, None, now);
    assert_eq!(waiters(lanes.pump(now)), [0, 2]);
    assert_eq!(lanes.counts().waiting, 0);
}

#[test]
fn a_waiter_that_leaves_frees_what_was_kept_for_it() {
    let (mut lanes, now) = pool(1, 1);
    take(&mut lanes, Lane::Shared, now).unwrap();
    let ticket = lanes.enqueue(Lane::Exclusive, 0, 1);
    assert!(take(&mut lanes, Lane::Shared, now).is_none());
    lanes.leave(Lane::Exclusive, ticket);
    assert!(take(&mut lanes, Lane::Shared, now).is_some());
}

#[test]
fn connections_are_opened_for_min_then_for_demand_within_max() {
    let now = Instant::now();
    let mut lanes: Pool = Lanes::new(Limits {
        min: 2,
        max: 4,
        exclusive: 3,
        depth: 4,
        slow_after: Duration::from_millis(10),
    });
    assert_eq!(lanes.wanted(), 2);
    let first = lanes.begin_opening(0, now);
    let second = lanes.begin_opening(0, now);
    assert_eq!(lanes.wanted(), 0);
    for waiter in 0..9 {
        lanes.enqueue(Lane::Shared, 0, waiter);
    }
    assert_eq!(
        lanes.wanted(),
        1,
        "three pipelines for nine, two are on their way"
    );
    for waiter in 9..20 {
        lanes.enqueue(Lane::Exclusive, 0, waiter);
    }
    assert_eq!(lanes.wanted(), 2, "never beyond max");
    lanes.remove(first);
    assert_eq!(lanes.wanted(), 3);
    lanes.opened(second, "c", now);
    assert_eq!(lanes.counts().open, 1);
    lanes.retire(second);
    assert_eq!(lanes.counts().size, 1, "what is closing still counts");
    assert_eq!(lanes.wanted(), 3);
}

#[test]
fn a_crowded_pool_grows_and_shrinks_again() {
    let (mut lanes, now) = pool(2, 1);
    let slots: Vec<_> = (0..3)
        .map(|_| take(&mut lanes, Lane::Shared, now).unwrap().0)
        .collect();
    assert_eq!(lanes.wanted(), 1);
    let slot = lanes.begin_opening(0, now);
    assert_eq!(lanes.wanted(), 0);
    lanes.opened(slot, "extra", now);
    for slot in slots {
        lanes.release(slot, Lane::Shared, None, now);
    }
    assert!(
        lanes.retire_idle(now).is_empty(),
        "not idle for long enough"
    );
    assert_eq!(lanes.retire_idle(now + Duration::from_secs(1)).len(), 1);
    assert_eq!(lanes.counts().open, 1);
}

#[test]
fn a_suspect_is_left_alone_until_it_is_settled() {
    let (mut lanes, now) = pool(1, 1);
    let (slot, _) = take(&mut lanes, Lane::Shared, now).unwrap();
    take(&mut lanes, Lane::Shared, now).unwrap();
    lanes.abandon(slot);
    assert!(!lanes.only_abandoned(slot));
    assert!(
        take(&mut lanes, Lane::Shared, now).is_some(),
        "abandoned is not yet suspect"
    );
    lanes.suspect(slot);
    assert!(take(&mut lanes, Lane::Shared, now).is_none());
    lanes.release(slot, Lane::Shared, None, now);
    lanes.release(slot, Lane::Shared, None, now);
    assert!(lanes.only_abandoned(slot));
    lanes.settle(slot);
    lanes.release(slot, Lane::Shared, None, now);
    assert!(take(&mut lanes, Lane::Exclusive, now).is_some());
}

#[test]
fn a_condemned_connection_is_not_pardoned() {
    let (mut lanes, now) = pool(1, 1);
    let (slot, _) = take(&mut lanes, Lane::Shared, now).unwrap();
    take(&mut lanes, Lane::Shared, now).unwrap();
    lanes.abandon(slot);
    let released = lanes.release(slot, Lane::Shared, None, now).unwrap();
    assert!(released.deserted && !released.idle);
    lanes.condemn(slot);
    lanes.settle(slot);
    assert!(lanes.release(slot, Lane::Shared, None, now).unwrap().idle);
    assert!(take(&mut lanes, Lane::Shared, now).is_none());
    assert!(take(&mut lanes, Lane::Exclusive, now).is_none());
}

#[test]
fn a_promoted_statement_takes_the_connection_out_of_the_shared_lane() {
    let (mut lanes, now) = pool(1, 1);
    let (slot, _) = take(&mut lanes, Lane::Shared, now).unwrap();
    assert!(!lanes.has_company(slot));
    take(&mut lanes, Lane::Shared, now).unwrap();
    assert!(lanes.has_company(slot));
    lanes.promote(slot);
    assert!(take(&mut lanes, Lane::Shared, now).is_none());
    lanes.release(slot, Lane::Shared, None, now);
    assert!(take(&mut lanes, Lane::Shared, now).is_none());
    lanes.release(slot, Lane::Exclusive, None, now);
    assert_eq!(lanes.counts().held, 0);
    assert!(take(&mut lanes, Lane::Shared, now).is_some());
}

#[test]
fn a_closed_pool_gives_nothing_and_lets_its_waiters_go() {
    let (mut lanes, now) = pool(2, 2);
    let (busy, _) = take(&mut lanes, Lane::Exclusive, now).unwrap();
    lanes.enqueue(Lane::Exclusive, 0, 1);
    let opening = lanes.begin_opening(0, now);
    let (waiting, idle) = lanes.close();
    assert_eq!((waiting.len(), idle.len()), (1, 1));
    assert!(take(&mut lanes, Lane::Shared, now).is_none());
    assert!(!lanes.opened(opening, "late", now));
    assert_eq!(lanes.wanted(), 0);
    assert!(!lanes.is_over(busy));
    lanes.release(busy, Lane::Exclusive, None, now);
    assert!(lanes.is_over(busy));
}

#[test]
fn a_connection_that_is_gone_takes_its_places_with_it() {
    let (mut lanes, now) = pool(2, 2);
    let (slot, name) = take(&mut lanes, Lane::Exclusive, now).unwrap();
    assert_eq!(lanes.remove(slot), Some(name));
    assert!(lanes.release(slot, Lane::Exclusive, None, now).is_none());
    lanes.abandon(slot);
    lanes.settle(slot);
    assert!(lanes.only_abandoned(slot));
    assert_eq!(lanes.counts().size, 1);
}
