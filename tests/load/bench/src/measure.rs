//! Works, sides and rounds in turn.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, LOCATION};
use http::{HeaderValue, Method, StatusCode};
use warmlink_tests::Api;
use warmlink_tests::columns::thousands;

use crate::goals::Line;
use crate::process::{cpu_time, resident_bytes};
use crate::sample::Sample;
use crate::stage::{Stage, say};
use crate::work::{HELLO, Side, Work};
use crate::wrk::{Load, Outcome, Wrk};

/// Clients at once: a busy node, and one in a burst.
const CONNECTIONS: [u32; 2] = [50, 500];

/// Each side is warm before its first run counts.
const WARM_UP: Duration = Duration::from_secs(1);

/// How long each number of the client's threads is tried.
const TRIAL: Duration = Duration::from_secs(2);

/// A native server that spends more than this on a constant, in microseconds,
/// is no ceiling: the machine is busy with something else.
const MOST_CPU: f64 = 10.0;

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) rounds: u32,
    pub(crate) time: Duration,
}

/// A run of the whole, under way.
pub(crate) struct Run<'a> {
    stage: &'a Stage,
    wrk: Wrk,
    extent: Extent,
    /// Where each walk goes on.
    turns: HashMap<&'static str, u64>,
    /// Visits that the host has answered.
    visits: u64,
    /// What makes the run void, if anything does.
    void: Option<String>,
}

/// What a server answered to one request.
#[derive(Debug, PartialEq)]
struct Answer {
    status: StatusCode,
    location: Option<HeaderValue>,
    content: Option<HeaderValue>,
    body: Bytes,
}

impl<'a> Run<'a> {
    /// Finds out with how many threads the client gets most out of the native
    /// server.
    ///
    /// # Errors
    /// Where the client or the server fails.
    pub(crate) async fn new(stage: &'a Stage, extent: Extent) -> anyhow::Result<Self> {
        let mut run = Self {
            stage,
            wrk: Wrk::new()?,
            extent,
            turns: HashMap::new(),
            visits: 0,
            void: None,
        };
        let connections = CONNECTIONS[0];
        run.load(&HELLO, Side::Native, connections, WARM_UP).await?;
        let mut best = (0.0, 1);
        for threads in [1, 2] {
            run.wrk.threads = threads;
            let (_, sample) = run.load(&HELLO, Side::Native, connections, TRIAL).await?;
            let rate = thousands(sample.rate);
            say(&format!(
                "the client with {threads} thread(s): {rate} requests/s of native hello"
            ));
            if sample.rate > best.0 {
                best = (sample.rate, threads);
            }
        }
        run.wrk.threads = best.1;
        Ok(run)
    }

    pub(crate) fn threads(&self) -> u32 {
        self.wrk.threads
    }

    /// Visits that were answered under load.
    pub(crate) fn visits(&self) -> u64 {
        self.visits
    }

    /// Why what was measured says little, where it does: the machine was busy with
    /// something else, or the ceiling is none.
    pub(crate) fn void(&self) -> Option<String> {
        self.void.clone()
    }

    /// Measures a work on all its sides, in rounds of one run each.
    ///
    /// # Errors
    /// Where an answer is wrong, or a run says nothing.
    pub(crate) async fn work(&mut self, work: &'static Work) -> anyhow::Result<Vec<Line>> {
        self.compare(work).await?;
        let mut lines = Vec::new();
        for connections in CONNECTIONS {
            for &side in work.sides {
                self.load(work, side, connections, WARM_UP).await?;
            }
            let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); work.sides.len()];
            for round in 1..=self.extent.rounds {
                for (&side, samples) in work.sides.iter().zip(&mut samples) {
                    let time = self.extent.time;
                    let (_, sample) = self.load(work, side, connections, time).await?;
                    say(&format!(
                        "{:<6} {connections:>3} connections, round {round}: {:<8} {:>8}/s, \
                         p99 {:>7.2} ms, {:>6.1} µs",
                        work.name,
                        side.name(),
                        thousands(sample.rate),
                        sample.p99,
                        sample.cpu
                    ));
                    samples.push(sample);
                }
            }
            for (&side, samples) in work.sides.iter().zip(&samples) {
                let sample = Sample::median(samples).context("no rounds")?;
                if work.name == HELLO.name && side == Side::Native && sample.cpu > MOST_CPU {
                    self.void.get_or_insert_with(|| {
                        format!(
                            "a native constant took {:.1} µs of CPU at {connections} \
                             connections, more than {MOST_CPU:.0}: the machine is busy or slow",
                            sample.cpu
                        )
                    });
                }
                lines.push(Line {
                    work,
                    side,
                    connections,
                    sample,
                    resident: resident_bytes(self.stage.server(work, side)?.0)?,
                });
            }
        }
        Ok(lines)
    }

    /// Asks each side once: they must answer, and alike.
    async fn compare(&mut self, work: &'static Work) -> anyhow::Result<()> {
        let turn = self.take_turns(work, 1)?;
        let path = work.request.path_at(turn);
        let mut first: Option<(Side, Answer)> = None;
        for &side in work.sides {
            let (_, address) = self.stage.server(work, side)?;
            let headers: &[(HeaderName, &str)] = match work.request.method {
                Method::POST => &[(CONTENT_TYPE, "application/json")],
                _ => &[],
            };
            let reply = Api::new(address)
                .send(
                    work.request.method.clone(),
                    &path,
                    headers,
                    Bytes::from_static(work.request.body.as_bytes()),
                )
                .await;
            let answer = Answer {
                status: reply.status,
                location: reply.headers.get(LOCATION).cloned(),
                content: reply.headers.get(CONTENT_TYPE).cloned(),
                body: reply.body,
            };
            ensure!(
                answer.status.as_u16() == work.request.status,
                "{path}: {} answered {answer:?}",
                side.name()
            );
            match &first {
                None => first = Some((side, answer)),
                Some((other, same)) => ensure!(
                    answer == *same,
                    "{path}: {} answered {answer:?}, but {} {same:?}",
                    side.name(),
                    other.name()
                ),
            }
        }
        Ok(())
    }

    /// One run of the client against one server, the others idle.
    async fn load(
        &mut self,
        work: &'static Work,
        side: Side,
        connections: u32,
        time: Duration,
    ) -> anyhow::Result<(Outcome, Sample)> {
        let (pid, address) = self.stage.server(work, side)?;
        let load = Load {
            connections,
            time,
            first: self.take_turns(work, 0)?,
        };
        let before = cpu_time(pid)?;
        let run = self.wrk.run(address, &work.request, load).await;
        let outcome = run.with_context(|| {
            format!("{}, {connections} connections, {}", work.title, side.name())
        })?;
        // What was put off is part of the cost.
        self.stage.settle().await?;
        let cpu = cpu_time(pid)?.saturating_sub(before);
        self.take_turns(work, outcome.turns)?;
        if side == Side::Warmlink && work.visit {
            self.visits += outcome.requests;
        }
        let sample = Sample::new(&outcome, cpu);
        Ok((outcome, sample))
    }

    /// Gives the turn at which a walk goes on, and counts those it took since.
    fn take_turns(&mut self, work: &'static Work, taken: u64) -> anyhow::Result<u64> {
        let turn = self.turns.entry(work.name).or_default();
        let before = *turn;
        *turn += taken;
        if let Some(walk) = work.request.walk.filter(|_| work.once) {
            ensure!(
                *turn <= walk.count,
                "{}: {turn} requests for {} links, so some came twice",
                work.title,
                walk.count
            );
        }
        Ok(before)
    }
}
