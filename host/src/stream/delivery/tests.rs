use super::super::metrics::Metrics;
use super::*;
use parking_lot::Mutex;
use std::sync::Arc;

fn entry(id: u32) -> Entry {
    Entry {
        id: format!("{id}-0"),
        fields: Vec::new(),
        json: format!("{id}"),
    }
}

fn entries(ids: std::ops::Range<u32>) -> Vec<Entry> {
    ids.map(entry).collect()
}

/// Fails whatever holds a poisonous entry, and is away for a while at first.
#[derive(Clone, Default)]
struct Fake {
    poison: Option<u32>,
    room: usize,
    away: Arc<Mutex<u32>>,
    seen: Arc<Mutex<Vec<Vec<u32>>>>,
}

impl Consumer for Fake {
    async fn deliver(&self, body: Bytes) -> Outcome {
        let ids: Vec<u32> = serde_json::from_slice(&body).unwrap();
        self.seen.lock().push(ids.clone());
        let mut away = self.away.lock();
        if *away > 0 {
            *away -= 1;
            return Outcome::Later;
        }
        match self.poison {
            Some(poison) if ids.contains(&poison) => Outcome::Failed(format!("{poison} is bad")),
            _ => Outcome::Taken,
        }
    }

    fn room(&self) -> usize {
        self.room
    }
}

struct Run {
    delivery: Delivery<Fake>,
    outcomes: mpsc::Receiver<Settle>,
    stop: watch::Sender<bool>,
}

fn delivery(fake: Fake) -> Run {
    let (settle, outcomes) = mpsc::channel(1000);
    let (stop, stopped) = watch::channel(false);
    let delivery = Delivery {
        consumer: fake,
        attempts: 3,
        keep: Duration::from_millis(5),
        patience: Patience {
            later: Pauses::new(Duration::from_millis(1), Duration::from_millis(2)),
            again: Pauses::new(Duration::from_millis(1), Duration::from_millis(2)),
        },
        settle,
        stop: stopped,
        metrics: Metrics::default().of("test"),
    };
    Run {
        delivery,
        outcomes,
        stop,
    }
}

impl Run {
    /// The ids that were taken, and those that are dead letters, with their reasons.
    fn settled(&mut self) -> (Vec<String>, Vec<(String, String)>, usize) {
        let (mut taken, mut dead, mut kept) = (Vec::new(), Vec::new(), 0);
        while let Ok(settle) = self.outcomes.try_recv() {
            match settle {
                Settle::Taken(ids) => taken.extend(ids),
                Settle::Dead(entry, reason) => dead.push((entry.id, reason)),
                Settle::Keep(_) => kept += 1,
            }
        }
        taken.sort_by_key(|id| id.split('-').next().unwrap().parse::<u32>().unwrap());
        (taken, dead, kept)
    }
}

fn ids(ids: impl IntoIterator<Item = u32>) -> Vec<String> {
    ids.into_iter().map(|id| format!("{id}-0")).collect()
}

#[tokio::test]
async fn a_batch_is_taken_whole() {
    let fake = Fake {
        room: 1000,
        ..Fake::default()
    };
    let mut run = delivery(fake.clone());
    run.delivery.run(entries(0..20)).await;
    assert_eq!(*fake.seen.lock(), [(0..20).collect::<Vec<_>>()]);
    assert_eq!(run.settled(), (ids(0..20), vec![], 0));
}

#[tokio::test]
async fn one_that_fails_is_found_and_the_others_are_taken_before_it() {
    let fake = Fake {
        poison: Some(13),
        room: 1000,
        ..Fake::default()
    };
    let mut run = delivery(fake.clone());
    run.delivery.run(entries(0..20)).await;
    let (taken, dead, _) = run.settled();
    assert_eq!(taken, ids((0..20).filter(|id| *id != 13)));
    assert_eq!(dead, [("13-0".to_owned(), "13 is bad".to_owned())]);
    let seen = fake.seen.lock();
    let alone = seen.iter().filter(|batch| **batch == [13]).count();
    assert_eq!(alone, 3, "tried as often as it may: {seen:?}");
    assert_eq!(*seen.last().unwrap(), [13], "the others did not wait");
}

#[tokio::test]
async fn a_component_that_is_away_is_waited_for_and_its_entries_are_kept() {
    let fake = Fake {
        room: 1000,
        away: Arc::new(Mutex::new(30)),
        ..Fake::default()
    };
    let mut run = delivery(fake.clone());
    run.delivery.run(entries(0..3)).await;
    let (taken, dead, kept) = run.settled();
    assert_eq!((taken, dead), (ids(0..3), vec![]));
    assert!(kept >= 2, "they were kept {kept} times");
    assert_eq!(fake.seen.lock().len(), 31);
}

#[tokio::test]
async fn a_stop_leaves_what_cannot_be_delivered() {
    let fake = Fake {
        room: 1000,
        away: Arc::new(Mutex::new(u32::MAX)),
        ..Fake::default()
    };
    let mut run = delivery(fake.clone());
    run.stop.send_replace(true);
    run.delivery.run(entries(0..3)).await;
    assert_eq!(run.settled(), (vec![], vec![], 0));
    assert_eq!(fake.seen.lock().len(), 1);
}

#[test]
fn portions_fit_the_room_but_one_entry_always_goes() {
    let sizes = |room| -> Vec<usize> {
        let portions = portions(entries(10..15), room);
        for portion in &portions {
            assert!(portion.len() == 1 || body(portion).len() <= room);
        }
        portions.iter().map(Vec::len).collect()
    };
    assert_eq!(sizes(1), [1, 1, 1, 1, 1]);
    assert_eq!(sizes(8), [2, 2, 1]);
    assert_eq!(sizes(1000), [5]);
    assert!(portions(Vec::new(), 10).is_empty());
}
