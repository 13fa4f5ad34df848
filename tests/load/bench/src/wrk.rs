//! One run of the client, and what it says of it.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use tempfile::NamedTempFile;
use tokio::process::Command;

use crate::work::{Request, Walk};

const SCRIPT: &str = include_str!("load.lua");

/// A response that takes longer than this is an error.
const TIMEOUT: &str = "10s";

/// The client, and with how many threads it is run.
pub(crate) struct Wrk {
    script: NamedTempFile,
    pub(crate) threads: u32,
}

/// How hard, and for how long.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) connections: u32,
    pub(crate) time: Duration,
    /// Where a walk goes on.
    pub(crate) first: u64,
}

/// What the script prints at the end.
#[derive(Debug, Deserialize, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    pub(crate) duration_us: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    /// Steps of a walk that may have been taken.
    pub(crate) turns: u64,
    errors: Errors,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Errors {
    connect: u64,
    read: u64,
    write: u64,
    status: u64,
    timeout: u64,
}

impl Wrk {
    /// # Errors
    /// Where there is no `wrk`, or nowhere to put its script.
    pub(crate) fn new() -> anyhow::Result<Self> {
        // Without arguments it shows its usage, whatever its exit code.
        std::process::Command::new("wrk")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .context("no `wrk` here: `sh scripts/wrk.sh` installs it")?;
        let mut script = NamedTempFile::with_suffix(".lua")?;
        script.write_all(SCRIPT.as_bytes())?;
        Ok(Self { script, threads: 1 })
    }

    /// Sends requests for as long as asked.
    ///
    /// # Errors
    /// Where a request failed in any way: such a run says nothing.
    pub(crate) async fn run(
        &self,
        address: SocketAddr,
        request: &Request,
        load: Load,
    ) -> anyhow::Result<Outcome> {
        let seconds = load.time.as_secs().max(1);
        let mut command = Command::new("wrk");
        command
            .arg(format!("--threads={}", self.threads))
            .arg(format!("--connections={}", load.connections))
            .arg(format!("--duration={seconds}s"))
            .args(["--timeout", TIMEOUT, "--script"])
            .arg(self.script.path())
            .arg(format!("http://{address}/"))
            .arg("--")
            .args(arguments(request, load.first, self.threads))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = command.output().await.context("running wrk")?;
        let printed = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("wrk ended with {}: {printed}{said}", output.status);
        }
        Outcome::parse(&printed)
    }
}

/// What the script is told.
fn arguments(request: &Request, first: u64, threads: u32) -> Vec<String> {
    let mut arguments = vec![
        request.method.to_string(),
        request.path.to_owned(),
        request.body.to_owned(),
    ];
    if let Some(Walk {
        count,
        stride,
        base,
    }) = request.walk
    {
        let numbers = [first, count, stride, base, u64::from(threads)];
        arguments.extend(numbers.map(|number| number.to_string()));
    }
    arguments
}

impl Outcome {
    /// Reads the script's line out of all that was printed.
    ///
    /// # Errors
    /// Where there is none, nothing was answered, or anything failed.
    pub(crate) fn parse(printed: &str) -> anyhow::Result<Self> {
        let line = printed.lines().find(|line| line.starts_with('{'));
        let line = line.with_context(|| format!("no result from wrk:\n{printed}"))?;
        let outcome: Self = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let Errors {
            connect,
            read,
            write,
            status,
            timeout,
        } = outcome.errors;
        ensure!(
            connect + read + write + status + timeout == 0,
            "of {} requests, {status} had a status from 400; socket errors: {connect} connecting, \
             {read} reading, {write} writing, {timeout} timed out",
            outcome.requests
        );
        ensure!(outcome.requests > 0, "no request was answered");
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"requests":300,"duration_us":1000000,"p50_us":120,"p99_us":900,"turns":302,"errors":{"connect":0,"read":0,"write":0,"status":0,"timeout":0}}"#;

    #[test]
    fn the_result_is_found_among_what_wrk_prints() {
        let printed = format!("Running 1s test @ http://127.0.0.1:1/\n  1 threads\n{LINE}\n");
        let outcome = Outcome::parse(&printed).unwrap();
        assert_eq!((outcome.requests, outcome.p99_us), (300, 900));
        assert_eq!(outcome.turns, 302);
    }

    #[test]
    fn what_went_wrong_voids_a_run() {
        for (good, bad, said) in [
            ("\"status\":0", "\"status\":7", "7 had a status from 400"),
            ("\"read\":0", "\"read\":1", "1 reading"),
            ("\"timeout\":0", "\"timeout\":2", "2 timed out"),
            ("\"requests\":300", "\"requests\":0", "no request"),
            ("{", "", "no result"),
        ] {
            let error = Outcome::parse(&LINE.replacen(good, bad, 1)).unwrap_err();
            assert!(format!("{error:#}").contains(said), "{error:#}");
        }
    }

    #[test]
    fn a_walk_is_told_in_numbers() {
        let told = arguments(&crate::work::MISS.request, 40, 2);
        assert_eq!(told[..3], ["GET", "/p%07d", ""]);
        assert_eq!((told[3].as_str(), told[7].as_str()), ("40", "2"));
        assert_eq!(arguments(&crate::work::HELLO.request, 40, 2).len(), 3);
    }
}
