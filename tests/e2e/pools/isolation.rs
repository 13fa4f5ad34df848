//! One request's trouble stays its own.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use tokio::time::{Instant, sleep};
use warmlink_tests::{Host, HostOptions, eventually, run};

use super::{
    LOCK, SOON, UNLOCK, WAIT, execute, handle, in_background, of_pool, postgres, query,
    query_async, until_pool, until_waiting, value,
};

#[test]
fn a_slow_statement_is_not_waited_for_while_another_connection_is_free() {
    run(async {
        let lone = postgres(2, 2, "deadline = \"10s\"").await;
        let observer = lone.database.connect().await;
        // A statement that nobody knows to be slow, over and over: each is another.
        for round in 0..10 {
            observer.execute(LOCK, &[]).await.unwrap();
            let unknown = format!("{WAIT} /* {round} */");
            let slow = in_background(
                &lone.host,
                json!([handle(&lone, "c"), query("c", &unknown)]),
            );
            until_waiting(&observer).await;
            let begun = Instant::now();
            for _ in 0..10 {
                lone.probe
                    .ok(json!([handle(&lone, "c"), query("c", "SELECT 1")]))
                    .await;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(5),
                "{:?}",
                begun.elapsed()
            );
            assert!(!slow.is_finished());
            observer.execute(UNLOCK, &[]).await.unwrap();
            assert!(slow.await.unwrap()[1].get("ok").is_some());
        }
    });
}

#[test]
fn a_deadline_ends_its_own_request_and_no_other_of_the_instance() {
    run(async {
        let limits = "deadline = \"1s\"";
        // Room for all of them: what is measured is their time, not a wait.
        let lone = postgres(24, 24, limits).await;
        let sleeps = |seconds: f64| {
            let sql = format!("SELECT count(pg_sleep({seconds}))");
            json!([handle(&lone, "c"), query_async("c", &sql)])
        };
        // In the middle of each other's time: what overstays is over at 1 s, what
        // came half a second later has until 1.5 s and needs until 1.3 s.
        let requests = (0..16).map(|number| {
            let (probe, late, takes) = (&lone.probe, number % 2 == 1, 0.8);
            let script = sleeps(if late { takes } else { 30.0 });
            async move {
                if late {
                    sleep(Duration::from_millis(500)).await;
                }
                let begun = Instant::now();
                let reply = probe.send(script).await;
                (late, reply.status.as_u16(), begun.elapsed())
            }
        });
        for (late, status, took) in join_all(requests).await {
            assert_eq!(status, if late { 200 } else { 504 });
            assert!(took < Duration::from_millis(2500), "{took:?}");
            assert!(took > Duration::from_millis(750), "{took:?}");
        }
    });
}

#[test]
fn a_statement_that_is_given_up_ends_on_the_server_too() {
    run(async {
        let lone = postgres(1, 2, "deadline = \"500ms\"").await;
        let observer = lone.database.connect().await;
        observer
            .batch_execute("CREATE TABLE t (a int4); INSERT INTO t VALUES (1)")
            .await
            .unwrap();
        for begin in [vec![], vec![execute("c", "BEGIN")]] {
            let mut script = vec![handle(&lone, "c")];
            script.extend(begin);
            let sql = "WITH changed AS (UPDATE t SET a = a + 1 RETURNING a) \
                       SELECT count(pg_sleep(60)) FROM changed";
            script.push(query("c", sql));
            let begun = Instant::now();
            let reply = lone.probe.send(json!(script)).await;
            assert!(
                matches!(reply.status.as_u16(), 200 | 504),
                "{}",
                reply.text()
            );
            assert!(!reply.text().contains("\"rows\""), "{}", reply.text());
            assert!(
                begun.elapsed() < Duration::from_secs(3),
                "{:?}",
                begun.elapsed()
            );
            // The row's lock is free long before the statement would have ended.
            let took = Instant::now();
            observer.batch_execute("UPDATE t SET a = a").await.unwrap();
            assert!(
                took.elapsed() < Duration::from_secs(10),
                "{:?}",
                took.elapsed()
            );
        }
        let rows = observer.query_one("SELECT a FROM t", &[]).await.unwrap();
        assert_eq!(rows.get::<_, i32>(0), 1, "what was given up did not happen");
        until_pool(&lone.host, "in_use", 0.0).await;
        lone.probe
            .ok(json!([handle(&lone, "c"), query("c", "SELECT 1")]))
            .await;
    });
}

#[test]
fn the_servers_own_limit_is_the_longest_deadline() {
    run(async {
        let lone = postgres(1, 1, "deadline = \"7s\"").await;
        let script = json!([handle(&lone, "c"), query("c", "SHOW statement_timeout")]);
        assert_eq!(value(&json!({ "ok": lone.probe.ok(script).await })), "7s");
    });
}

#[test]
fn the_server_knows_which_node_a_connection_belongs_to() {
    run(async {
        let database = warmlink_tests::Database::create().await;
        let manifest = warmlink_tests::Manifest::one("postgres42", &super::component(""))
            .with_tool(&super::pool(1, 1));
        let options = HostOptions::new(manifest)
            .database(database.url())
            .env("WARMLINK_NODE", "west-7");
        let _host = Host::start(options).await;
        let sql = "SELECT application_name FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let row = database.connect().await.query_one(sql, &[]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), "warmlink/west-7");
    });
}

#[test]
fn a_changed_table_does_not_break_known_statements() {
    run(async {
        let lone = postgres(2, 2, "").await;
        let observer = lone.database.connect().await;
        observer
            .batch_execute("CREATE TABLE t (a int4); INSERT INTO t VALUES (1)")
            .await
            .unwrap();
        let read = json!([handle(&lone, "c"), query("c", "SELECT * FROM t")]);
        for _ in 0..8 {
            lone.probe.ok(read.clone()).await;
        }
        observer
            .batch_execute("ALTER TABLE t ADD b text DEFAULT 'new'")
            .await
            .unwrap();
        for _ in 0..8 {
            let found = lone.probe.ok(read.clone()).await;
            assert_eq!(found["rows"], json!([[{ "Int32": 1 }, { "Str": "new" }]]));
        }
    });
}

#[test]
fn a_pin_that_sits_idle_is_taken_back_and_its_owner_is_told() {
    run(async {
        let lone = postgres(1, 1, "deadline = \"25s\"").await;
        let observer = lone.database.connect().await;
        observer
            .batch_execute("CREATE TABLE t (a int4)")
            .await
            .unwrap();
        let idle = in_background(
            &lone.host,
            json!([
                handle(&lone, "c"),
                execute("c", "BEGIN"),
                execute("c", "INSERT INTO t VALUES (1)"),
                { "wait": 15_000 },
                execute("c", "INSERT INTO t VALUES (2)"),
                execute("c", "COMMIT"),
            ]),
        );
        // The only connection there is: this request has it as soon as it is free.
        until_pool(&lone.host, "pinned", 1.0).await;
        lone.probe
            .ok(json!([handle(&lone, "c"), query("c", "SELECT 1")]))
            .await;
        assert!(!idle.is_finished());
        assert_eq!(of_pool(&lone.host, "reclaimed_total").await, 1.0);
        let outcomes = idle.await.unwrap();
        assert!(outcomes[4].get("err").is_some(), "{outcomes:?}");
        assert!(outcomes[5].get("err").is_some(), "{outcomes:?}");
        eventually("the transaction is gone", SOON, || async {
            let row = observer
                .query_one("SELECT count(*) FROM t", &[])
                .await
                .unwrap();
            (row.get::<_, i64>(0) == 0).then_some(())
        })
        .await;
    });
}
