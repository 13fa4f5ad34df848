//! Who waits, for what, and how long.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use tokio::time::Instant;
use warmlink_tests::probe::{Probe, open};
use warmlink_tests::{Database, Host, HostOptions, Manifest, run};

use super::{
    LOCK, UNLOCK, WAIT, component, execute, handle, in_background, of_pool, pool, postgres, query,
    until_pool,
};

#[test]
fn pins_never_take_the_last_quarter() {
    run(async {
        let lone = postgres(4, 4, "").await;
        let observer = lone.database.connect().await;
        observer.execute(LOCK, &[]).await.unwrap();
        let pins = in_background(
            &lone.host,
            json!([
                handle(&lone, "a"),
                handle(&lone, "b"),
                handle(&lone, "c"),
                execute("a", "BEGIN"),
                execute("b", "BEGIN"),
                execute("c", "BEGIN"),
                query("c", WAIT),
            ]),
        );
        until_pool(&lone.host, "pinned", 3.0).await;
        let fourth = in_background(
            &lone.host,
            json!([handle(&lone, "d"), execute("d", "BEGIN")]),
        );
        until_pool(&lone.host, "waiting", 1.0).await;
        // The last connection serves those who need no connection of their own.
        for _ in 0..20 {
            lone.probe
                .ok(json!([handle(&lone, "e"), query("e", "SELECT 1")]))
                .await;
        }
        assert_eq!(of_pool(&lone.host, "pinned").await, 3.0);
        assert!(!fourth.is_finished() && !pins.is_finished());
        observer.execute(UNLOCK, &[]).await.unwrap();
        for outcome in pins.await.unwrap().into_iter().chain(fourth.await.unwrap()) {
            assert!(outcome.get("ok").is_some(), "{outcome}");
        }
    });
}

#[test]
fn those_who_wait_are_served_in_the_order_they_came() {
    run(async {
        let lone = postgres(1, 1, "").await;
        let observer = lone.database.connect().await;
        observer
            .batch_execute("CREATE TABLE t (turn serial, who int4)")
            .await
            .unwrap();
        observer.execute(LOCK, &[]).await.unwrap();
        let holder = in_background(
            &lone.host,
            json!([handle(&lone, "c"), execute("c", "BEGIN"), query("c", WAIT)]),
        );
        until_pool(&lone.host, "pinned", 1.0).await;
        let mut waiting = Vec::new();
        for who in 0..10 {
            let insert = execute("c", &format!("INSERT INTO t (who) VALUES ({who})"));
            // Whole transactions and single statements stand in one line.
            let script = if who % 2 == 0 {
                json!([handle(&lone, "c"), insert])
            } else {
                json!([
                    handle(&lone, "c"),
                    execute("c", "BEGIN"),
                    insert,
                    execute("c", "COMMIT")
                ])
            };
            waiting.push(in_background(&lone.host, script));
            until_pool(&lone.host, "waiting", f64::from(who + 1)).await;
        }
        observer.execute(UNLOCK, &[]).await.unwrap();
        holder.await.unwrap();
        for request in waiting {
            let outcomes = request.await.unwrap();
            assert!(
                outcomes.iter().all(|outcome| outcome.get("ok").is_some()),
                "{outcomes:?}"
            );
        }
        let rows = observer
            .query("SELECT who FROM t ORDER BY turn", &[])
            .await
            .unwrap();
        let order: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(order, (0..10).collect::<Vec<_>>());
    });
}

/// Two components over a pool of one connection: one has little time, one a lot.
async fn hasty_and_patient() -> (Database, Host, Probe, Probe) {
    let manifest = Manifest::guests(&format!(
        "[[trigger.http]]\nroute = \"/patient\"\ncomponent = \"patient\"\n\
         [[trigger.http]]\nroute = \"/hasty\"\ncomponent = \"hasty\"\n\
         [component.hasty]\nsource = \"postgres42\"\n\
         allowed_outbound_hosts = [\"{{{{ database_origin }}}}\"]\n\
         [component.hasty.tool.warmlink]\ndeadline = \"400ms\"\nreuse = 1000\n\
         [component.patient]\nsource = \"postgres42\"\n{}",
        component("deadline = \"20s\"").replace("component.probe", "component.patient"),
    ))
    .with_tool(&pool(1, 1));
    let database = Database::create().await;
    let host = Host::start(HostOptions::new(manifest).database(database.url())).await;
    let hasty = Probe::new(host.api(), "/hasty");
    let patient = Probe::new(host.api(), "/patient");
    (database, host, hasty, patient)
}

#[test]
fn a_wait_ends_with_the_requests_own_deadline() {
    run(async {
        let (database, host, hasty, patient) = hasty_and_patient().await;
        let observer = database.connect().await;
        observer.execute(LOCK, &[]).await.unwrap();
        let opening = open("c", database.url());
        let script = json!([opening, execute("c", "BEGIN"), query("c", WAIT)]);
        let holder = tokio::spawn(async move { patient.run(script).await });
        until_pool(&host, "pinned", 1.0).await;
        for script in [
            json!([opening, query("c", "SELECT 1")]),
            json!([opening, execute("c", "BEGIN")]),
        ] {
            let begun = Instant::now();
            let reply = hasty.send(script).await;
            let took = begun.elapsed();
            assert!(
                matches!(reply.status.as_u16(), 200 | 504),
                "{}",
                reply.text()
            );
            assert!(!reply.text().contains("rows"), "{}", reply.text());
            assert!(took > Duration::from_millis(300), "{took:?}");
            assert!(took < Duration::from_millis(2400), "{took:?}");
            // Nobody is left in the queue who has gone.
            until_pool(&host, "waiting", 0.0).await;
        }
        observer.execute(UNLOCK, &[]).await.unwrap();
        for outcome in holder.await.unwrap() {
            assert!(outcome.get("ok").is_some(), "{outcome}");
        }
        hasty.ok(json!([opening, query("c", "SELECT 1")])).await;
    });
}

#[test]
fn a_statement_whose_caller_left_holds_up_nobody_behind_it() {
    run(async {
        let (database, host, hasty, patient) = hasty_and_patient().await;
        let opening = open("c", database.url());
        let slow = json!([opening, query("c", "SELECT pg_sleep(15)")]);
        let quick = json!([opening, query("c", "SELECT 1")]);
        patient.ok(quick.clone()).await;
        let before = of_pool(&host, "cancels_total").await;
        let begun = Instant::now();
        // Those that come in the first moment stand behind the slow one on its
        // connection, the others in the pool's queue.
        let behind = join_all((0..40).map(|_| patient.ok(quick.clone())));
        let (reply, _) = futures::join!(hasty.send(slow), behind);
        let took = begun.elapsed();
        assert!(
            matches!(reply.status.as_u16(), 200 | 504),
            "{}",
            reply.text()
        );
        assert!(!reply.text().contains("rows"), "{}", reply.text());
        assert!(took < Duration::from_secs(8), "{took:?}");
        assert!(of_pool(&host, "cancels_total").await > before);
    });
}
