//! `spin:variables@3.0.0` and `fermyon:spin/variables@2.0.0`.

use serde_json::json;
use warmlink_tests::probe::Probe;
use warmlink_tests::{Host, HostOptions, Manifest, run};

use super::rig;

const BOTH: [&str; 2] = ["variables3", "variables2"];

#[test]
fn a_component_reads_its_own_variables_resolved() {
    run(async {
        let (_host, rig) = rig().await;
        for guest in BOTH {
            let outcomes = rig
                .probe(guest)
                .run(json!([{ "get": "greeting" }, { "get": "plain" }]))
                .await;
            assert_eq!(
                outcomes,
                [json!({ "ok": "hello world" }), json!({ "ok": "as it is" })]
            );
        }
    });
}

#[test]
fn what_the_component_was_not_given_is_undefined() {
    run(async {
        let (_host, rig) = rig().await;
        for guest in BOTH {
            for name in ["unshared", "database_url", "name", "no_such"] {
                let error = rig.probe(guest).err(json!([{ "get": name }])).await;
                let text = error["Undefined"]
                    .as_str()
                    .unwrap_or_else(|| panic!("{error}"));
                assert!(text.contains(name), "{error}");
            }
        }
    });
}

#[test]
fn what_is_no_name_is_invalid() {
    run(async {
        let (_host, rig) = rig().await;
        for guest in BOTH {
            for name in ["", "Plain", "a-b", "1a", "a__b", "a_"] {
                let error = rig.probe(guest).err(json!([{ "get": name }])).await;
                assert!(error["InvalidName"].is_string(), "{name:?}: {error}");
            }
        }
    });
}

#[test]
fn a_variable_of_the_environment_goes_before_the_default() {
    run(async {
        let manifest = Manifest::one(
            "variables3",
            "variables = { greeting = \"hello {{ name }}\" }\n\
             [variables]\nname = { default = \"world\" }",
        );
        let options = HostOptions::new(manifest).env("SPIN_VARIABLE_NAME", "moon");
        let host = Host::start(options).await;
        let found = Probe::new(host.api(), "/")
            .ok(json!([{ "get": "greeting" }]))
            .await;
        assert_eq!(found, "hello moon");
    });
}
