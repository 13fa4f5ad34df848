//! Session state belongs to the handle that set it, and goes with it.

use serde_json::json;
use warmlink_tests::{eventually, run};

use super::{SOON, code, execute, handle, postgres, query, until_pool, value};

const SETTING: &str = "SELECT coalesce(current_setting('app.tenant', true), '')";
const PID: &str = "SELECT pg_backend_pid()";

#[test]
fn a_setting_is_seen_by_its_handle_alone() {
    run(async {
        let lone = postgres(2, 4, "").await;
        for set in [
            "SET app.tenant = 'a'",
            "SELECT set_config('app.tenant', 'a', false)",
        ] {
            let outcomes = lone
                .probe
                .run(json!([
                    handle(&lone, "c"),
                    handle(&lone, "d"),
                    execute("c", set),
                    query("c", SETTING),
                    query("d", SETTING),
                    query("c", SETTING),
                ]))
                .await;
            let found = [3, 4, 5].map(|index| value(&outcomes[index]));
            assert_eq!(found, ["a", "", "a"], "{outcomes:?}");
        }
    });
}

#[test]
fn a_connection_is_reset_before_the_next_has_it() {
    run(async {
        // The one connection there is, so that the next is bound to get it.
        let lone = postgres(1, 1, "").await;
        let outcomes = lone
            .probe
            .run(json!([
                handle(&lone, "c"),
                query("c", PID),
                execute("c", "SET app.tenant = 'a'"),
                execute("c", "SET search_path = pg_catalog"),
                execute("c", "CREATE TEMPORARY TABLE mine (a int4)"),
                execute("c", "INSERT INTO mine VALUES (5)"),
                query("c", "SELECT a FROM mine"),
                query("c", SETTING),
                { "close": "c" },
                handle(&lone, "d"),
                query("d", PID),
                query("d", SETTING),
                query("d", "SELECT a FROM mine"),
                query("d", "SHOW search_path"),
            ]))
            .await;
        assert_eq!(value(&outcomes[6]), 5, "{outcomes:?}");
        assert_eq!(value(&outcomes[7]), "a", "{outcomes:?}");
        assert_eq!(
            value(&outcomes[10]),
            value(&outcomes[1]),
            "the same connection"
        );
        assert_eq!(value(&outcomes[11]), "", "{outcomes:?}");
        assert_eq!(code(&outcomes[12]), Some("42P01"), "{outcomes:?}");
        assert_eq!(value(&outcomes[13]), "\"$user\", public", "{outcomes:?}");
    });
}

#[test]
fn statements_known_before_a_reset_work_after_it() {
    run(async {
        let lone = postgres(1, 1, "").await;
        let known = "SELECT 40 + $1::int4";
        let ask = json!({ "query": { "on": "c", "sql": known, "params": [{ "Int32": 2 }] } });
        for reset in ["SET app.tenant = 'a'", "DEALLOCATE ALL", "DISCARD ALL"] {
            let script = json!([handle(&lone, "c"), ask, execute("c", reset), ask]);
            assert_eq!(
                value(&json!({ "ok": lone.probe.ok(script).await })),
                42,
                "{reset}"
            );
            let script = json!([handle(&lone, "c"), ask]);
            assert_eq!(
                value(&json!({ "ok": lone.probe.ok(script).await })),
                42,
                "{reset}"
            );
        }
    });
}

#[test]
fn a_session_lock_is_held_by_its_handle_and_let_go_with_it() {
    run(async {
        let lone = postgres(2, 4, "").await;
        let observer = lone.database.connect().await;
        let take = "SELECT pg_try_advisory_lock(7)";
        let outcomes = lone
            .probe
            .run(json!([
                handle(&lone, "c"),
                handle(&lone, "d"),
                query("c", take),
                query("d", take),
                query("c", take),
            ]))
            .await;
        let found = [2, 3, 4].map(|index| value(&outcomes[index]));
        assert_eq!(found, [true, false, true], "{outcomes:?}");
        eventually("the lock is free", SOON, || async {
            let taken: bool = observer.query_one(take, &[]).await.unwrap().get(0);
            taken.then_some(())
        })
        .await;
    });
}

#[test]
fn what_a_sequence_gave_is_known_to_its_handle_alone() {
    run(async {
        let lone = postgres(1, 1, "").await;
        lone.database
            .connect()
            .await
            .batch_execute("CREATE SEQUENCE s")
            .await
            .unwrap();
        let last = "SELECT currval('s')";
        lone.probe
            .ok(json!([
                handle(&lone, "c"),
                query("c", "SELECT nextval('s')")
            ]))
            .await;
        let outcomes = lone
            .probe
            .run(json!([handle(&lone, "c"), query("c", last)]))
            .await;
        // "Not yet defined in this session", though it is on this connection.
        assert_eq!(code(&outcomes[1]), Some("55000"), "{outcomes:?}");
    });
}

#[test]
fn a_handle_that_only_reads_pins_nothing() {
    run(async {
        let lone = postgres(1, 1, "").await;
        let outcomes = lone
            .probe
            .run(json!([
                handle(&lone, "c"),
                handle(&lone, "d"),
                query("c", PID),
                query("d", PID),
                query("c", PID),
            ]))
            .await;
        assert_eq!(value(&outcomes[2]), value(&outcomes[3]));
        assert_eq!(value(&outcomes[3]), value(&outcomes[4]));
        until_pool(&lone.host, "pinned", 0.0).await;
    });
}
