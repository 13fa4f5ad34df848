//! Files of anybody's, in pieces of any size.

use chance::{Chance, cases};
use shared::Refusal;

use crate::{csv::Reader, kind::Kind, table::Table};

/// All records of a file that arrives in pieces.
fn records(
    file: &[u8],
    pieces: &mut dyn FnMut() -> usize,
) -> Result<Vec<(u64, Vec<String>)>, Refusal> {
    let mut reader = Reader::new();
    let mut records = Vec::new();
    let mut rest = file;
    loop {
        let (mut piece, after) =
            rest.split_at(pieces().clamp(1, rest.len().max(1)).min(rest.len()));
        rest = after;
        let end = piece.is_empty();
        loop {
            let (taken, record) = reader.read(piece)?;
            let whole = record.is_some();
            records.extend(record.map(|record| {
                let fields = record.fields.iter().map(|field| (*field).to_owned());
                (record.line, fields.collect())
            }));
            piece = &piece[taken..];
            // The end is told until it completes nothing more.
            if (piece.is_empty() && !end) || (end && !whole) {
                break;
            }
        }
        if end {
            return Ok(records);
        }
    }
}

fn quoted(chance: &mut Chance, field: &str) -> String {
    if field.contains(['"', ',', '\r', '\n']) || chance.once_in(4) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[test]
fn what_is_written_as_csv_is_read_back() {
    cases(1_500, |chance| {
        let mut file = String::new();
        let mut wanted = Vec::new();
        let mut line = 1;
        for _ in 0..chance.within(0..6) {
            let mut fields: Vec<String> =
                (0..chance.within(1..6)).map(|_| chance.text(6)).collect();
            // One that is not quoted would be an empty line.
            if fields.len() == 1 && fields[0].is_empty() {
                fields.push(String::new());
            }
            // Some files begin with a mark of their encoding, which is no part of them.
            if file.is_empty() && fields[0].starts_with('\u{feff}') {
                continue;
            }
            let row: Vec<String> = fields.iter().map(|field| quoted(chance, field)).collect();
            let row = row.join(",");
            wanted.push((line, fields));
            line += row.matches('\n').count() as u64 + 1;
            file.push_str(&row);
            file.push_str(chance.pick(&["\n", "\r\n"]));
        }
        if chance.once_in(2) && file.ends_with('\n') {
            file.pop();
        }
        let read = records(file.as_bytes(), &mut || chance.within(1..9));
        assert_eq!(read, Ok(wanted), "{file:?}");
    });
}

/// A file that is nearly right.
fn near_file(chance: &mut Chance, kind: Kind) -> Vec<u8> {
    let rows: &[&str] = match kind {
        Kind::Users => &[
            "1,a,a@b,2025-09-19 22:25:05",
            "2,\"a,\"\"b\",b@b,2025-09-19 22:25:05",
        ],
        Kind::Urls => &["7,,abc123,https://e.com/,,True,2025-09-19 22:25:05,2025-09-19 22:25:05"],
        Kind::Events => &[
            "1,2,3,click,2025-09-19 22:25:05,\"{\"\"a\"\":[1]}\"",
            "2,2,,x,2025-09-19 22:25:05,{}",
        ],
    };
    let mut file = kind.header().join(",");
    for _ in 0..chance.within(0..4) {
        file.push('\n');
        file.push_str(chance.pick(rows));
    }
    if chance.once_in(2) {
        file = chance.damaged(&file);
    }
    let mut file = file.into_bytes();
    if chance.once_in(4) {
        let at = chance.within(0..file.len() + 1);
        file.splice(at..at, chance.bytes(3));
    }
    file
}

#[test]
fn a_file_is_taken_or_refused_however_it_arrives() {
    let (mut taken, mut refused) = (0, 0);
    cases(2_500, |chance| {
        let kind = chance.pick(&[Kind::Users, Kind::Urls, Kind::Events]);
        let file = near_file(chance, kind);
        let read = |piece: usize| {
            let mut table = Table::new(kind);
            for piece in file.chunks(piece) {
                let mut rest = piece;
                while !rest.is_empty() {
                    rest = table.feed(rest)?;
                }
            }
            table.end()?;
            let rows = table.rows();
            Ok::<_, Refusal>((rows, table.last_batch().into_parameters().len()))
        };
        let whole = read(usize::MAX);
        assert_eq!(read(chance.within(1..9)), whole, "{}", file.escape_ascii());
        match whole {
            Ok(_) => taken += 1,
            Err(refusal) => {
                refused += 1;
                let told = ["line ", "file: "]
                    .iter()
                    .any(|it| refusal.message.starts_with(it));
                assert!(refusal.status == 400 && told, "{}", refusal.message);
            }
        }
    });
    assert!(taken > 500 && refused > 500, "{taken} {refused}");
}
