//! Several hosts in turn, with the same requests.

use std::time::Duration;

use anyhow::Context as _;
use warmlink_tests::Host;

use crate::process::cpu_time;
use crate::sample::Sample;
use crate::work::Request;
use crate::wrk::{Load, Wrk};

/// How long each turn takes.
const TIME: Duration = Duration::from_secs(3);

/// A host, and what is asked of it.
pub(crate) struct Asked<'a> {
    pub(crate) host: &'a Host,
    pub(crate) request: Request,
}

/// The median of `rounds` turns of each, after one that is for warming up.
///
/// # Errors
/// Where the client fails, or a host answers otherwise than it should.
pub(crate) async fn in_turn<const N: usize>(
    wrk: &Wrk,
    asked: [Asked<'_>; N],
    connections: u32,
    rounds: usize,
) -> anyhow::Result<[Sample; N]> {
    let mut samples: [Vec<Sample>; N] = std::array::from_fn(|_| Vec::new());
    let mut turns = [0; N];
    for round in 0..=rounds {
        for (number, Asked { host, request }) in asked.iter().enumerate() {
            let load = Load {
                connections,
                time: TIME,
                first: turns[number],
            };
            let before = cpu_time(host.pid())?;
            let outcome = wrk.run(host.public(), request, load).await?;
            let cpu = cpu_time(host.pid())?.saturating_sub(before);
            turns[number] += outcome.turns;
            if round > 0 {
                samples[number].push(Sample::new(&outcome, cpu));
            }
        }
    }
    let medians: Option<Vec<Sample>> = samples.iter().map(|some| Sample::median(some)).collect();
    let medians = medians.and_then(|medians| medians.try_into().ok());
    medians.context("no rounds")
}
