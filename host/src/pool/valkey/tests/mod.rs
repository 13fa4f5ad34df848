//! The pool against a server that misbehaves on command. What needs a real one
//! is tested from outside, through components.

mod fake;
mod near;

use std::num::NonZeroUsize;
use std::time::Duration;

use redis::{Cmd, Value};
use tokio::time::{Instant, timeout};

use self::fake::{Fake, Mode};
use super::*;

/// Far more than anything here takes: only a hang runs into it.
const PATIENCE: Duration = Duration::from_secs(10);

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

fn cmd(words: &str) -> Cmd {
    let mut cmd = Cmd::new();
    cmd.arg(words.split(' ').collect::<Vec<_>>());
    cmd
}

fn text(text: &str) -> Value {
    Value::BulkString(text.into())
}

fn pool(fake: &Fake, change: impl FnOnce(&mut Settings)) -> ValkeyPool {
    let mut settings = Settings {
        connections: NonZeroUsize::MIN,
        command_timeout: Duration::from_millis(250),
        ..Settings::default()
    };
    change(&mut settings);
    let target = Target::parse(&fake.url()).unwrap();
    ValkeyPool::new(target, settings, Placement::here(), &Metrics::default())
}

#[tokio::test]
async fn every_caller_gets_its_own_reply() {
    let fake = Fake::start(Mode::Serve).await;
    let pool = pool(&fake, |settings| {
        settings.connections = NonZeroUsize::new(3).unwrap()
    });
    pool.warm(soon()).await.unwrap();
    assert_eq!(fake.seen().accepted, 3);
    let echoes = (0..500).map(|n| {
        let pool = pool.clone();
        async move {
            let reply = pool
                .command(&cmd(&format!("ECHO {n}")), soon())
                .await
                .unwrap();
            assert_eq!(reply, text(&n.to_string()));
        }
    });
    futures::future::join_all(echoes).await;
}

#[tokio::test]
async fn a_sentinel_that_names_the_old_primary_is_not_the_only_one_that_is_asked() {
    let [stale, fresh, old, new] = [(); 4].map(|()| Fake::start(Mode::Serve));
    let (stale, fresh, old, new) = futures::join!(stale, fresh, old, new);
    old.put("role", "slave");
    new.put("name", "new");
    stale.put("links", &old.place());
    fresh.put("links", &new.place());
    let url = format!("redis-sentinel://{},{}#links", stale.place(), fresh.place());
    let settings = Settings {
        connections: NonZeroUsize::MIN,
        ..Settings::default()
    };
    let target = Target::parse(&url).unwrap();
    let pool = ValkeyPool::new(target, settings, Placement::here(), &Metrics::default());
    pool.warm(soon()).await.unwrap();
    let name = pool.command(&cmd("GET name"), soon()).await.unwrap();
    assert_eq!(name, text("new"));
    assert!(old.seen().accepted > 0, "the other was asked at first");
}

#[tokio::test]
async fn a_command_sent_at_once_waits_for_the_first_connection() {
    let fake = Fake::start(Mode::Serve).await;
    let pool = pool(&fake, |settings| settings.command_timeout = PATIENCE);
    assert_eq!(
        pool.command(&cmd("ECHO a"), soon()).await.unwrap(),
        text("a")
    );
}

#[tokio::test]
async fn without_a_server_commands_fail_at_once_and_recover_with_it() {
    let fake = Fake::start(Mode::Serve).await;
    let pool = pool(&fake, |settings| settings.command_timeout = PATIENCE);
    pool.warm(soon()).await.unwrap();
    fake.set(Mode::Away);
    fake.until(|seen| seen.closed == 1).await;
    let start = Instant::now();
    while !matches!(
        pool.command(&cmd("PING"), soon()).await,
        Err(Error::Unavailable { .. })
    ) {
        tokio::task::yield_now().await;
    }
    assert!(start.elapsed() < PATIENCE / 2, "{:?}", start.elapsed());
    fake.set(Mode::Serve);
    pool.warm(soon()).await.unwrap();
    assert_eq!(
        pool.command(&cmd("ECHO back"), soon()).await.unwrap(),
        text("back")
    );
}

