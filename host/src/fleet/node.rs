//! What nodes say of themselves.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// A node whose last report is younger, by the database's clock, is waited for.
pub const LIVE: Duration = Duration::from_secs(5);

/// What a node says of itself. A part that is missing was written by an earlier
/// version of this program and has its default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Its table.
    pub generation: u64,
    /// Its active revisions, by component.
    pub revisions: BTreeMap<String, String>,
    /// The version of the desired state that it runs.
    pub version: i64,
    /// The proposal that it is done with: prepared, or why it cannot.
    pub proposal: Option<(i64, Result<(), String>)>,
    /// What went wrong last.
    pub error: Option<String>,
}

/// A node as the others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeReport {
    /// The process, by its random name.
    pub instance: String,
    /// The node's name; where several of one application share it, followed by
    /// `#` and the beginning of `instance`.
    pub node: String,
    /// Whether rollouts wait for it.
    pub live: bool,
    /// Since its last report.
    pub seen: Duration,
    /// The digest of what its manifest says.
    pub manifest: String,
    /// What it said last.
    pub report: Report,
}

/// A row as the database gives it.
#[derive(Debug, Deserialize)]
pub(super) struct NodeRow {
    pub(super) instance: String,
    pub(super) node: String,
    pub(super) manifest: String,
    /// Seconds.
    pub(super) seen: f64,
    /// A [`Report`] in JSON.
    pub(super) report: String,
}

/// A random name for a process, to be kept for as long as it runs.
#[must_use]
pub fn new_instance() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

/// Reads rows, and tells apart nodes of the same name.
pub(super) fn reports(rows: Vec<NodeRow>) -> Vec<NodeReport> {
    let mut names: HashMap<String, usize> = HashMap::new();
    for row in &rows {
        *names.entry(row.node.clone()).or_default() += 1;
    }
    rows.into_iter()
        .map(|row| {
            let shared = names.get(&row.node).is_some_and(|nodes| *nodes > 1);
            let seen = seconds(row.seen);
            NodeReport {
                node: if shared {
                    let beginning: String = row.instance.chars().take(4).collect();
                    format!("{}#{beginning}", row.node)
                } else {
                    row.node
                },
                instance: row.instance,
                live: seen < LIVE,
                seen,
                manifest: row.manifest,
                // One that makes no sense to us has said nothing that counts.
                report: serde_json::from_str(&row.report).unwrap_or_default(),
            }
        })
        .collect()
}

/// A span by the database's clock, which may have been set back meanwhile.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(instance: &str, node: &str, seen: f64, report: &str) -> NodeRow {
        NodeRow {
            instance: instance.to_owned(),
            node: node.to_owned(),
            manifest: "m".to_owned(),
            seen,
            report: report.to_owned(),
        }
    }

    #[test]
    fn nodes_of_one_name_are_told_apart() {
        let rows = vec![
            row("aaaabbbb", "web", 0.0, "{}"),
            row("ccccdddd", "web", 0.0, "{}"),
            row("eeeeffff", "other", 0.0, "{}"),
        ];
        let names: Vec<String> = reports(rows).into_iter().map(|node| node.node).collect();
        assert_eq!(names, ["web#aaaa", "web#cccc", "other"]);
    }

    #[test]
    fn a_node_is_live_until_five_seconds_after_its_report() {
        let rows = vec![
            row("a", "a", 4.9, "{}"),
            row("b", "b", 5.0, "{}"),
            row("c", "c", -3.0, "{}"),
        ];
        let live: Vec<bool> = reports(rows).iter().map(|node| node.live).collect();
        assert_eq!(live, [true, false, true]);
    }

    #[test]
    fn reports_are_read_back_and_others_say_nothing() {
        let report = Report {
            generation: 3,
            revisions: [("users".to_owned(), "ab".to_owned())].into(),
            version: 7,
            proposal: Some((8, Err("warm: no memory".to_owned()))),
            error: Some("x".to_owned()),
        };
        let text = serde_json::to_string(&report).unwrap();
        let rows = vec![
            row("a", "a", 0.0, &text),
            row("b", "b", 0.0, "{\"version\":4,\"new\":true}"),
            row("c", "c", 0.0, "[]"),
        ];
        let read = reports(rows);
        assert_eq!(read[0].report, report);
        assert_eq!(read[1].report.version, 4);
        assert_eq!(read[2].report, Report::default());
    }

    #[test]
    fn instances_differ() {
        let (a, b) = (new_instance(), new_instance());
        assert_eq!(a.len(), 32);
        assert_ne!(a, b);
    }
}
