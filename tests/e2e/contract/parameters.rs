//! What lists can be asked for, and what that costs.

use std::time::Duration;

use serde_json::Value;
use warmlink_tests::rig::Application;
use warmlink_tests::{eventually, rig, run};

#[test]
fn a_parameter_that_is_not_what_it_should_be_is_named() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let numbers = [
            "0",
            "-1",
            "-5",
            "abc",
            "",
            "1.5",
            "1e2",
            "9223372036854775808",
            "18446744073709551616",
            "1%200",
            "0x10",
        ];
        for collection in ["users", "urls", "events"] {
            for bad in numbers {
                for name in ["page", "per_page"] {
                    api.get(&format!("/{collection}?{name}={bad}"))
                        .await
                        .error_naming(400, name);
                }
            }
            let over = format!("/{collection}?per_page=1001");
            api.get(&over).await.error_naming(400, "per_page");
        }
        for bad in numbers {
            api.get(&format!("/urls?user_id={bad}"))
                .await
                .error_naming(400, "user_id");
            api.get(&format!("/events?user_id={bad}"))
                .await
                .error_naming(400, "user_id");
            api.get(&format!("/events?url_id={bad}"))
                .await
                .error_naming(400, "url_id");
        }
        for bad in ["maybe", "1", "0", "yes", ""] {
            api.get(&format!("/urls?is_active={bad}"))
                .await
                .error_naming(400, "is_active");
        }
        for bad in ["-1", "abc"] {
            api.get(&format!("/urls?after_id={bad}"))
                .await
                .error_naming(400, "after_id");
        }
        // What nobody knows is nobody's business.
        api.get("/users?unknown=1&per_page=1").await.expect(200);
    });
}

#[test]
fn a_page_after_an_id_deep_in_a_table_reads_no_more_than_the_first() {
    run(async {
        let mut application = Application::start_without_valkey().await;
        let client = application.database.connect().await;
        let fill = "INSERT INTO urls (short_code, original_url) \
                    SELECT 'deep-' || n, 'https://example.com/' || n FROM generate_series(1, 100000) n";
        client.batch_execute(fill).await.unwrap();
        client.batch_execute("ANALYZE urls").await.unwrap();
        let read = async || -> i64 {
            let sql = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables \
                       WHERE relname = 'urls'";
            client.query_one(sql, &[]).await.unwrap().get(0)
        };
        let before = read().await;
        let api = application.api();
        for after in [0, 50_000, 99_900] {
            let path = format!("/urls?after_id={after}&per_page=10");
            let list = api.get(&path).await.expect(200).list();
            assert_eq!(ids(&list), (after + 1..=after + 10).collect::<Vec<u64>>());
        }
        // A connection counts what it read at the latest when it ends.
        assert!(application.host.terminate().await.success());
        let connected = "SELECT FROM pg_stat_activity \
                         WHERE datname = current_database() AND application_name LIKE 'warmlink/%'";
        eventually(
            "the host's connections end",
            Duration::from_secs(10),
            async || {
                client
                    .query(connected, &[])
                    .await
                    .unwrap()
                    .is_empty()
                    .then_some(())
            },
        )
        .await;
        let rows = read().await - before;
        // Three pages of ten, and one row more of each to know whether there is a next.
        assert!(
            (30..=40).contains(&rows),
            "{rows} rows were read for three pages of ten"
        );
    });
}

fn ids(list: &[Value]) -> Vec<u64> {
    list.iter().map(|it| it["id"].as_u64().unwrap()).collect()
}
