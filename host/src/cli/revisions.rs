//! `warmlink revisions`: what can be gone back to.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use indicatif::HumanBytes;

use super::remote::{self, RemoteArgs, component_path};
use super::show::{Cell, Colours, Table, Tone, ago, no_controls, percent, short};
use super::{Failure, exit};
use crate::control::{RevisionRow, RevisionState, Revisions};

/// Lists the revisions of a component, newest first.
#[derive(Debug, Args)]
#[command(after_long_help = exit::HELP)]
pub(super) struct RevisionsArgs {
    /// The component, by its name in the manifest.
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    name: String,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Lists them.
///
/// # Errors
///
/// When the node does not answer, or knows no such component.
pub(super) fn run(args: RevisionsArgs) -> Result<ExitCode, Failure> {
    let path = component_path(&args.name, "revisions");
    remote::print(&args.remote, &path, |revisions, colours| {
        render(revisions, Utc::now(), colours)
    })
}

fn render(revisions: &Revisions, now: DateTime<Utc>, colours: Colours) -> String {
    if revisions.revisions.is_empty() {
        return format!("{} has no revisions\n", no_controls(&revisions.component));
    }
    let mut table = Table::new(["REVISION", "STATE", "SIZE", "DEPLOYED", "THROUGH", "NOTE"]);
    for row in &revisions.revisions {
        table.row([
            Cell::new(short(&row.revision)),
            state(row),
            Cell::maybe(row.bytes.map(HumanBytes)),
            Cell::maybe(row.deployed.as_deref().map(|time| since(time, now))),
            Cell::maybe(row.node.as_ref()),
            Cell::maybe(row.note.as_ref()),
        ]);
    }
    table.render(colours)
}

fn state(row: &RevisionRow) -> Cell {
    let (mut text, tone) = match row.state {
        RevisionState::Active => ("active".to_owned(), Tone::Good),
        RevisionState::Canary => match row.percent {
            Some(share) => (format!("canary {}", percent(share)), Tone::Warn),
            None => ("canary".to_owned(), Tone::Warn),
        },
        RevisionState::Previous => ("previous".to_owned(), Tone::Plain),
        RevisionState::Kept => ("kept".to_owned(), Tone::Plain),
    };
    if row.from_manifest {
        text.push_str(", from manifest");
    }
    Cell::new(text).tone(tone)
}

/// How long ago; the time as it is written where it is none that we know.
fn since(time: &str, now: DateTime<Utc>) -> String {
    DateTime::parse_from_rfc3339(time).map_or_else(
        |_| time.to_owned(),
        |time| ago((now - time.to_utc()).as_seconds_f64()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(digit: char, state: RevisionState) -> RevisionRow {
        RevisionRow {
            revision: digit.to_string().repeat(64),
            state,
            percent: None,
            from_manifest: false,
            bytes: Some(320_000),
            deployed: Some("2026-01-31T12:00:00+01:00".into()),
            node: Some("node-a".into()),
            note: None,
        }
    }

    #[test]
    fn revisions_are_a_table() {
        let revisions = Revisions {
            component: "redirect".into(),
            revisions: vec![
                RevisionRow {
                    percent: Some(12.5),
                    note: Some("faster 速い\u{1b}[2J".into()),
                    deployed: Some("2026-01-31T13:59:58Z".into()),
                    ..row('a', RevisionState::Canary)
                },
                row('b', RevisionState::Active),
                RevisionRow {
                    deployed: Some("yesterday".into()),
                    ..row('c', RevisionState::Previous)
                },
                RevisionRow {
                    from_manifest: true,
                    bytes: None,
                    deployed: None,
                    node: None,
                    ..row('d', RevisionState::Kept)
                },
            ],
        };
        let now = "2026-01-31T14:00:00Z".parse().unwrap();
        let expected = "\
REVISION      STATE                SIZE        DEPLOYED   THROUGH  NOTE
aaaaaaaaaaaa  canary 12.5 %        312.50 KiB  2 s ago    node-a   faster 速い[2J
bbbbbbbbbbbb  active               312.50 KiB  3 h ago    node-a
cccccccccccc  previous             312.50 KiB  yesterday  node-a
dddddddddddd  kept, from manifest
";
        assert_eq!(render(&revisions, now, Colours::NONE), expected);
    }

    #[test]
    fn none_is_said() {
        let none = Revisions {
            component: "redirect".into(),
            revisions: Vec::new(),
        };
        let said = render(&none, Utc::now(), Colours::NONE);
        assert_eq!(said, "redirect has no revisions\n");
    }
}
