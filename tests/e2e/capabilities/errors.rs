//! `spin:postgres@4.2.0`: what a component is told of a failure.

use serde_json::{Value, json};
use warmlink_tests::{run, unique};

use super::rig;

/// A step of each way to run a statement.
fn ways(sql: &str, params: &Value) -> Vec<Value> {
    ["query", "query_async", "execute", "execute_async"]
        .map(|call| json!({ call: { "on": "c", "sql": sql, "params": params } }))
        .to_vec()
}

/// The value of a variant's case.
#[track_caller]
fn case<'a>(error: &'a Value, name: &str) -> &'a Value {
    error
        .get(name)
        .unwrap_or_else(|| panic!("not {name}: {error}"))
}

#[track_caller]
fn text<'a>(error: &'a Value, name: &str) -> &'a str {
    case(error, name).as_str().unwrap()
}

#[test]
fn the_servers_report_reaches_the_component_whole() {
    run(async {
        let (_host, rig) = rig().await;
        let probe = rig.probe("postgres42");
        let table = unique::name("unique");
        let create = format!("CREATE TABLE {table} (a int4 CONSTRAINT {table}_one UNIQUE)");
        probe
            .ok(json!([rig.database(), { "execute": { "on": "c", "sql": create } }]))
            .await;
        let insert = format!("INSERT INTO {table} VALUES (7)");
        probe
            .ok(json!([rig.database(), { "execute": { "on": "c", "sql": insert } }]))
            .await;
        for step in ways(&insert, &json!([])) {
            let error = probe.err(json!([rig.database(), step])).await;
            let report = case(case(&error, "QueryFailed"), "DbError");
            assert_eq!(report["code"], "23505", "{error}");
            assert_eq!(report["severity"], "ERROR", "{error}");
            assert!(
                report["message"]
                    .as_str()
                    .unwrap()
                    .contains(&format!("{table}_one"))
            );
            assert_eq!(report["detail"], "Key (a)=(7) already exists.", "{error}");
            assert!(
                report["as_text"]
                    .as_str()
                    .unwrap()
                    .contains("duplicate key"),
                "{error}"
            );
            let extras = report["extras"].as_array().unwrap();
            let names = |name: &str| {
                extras.iter().any(|pair| {
                    pair[0].as_str().unwrap().contains(name)
                        && pair[1].as_str().unwrap().starts_with(&table)
                })
            };
            assert!(names("table") && names("constraint"), "{error}");
        }
    });
}

#[test]
fn a_statement_that_cannot_be_parsed_says_where() {
    run(async {
        let (_host, rig) = rig().await;
        let probe = rig.probe("postgres42");
        for step in ways("SELEKT 1", &json!([])) {
            let error = probe.err(json!([rig.database(), step])).await;
            let report = case(case(&error, "QueryFailed"), "DbError");
            assert_eq!(report["code"], "42601", "{error}");
            assert!(
                report["message"].as_str().unwrap().contains("SELEKT"),
                "{error}"
            );
            assert_eq!(report["detail"], Value::Null, "{error}");
        }
    });
}

#[test]
fn a_parameter_of_another_type_is_named_and_its_value_is_not() {
    run(async {
        let (_host, rig) = rig().await;
        let probe = rig.probe("postgres42");
        let params = json!([{ "Int32": 1 }, { "Str": "top-secret" }]);
        for step in ways("SELECT $1::int4, $2::int4", &params) {
            let error = probe.err(json!([rig.database(), step])).await;
            let text = text(&error, "BadParameter");
            assert!(text.contains("$2") && text.contains("int4"), "{error}");
            assert!(!text.contains("top-secret"), "{error}");
        }
    });
}

#[test]
fn a_parameter_that_is_no_value_of_its_type_is_refused() {
    run(async {
        let (_host, rig) = rig().await;
        let probe = rig.probe("postgres42");
        for (sql, parameter) in [
            ("uuid", json!({ "Uuid": "not-a-uuid" })),
            ("jsonb", json!({ "Jsonb": [123] })),
            ("numeric", json!({ "Decimal": "1,5" })),
            ("date", json!({ "Date": [2023, 2, 29] })),
            ("time", json!({ "Time": [24, 0, 1, 0] })),
        ] {
            let sql = format!("SELECT $1::{sql}");
            let step = json!({ "query": { "on": "c", "sql": sql, "params": [parameter] } });
            let error = probe.err(json!([rig.database(), step])).await;
            assert!(
                text(&error, "BadParameter").contains("$1"),
                "{sql}: {error}"
            );
        }
    });
}

#[test]
fn a_wrong_number_of_parameters_is_an_error_and_the_handle_goes_on() {
    run(async {
        let (_host, rig) = rig().await;
        let query = |params: Value| json!({ "query": { "on": "c", "sql": "SELECT $1::int4", "params": params } });
        let outcomes = rig
            .probe("postgres42")
            .run(json!([
                rig.database(),
                query(json!([])),
                query(json!([{ "Int32": 1 }, { "Int32": 2 }])),
                query(json!([{ "Int32": 3 }])),
            ]))
            .await;
        assert!(outcomes[1].get("err").is_some(), "{}", outcomes[1]);
        assert!(outcomes[2].get("err").is_some(), "{}", outcomes[2]);
        assert_eq!(outcomes[3]["ok"]["rows"], json!([[{ "Int32": 3 }]]));
    });
}

#[test]
fn a_value_that_has_no_form_here_is_a_conversion_failure() {
    run(async {
        let (_host, rig) = rig().await;
        let probe = rig.probe("postgres42");
        let sql = "SELECT 'infinity'::timestamp AS never";
        let query = json!({ "query": { "on": "c", "sql": sql } });
        let error = probe.err(json!([rig.database(), query])).await;
        text(&error, "ValueConversionFailed");
        // The columns are known by then: the stream's end tells.
        let query = json!({ "query_async": { "on": "c", "sql": sql } });
        let found = probe.ok(json!([rig.database(), query])).await;
        assert_eq!(found["rows"], json!([]));
        text(&found["end"]["err"], "ValueConversionFailed");
    });
}

#[test]
fn a_failure_in_the_middle_of_a_result_ends_the_stream_with_it() {
    run(async {
        let (_host, rig) = rig().await;
        let sql = "SELECT 100 / (5000 - n) FROM generate_series(1, 6000) AS n";
        let query = json!({ "query_async": { "on": "c", "sql": sql } });
        let found = rig
            .probe("postgres42")
            .run(json!([rig.database(), query]))
            .await;
        // Known before the first row was handed out, or after some of them.
        let error = found[1].get("err").unwrap_or(&found[1]["ok"]["end"]["err"]);
        assert_eq!(
            case(case(error, "QueryFailed"), "DbError")["code"],
            "22012",
            "{}",
            found[1]
        );
    });
}

#[test]
fn what_a_pooled_connection_cannot_do_is_refused_by_name() {
    run(async {
        let (_host, rig) = rig().await;
        for step in ways("COPY pg_class TO STDOUT", &json!([])) {
            let error = rig
                .probe("postgres42")
                .err(json!([rig.database(), step]))
                .await;
            assert!(error.to_string().contains("COPY"), "{error}");
        }
    });
}
