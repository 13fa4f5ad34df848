//! The table that is shown at the end.

use std::time::Duration;

use warmlink_tests::columns::table;

use crate::run::Verdict;
use crate::scenario::Scenario;

/// A scenario, and what became of it.
pub(crate) enum Line {
    Done(Scenario, Verdict),
    /// It could not be carried out, and why.
    Void(Scenario, String),
    /// It needs what this machine or this user does not have.
    Skipped(Scenario),
}

/// All lines, as a table.
pub(crate) fn shown(lines: &[Line]) -> String {
    let head = [
        "fault",
        "held",
        "asked",
        "answered",
        "refused",
        "failed",
        "slowest",
        "recovery",
        "lost",
        "doubled",
        "left behind",
        "promises",
    ];
    let rows: Vec<_> = lines.iter().map(row).collect();
    table(&head, &rows)
}

/// What has to be said of a line beyond its row.
pub(crate) fn remarks(line: &Line) -> Vec<String> {
    match line {
        Line::Done(scenario, verdict) => {
            let said = verdict.notes.iter().chain(&verdict.broken);
            said.map(|what| format!("{}: {what}", scenario.name))
                .collect()
        }
        Line::Void(scenario, why) => vec![format!("{}: void: {why}", scenario.name)],
        Line::Skipped(scenario) => vec![format!("{}: SKIPPED: it takes root", scenario.name)],
    }
}

fn row(line: &Line) -> Vec<String> {
    let (scenario, verdict, word) = match line {
        Line::Done(scenario, verdict) => {
            let word = if verdict.broken.is_empty() {
                "kept"
            } else {
                "BROKEN"
            };
            (scenario, Some(verdict), word)
        }
        Line::Void(scenario, _) => (scenario, None, "VOID"),
        Line::Skipped(scenario) => (scenario, None, "SKIPPED"),
    };
    let mut cells = vec![scenario.name.to_owned(), seconds(scenario.hold)];
    match verdict {
        Some(verdict) => {
            let figures = &verdict.figures;
            let counts = [
                figures.asked,
                figures.answered,
                figures.refused,
                figures.failed,
            ];
            cells.extend(counts.iter().map(ToString::to_string));
            cells.push(seconds(figures.slowest));
            cells.push(figures.recovery.map_or_else(|| "never".to_owned(), seconds));
            let counts = [verdict.lost, verdict.doubled, verdict.left.len()];
            cells.extend(counts.iter().map(ToString::to_string));
        }
        None => cells.extend(std::iter::repeat_n(String::new(), 9)),
    }
    cells.push(word.to_owned());
    cells
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::SCENARIOS;

    #[test]
    fn a_broken_promise_is_seen_in_the_table_and_said() {
        let verdict = |broken: Vec<String>| Verdict {
            broken,
            ..Verdict::default()
        };
        let lines = [
            Line::Done(SCENARIOS[0], verdict(vec![])),
            Line::Done(SCENARIOS[1], verdict(vec!["3 creates were lost".into()])),
            Line::Void(SCENARIOS[2], "no server".into()),
            Line::Skipped(SCENARIOS[3]),
        ];
        let text = shown(&lines);
        let rows: Vec<_> = text.lines().skip(2).collect();
        for (row, word) in rows
            .iter()
            .zip([" kept ", " BROKEN ", " VOID ", " SKIPPED "])
        {
            assert!(row.contains(word), "{text}");
        }
        let said: Vec<_> = lines.iter().flat_map(remarks).collect();
        assert_eq!(said.len(), 3);
        assert_eq!(said[0], "postgres-killed: 3 creates were lost");
    }
}
