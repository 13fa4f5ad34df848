//! Passwords stay where they are needed.

use serde_json::json;
use warmlink_tests::probe::open;
use warmlink_tests::services::shared_valkey;
use warmlink_tests::{Database, Host, HostOptions, Manifest, host, run};

const KEYS: &str = r#"
allowed_outbound_hosts = ["{{ database_origin }}", "{{ valkey_origin }}"]
variables = { token = "{{ token }}" }
[variables]
database_url = { required = true, secret = true }
database_origin = { required = true }
valkey_url = { required = true, secret = true }
valkey_origin = { required = true }
token = { required = true, secret = true }
"#;
const TOOL: &str = r#"
[[postgres]]
address = "{{ database_url }}"
min = 1
max = 2
[[valkey]]
address = "{{ valkey_url }}"
"#;
const TOKEN: &str = "a-token-nobody-may-see";

struct Secrets(Vec<String>);

impl Secrets {
    fn new(urls: &[&str]) -> Self {
        let password = |url: &&str| {
            let url: url::Url = url.parse().unwrap();
            url.password().unwrap().to_owned()
        };
        let mut all: Vec<_> = urls.iter().map(password).collect();
        assert!(
            all.iter().all(|secret| secret.len() >= 8),
            "too short to look for"
        );
        all.push(TOKEN.to_owned());
        Self(all)
    }

    #[track_caller]
    fn assert_none_in(&self, what: &str, text: &str) {
        for secret in &self.0 {
            assert!(
                !text.contains(secret.as_str()),
                "{what} gives {secret:?} away: {text}"
            );
        }
    }
}

fn manifest() -> Manifest {
    Manifest::one("postgres42", KEYS)
        .with_tool(TOOL)
        .tool_key("metrics", "/metrics")
}

#[test]
fn no_secret_is_shown_by_a_host_that_is_well_or_in_trouble() {
    run(async {
        let database = Database::create().await;
        let valkey = shared_valkey().await.valkey_url();
        let secrets = Secrets::new(&[database.url(), valkey]);
        let options = HostOptions::new(manifest())
            .database(database.url())
            .valkey(valkey)
            .env("SPIN_VARIABLE_TOKEN", TOKEN)
            .env("WARMLINK_LOG", "debug")
            .env("RUST_LOG", "debug");
        let mut host = Host::start(options).await;
        let query = |sql: &str| json!({ "query": { "on": "c", "sql": sql } });
        let elsewhere = database.url().replacen("/test", "/no_such_test", 1);
        let wrong = database
            .url()
            .replacen("postgres://", "postgres://no-such-", 1);
        for script in [
            json!([open("c", database.url()), query("SELECT 1")]),
            json!([open("c", database.url()), query("SELEKT")]),
            json!([open("c", &elsewhere), query("SELECT 1")]),
            json!([open("c", &wrong), query("SELECT 1")]),
            json!([open("c", &database.url().replace("127.0.0.1", "127.0.0.2"))]),
            json!([open("c", &format!("{} nonsense", database.url()))]),
            json!([open("c", database.url()), { "trap": null }]),
        ] {
            let body = script.to_string();
            let reply = host.api().json(http::Method::POST, "/", body).await;
            secrets.assert_none_in("an answer", &reply.text());
        }
        secrets.assert_none_in(
            "/metrics",
            &host.api().get("/metrics").await.expect(200).text(),
        );
        for path in ["/metrics", "/table", "/readyz", "/livez"] {
            secrets.assert_none_in(path, &host.admin_api().get(path).await.text());
        }
        host.terminate().await;
        let log = host.log().lines().join("\n");
        assert!(log.contains("pool warm"), "{log}");
        secrets.assert_none_in("the log", &log);
    });
}

#[test]
fn no_secret_is_shown_by_a_host_that_waits_for_its_database() {
    run(async {
        let url = "postgres://app:not-to-be-seen@127.0.0.1:1/app";
        let valkey = "redis://:not-to-be-seen-either@127.0.0.1:1";
        let secrets = Secrets::new(&[url, valkey]);
        let options = HostOptions::new(manifest())
            .database(url)
            .valkey(valkey)
            .env("SPIN_VARIABLE_TOKEN", TOKEN)
            .env("RUST_LOG", "debug");
        let mut host = Host::spawn(options);
        host.admin_bound().await;
        super::until_logged(&host, &["cannot connect to the database"]).await;
        let ready = host.admin_api().get("/readyz").await.expect(503).text();
        secrets.assert_none_in("/readyz", &ready);
        host.terminate().await;
        secrets.assert_none_in("the log", &host.log().lines().join("\n"));
    });
}

#[test]
fn no_secret_is_shown_by_a_check() {
    run(async {
        let url = "postgres://app:not-to-be-seen@127.0.0.1:1/app";
        let valkey = "redis://:not-to-be-seen-either@127.0.0.1:1";
        let secrets = Secrets::new(&[url, valkey]);
        let folder = tempfile::tempdir().unwrap();
        // One that is right, and one with faults next to the secrets.
        let broken = manifest()
            .tool_key("limits.in_flight", "many")
            .tool_key("oops", 1);
        for (name, manifest) in [("good.toml", manifest()), ("bad.toml", broken)] {
            let path = folder.path().join(name);
            std::fs::write(&path, manifest.text()).unwrap();
            let env = [
                ("DATABASE_URL", url),
                ("VALKEY_URL", valkey),
                ("SPIN_VARIABLE_TOKEN", TOKEN),
            ];
            let env = env
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
            for format in [None, Some("--json")] {
                let mut check = host::command(&env);
                let output = check
                    .arg("check")
                    .args(format)
                    .arg(&path)
                    .output()
                    .await
                    .unwrap();
                for bytes in [output.stdout, output.stderr] {
                    secrets.assert_none_in("check", &String::from_utf8(bytes).unwrap());
                }
            }
        }
    });
}
