//! `spin:postgres@3.0.0`: fewer types, errors as text.

use serde_json::{Value, json};
use warmlink_tests::probe::open;
use warmlink_tests::{run, unique};

use super::rig;

#[test]
fn every_type_comes_back_as_it_went() {
    run(async {
        let (_host, rig) = rig().await;
        let cases = [
            ("boolean", json!({ "Boolean": true }), "Boolean"),
            ("\"char\"", json!({ "Int8": 65 }), "Int8"),
            ("int2", json!({ "Int16": i16::MAX }), "Int16"),
            ("int4", json!({ "Int32": i32::MAX }), "Int32"),
            ("int8", json!({ "Int64": i64::MIN }), "Int64"),
            ("float4", json!({ "Floating32": -0.5 }), "Floating32"),
            ("float8", json!({ "Floating64": 1e300 }), "Floating64"),
            ("text", json!({ "Str": "grüße" }), "Str"),
            ("bytea", json!({ "Binary": [0, 255] }), "Binary"),
            ("date", json!({ "Date": [2024, 2, 29] }), "Date"),
            ("time", json!({ "Time": [1, 2, 3, 4_000] }), "Time"),
            (
                "timestamp",
                json!({ "Datetime": [2024, 2, 29, 1, 2, 3, 4_000] }),
                "Datetime",
            ),
            ("int4", json!("DbNull"), "Int32"),
        ];
        let mut steps = vec![rig.database()];
        for (sql, parameter, _) in &cases {
            let sql = format!("SELECT $1::{sql} AS it");
            steps.push(json!({ "query": { "on": "c", "sql": sql, "params": [parameter] } }));
        }
        let outcomes = rig.probe("postgres3").run(json!(steps)).await;
        for (outcome, (sql, parameter, kind)) in outcomes[1..].iter().zip(&cases) {
            let found = &outcome["ok"];
            let columns = json!([{ "name": "it", "data_type": kind }]);
            assert_eq!(found["columns"], columns, "{sql}: {outcome}");
            assert_eq!(found["rows"], json!([[parameter]]), "{sql}: {outcome}");
        }
        assert_eq!(outcomes.len(), 1 + cases.len());
    });
}

#[test]
fn a_type_of_the_newer_interface_is_unsupported_and_harms_nothing() {
    run(async {
        let (_host, rig) = rig().await;
        let sql = "SELECT gen_random_uuid() AS a, 1.5::numeric AS b, ARRAY['x'] AS c, 7::int4 AS d";
        let query = json!({ "query": { "on": "c", "sql": sql } });
        let found = rig
            .probe("postgres3")
            .ok(json!([rig.database(), query]))
            .await;
        let kinds: Vec<&Value> = found["columns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|column| &column["data_type"])
            .collect();
        assert_eq!(kinds, ["Other", "Other", "Other", "Int32"]);
        let row = json!(["Unsupported", "Unsupported", "Unsupported", { "Int32": 7 }]);
        assert_eq!(found["rows"], json!([row]));
    });
}

#[test]
fn an_empty_result_keeps_its_columns_and_execute_counts() {
    run(async {
        let (_host, rig) = rig().await;
        let table = unique::name("older");
        let step = |call: &str, sql: String| json!({ call: { "on": "c", "sql": sql } });
        let outcomes = rig
            .probe("postgres3")
            .run(json!([
                rig.database(),
                step("execute", format!("CREATE TABLE {table} (a int4)")),
                step("query", format!("SELECT a FROM {table}")),
                step(
                    "execute",
                    format!("INSERT INTO {table} SELECT generate_series(1, 5)")
                ),
            ]))
            .await;
        assert_eq!(outcomes[1]["ok"], 0);
        let empty = json!({ "columns": [{ "name": "a", "data_type": "Int32" }], "rows": [] });
        assert_eq!(outcomes[2]["ok"], empty);
        assert_eq!(outcomes[3]["ok"], 5);
    });
}

#[test]
fn a_result_that_is_too_large_to_be_whole_is_refused() {
    run(async {
        let (_host, rig) = rig().await;
        let query = |mebibytes: u32| {
            let sql = format!("SELECT repeat('x', 1 << 20) FROM generate_series(1, {mebibytes})");
            json!({ "query": { "on": "c", "sql": sql } })
        };
        let small = json!({ "query": { "on": "c", "sql": "SELECT 7" } });
        let steps = json!([rig.database(), query(65), small]);
        let outcomes = rig.probe("postgres3").run(steps).await;
        let error = outcomes[1]["err"].to_string();
        assert!(error.contains("larger than 64 MiB"), "{error}");
        // The handle is none the worse for it.
        assert_eq!(outcomes[2]["ok"]["rows"], json!([[{ "Int32": 7 }]]));
    });
}

#[test]
fn each_failure_has_its_own_case() {
    run(async {
        let (_host, rig) = rig().await;
        let probe = rig.probe("postgres3");
        let query = |sql: &str, params: Value| json!({ "query": { "on": "c", "sql": sql, "params": params } });
        for (case, steps, says) in [
            (
                "QueryFailed",
                json!([
                    rig.database(),
                    query("SELECT 1 FROM no_such_table", json!([]))
                ]),
                "no_such_table",
            ),
            (
                "BadParameter",
                json!([
                    rig.database(),
                    query("SELECT $1::int4", json!([{ "Str": "x" }]))
                ]),
                "$1",
            ),
            (
                "ValueConversionFailed",
                json!([rig.database(), query("SELECT 'infinity'::date", json!([]))]),
                "",
            ),
            (
                "ConnectionFailed",
                json!([open("c", "postgres://app@127.0.0.1:1/app")]),
                "",
            ),
            (
                "ConnectionFailed",
                json!([open("c", "mysql://app@127.0.0.1/app")]),
                "",
            ),
        ] {
            let error = probe.err(steps).await;
            let text = error
                .get(case)
                .unwrap_or_else(|| panic!("not {case}: {error}"));
            assert!(text.as_str().unwrap().contains(says), "{error}");
        }
    });
}

#[test]
fn a_transaction_is_the_handles_own() {
    run(async {
        let (_host, rig) = rig().await;
        let table = unique::name("kept");
        let step = |on: &str, sql: String| json!({ "execute": { "on": on, "sql": sql } });
        let count = |on: &str| json!({ "query": { "on": on, "sql": format!("SELECT count(*) FROM {table}") } });
        let outcomes = rig
            .probe("postgres3")
            .run(json!([
                rig.database(),
                open("d", rig.database.url()),
                step("c", format!("CREATE TABLE {table} (a int4)")),
                step("c", "BEGIN".to_owned()),
                step("c", format!("INSERT INTO {table} VALUES (1)")),
                count("c"),
                count("d"),
                step("c", "COMMIT".to_owned()),
                count("d"),
            ]))
            .await;
        let counted = |index: usize| &outcomes[index]["ok"]["rows"][0][0]["Int64"];
        assert_eq!(
            [counted(5), counted(6), counted(8)],
            [1, 0, 1],
            "{outcomes:?}"
        );
    });
}
