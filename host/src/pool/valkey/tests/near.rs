//! The near cache against a server that tells of changes when it is told to.

use std::num::NonZeroUsize;
use std::time::Duration;

use redis::Value;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::fake::{Fake, Mode};
use super::{PATIENCE, cmd, soon, text};
use crate::pool::placement::Placement;
use crate::pool::valkey::near::Lookups;
use crate::pool::valkey::{Error, Metrics, NearSettings, Settings, Target, ValkeyPool};

/// A server that answers, and a pool that keeps values of keys such as `link:a`.
async fn rig(change: impl FnOnce(&mut Settings)) -> (Fake, ValkeyPool) {
    let fake = Fake::start(Mode::Serve).await;
    let mut settings = Settings {
        connections: NonZeroUsize::MIN,
        command_timeout: PATIENCE,
        near: Some(NearSettings {
            prefixes: vec!["link:".into()],
            size: 1 << 20,
        }),
        ..Settings::default()
    };
    change(&mut settings);
    let target = Target::parse(&fake.url()).unwrap();
    let pool = ValkeyPool::new(target, settings, Placement::here(), &Metrics::default());
    pool.warm(soon()).await.unwrap();
    trusted(&pool).await;
    (fake, pool)
}

async fn until(what: &str, reached: impl Fn() -> bool) {
    let looking = async {
        while !reached() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(
        timeout(PATIENCE, looking).await.is_ok(),
        "not in time: {what}"
    );
}

fn is_trusted(pool: &ValkeyPool) -> bool {
    pool.shared.near.as_ref().unwrap().is_trusted()
}

async fn trusted(pool: &ValkeyPool) {
    until("the cache is trusted", || is_trusted(pool)).await;
}

fn lookups(pool: &ValkeyPool) -> Lookups {
    pool.shared.near.as_ref().unwrap().lookups()
}

async fn send(pool: &ValkeyPool, words: &str) -> Result<Value, Error> {
    pool.command(&cmd(words), soon()).await
}

async fn get(pool: &ValkeyPool) -> Value {
    send(pool, "GET link:a").await.unwrap()
}

fn get_in_background(pool: &ValkeyPool) -> JoinHandle<Value> {
    let pool = pool.clone();
    tokio::spawn(async move { get(&pool).await })
}

/// Reads until the value came without the server.
async fn hit(fake: &Fake, pool: &ValkeyPool) -> Value {
    loop {
        let (gets, hits) = (fake.seen().gets, lookups(pool).hits);
        let value = get(pool).await;
        if lookups(pool).hits > hits {
            assert_eq!(fake.seen().gets, gets);
            return value;
        }
        trusted(pool).await;
    }
}

#[tokio::test]
async fn what_was_read_is_not_asked_for_again() {
    let (fake, pool) = rig(|_| {}).await;
    fake.put("link:a", "1");
    for _ in 0..3 {
        assert_eq!(hit(&fake, &pool).await, text("1"));
    }
    let gets = fake.seen().gets;
    for n in 1..3 {
        assert_eq!(send(&pool, "GET other:a").await.unwrap(), Value::Nil);
        assert_eq!(fake.seen().gets, gets + n);
    }
}

#[tokio::test]
async fn who_reads_on_and_on_lets_others_have_their_turn() {
    let (fake, pool) = rig(|_| {}).await;
    hit(&fake, &pool).await;
    let reader = pool.clone();
    let reading = tokio::spawn(async move {
        loop {
            get(&reader).await;
        }
    });
    // On one thread, all of this waits for a turn. Without one the cache would
    // lose trust in the end, and the reader wait for the server.
    assert_eq!(send(&pool, "ECHO a").await.unwrap(), text("a"));
    assert_eq!(lookups(&pool).bypasses, 0);
    reading.abort();
    assert!(reading.await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn what_is_not_there_is_known_too_until_it_is() {
    let (fake, pool) = rig(|_| {}).await;
    assert_eq!(hit(&fake, &pool).await, Value::Nil);
    fake.put("link:a", "1");
    assert_eq!(hit(&fake, &pool).await, Value::Nil, "nobody has told");
    fake.tell("link:a");
    until("the change is known", || lookups(&pool).invalidated == 1).await;
    assert_eq!(hit(&fake, &pool).await, text("1"));
}

#[tokio::test]
async fn a_server_that_forgets_everything_says_so() {
    let (fake, pool) = rig(|_| {}).await;
    fake.put("link:a", "1");
    hit(&fake, &pool).await;
    fake.put("link:a", "2");
    fake.tell_of_all();
    until("the change is known", || lookups(&pool).flushed == 1).await;
    assert_eq!(hit(&fake, &pool).await, text("2"));
}

#[tokio::test]
async fn an_answer_that_is_out_of_date_on_arrival_is_not_kept() {
    let (fake, pool) = rig(|_| {}).await;
    fake.put("link:a", "old");
    fake.set(Mode::Silent);
    let before = get_in_background(&pool);
    fake.until(|seen| seen.gets == 1).await;
    // The server has answered, then changes the key and says so: both arrive at
    // once.
    fake.put("link:a", "new");
    fake.tell("link:a");
    fake.set(Mode::Serve);
    assert_eq!(before.await.unwrap(), text("old"), "it was so when asked");
    trusted(&pool).await;
    assert_eq!(get(&pool).await, text("new"));
    assert_eq!(hit(&fake, &pool).await, text("new"));
}

#[tokio::test]
async fn one_question_is_for_all_and_outlives_who_asked_it() {
    let (fake, pool) = rig(|_| {}).await;
    fake.put("link:a", "1");
    fake.set(Mode::Untold);
    let first = get_in_background(&pool);
    fake.until(|seen| seen.gets == 1).await;
    let others: Vec<_> = (0..100).map(|_| get_in_background(&pool)).collect();
    until("all have joined, or gone past", || {
        let Lookups {
            joined, bypasses, ..
        } = lookups(&pool);
        joined + bypasses == 100
    })
    .await;
    let joined = lookups(&pool).joined;
    assert!(joined > 0);
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    fake.set(Mode::Serve);
    for other in others {
        assert_eq!(other.await.unwrap(), text("1"));
    }
    let bypasses = lookups(&pool).bypasses;
    assert_eq!(fake.seen().gets as u64, 1 + bypasses);
    assert_eq!(hit(&fake, &pool).await, text("1"));
}

#[tokio::test]
async fn who_waits_keeps_a_deadline_of_its_own() {
    let (fake, pool) = rig(|_| {}).await;
    fake.set(Mode::Silent);
    let patient = get_in_background(&pool);
    fake.until(|seen| seen.gets == 1).await;
    let hurry = Instant::now() + Duration::from_millis(10);
    let late = pool.command(&cmd("GET link:a"), hurry).await;
    assert!(matches!(late, Err(Error::Deadline { .. })), "{late:?}");
    fake.set(Mode::Serve);
    assert_eq!(patient.await.unwrap(), Value::Nil);
}

#[tokio::test]
async fn nobody_joins_a_question_that_a_write_has_overtaken() {
    let (fake, pool) = rig(|_| {}).await;
    fake.put("link:a", "old");
    fake.set(Mode::Untold);
    let before = get_in_background(&pool);
    fake.until(|seen| seen.gets == 1).await;
    send(&pool, "SET link:a new").await.unwrap();
    let after = get_in_background(&pool);
    fake.until(|seen| seen.gets == 2).await;
    fake.set(Mode::Serve);
    assert_eq!(before.await.unwrap(), text("old"));
    assert_eq!(after.await.unwrap(), text("new"));
    assert_eq!(hit(&fake, &pool).await, text("new"));
}

#[tokio::test]
async fn what_this_process_writes_is_read_at_once() {
    let (fake, pool) = rig(|_| {}).await;
    let session = pool.session();
    let write = async |words: &str| {
        session.command(&cmd(words), soon()).await.unwrap();
    };
    hit(&fake, &pool).await;
    write("SET link:a 1").await;
    assert_eq!(get(&pool).await, text("1"));
    hit(&fake, &pool).await;
    write("EVALSHA abc 1 link:a 2").await;
    assert_eq!(get(&pool).await, text("2"));
    hit(&fake, &pool).await;
    write("FLUSHALL").await;
    assert_eq!(get(&pool).await, Value::Nil);
    hit(&fake, &pool).await;
    write("MULTI").await;
    write("SET link:a 3").await;
    assert_eq!(
        hit(&fake, &pool).await,
        Value::Nil,
        "it is not executed yet"
    );
    write("EXEC").await;
    assert_eq!(get(&pool).await, text("3"));
    hit(&fake, &pool).await;
    write("SELECT 1").await;
    write("SET link:a 4").await;
    assert_eq!(get(&pool).await, text("4"));
}

#[tokio::test]
async fn a_write_without_a_reply_may_have_happened() {
    let (fake, pool) = rig(|_| {}).await;
    hit(&fake, &pool).await;
    fake.set(Mode::Silent);
    let writer = pool.clone();
    let write = tokio::spawn(async move { send(&writer, "SET link:a 1").await });
    fake.until(|seen| seen.sets == 1).await;
    write.abort();
    assert!(write.await.unwrap_err().is_cancelled());
    fake.set(Mode::Serve);
    assert_eq!(get(&pool).await, text("1"));
}

#[tokio::test]
async fn a_lost_connection_takes_what_was_read_over_it_along() {
    let (fake, pool) = rig(|_| {}).await;
    fake.put("link:a", "1");
    hit(&fake, &pool).await;
    fake.set(Mode::Away);
    until("the loss is known", || lookups(&pool).lost == 1).await;
    assert!(!is_trusted(&pool));
    fake.put("link:a", "2");
    fake.set(Mode::Serve);
    pool.warm(soon()).await.unwrap();
    trusted(&pool).await;
    assert_eq!(get(&pool).await, text("2"));
}

#[tokio::test]
async fn what_nobody_tells_of_is_asked_for_past_the_cache() {
    let (fake, pool) = rig(|_| {}).await;
    fake.put("link:a", "1");
    hit(&fake, &pool).await;
    fake.set(Mode::Untold);
    let since = Instant::now();
    fake.put("link:a", "2");
    fake.tell("link:a");
    until("the silence is noticed", || !is_trusted(&pool)).await;
    assert_eq!(get(&pool).await, text("2"));
    assert!(lookups(&pool).bypasses > 0);
    assert!(since.elapsed() < PATIENCE / 4, "{:?}", since.elapsed());
    assert_eq!(
        lookups(&pool).lost,
        0,
        "a silence this short is not an outage"
    );
    fake.set(Mode::Serve);
    trusted(&pool).await;
    assert_eq!(get(&pool).await, text("2"));
}

fn is_refused(outcome: &Result<Value, Error>) -> bool {
    match outcome {
        Err(Error::Unavailable { cause }) => cause.contains("not repaired"),
        _ => false,
    }
}

#[tokio::test]
async fn a_server_that_was_away_is_not_asked_until_it_is_repaired() {
    let (fake, pool) = rig(|settings| settings.command_timeout = Duration::from_millis(500)).await;
    let mut repairs = pool.repaired_by().unwrap();
    let first = repairs.wanted().await;
    let refused = send(&pool, "GET link:a").await;
    assert!(is_refused(&refused), "{refused:?}");
    send(&pool, "GET other:a").await.unwrap();
    send(&pool, "SET link:a 1").await.unwrap();
    repairs.done(first);
    trusted(&pool).await;
    assert_eq!(hit(&fake, &pool).await, text("1"));

    fake.set(Mode::Untold);
    until("the silence is taken for an outage", || {
        lookups(&pool).lost == 1
    })
    .await;
    let refused = send(&pool, "GET link:a").await;
    assert!(is_refused(&refused), "{refused:?}");
    let early = timeout(Duration::from_millis(10), repairs.wanted()).await;
    assert!(early.is_err(), "the server does not answer yet");
    fake.set(Mode::Serve);
    let second = repairs.wanted().await;
    assert_ne!(first, second);
    assert_eq!(repairs.wanted().await, second);
    repairs.done(first);
    let refused = send(&pool, "GET link:a").await;
    assert!(is_refused(&refused), "{refused:?}");
    repairs.done(second);
    trusted(&pool).await;
    assert_eq!(get(&pool).await, text("1"));
}

#[tokio::test]
async fn a_repair_that_an_outage_has_overtaken_does_not_count() {
    let (fake, pool) = rig(|_| {}).await;
    let mut repairs = pool.repaired_by().unwrap();
    let epoch = repairs.wanted().await;
    fake.set(Mode::Away);
    until("the loss is known", || {
        pool.shared.near.as_ref().unwrap().wire().is_none()
    })
    .await;
    fake.set(Mode::Serve);
    repairs.done(epoch);
    let epoch = repairs.wanted().await;
    let refused = send(&pool, "GET link:a").await;
    assert!(is_refused(&refused), "{refused:?}");
    repairs.done(epoch);
    trusted(&pool).await;
}

#[tokio::test]
async fn without_anybody_to_repair_an_answer_is_enough() {
    let (fake, pool) = rig(|_| {}).await;
    let repairs = pool.repaired_by().unwrap();
    assert!(is_refused(&send(&pool, "GET link:a").await));
    drop(repairs);
    assert_eq!(get(&pool).await, Value::Nil);
    trusted(&pool).await;
    assert_eq!(hit(&fake, &pool).await, Value::Nil);
    fake.set(Mode::Away);
    until("the loss is known", || !is_trusted(&pool)).await;
    fake.set(Mode::Serve);
    trusted(&pool).await;
}

#[tokio::test]
async fn a_pool_without_one_has_nothing_to_repair() {
    let fake = Fake::start(Mode::Serve).await;
    assert!(super::pool(&fake, |_| {}).repaired_by().is_none());
}
