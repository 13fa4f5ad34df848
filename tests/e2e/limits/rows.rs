//! README's tables of limits: each row has a test that fails where the limit does not
//! hold, says the default that there is, and none is missing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::Value;
use warmlink_tests::{Manifest, host, paths, run};

/// The tests of a row, by its key; of a constant, by the words that it is told in.
type Tests = (&'static str, &'static [&'static str]);

const NODE: &[Tests] = &[
    (
        "in_flight",
        &[
            "beyond_the_nodes_places_every_endpoint_sheds",
            "whatever_hangs_leaves_others_places",
        ],
    ),
    ("queue", &["a_full_queue_sheds_and_those_in_it_are_served"]),
    (
        "queue_wait",
        &["a_place_in_the_queue_is_for_a_bounded_time"],
    ),
    (
        "connections",
        &[
            "beyond_the_limit_a_connection_waits_for_another_to_end",
            "at_the_default_limit_the_next_client_waits_for_one_to_leave",
        ],
    ),
    (
        "header_bytes",
        &[
            "a_head_that_is_too_large_is_431_and_the_connection_ends",
            "a_large_head_is_refused_over_h2_too",
            "every_flood_has_its_end_and_the_next_client_is_served",
        ],
    ),
    ("header_time", &["a_head_that_comes_too_slowly_is_408"]),
    (
        "body_time",
        &[
            "a_body_that_stops_coming_is_408",
            "a_client_that_does_not_read_is_given_up",
            "nor_is_one_waited_for_that_opens_no_window_to_send_into",
        ],
    ),
    ("drain", &["nobody_holds_up_the_end_past_its_limit"]),
    (
        "drain_idle",
        &[
            "idle_connections_are_closed_after_a_moment",
            "idle_connections_are_kept_for_as_long_as_the_manifest_says",
        ],
    ),
    (
        "component_size",
        &["uploads_that_are_too_large_cut_or_altered_are_refused"],
    ),
    (
        "kept_revisions",
        &["revisions_are_listed_and_the_oldest_are_forgotten"],
    ),
];

const COMPONENT: &[Tests] = &[
    (
        "in_flight",
        &["beyond_its_own_places_an_endpoint_sheds_and_touches_no_guest"],
    ),
    (
        "rate",
        &["a_burst_is_served_and_what_follows_is_told_when_to_come_again"],
    ),
    (
        "request_body",
        &[
            "a_body_that_is_said_to_be_larger_is_413_before_it_is_sent",
            "a_body_that_turns_out_to_be_larger_is_413",
        ],
    ),
    (
        "deadline",
        &["a_guest_that_waits_too_long_is_504_at_its_deadline"],
    ),
    (
        "body_idle",
        &["a_body_that_pauses_for_too_long_is_broken_off"],
    ),
    (
        "body_total",
        &["a_body_that_takes_too_long_as_a_whole_is_broken_off"],
    ),
    (
        "drain",
        &[
            "the_drain_limit_breaks_what_never_ends_and_counts_it",
            "a_request_without_an_answer_is_told_when_the_drain_limit_ends_it",
        ],
    ),
    (
        "cpu",
        &["a_guest_that_computes_without_end_is_502_at_its_cpu_limit"],
    ),
    (
        "memory",
        &["a_guest_gets_the_memory_it_may_have_and_is_refused_more"],
    ),
    (
        "table_elements",
        &["a_table_grows_to_its_limit_and_no_further"],
    ),
    ("handles", &["a_guest_with_too_many_handles_fails_alone"]),
    (
        "concurrency",
        &["an_instance_has_as_many_at_once_as_it_may"],
    ),
    (
        "reuse",
        &["an_instance_serves_as_many_as_it_may_and_then_goes"],
    ),
    (
        "warm",
        &["warm_instances_are_there_before_the_first_request_and_serve_it"],
    ),
    ("idle", &["idle_instances_go_and_warm_ones_stay"]),
    (
        "stream.bound",
        &[
            "while_the_stream_is_full_clicks_go_to_the_database_and_none_is_lost",
            "of_dead_letters_the_latest_are_kept",
        ],
    ),
    (
        "stream.attempts",
        &["what_is_no_click_is_a_dead_letter_and_holds_up_nothing"],
    ),
];

const CONSTANTS: &[Tests] = &[
    (
        "results that are not streamed 64 MiB",
        &["a_result_that_is_too_large_to_be_whole_is_refused"],
    ),
    (
        "a certificate authority given by a component 256 KiB",
        &["a_certificate_that_is_too_large_is_not_read"],
    ),
    (
        "200 streams on an h2 connection",
        &["streams_beyond_those_allowed_are_refused_and_the_others_served"],
    ),
    (
        "a value that a near cache keeps 60 s and a 128th of its size",
        &[
            "an_answer_is_kept_as_long_as_its_key_lives",
            "a_value_too_large_is_not_kept",
        ],
    ),
    (
        "clients that a node counts by itself 65,536 (those seen last)",
        &["clients_are_bounded_and_those_seen_last_are_kept"],
    ),
];

fn readme() -> String {
    fs::read_to_string(paths::root().join("README.md")).unwrap()
}

/// The keys of a table, and of each what its second column says.
fn rows(readme: &str, head: &str) -> Vec<(String, String)> {
    let words = Regex::new("`([^`]+)`|^ *([0-9]+)").unwrap();
    let words = |cell: &str| -> Vec<String> {
        let found = words.captures_iter(cell);
        found
            .filter_map(|word| Some(word.get(1).or(word.get(2))?.as_str().to_owned()))
            .collect()
    };
    let lines = readme.lines().skip_while(|line| !line.starts_with(head));
    let mut rows = Vec::new();
    for line in lines.skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<_> = line.split('|').collect();
        // What is in parentheses says more of the keys, and is none.
        let keys = words(cells[1].split('(').next().unwrap());
        let defaults = words(cells[2]);
        for (at, key) in keys.into_iter().enumerate() {
            rows.push((key, defaults.get(at).cloned().unwrap_or_default()));
        }
    }
    rows
}

fn node_rows(readme: &str) -> Vec<(String, String)> {
    rows(readme, "| limit (`application.tool.warmlink.limits`)")
}

fn component_rows(readme: &str) -> Vec<(String, String)> {
    rows(readme, "| limit (`component.ID.tool.warmlink`)")
}

fn keys(tests: &[Tests]) -> Vec<&'static str> {
    tests.iter().map(|(key, _)| *key).collect()
}

