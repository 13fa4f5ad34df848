//! `spin:postgres@4.2.0`: what goes in as a parameter comes out as a column.

use serde_json::{Value, json};
use warmlink_tests::run;

use super::rig;

/// A column's type in SQL, the parameter, the column's type, and the value that
/// comes back where it is not the parameter itself.
fn cases() -> Vec<(&'static str, Value, Value, Option<Value>)> {
    let same = |sql, parameter, kind: &str| (sql, parameter, json!(kind), None);
    let other = |sql, parameter, kind: &str, back| (sql, parameter, json!(kind), Some(back));
    let jsonb = |text: &str| json!({ "Jsonb": text.as_bytes() });
    vec![
        same("boolean", json!({ "Boolean": true }), "Boolean"),
        same("boolean", json!({ "Boolean": false }), "Boolean"),
        same("\"char\"", json!({ "Int8": 65 }), "Int8"),
        same("int2", json!({ "Int16": i16::MIN }), "Int16"),
        same("int4", json!({ "Int32": i32::MIN }), "Int32"),
        same("int8", json!({ "Int64": i64::MIN }), "Int64"),
        same("int8", json!({ "Int64": i64::MAX }), "Int64"),
        same("float4", json!({ "Floating32": 1.5 }), "Floating32"),
        same("float8", json!({ "Floating64": 0.1 }), "Floating64"),
        same("text", json!({ "Str": "grüße, 'x'; -- \u{1F517}" }), "Str"),
        same("text", json!({ "Str": "" }), "Str"),
        same("varchar", json!({ "Str": "plain" }), "Str"),
        other(
            "char(4)",
            json!({ "Str": "ab" }),
            "Str",
            json!({ "Str": "ab  " }),
        ),
        same("bytea", json!({ "Binary": [0, 1, 254, 255] }), "Binary"),
        same("bytea", json!({ "Binary": [] }), "Binary"),
        same("date", json!({ "Date": [2024, 2, 29] }), "Date"),
        same("date", json!({ "Date": [1, 1, 1] }), "Date"),
        same("time", json!({ "Time": [23, 59, 59, 999_999_000] }), "Time"),
        same(
            "timestamp",
            json!({ "Datetime": [1969, 12, 31, 23, 59, 59, 1_000] }),
            "Datetime",
        ),
        same(
            "timestamptz",
            json!({ "Datetime": [2026, 8, 21, 1, 2, 3, 0] }),
            "Datetime",
        ),
        other(
            "timestamptz",
            json!({ "Timestamp": 1_000_000_000 }),
            "Datetime",
            json!({ "Datetime": [2001, 9, 9, 1, 46, 40, 0] }),
        ),
        same(
            "uuid",
            json!({ "Uuid": "01234567-89ab-cdef-0123-456789abcdef" }),
            "Uuid",
        ),
        other(
            "jsonb",
            jsonb("{\"a\":[1,null]}"),
            "Jsonb",
            jsonb("{\"a\": [1, null]}"),
        ),
        same(
            "numeric",
            json!({ "Decimal": "-12345678901234567890.0123456789" }),
            "Decimal",
        ),
        same("numeric", json!({ "Decimal": "1.500" }), "Decimal"),
        same("numeric", json!({ "Decimal": "NaN" }), "Decimal"),
        same(
            "int4range",
            json!({ "RangeInt32": [[-1, "Inclusive"], [10, "Exclusive"]] }),
            "RangeInt32",
        ),
        other(
            "int4range",
            json!({ "RangeInt32": [[1, "Exclusive"], [10, "Inclusive"]] }),
            "RangeInt32",
            json!({ "RangeInt32": [[2, "Inclusive"], [11, "Exclusive"]] }),
        ),
        same(
            "int8range",
            json!({ "RangeInt64": [null, [5, "Exclusive"]] }),
            "RangeInt64",
        ),
        same(
            "numrange",
            json!({ "RangeDecimal": [["0.5", "Exclusive"], ["1.50", "Inclusive"]] }),
            "RangeDecimal",
        ),
        same(
            "numrange",
            json!({ "RangeDecimal": [null, null] }),
            "RangeDecimal",
        ),
        same(
            "int4[]",
            json!({ "ArrayInt32": [1, null, -3] }),
            "ArrayInt32",
        ),
        same(
            "int8[]",
            json!({ "ArrayInt64": [i64::MAX, null] }),
            "ArrayInt64",
        ),
        same(
            "numeric[]",
            json!({ "ArrayDecimal": ["1.0", null] }),
            "ArrayDecimal",
        ),
        same(
            "text[]",
            json!({ "ArrayStr": ["a,b", null, "", "{\"}"] }),
            "ArrayStr",
        ),
        same("text[]", json!({ "ArrayStr": [] }), "ArrayStr"),
        same(
            "interval",
            json!({ "Interval": { "micros": -1, "days": 40, "months": 14 } }),
            "Interval",
        ),
        other("int4", json!("DbNull"), "Int32", json!("DbNull")),
        other("text[]", json!("DbNull"), "ArrayStr", json!("DbNull")),
    ]
}

