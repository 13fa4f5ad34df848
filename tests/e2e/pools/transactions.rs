use futures::future::join_all;
use serde_json::json;
use warmlink_tests::{eventually, run};

use super::{SOON, code, execute, handle, postgres, query, until_pool, value};

const TABLE: &str = "CREATE TABLE t (a int4)";
const COUNT: &str = "SELECT count(*) FROM t";
const INSERT: &str = "INSERT INTO t VALUES (1)";

#[test]
fn what_is_committed_stays_and_what_is_rolled_back_does_not() {
    run(async {
        let lone = postgres(2, 4, "").await;
        lone.database
            .connect()
            .await
            .batch_execute(TABLE)
            .await
            .unwrap();
        for (end, wanted) in [("COMMIT", 1), ("ROLLBACK", 1), ("END", 2), ("ABORT", 2)] {
            lone.probe
                .ok(json!([
                    handle(&lone, "c"),
                    execute("c", "BEGIN"),
                    execute("c", INSERT),
                    execute("c", end),
                ]))
                .await;
            let outcomes = lone
                .probe
                .run(json!([handle(&lone, "c"), query("c", COUNT)]))
                .await;
            assert_eq!(value(&outcomes[1]), wanted, "{end}");
        }
    });
}

#[test]
fn a_handle_sees_its_own_transaction_and_no_other_does() {
    run(async {
        let lone = postgres(2, 4, "").await;
        lone.database
            .connect()
            .await
            .batch_execute(TABLE)
            .await
            .unwrap();
        let outcomes = lone
            .probe
            .run(json!([
                handle(&lone, "a"),
                handle(&lone, "b"),
                execute("a", "BEGIN"),
                execute("a", INSERT),
                query("a", COUNT),
                query("b", COUNT),
                execute("b", "BEGIN"),
                execute("b", INSERT),
                query("b", COUNT),
                execute("a", "COMMIT"),
                // Read committed: what was committed meanwhile is there.
                query("b", COUNT),
                execute("b", "ROLLBACK"),
                query("b", COUNT),
            ]))
            .await;
        let counts = [4, 5, 8, 10, 12].map(|index| value(&outcomes[index]));
        assert_eq!(counts, [1, 0, 1, 2, 1], "{outcomes:?}");
    });
}

#[test]
fn a_dropped_handle_rolls_back() {
    run(async {
        let lone = postgres(1, 1, "").await;
        lone.database
            .connect()
            .await
            .batch_execute(TABLE)
            .await
            .unwrap();
        let begun = [
            handle(&lone, "c"),
            execute("c", "BEGIN"),
            execute("c", INSERT),
        ];
        // Dropped by the component, or left open when its request ends.
        let mut closed = begun.to_vec();
        closed.extend([
            json!({ "close": "c" }),
            handle(&lone, "d"),
            query("d", COUNT),
        ]);
        let outcomes = lone.probe.run(json!(closed)).await;
        assert_eq!(value(&outcomes[5]), 0);
        lone.probe.ok(json!(begun)).await;
        let outcomes = lone
            .probe
            .run(json!([handle(&lone, "c"), query("c", COUNT)]))
            .await;
        assert_eq!(value(&outcomes[1]), 0);
        until_pool(&lone.host, "in_use", 0.0).await;
    });
}

#[test]
fn a_trap_inside_a_transaction_rolls_back_and_frees_its_locks() {
    run(async {
        let lone = postgres(1, 1, "").await;
        let observer = lone.database.connect().await;
        observer.batch_execute(TABLE).await.unwrap();
        lone.probe
            .send(json!([
                handle(&lone, "c"),
                execute("c", "BEGIN"),
                execute("c", "LOCK TABLE t IN ACCESS EXCLUSIVE MODE"),
                execute("c", INSERT),
                { "trap": null },
            ]))
            .await
            .error(502);
        // Waits for the lock, so it also shows that it was given up.
        let count: i64 = observer.query_one(COUNT, &[]).await.unwrap().get(0);
        assert_eq!(count, 0);
        // There is one connection, and the next request has it.
        lone.probe
            .ok(json!([handle(&lone, "c"), execute("c", INSERT)]))
            .await;
    });
}

