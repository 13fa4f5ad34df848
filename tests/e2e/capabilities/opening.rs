//! `spin:postgres@4.2.0`: the ways to a handle, and what stands in them.

use serde_json::{Value, json};
use warmlink_tests::probe::open;
use warmlink_tests::run;

use super::rig;

#[track_caller]
fn assert_not_connected(error: &Value) {
    assert!(error["ConnectionFailed"].is_string(), "{error}");
}

#[test]
fn an_address_that_is_not_granted_cannot_be_opened() {
    run(async {
        let (_host, rig) = rig().await;
        let probe = rig.probe("postgres42");
        for address in [
            "postgres://app@127.0.0.1:1/app",
            "postgres://app@db.example.com/app",
            "host=db.example.com user=app",
            "not an address at all",
            "",
        ] {
            for call in ["open", "open_async", "build", "build_async"] {
                let step = json!({ call: { "name": "c", "address": address } });
                let error = probe.err(json!([step])).await;
                assert_not_connected(&error);
            }
        }
    });
}

#[test]
fn all_four_ways_to_open_give_a_handle_on_the_granted_address() {
    run(async {
        let (_host, rig) = rig().await;
        let probe = rig.probe("postgres42");
        for call in ["open", "open_async", "build", "build_async"] {
            let step = json!({ call: { "name": "c", "address": rig.database.url() } });
            let query = json!({ "query": { "on": "c", "sql": "SELECT current_database()::text" } });
            let found = probe.ok(json!([step, query])).await;
            assert!(
                rig.database
                    .url()
                    .ends_with(found["rows"][0][0]["Str"].as_str().unwrap())
            );
        }
    });
}

#[test]
fn what_is_no_certificate_cannot_be_trusted() {
    run(async {
        let (_host, rig) = rig().await;
        let build =
            json!({ "name": "c", "address": rig.database.url(), "ca": "not a certificate" });
        for call in ["build", "build_async"] {
            let error = rig.probe("postgres42").err(json!([{ call: build }])).await;
            assert!(error.is_object(), "{error}");
        }
    });
}

#[test]
fn a_certificate_that_is_too_large_is_not_read() {
    run(async {
        let (_host, rig) = rig().await;
        let build = |bytes: usize| {
            let ca = "x".repeat(bytes);
            json!([{ "build": { "name": "c", "address": rig.database.url(), "ca": ca } }])
        };
        let probe = rig.probe("postgres42");
        let error = probe.err(build((256 << 10) + 1)).await.to_string();
        assert!(error.contains("larger than 262144"), "{error}");
        let error = probe.err(build(256 << 10)).await.to_string();
        assert!(!error.contains("larger"), "{error}");
    });
}

#[test]
fn a_server_that_is_not_there_is_a_failed_connection() {
    run(async {
        let (_host, rig) = rig().await;
        // Another database of the same, granted server.
        let address = rig.database.url().replacen("/test", "/no_such_test", 1);
        assert_ne!(address, rig.database.url());
        let query = json!({ "query": { "on": "c", "sql": "SELECT 1" } });
        let error = rig
            .probe("postgres42")
            .err(json!([open("c", &address), query]))
            .await;
        assert_not_connected(&error);
    });
}
