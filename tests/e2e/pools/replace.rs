//! Connections that break.

use futures::future::join_all;
use serde_json::json;
use warmlink_tests::{eventually, run};

use super::{
    LOCK, SOON, WAIT, backends, execute, handle, in_background, of_pool, postgres, query,
    until_pool, until_waiting, value,
};

const KILL_ALL: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                        WHERE datname = current_database() AND application_name LIKE 'warmlink/%'";

#[test]
fn killed_connections_are_replaced_before_anyone_asks() {
    run(async {
        let lone = postgres(4, 4, "").await;
        let observer = lone.database.connect().await;
        let before = backends(&observer).await;
        assert_eq!(before.len(), 4);
        observer.execute(KILL_ALL, &[]).await.unwrap();
        eventually("four new connections", SOON, || async {
            let now = backends(&observer).await;
            (now.len() == 4 && now.iter().all(|pid| !before.contains(pid))).then_some(())
        })
        .await;
        until_pool(&lone.host, "idle", 4.0).await;
        let script = json!([handle(&lone, "c"), query("c", "SELECT 1")]);
        join_all((0..100).map(|_| lone.probe.ok(script.clone()))).await;
        assert_eq!(of_pool(&lone.host, "lost_total").await, 4.0);
    });
}

#[test]
fn no_request_fails_for_a_connection_that_died_before_it_came() {
    run(async {
        let lone = postgres(4, 4, "").await;
        let observer = lone.database.connect().await;
        let script = json!([handle(&lone, "c"), query("c", "SELECT 1")]);
        for round in 0..5 {
            observer.execute(KILL_ALL, &[]).await.unwrap();
            eventually("the server's processes are gone", SOON, || async {
                let lost = of_pool(&lone.host, "lost_total").await;
                (lost >= f64::from(4 * (round + 1))).then_some(())
            })
            .await;
            // Some replacements are not there yet: these wait, and none fails.
            join_all((0..20).map(|_| lone.probe.ok(script.clone()))).await;
            until_pool(&lone.host, "idle", 4.0).await;
        }
    });
}

#[test]
fn a_transaction_whose_connection_died_is_never_continued_elsewhere() {
    run(async {
        let lone = postgres(2, 2, "").await;
        let observer = lone.database.connect().await;
        observer
            .batch_execute("CREATE TABLE t (a int4)")
            .await
            .unwrap();
        observer.execute(LOCK, &[]).await.unwrap();
        let insert = execute("c", "INSERT INTO t VALUES (1)");
        let request = in_background(
            &lone.host,
            json!([
                handle(&lone, "c"),
                execute("c", "BEGIN"),
                insert,
                query("c", WAIT),
                insert,
                query("c", "SELECT count(*) FROM t"),
                execute("c", "COMMIT"),
                execute("c", "ROLLBACK"),
                // From here on it is a handle like any other.
                query("c", "SELECT count(*) FROM t"),
            ]),
        );
        until_pool(&lone.host, "pinned", 1.0).await;
        until_waiting(&observer).await;
        observer.execute(KILL_ALL, &[]).await.unwrap();
        let outcomes = request.await.unwrap();
        for index in [3, 4, 5, 6] {
            assert!(
                outcomes[index].get("err").is_some(),
                "{index}: {outcomes:?}"
            );
        }
        assert_eq!(value(&outcomes[8]), 0, "{outcomes:?}");
        let row = observer
            .query_one("SELECT count(*) FROM t", &[])
            .await
            .unwrap();
        assert_eq!(row.get::<_, i64>(0), 0);
    });
}

#[test]
fn a_statement_that_may_have_run_is_not_sent_again() {
    run(async {
        let lone = postgres(2, 2, "").await;
        let observer = lone.database.connect().await;
        observer
            .batch_execute("CREATE TABLE t (a int4)")
            .await
            .unwrap();
        observer.execute(LOCK, &[]).await.unwrap();
        let sql = "INSERT INTO t SELECT count(pg_advisory_xact_lock_shared(1))";
        let request = in_background(&lone.host, json!([handle(&lone, "c"), execute("c", sql)]));
        until_waiting(&observer).await;
        observer.execute(KILL_ALL, &[]).await.unwrap();
        let outcomes = request.await.unwrap();
        assert!(outcomes[1].get("err").is_some(), "{outcomes:?}");
        assert_eq!(of_pool(&lone.host, "retries_total").await, 0.0);
    });
}