#[test]
fn after_an_error_the_transaction_is_over_and_can_only_be_given_up() {
    run(async {
        let lone = postgres(1, 2, "").await;
        lone.database
            .connect()
            .await
            .batch_execute(TABLE)
            .await
            .unwrap();
        let outcomes = lone
            .probe
            .run(json!([
                handle(&lone, "c"),
                execute("c", "BEGIN"),
                execute("c", INSERT),
                query("c", "SELECT 1 / 0"),
                execute("c", INSERT),
                // Of a failed transaction the server makes a rollback.
                execute("c", "COMMIT"),
                query("c", COUNT),
                execute("c", INSERT),
                query("c", COUNT),
            ]))
            .await;
        assert_eq!(code(&outcomes[3]), Some("22012"), "{outcomes:?}");
        assert_eq!(code(&outcomes[4]), Some("25P02"), "{outcomes:?}");
        assert_eq!(value(&outcomes[6]), 0, "{outcomes:?}");
        assert_eq!(value(&outcomes[8]), 1, "{outcomes:?}");
    });
}

#[test]
fn a_savepoint_gives_up_a_part() {
    run(async {
        let lone = postgres(1, 1, "").await;
        lone.database
            .connect()
            .await
            .batch_execute(TABLE)
            .await
            .unwrap();
        let outcomes = lone
            .probe
            .run(json!([
                handle(&lone, "c"),
                execute("c", "BEGIN"),
                execute("c", INSERT),
                execute("c", "SAVEPOINT half"),
                execute("c", INSERT),
                query("c", "SELECT 1 / 0"),
                execute("c", "ROLLBACK TO half"),
                execute("c", INSERT),
                execute("c", "COMMIT"),
                query("c", COUNT),
            ]))
            .await;
        assert_eq!(value(&outcomes[9]), 2, "{outcomes:?}");
    });
}

#[test]
fn many_transactions_at_once_keep_the_sum() {
    run(async {
        let lone = postgres(2, 4, "").await;
        let observer = lone.database.connect().await;
        observer
            .batch_execute(
                "CREATE TABLE accounts (id int4 PRIMARY KEY, held int4);
                 INSERT INTO accounts SELECT n, 100 FROM generate_series(0, 9) AS n",
            )
            .await
            .unwrap();
        let transfers = (0..80).map(|number| {
            let (from, to) = (number % 10, (number * 7 + 3) % 10);
            // In the order of the ids, so that no two wait for each other.
            let (first, second) = (from.min(to), from.max(to));
            let update = |id: i32| {
                let by = if id == from { -1 } else { 1 };
                execute(
                    "c",
                    &format!("UPDATE accounts SET held = held + {by} WHERE id = {id}"),
                )
            };
            let end = if number % 3 == 0 {
                "ROLLBACK"
            } else {
                "COMMIT"
            };
            let script = json!([
                handle(&lone, "c"),
                execute("c", "BEGIN"),
                update(first),
                update(second),
                query("c", "SELECT sum(held) FROM accounts"),
                execute("c", end),
            ]);
            let probe = lone.probe.clone();
            async move {
                let outcomes = probe.run(script).await;
                assert!(
                    outcomes.iter().all(|outcome| outcome.get("ok").is_some()),
                    "{outcomes:?}"
                );
                assert_eq!(value(&outcomes[4]), 1000, "half a transfer was seen");
            }
        });
        join_all(transfers).await;
        until_pool(&lone.host, "in_use", 0.0).await;
        eventually("no transaction is left open", SOON, || async {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND state LIKE 'idle in transaction%'";
            let open: i64 = observer.query_one(sql, &[]).await.unwrap().get(0);
            (open == 0).then_some(())
        })
        .await;
    });
}
