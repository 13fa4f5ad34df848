//! A file of one kind: its header, then rows that become batches.

use shared::Refusal;

use crate::{
    batch::Batch,
    csv::{Reader, Record, bad_row},
    kind::Kind,
};

/// A file being read.
pub(crate) struct Table {
    kind: Kind,
    reader: Reader,
    batch: Batch,
    header: bool,
    rows: u64,
}

impl Table {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            reader: Reader::new(),
            batch: Batch::default(),
            header: false,
            rows: 0,
        }
    }

    /// Reads on in a piece of the file, up to the end of one row; what is left of
    /// the piece. 400 if the header or the row is not the kind's.
    pub(crate) fn feed<'a>(&mut self, piece: &'a [u8]) -> Result<&'a [u8], Refusal> {
        let (taken, record) = self.reader.read(piece)?;
        if let Some(record) = record {
            take(
                self.kind,
                &mut self.header,
                &mut self.rows,
                &mut self.batch,
                &record,
            )?;
        }
        Ok(&piece[taken..])
    }

    /// Reads what the file's end completes. 400 if there was not even a header.
    pub(crate) fn end(&mut self) -> Result<(), Refusal> {
        while let (_, Some(record)) = self.reader.read(&[])? {
            take(
                self.kind,
                &mut self.header,
                &mut self.rows,
                &mut self.batch,
                &record,
            )?;
        }
        if self.header {
            Ok(())
        } else {
            Err(wrong_header(self.kind))
        }
    }

    /// The rows read since the last batch, once they are enough.
    pub(crate) fn full_batch(&mut self) -> Option<Batch> {
        self.batch
            .is_full()
            .then(|| std::mem::take(&mut self.batch))
    }

    /// The rows that are left.
    pub(crate) fn last_batch(&mut self) -> Batch {
        std::mem::take(&mut self.batch)
    }

    /// All rows, without the header.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }
}

fn take(
    kind: Kind,
    header: &mut bool,
    rows: &mut u64,
    batch: &mut Batch,
    record: &Record<'_>,
) -> Result<(), Refusal> {
    if !*header {
        if record.fields != kind.header() {
            return Err(wrong_header(kind));
        }
        *header = true;
        return Ok(());
    }
    let expected = kind.header().len();
    if record.fields.len() != expected {
        let problem = format!("has {} fields instead of {expected}", record.fields.len());
        return Err(bad_row(record.line, problem));
    }
    let cells = kind
        .cells(&record.fields)
        .map_err(|problem| bad_row(record.line, problem))?;
    batch.push(record.line, cells);
    *rows += 1;
    Ok(())
}

fn wrong_header(kind: Kind) -> Refusal {
    Refusal::invalid(format!(
        "file: must be CSV with the header {}",
        kind.header().join(",")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, file: &str) -> Result<(u64, usize), Refusal> {
        let mut table = Table::new(kind);
        let mut batches = 0;
        let mut rest = file.as_bytes();
        while !rest.is_empty() {
            rest = table.feed(rest)?;
            batches += usize::from(table.full_batch().is_some());
        }
        table.end()?;
        batches += usize::from(!table.last_batch().is_empty());
        Ok((table.rows(), batches))
    }

    const USERS: &str = "id,username,email,created_at";

    #[test]
    fn rows_become_batches() {
        let row = |id: u32| format!("\n{id},u{id},u{id}@e.com,2025-09-19 22:25:05");
        let file: String = std::iter::once(USERS.to_owned())
            .chain((1..=12_000).map(row))
            .collect();
        assert_eq!(read(Kind::Users, &file).unwrap(), (12_000, 3));
        assert_eq!(read(Kind::Users, USERS).unwrap(), (0, 0));
        assert_eq!(
            read(Kind::Users, &format!("\u{feff}{USERS}\r\n")).unwrap(),
            (0, 0)
        );
    }

    #[test]
    fn a_wrong_header_is_refused() {
        for file in [
            "",
            "\n",
            "not a csv",
            "id,username,email",
            "id,email,username,created_at",
            "id,username,email,created_at,more",
            "ID,username,email,created_at",
            "1,a,a@b,2025-09-19 22:25:05",
        ] {
            let refusal = read(Kind::Users, file).unwrap_err();
            assert_eq!(refusal.status, 400);
            assert!(
                refusal.message.contains(USERS),
                "{file}: {}",
                refusal.message
            );
        }
    }

    #[test]
    fn a_bad_row_is_named_by_its_line() {
        let good = "1,a,a@b,2025-09-19 22:25:05";
        for (row, problem) in [
            ("2,b", "line 4: has 2 fields instead of 4"),
            (
                "x,b,b@b,2025-09-19 22:25:05",
                "line 4: id: must be a positive integer",
            ),
            (
                "2,,b@b,2025-09-19 22:25:05",
                "line 4: username: must not be blank",
            ),
            (
                "2,b,b,2025-09-19 22:25:05",
                "line 4: email: must be an email address",
            ),
            (
                "2,b,b@b,2025-09-31 22:25:05",
                "line 4: created_at: must be a time like",
            ),
        ] {
            let refusal = read(Kind::Users, &format!("{USERS}\n{good}\n\n{row}\n")).unwrap_err();
            assert_eq!(refusal.status, 400);
            assert!(
                refusal.message.starts_with(problem),
                "{row}: {}",
                refusal.message
            );
        }
    }
}
