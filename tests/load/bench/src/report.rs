//! What is shown at the end, and kept.

use chrono::{DateTime, Utc};
use warmlink_tests::columns::{table, thousands};

use crate::goals::{Line, Verdict, shown};
use crate::machine::Machine;
use crate::measure::Extent;

/// The circumstances of a run.
pub(crate) struct Circumstances {
    pub(crate) machine: Machine,
    pub(crate) versions: String,
    pub(crate) profile: String,
    pub(crate) threads: u32,
    pub(crate) extent: Extent,
    pub(crate) date: DateTime<Utc>,
    pub(crate) void: Option<String>,
}

/// Every server's figures.
pub(crate) fn figures(lines: &[Line]) -> String {
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            vec![
                line.work.title.to_owned(),
                line.side.name().to_owned(),
                line.connections.to_string(),
                thousands(line.sample.rate),
                format!("{:.2}", line.sample.p50),
                format!("{:.2}", line.sample.p99),
                format!("{:.1}", line.sample.cpu),
                format!("{:.0}", line.resident as f64 / 1e6),
            ]
        })
        .collect();
    let head = [
        "work",
        "server",
        "connections",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "CPU µs/request",
        "memory MB",
    ];
    table(&head, &rows)
}

/// The record of a complete run, as Markdown.
pub(crate) fn record(
    circumstances: &Circumstances,
    lines: &[Line],
    verdicts: &[Verdict],
) -> String {
    let Circumstances {
        machine,
        versions,
        profile,
        threads,
        extent,
        date,
        void,
    } = circumstances;
    let Machine {
        cpu,
        cores,
        memory,
        kernel,
        commit,
    } = machine;
    let (rounds, seconds) = (extent.rounds, extent.time.as_secs());
    let void = void.as_ref().map_or_else(String::new, |why| {
        format!("**Void:** {why}. Ratios within the run are what there is to read.\n\n")
    });
    let (date, figures, goals) = (date.format("%Y-%m-%d"), figures(lines), shown(verdicts));
    format!(
        "\
# The yardstick: what was measured

Written by `make bench`, which overwrites it.

{void}- Date: {date}, commit {commit}, profile `{profile}`
- Machine: {cpu}, {cores} cores, {memory}, Linux {kernel}; the client and all servers share it
- Servers of both sides: {versions}, durable as they are by default
- Client: `wrk` with {threads} thread(s); medians of {rounds} rounds of {seconds} s, the servers in turn

```
make bench                        # all of this, and this file
make bench ONLY=hello,head        # some of it
make bench BENCH_PROFILE=release  # sooner built
```

`native` does the same work with hyper, redis-rs and tokio-postgres, and no component; `wasmtime` runs
the same hello component behind wasmtime's own request handler, set up as `wasmtime serve` does. The
CPU time is the server process's own, user and kernel. A click counts as answered when it is recorded;
what the stream still holds is worked off before the next run, at the cost of the one that made it.

{figures}
## Goals

{goals}"
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::goals::judge;
    use crate::sample::Sample;
    use crate::work::{HELLO, Side};

    #[test]
    fn a_record_tells_of_all_there_was() {
        let circumstances = Circumstances {
            machine: Machine {
                cpu: "A CPU".into(),
                cores: 2,
                memory: "24 GiB".into(),
                kernel: "6.1".into(),
                commit: "abc, dirty".into(),
            },
            versions: "PostgreSQL 17, Valkey 8".into(),
            profile: "dist".into(),
            threads: 1,
            extent: Extent {
                rounds: 3,
                time: Duration::from_secs(2),
            },
            date: DateTime::UNIX_EPOCH,
            void: Some("a native constant took 13.8 µs".into()),
        };
        let line = Line {
            work: &HELLO,
            side: Side::Warmlink,
            connections: 50,
            sample: Sample {
                rate: 61_234.5,
                p50: 0.5,
                p99: 2.25,
                cpu: 12.34,
            },
            resident: 90_000_000,
        };
        let text = record(&circumstances, &[line], &judge(&[line], 90_000_000));
        for part in [
            "\n\n**Void:** a native constant took 13.8 µs. ",
            "1970-01-01, commit abc, dirty, profile `dist`",
            "A CPU, 2 cores, 24 GiB, Linux 6.1",
            "medians of 3 rounds of 2 s",
            " 61,234 |",
            " 90 MB | met |",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
