//! What the figures are held against.

use warmlink_tests::columns::table;

use crate::sample::Sample;
use crate::work::{CLICK, HEAD, HELLO, READ, Side, Work};

/// What a server's figures were under one load.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    pub(crate) work: &'static Work,
    pub(crate) side: Side,
    pub(crate) connections: u32,
    pub(crate) sample: Sample,
    /// Of the server's process, after its last run.
    pub(crate) resident: u64,
}

/// A throughput that is to be at least such a part of another side's.
struct Share {
    work: &'static Work,
    of: Side,
    least: f64,
}

static SHARES: [Share; 5] = [
    Share {
        work: &HELLO,
        of: Side::Native,
        least: 0.6,
    },
    Share {
        work: &HELLO,
        of: Side::Wasmtime,
        least: 1.8,
    },
    Share {
        work: &HEAD,
        of: Side::Native,
        least: 0.8,
    },
    Share {
        work: &CLICK,
        of: Side::Native,
        least: 0.6,
    },
    Share {
        work: &READ,
        of: Side::Native,
        least: 0.6,
    },
];

/// At this many connections, p99 is to be at most so many times the native one.
const TAIL_CONNECTIONS: u32 = 500;
const TAIL: f64 = 3.0;

/// The host's memory after all runs, in bytes.
const RESIDENT: u64 = 160_000_000;

/// A goal and what came of it.
#[derive(Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) goal: String,
    pub(crate) connections: String,
    pub(crate) bound: String,
    pub(crate) measured: String,
    pub(crate) met: bool,
}

/// Holds what was measured against every goal that it speaks of.
pub(crate) fn judge(lines: &[Line], resident: u64) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for share in &SHARES {
        for (ours, theirs) in pairs(lines, share.work, share.of) {
            let ratio = ours.sample.rate / theirs.sample.rate;
            verdicts.push(Verdict {
                goal: format!("{}: requests/s, of {}", share.work.title, share.of.name()),
                connections: ours.connections.to_string(),
                bound: format!("at least {:.1}", share.least),
                measured: format!("{ratio:.2}"),
                met: ratio >= share.least,
            });
        }
    }
    for work in crate::work::WORKS {
        for (ours, theirs) in pairs(lines, work, Side::Native) {
            if ours.connections != TAIL_CONNECTIONS {
                continue;
            }
            let ratio = ours.sample.p99 / theirs.sample.p99;
            verdicts.push(Verdict {
                goal: format!("{}: p99, of native", work.title),
                connections: ours.connections.to_string(),
                bound: format!("at most {TAIL:.1}"),
                measured: format!("{ratio:.2}"),
                met: ratio <= TAIL,
            });
        }
    }
    verdicts.push(Verdict {
        goal: "warmlink's resident memory after all runs".to_owned(),
        connections: String::new(),
        bound: format!("at most {} MB", RESIDENT / 1_000_000),
        measured: format!("{:.0} MB", resident as f64 / 1e6),
        met: resident <= RESIDENT,
    });
    verdicts
}

/// This host's line and the other side's, for each number of connections.
fn pairs<'a>(
    lines: &'a [Line],
    work: &Work,
    other: Side,
) -> impl Iterator<Item = (&'a Line, &'a Line)> {
    let find = move |side, connections: Option<u32>| {
        lines.iter().filter(move |line| {
            line.work.name == work.name
                && line.side == side
                && connections.is_none_or(|connections| line.connections == connections)
        })
    };
    find(Side::Warmlink, None)
        .filter_map(move |ours| Some((ours, find(other, Some(ours.connections)).next()?)))
}

/// The verdicts as a table.
pub(crate) fn shown(verdicts: &[Verdict]) -> String {
    let rows: Vec<Vec<String>> = verdicts
        .iter()
        .map(|verdict| {
            vec![
                verdict.goal.clone(),
                verdict.connections.clone(),
                verdict.bound.clone(),
                verdict.measured.clone(),
                if verdict.met { "met" } else { "MISSED" }.to_owned(),
            ]
        })
        .collect();
    table(&["goal", "connections", "bound", "measured", ""], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(work: &'static Work, side: Side, connections: u32, rate: f64, p99: f64) -> Line {
        let sample = Sample {
            rate,
            p50: 1.0,
            p99,
            cpu: 10.0,
        };
        Line {
            work,
            side,
            connections,
            sample,
            resident: 1,
        }
    }

    #[test]
    fn throughput_is_judged_at_each_number_of_connections() {
        let lines = [
            line(&HEAD, Side::Native, 50, 100.0, 1.0),
            line(&HEAD, Side::Warmlink, 50, 80.0, 1.0),
            line(&HEAD, Side::Native, 500, 100.0, 1.0),
            line(&HEAD, Side::Warmlink, 500, 79.0, 3.1),
        ];
        let verdicts = judge(&lines, 160_000_000);
        let told: Vec<_> = verdicts
            .iter()
            .map(|verdict| (verdict.measured.as_str(), verdict.met))
            .collect();
        let expected = [
            ("0.80", true),
            ("0.79", false),
            ("3.10", false),
            ("160 MB", true),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn each_side_has_a_goal_of_its_own() {
        let lines = [
            line(&HELLO, Side::Native, 50, 100.0, 1.0),
            line(&HELLO, Side::Wasmtime, 50, 30.0, 1.0),
            line(&HELLO, Side::Warmlink, 50, 60.0, 9.0),
        ];
        let verdicts = judge(&lines, 160_000_001);
        let met: Vec<bool> = verdicts.iter().map(|verdict| verdict.met).collect();
        assert_eq!(met, [true, true, false]);
        assert_eq!(verdicts[1].measured, "2.00");
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let lines = [line(&READ, Side::Warmlink, 500, 1.0, 1.0)];
        assert_eq!(judge(&lines, 0).len(), 1);
    }
}
