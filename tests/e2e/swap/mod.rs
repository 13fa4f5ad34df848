//! New code while traffic flows: swaps, drains, canaries, and what is refused.

mod canary;
mod commands;
mod drain;
mod fleet;
mod refusals;
mod rollback;
mod watch;

use std::collections::HashMap;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use warmlink_tests::revisions::named;
use warmlink_tests::{Api, Control, Host, HostOptions, Manifest, control, eventually};

/// What follows from something a test did is there well within this.
const SOON: Duration = Duration::from_secs(10);

const LIMITS: &str = "reuse = 4096\nconcurrency = 16\nwarm = 2";

/// A host of the test's own with `guest-revision` behind `/rev/...`, and lines
/// of the component's own table.
async fn host(keys: &str) -> Host {
    let limits = format!("{LIMITS}\n{keys}");
    Host::start(HostOptions::new(Manifest::several(&[(
        "rev", "revision", &limits,
    )])))
    .await
}

/// The name that the endpoint answers with.
async fn name(api: &Api) -> String {
    let reply = api.get("/rev/body?lines=3").await.expect(200);
    control::name(&reply.headers, &reply.body, 3).unwrap()
}

/// Waits until the host says so of its component `rev`.
async fn until_component(control: &Control, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    eventually(what, SOON, || async {
        let component = control.component("rev").await;
        is(&component).then_some(component)
    })
    .await
}

/// One metric of the host's; 0 where there is none yet.
async fn metric(host: &Host, name: &str, labels: &[(&str, &str)]) -> f64 {
    let scrape = host.metrics().await;
    scrape.sum(name, labels).unwrap_or(0.0)
}

/// Deploys a revision as a canary, in percent.
async fn canary(control: &Control, name: &str, behaviour: &str, percent: &str) -> Value {
    let query = format!("canary={percent}");
    let reply = control
        .try_deploy("rev", named(name, behaviour), &query)
        .await;
    control::Ended::of(reply).done()
}

/// The command line against `host`, with its admin token in the environment.
async fn warmlink(host: &Host, token: Option<&str>, args: &[&str]) -> Output {
    let mut env = HashMap::from([(
        "WARMLINK_ADMIN_URL".to_owned(),
        format!("http://{}", host.admin()),
    )]);
    if let Some(token) = token {
        env.insert("WARMLINK_ADMIN_TOKEN".to_owned(), token.to_owned());
    }
    let mut command = warmlink_tests::host::command(&env);
    command.args(args).stdout(Stdio::piped());
    let output = command.output().await.unwrap();
    Output {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// What a command printed, and its exit code.
#[derive(Debug)]
struct Output {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Output {
    /// The output of a command that was to end with this code.
    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The value of the header by which a request asks for a revision.
async fn signed(host: &Host, token: &str, digits: &str) -> String {
    let output = warmlink(host, Some(token), &["sign", "rev", digits])
        .await
        .expect(0);
    let (name, value) = output.out.trim().split_once(": ").unwrap();
    assert_eq!(name, "x-warmlink-revision");
    value.to_owned()
}