#[test]
fn every_row_of_the_tables_has_its_tests() {
    let readme = readme();
    for (rows, tests) in [
        (node_rows(&readme), NODE),
        (component_rows(&readme), COMPONENT),
    ] {
        let rows: Vec<_> = rows.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(rows, keys(tests), "in this order");
    }
    let words = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, constants) = words.split_once("Others are constants: ").unwrap();
    let (constants, _) = constants.split_once(". ").unwrap();
    let constants: Vec<_> = constants.split(", ").collect();
    assert_eq!(constants, keys(CONSTANTS));

    let mut found = BTreeMap::new();
    for folder in ["tests/e2e", "host/src"] {
        collect(&paths::root().join(folder), &mut found);
    }
    for (key, tests) in [NODE, COMPONENT, CONSTANTS].concat() {
        assert!(!tests.is_empty(), "{key}");
        for test in tests {
            let runs = found.get(*test);
            assert_eq!(runs, Some(&true), "{key}: {test} is not there, or not run");
        }
    }
}

/// The names of all tests in a folder's sources, and whether they are run.
fn collect(folder: &Path, found: &mut BTreeMap<String, bool>) {
    let test =
        Regex::new(r"#\[(?:tokio::)?test[^\n]*\]\n((?: *#\[[^\n]*\n)*) *(?:async )?fn (\w+)");
    let test = test.unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for test in test.captures_iter(&text) {
                found.insert(test[2].to_owned(), !test[1].contains("#[ignore"));
            }
        }
    }
}

/// Two components, of which one has a stream.
const ALL: &str = r#"
[variables]
valkey_url = { required = true, secret = true }
[[application.tool.warmlink.valkey]]
address = "{{ valkey_url }}"
[[trigger.http]]
route = "/..."
component = "it"
[component.it]
source = "http"
[component.reads]
source = "http"
[component.reads.tool.warmlink.stream]
key = "entries"
"#;

#[test]
fn every_limit_that_there_is_has_a_row_with_its_default() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spin.toml");
        fs::write(&path, Manifest::guests(ALL).text()).unwrap();
        let env = [("VALKEY_URL", "redis://127.0.0.1:1")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let output = host::command(&env.into())
            .args(["check", "--json"])
            .arg(&path)
            .output()
            .await
            .unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        let readme = readme();
        same(&node_rows(&readme), &said["limits"]);

        let mut limits = said["components"]["it"]["limits"].clone();
        // Beside the other limits, and none where it is not said.
        limits["rate"] = Value::Null;
        let stream = &said["components"]["reads"]["stream"];
        for key in ["bound", "attempts"] {
            limits[format!("stream.{key}")] = stream[key].clone();
        }
        same(&component_rows(&readme), &limits);
    });
}

/// The rows are the limits that there are, and their defaults what README says.
#[track_caller]
fn same(rows: &[(String, String)], limits: &Value) {
    let limits = limits.as_object().unwrap();
    for key in limits.keys() {
        assert!(rows.iter().any(|(row, _)| row == key), "{key} has no row");
    }
    for (key, said) in rows {
        let limit = limits
            .get(key)
            .unwrap_or_else(|| panic!("{key} is no limit"));
        // One that is said in terms of others is no figure.
        if limit.is_null() || limits.contains_key(said) {
            continue;
        }
        let limit = limit.as_str().map_or(limit.to_string(), ToOwned::to_owned);
        assert_eq!(seconds(said), seconds(&limit), "{key}");
    }
}

/// Minutes as seconds; anything else as it is.
fn seconds(text: &str) -> String {
    let minutes = text.strip_suffix('m').and_then(|it| it.parse::<u64>().ok());
    minutes.map_or_else(|| text.to_owned(), |minutes| format!("{}s", 60 * minutes))
}