#[tokio::test]
async fn a_silent_server_costs_one_timeout_and_then_nothing() {
    let fake = Fake::start(Mode::Serve).await;
    let pool = pool(&fake, |_| {});
    pool.warm(soon()).await.unwrap();
    fake.set(Mode::Silent);
    let late = pool.command(&cmd("ECHO late"), soon()).await;
    assert!(matches!(late, Err(Error::Timeout { .. })), "{late:?}");
    // The connection is given up, and its successor has no answer either.
    fake.until(|seen| seen.accepted == 2).await;
    let refused = pool.command(&cmd("ECHO later"), soon()).await;
    assert!(
        matches!(refused, Err(Error::Unavailable { .. })),
        "{refused:?}"
    );
    fake.set(Mode::Serve);
    pool.warm(soon()).await.unwrap();
    assert_eq!(
        pool.command(&cmd("ECHO new"), soon()).await.unwrap(),
        text("new")
    );
}

#[tokio::test]
async fn a_caller_in_a_hurry_does_not_cost_the_connection() {
    let fake = Fake::start(Mode::Serve).await;
    let pool = pool(&fake, |settings| settings.command_timeout = PATIENCE);
    pool.warm(soon()).await.unwrap();
    fake.set(Mode::Silent);
    let hurry = Instant::now() + Duration::from_millis(10);
    let late = pool.command(&cmd("ECHO late"), hurry).await;
    assert!(matches!(late, Err(Error::Deadline { .. })), "{late:?}");
    fake.set(Mode::Serve);
    assert_eq!(
        pool.command(&cmd("ECHO next"), soon()).await.unwrap(),
        text("next")
    );
    assert_eq!(fake.seen().accepted, 1);
}