#[test]
fn every_type_comes_back_as_it_went() {
    run(async {
        let (_host, rig) = rig().await;
        let mut steps = vec![rig.database()];
        for call in ["query", "query_async"] {
            for (sql, parameter, ..) in cases() {
                let sql = format!("SELECT $1::{sql} AS it");
                steps.push(json!({ call: { "on": "c", "sql": sql, "params": [parameter] } }));
            }
        }
        let outcomes = rig.probe("postgres42").run(json!(steps)).await;
        assert_eq!(outcomes.len(), 1 + 2 * cases().len());
        for (outcome, (sql, parameter, kind, back)) in
            outcomes[1..].iter().zip(cases().into_iter().chain(cases()))
        {
            let back = back.unwrap_or_else(|| parameter.clone());
            let found = &outcome["ok"];
            let columns = json!([{ "name": "it", "data_type": kind }]);
            assert_eq!(found["columns"], columns, "{parameter} as {sql}: {outcome}");
            assert_eq!(
                found["rows"],
                json!([[back]]),
                "{parameter} as {sql}: {outcome}"
            );
        }
        for outcome in &outcomes[1 + cases().len()..] {
            assert_eq!(outcome["ok"]["end"], json!({ "ok": null }), "{outcome}");
        }
    });
}

#[test]
fn a_domain_takes_what_its_base_takes() {
    run(async {
        let (_host, rig) = rig().await;
        let observer = rig.database.connect().await;
        observer
            .batch_execute("CREATE DOMAIN rating AS int4 CHECK (VALUE > 0)")
            .await
            .unwrap();
        let sql = "SELECT $1::rating AS it";
        let five = json!({ "query": { "on": "c", "sql": sql, "params": [{ "Int32": 5 }] } });
        let found = rig
            .probe("postgres42")
            .ok(json!([rig.database(), five]))
            .await;
        assert_eq!(found["rows"], json!([[{ "Int32": 5 }]]));
    });
}

#[test]
fn a_type_without_a_case_is_named_and_comes_in_bytes() {
    run(async {
        let (_host, rig) = rig().await;
        let query = json!({ "query": { "on": "c", "sql": "SELECT '127.0.0.1'::inet AS it" } });
        let found = rig
            .probe("postgres42")
            .ok(json!([rig.database(), query]))
            .await;
        assert_eq!(
            found["columns"],
            json!([{ "name": "it", "data_type": { "Other": "inet" } }])
        );
        let bytes = found["rows"][0][0]["Unsupported"].as_array().unwrap();
        assert!(
            bytes.ends_with(&[json!(127), json!(0), json!(0), json!(1)]),
            "{found}"
        );
    });
}

#[test]
fn an_empty_result_keeps_its_columns() {
    run(async {
        let (_host, rig) = rig().await;
        let sql = "SELECT 1::int4 AS a, 'x'::text AS b WHERE false";
        for call in ["query", "query_async"] {
            let query = json!({ call: { "on": "c", "sql": sql } });
            let found = rig
                .probe("postgres42")
                .ok(json!([rig.database(), query]))
                .await;
            let columns = json!([
                { "name": "a", "data_type": "Int32" },
                { "name": "b", "data_type": "Str" },
            ]);
            assert_eq!(found["columns"], columns, "{call}");
            assert_eq!(found["rows"], json!([]), "{call}");
        }
    });
}

#[test]
fn execute_counts_the_rows_it_touched() {
    run(async {
        let (_host, rig) = rig().await;
        let probe = rig.probe("postgres42");
        for (table, call) in [("counted_one", "execute"), ("counted_two", "execute_async")] {
            let step = |sql: String| json!({ call: { "on": "c", "sql": sql } });
            let outcomes = probe
                .run(json!([
                    rig.database(),
                    step(format!("CREATE TABLE {table} (a int4)")),
                    step(format!("INSERT INTO {table} SELECT generate_series(1, 7)")),
                    step(format!("UPDATE {table} SET a = 0 WHERE a > 4")),
                    step(format!("DELETE FROM {table} WHERE a > 100")),
                    step(format!("SELECT * FROM {table}")),
                ]))
                .await;
            let counts: Vec<_> = outcomes[1..].iter().map(|outcome| &outcome["ok"]).collect();
            assert_eq!(counts, [0, 7, 3, 0, 7], "{call}");
        }
    });
}
