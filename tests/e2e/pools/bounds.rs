//! How many connections there are.

use futures::future::join_all;
use serde_json::json;
use warmlink_tests::{Database, Host, HostOptions, Manifest, run, services};

use super::{backends, component, execute, handle, of_pool, pool, postgres, query, until_pool};

#[test]
fn all_of_min_are_open_before_the_first_request() {
    run(async {
        let lone = postgres(5, 8, "").await;
        let observer = lone.database.connect().await;
        assert_eq!(backends(&observer).await.len(), 5);
        assert_eq!(of_pool(&lone.host, "size").await, 5.0);
        assert_eq!(of_pool(&lone.host, "idle").await, 5.0);
    });
}

#[test]
fn opening_a_handle_costs_no_connection() {
    run(async {
        let lone = postgres(1, 1, "").await;
        let other = Database::create().await;
        let observer = other.connect().await;
        let opening = |name| warmlink_tests::probe::open(name, other.url());
        lone.probe.ok(json!([opening("c"), opening("d")])).await;
        assert!(backends(&observer).await.is_empty());
        lone.probe
            .ok(json!([opening("c"), query("c", "SELECT 1")]))
            .await;
        assert!(!backends(&observer).await.is_empty());
    });
}

#[test]
fn there_are_never_more_than_max() {
    run(async {
        const MAX: u32 = 4;
        let database = Database::create().await;
        // The server refuses the fifth: every attempt at one would be counted.
        let name = database.url().rsplit('/').next().unwrap().to_owned();
        let limit = format!("ALTER DATABASE {name} CONNECTION LIMIT {MAX}");
        let server = services::shared_postgres().await;
        let elsewhere = warmlink_tests::database::connect(server.database_url()).await;
        elsewhere.batch_execute(&limit).await.unwrap();
        let manifest = Manifest::one("postgres42", &component("")).with_tool(&pool(1, MAX));
        let host = Host::start(HostOptions::new(manifest).database(database.url())).await;
        let probe = warmlink_tests::probe::Probe::new(host.api(), "/");
        let opening = warmlink_tests::probe::open("c", database.url());
        let requests = (0..200).map(|number| {
            let sleep = query("c", "SELECT count(pg_sleep(0.01))");
            let script = match number % 4 {
                0 => json!([
                    opening,
                    execute("c", "BEGIN"),
                    sleep,
                    execute("c", "COMMIT")
                ]),
                1 => json!([opening, execute("c", "BEGIN"), sleep]),
                2 => json!([opening, execute("c", "SET app.x = '1'"), sleep]),
                _ => json!([opening, sleep]),
            };
            probe.ok(script)
        });
        join_all(requests).await;
        assert_eq!(of_pool(&host, "connect_failures_total").await, 0.0);
        assert!(of_pool(&host, "size").await <= f64::from(MAX));
        // Nor while killed ones are replaced.
        let script = json!([opening, query("c", "SELECT pg_backend_pid()")]);
        let pid = probe.ok(script.clone()).await["rows"][0][0]["Int32"]
            .as_i64()
            .unwrap();
        let kill = format!("SELECT pg_terminate_backend({pid})");
        elsewhere.batch_execute(&kill).await.unwrap();
        until_pool(&host, "lost_total", 1.0).await;
        join_all((0..50).map(|_| probe.ok(script.clone()))).await;
        assert_eq!(of_pool(&host, "connect_failures_total").await, 0.0);
    });
}

#[test]
fn a_result_that_is_dropped_half_read_gives_its_connection_back() {
    run(async {
        let lone = postgres(1, 1, "").await;
        let sql = "SELECT n FROM generate_series(1, 1000000) AS n";
        let half = json!({ "query_async": { "on": "c", "sql": sql, "rows": 10 } });
        for begin in [json!(null), execute("c", "BEGIN")] {
            let mut script = vec![handle(&lone, "c"), half.clone()];
            if !begin.is_null() {
                script.insert(1, begin);
            }
            let found = lone.probe.ok(json!(script)).await;
            assert_eq!(found["rows"].as_array().unwrap().len(), 10);
            until_pool(&lone.host, "in_use", 0.0).await;
            lone.probe
                .ok(json!([handle(&lone, "c"), query("c", "SELECT 1")]))
                .await;
        }
    });
}

#[test]
fn a_pool_grows_under_load_and_gives_all_back() {
    run(async {
        let lone = postgres(1, 4, "").await;
        let script = json!([
            handle(&lone, "c"),
            execute("c", "BEGIN"),
            query("c", "SELECT count(pg_sleep(0.05))"),
            execute("c", "COMMIT"),
        ]);
        join_all((0..12).map(|_| lone.probe.ok(script.clone()))).await;
        assert!(of_pool(&lone.host, "opened_total").await > 1.0);
        for name in ["in_use", "pinned", "waiting"] {
            until_pool(&lone.host, name, 0.0).await;
        }
    });
}

#[test]
fn one_target_is_one_pool_however_it_is_spelled() {
    run(async {
        let lone = postgres(1, 1, "").await;
        let url: url::Url = lone.database.url().parse().unwrap();
        let text = format!(
            "host={} port={} user={} password={} dbname={}",
            url.host_str().unwrap(),
            url.port().unwrap(),
            url.username(),
            url.password().unwrap(),
            url.path().trim_start_matches('/'),
        );
        let schemed = lone
            .database
            .url()
            .replacen("postgres://", "postgresql://", 1);
        let pid = "SELECT pg_backend_pid()";
        let mut pids = Vec::new();
        for address in [lone.database.url(), &text, &schemed] {
            let opening = warmlink_tests::probe::open("c", address);
            pids.push(lone.probe.ok(json!([opening, query("c", pid)])).await["rows"].clone());
        }
        assert_eq!(pids[0], pids[1]);
        assert_eq!(pids[0], pids[2]);
        assert_eq!(of_pool(&lone.host, "size").await, 1.0);
    });
}

#[test]
fn a_granted_address_that_is_not_declared_gets_a_small_pool_of_its_own() {
    run(async {
        let lone = postgres(1, 1, "").await;
        let other = Database::create().await;
        let observer = other.connect().await;
        assert!(backends(&observer).await.is_empty());
        let opening = warmlink_tests::probe::open("c", other.url());
        let script = json!([opening, query("c", "SELECT count(pg_sleep(0.02))")]);
        join_all((0..40).map(|_| lone.probe.ok(script.clone()))).await;
        let open = backends(&observer).await.len();
        assert!((1..=4).contains(&open), "{open}");
    });
}

#[test]
fn pools_that_do_not_fit_the_server_are_warned_of() {
    run(async {
        // A server that takes 200, and one pool of 150 on each node.
        for (nodes, warned) in [("1", false), ("2", true)] {
            let database = Database::create().await;
            let manifest = Manifest::one("postgres42", &component("")).with_tool(&pool(1, 150));
            let options = HostOptions::new(manifest).database(database.url());
            let mut host = Host::start(options.env("WARMLINK_NODES", nodes)).await;
            host.terminate().await;
            let lines = host.log().lines();
            let warns = |line: &String| line.contains("max_connections") && line.contains("WARN");
            assert_eq!(lines.iter().any(warns), warned, "{nodes} nodes: {lines:?}");
        }
    });
}