#[tokio::test]
async fn a_refusal_is_final_for_warm_only() {
    let fake = Fake::start(Mode::WrongPassword).await;
    let pool = pool(&fake, |_| {});
    let refused = timeout(PATIENCE, pool.warm(Instant::now() + PATIENCE * 2))
        .await
        .unwrap();
    assert!(
        matches!(refused, Err(Error::Rejected { .. })),
        "{refused:?}"
    );
    fake.set(Mode::Serve);
    while pool.command(&cmd("PING"), soon()).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn no_more_commands_than_the_cap_are_under_way() {
    let fake = Fake::start(Mode::Serve).await;
    let pool = pool(&fake, |settings| {
        settings.in_flight = NonZeroUsize::MIN;
        settings.command_timeout = PATIENCE;
    });
    pool.warm(soon()).await.unwrap();
    let held = tokio::spawn({
        let pool = pool.clone();
        async move { pool.command(&cmd("HOLD"), soon()).await }
    });
    while pool.shared.room.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let hurry = Instant::now() + Duration::from_millis(10);
    let refused = pool.command(&cmd("ECHO a"), hurry).await;
    assert!(
        matches!(refused, Err(Error::Overloaded { .. })),
        "{refused:?}"
    );
    held.abort();
    assert!(held.await.unwrap_err().is_cancelled());
    assert_eq!(pool.shared.room.available_permits(), 1);
}

#[tokio::test]
async fn an_error_reply_is_the_servers_own() {
    let fake = Fake::start(Mode::Serve).await;
    let pool = pool(&fake, |_| {});
    pool.warm(soon()).await.unwrap();
    let error = pool.command(&cmd("FAIL"), soon()).await.unwrap_err();
    assert_eq!(error.to_string(), "ERR no");
}

#[tokio::test]
async fn a_transaction_has_a_connection_of_its_own_and_returns_it() {
    let fake = Fake::start(Mode::Serve).await;
    let pool = pool(&fake, |_| {});
    pool.warm(soon()).await.unwrap();
    for _ in 0..3 {
        let session = pool.session();
        session.command(&cmd("MULTI"), soon()).await.unwrap();
        session.command(&cmd("EXEC"), soon()).await.unwrap();
    }
    assert_eq!(
        fake.seen().accepted,
        2,
        "the second is parked and used again"
    );
    assert_eq!(fake.seen().closed, 0);
}

#[tokio::test]
async fn an_unfinished_session_closes_its_connection() {
    let fake = Fake::start(Mode::Serve).await;
    let pool = pool(&fake, |settings| settings.dedicated = 1);
    pool.warm(soon()).await.unwrap();
    let session = pool.session();
    session.command(&cmd("WATCH k"), soon()).await.unwrap();
    let refused = pool.session().command(&cmd("MULTI"), soon()).await;
    assert!(
        matches!(refused, Err(Error::TooManyConnections { limit: 1 })),
        "{refused:?}"
    );
    drop(session);
    fake.until(|seen| seen.closed == 1).await;
    pool.session().command(&cmd("MULTI"), soon()).await.unwrap();
}

#[tokio::test]
async fn a_command_that_blocks_has_its_callers_time_and_holds_up_nobody() {
    let fake = Fake::start(Mode::Serve).await;
    let pool = pool(&fake, |_| {});
    pool.warm(soon()).await.unwrap();
    let session = pool.session();
    fake.set(Mode::Empty);
    let pop = cmd("BLPOP q 0");
    let others = async {
        fake.until(|seen| seen.blocked == 1).await;
        let shared = session.command(&cmd("ECHO a"), soon()).await;
        assert_eq!(shared.unwrap(), text("a"));
        tokio::time::sleep(pool.shared.settings.command_timeout * 2).await;
        fake.set(Mode::Serve);
    };
    let (popped, ()) = tokio::join!(session.command(&pop, soon()), others);
    popped.unwrap();
}

#[tokio::test]
async fn a_session_with_a_lost_connection_stays_lost() {
    let fake = Fake::start(Mode::Serve).await;
    let pool = pool(&fake, |_| {});
    pool.warm(soon()).await.unwrap();
    let session = pool.session();
    session.command(&cmd("SELECT 1"), soon()).await.unwrap();
    let late = session.command(&cmd("HOLD"), soon()).await;
    assert!(matches!(late, Err(Error::Timeout { .. })), "{late:?}");
    for _ in 0..2 {
        let lost = session.command(&cmd("ECHO a"), soon()).await;
        assert!(matches!(lost, Err(Error::SessionLost { .. })), "{lost:?}");
    }
    assert_eq!(
        pool.session()
            .command(&cmd("ECHO a"), soon())
            .await
            .unwrap(),
        text("a")
    );
}

#[tokio::test]
async fn an_abandoned_command_loses_the_session() {
    let fake = Fake::start(Mode::Serve).await;
    let pool = pool(&fake, |settings| settings.command_timeout = PATIENCE);
    pool.warm(soon()).await.unwrap();
    let session = pool.session();
    session.command(&cmd("SELECT 1"), soon()).await.unwrap();
    let hold = cmd("HOLD");
    assert!(
        timeout(Duration::from_millis(10), session.command(&hold, soon()))
            .await
            .is_err()
    );
    let lost = session.command(&cmd("ECHO a"), soon()).await;
    assert!(matches!(lost, Err(Error::SessionLost { .. })), "{lost:?}");
}

#[tokio::test]
async fn a_session_left_alone_gives_its_connection_up() {
    let fake = Fake::start(Mode::Serve).await;
    let pool = pool(&fake, |settings| settings.idle = Duration::from_millis(250));
    pool.warm(soon()).await.unwrap();
    let session = pool.session();
    session.command(&cmd("MULTI"), soon()).await.unwrap();
    fake.until(|seen| seen.closed == 1).await;
    let lost = session.command(&cmd("EXEC"), soon()).await;
    assert!(matches!(lost, Err(Error::SessionLost { .. })), "{lost:?}");
}

#[tokio::test]
async fn a_parked_connection_is_closed_after_a_while() {
    let fake = Fake::start(Mode::Serve).await;
    let pool = pool(&fake, |settings| settings.idle = Duration::from_millis(250));
    pool.warm(soon()).await.unwrap();
    let session = pool.session();
    session.command(&cmd("MULTI"), soon()).await.unwrap();
    session.command(&cmd("EXEC"), soon()).await.unwrap();
    assert_eq!(fake.seen().accepted, 2);
    fake.until(|seen| seen.closed == 1).await;
}

#[tokio::test]
async fn the_last_pool_to_go_closes_its_connections() {
    let fake = Fake::start(Mode::Serve).await;
    let pool = pool(&fake, |settings| {
        settings.connections = NonZeroUsize::new(2).unwrap()
    });
    pool.warm(soon()).await.unwrap();
    drop(pool);
    fake.until(|seen| seen.closed == 2).await;
}

#[tokio::test]
async fn commands_that_need_a_session_are_refused_without() {
    let fake = Fake::start(Mode::Serve).await;
    let pool = pool(&fake, |_| {});
    for words in ["MULTI", "SUBSCRIBE c", "WAIT 1 0"] {
        let refused = pool.command(&cmd(words), soon()).await;
        assert!(
            matches!(refused, Err(Error::Refused { .. })),
            "{words}: {refused:?}"
        );
    }
}
