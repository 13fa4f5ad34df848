//! `warmlink check`: what is wrong, all of it, before anything runs.

use std::process::Output;

use warmlink_tests::{Host, HostOptions, Manifest, host, run};

use super::until_logged;

/// BSD's `EX_USAGE`.
const USAGE: i32 = 64;

async fn check(text: &str, env: &[(&str, &str)]) -> (Output, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spin.toml");
    std::fs::write(&path, text).unwrap();
    let env = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let output = host::command(&env)
        .arg("check")
        .arg(&path)
        .output()
        .await
        .unwrap();
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    (output, String::from_utf8(said).unwrap())
}

#[test]
fn a_good_manifest_is_good() {
    run(async {
        let (output, said) = check(&Manifest::one("http", "").text(), &[]).await;
        assert_eq!(output.status.code(), Some(0), "{said}");
        let application = Manifest::application().text();
        let url = [("DATABASE_URL", "postgres://app@127.0.0.1:1/app")];
        let (output, said) = check(&application, &url).await;
        assert_eq!(output.status.code(), Some(0), "{said}");
    });
}

#[test]
fn all_faults_of_a_manifest_are_reported_at_once() {
    run(async {
        let text = r#"
spin_manifest_version = 2
[application]
name = "bad"
[application.tool.warmlink]
metrix = "/metrics"
[application.tool.warmlink.limits]
in_flight = 0
queue_wait = "soon"
[[application.tool.warmlink.postgres]]
address = "{{ no_such_variable }}"
[[trigger.http]]
route = "/a//b"
component = "probe"
[[trigger.http]]
route = "/x"
component = "absent"
[component.probe]
source = "probe.wasm"
allowed_outbound_hosts = ["no-scheme"]
[component.probe.tool.warmlink]
deadline = "5 parsecs"
conkurrency = 2
"#;
        let (output, said) = check(text, &[]).await;
        assert_eq!(output.status.code(), Some(USAGE), "{said}");
        for fault in [
            "metrix",
            "limits.in_flight",
            "queue_wait",
            "no_such_variable",
            "trigger.http[0].route",
            "absent",
            "allowed_outbound_hosts",
            "5 parsecs",
            "conkurrency",
        ] {
            assert!(said.contains(fault), "nothing of {fault}: {said}");
        }
        // And where: `metrix` is on the sixth line.
        assert!(said.contains("line 6"), "{said}");
    });
}

#[test]
fn faults_of_the_configuration_are_reported_with_those_of_the_manifest() {
    run(async {
        let manifest = Manifest::one("http", "[component.probe.tool.warmlink]\nwurm = 1");
        let env = [("WARMLINK_LISTEN", "nowhere"), ("WARMLINK_NODES", "0")];
        let (output, said) = check(&manifest.text(), &env).await;
        assert_eq!(output.status.code(), Some(USAGE), "{said}");
        for fault in ["WARMLINK_LISTEN", "WARMLINK_NODES", "wurm", "3 faults"] {
            assert!(said.contains(fault), "nothing of {fault}: {said}");
        }
    });
}

#[test]
fn an_address_that_is_none_is_a_fault_and_is_not_shown() {
    run(async {
        let manifest = Manifest::one(
            "http",
            "[variables]\ndatabase_url = { required = true, secret = true }",
        )
        .with_tool("[[postgres]]\naddress = \"{{ database_url }}\"\nmin = 1\nmax = 1");
        let url = [("DATABASE_URL", "mysql://app:hidden-word@127.0.0.1/app")];
        let (output, said) = check(&manifest.text(), &url).await;
        assert_eq!(output.status.code(), Some(USAGE), "{said}");
        assert!(
            said.contains("DATABASE_URL") || said.contains("postgres[0].address"),
            "{said}"
        );
        assert!(!said.contains("hidden-word"), "{said}");
    });
}

#[test]
fn a_granted_server_without_a_pool_is_worth_a_word() {
    run(async {
        let granted = "allowed_outbound_hosts = [\"postgres://db.example.com:5432\"]";
        let declared =
            "[[postgres]]\naddress = \"postgres://app@db.example.com/app\"\nmin = 1\nmax = 1";
        let manifest = Manifest::one("postgres42", granted);
        for (manifest, noted) in [
            (manifest.clone(), true),
            (manifest.with_tool(declared), false),
        ] {
            let (output, said) = check(&manifest.text(), &[]).await;
            assert_eq!(output.status.code(), Some(0), "{said}");
            assert_eq!(
                said.contains("postgres://db.example.com:5432"),
                noted,
                "{said}"
            );
        }
    });
}

#[test]
fn what_is_not_toml_or_not_there_is_a_wrong_call() {
    run(async {
        let (output, said) = check("[[[[", &[]).await;
        assert_eq!(output.status.code(), Some(USAGE), "{said}");
        let none = Default::default();
        let output = host::command(&none)
            .arg("check")
            .arg("/no/such/spin.toml")
            .output()
            .await
            .unwrap();
        assert_eq!(output.status.code(), Some(USAGE));
        assert!(
            String::from_utf8(output.stderr)
                .unwrap()
                .contains("/no/such/spin.toml")
        );
        let output = host::command(&none)
            .arg("no-such-command")
            .output()
            .await
            .unwrap();
        assert_eq!(output.status.code(), Some(USAGE));
    });
}

#[test]
fn all_faults_of_a_nodes_configuration_are_reported_at_once() {
    run(async {
        let env = [
            ("WARMLINK_LISTEN", "somewhere"),
            ("WARMLINK_CORES", "none"),
            ("WARMLINK_DRAIN_DELAY", "a while"),
        ];
        let options = env.iter().fold(
            HostOptions::new(Manifest::one("http", "")),
            |options, (name, value)| options.env(name, value),
        );
        let mut host = Host::spawn(options);
        assert_eq!(host.exit().await.code(), Some(USAGE));
        for (name, _) in env {
            until_logged(&host, &[name]).await;
        }
    });
}

#[test]
fn a_host_does_not_start_on_a_bad_manifest() {
    run(async {
        let manifest = Manifest::one("http", "").tool_key("limits.in_flight", 0);
        let mut host = Host::spawn(HostOptions::new(manifest));
        assert_eq!(host.exit().await.code(), Some(USAGE));
        until_logged(&host, &["limits.in_flight"]).await;
        let lines = host.log().lines();
        assert!(
            lines.iter().all(|line| !line.contains("http://")),
            "nothing was bound: {lines:?}"
        );
    });
}
