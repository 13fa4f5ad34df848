//! CSV, record by record, from pieces of any size.

use csv_core::ReadRecordResult;
use shared::Refusal;

/// The longest record, in bytes: room for a row with the longest fields several
/// times over. An open quote would otherwise swallow a whole file.
const MAX_RECORD: usize = 256 * 1024;
/// More columns than any file here has; one beyond them is a row of another kind.
const MAX_FIELDS: usize = 16;

/// A reader of records, and of where in the file they stand.
pub(crate) struct Reader {
    core: csv_core::Reader,
    /// The record so far: its fields one after another, and where each ends.
    text: Vec<u8>,
    used: usize,
    ends: [usize; MAX_FIELDS],
    fields: usize,
    /// Lines that ended before what is read next.
    lines: u64,
    /// The line on which the record begins; None before its first byte.
    begins: Option<u64>,
}

/// A whole record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// From 1, the header's.
    pub(crate) line: u64,
    pub(crate) fields: Vec<&'a str>,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self {
            core: csv_core::Reader::new(),
            text: vec![0; 8 * 1024],
            used: 0,
            ends: [0; MAX_FIELDS],
            fields: 0,
            lines: 0,
            begins: None,
        }
    }

    /// Reads on, up to the end of one record: how much of the input that took,
    /// and the record if it is whole. An empty input is the file's end.
    pub(crate) fn read(&mut self, input: &[u8]) -> Result<(usize, Option<Record<'_>>), Refusal> {
        let mut taken = 0;
        if self.begins.is_none() {
            // Empty lines, and the rest of a line's end, belong to no record.
            taken = input
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n'))
                .count();
            self.count_lines(&input[..taken]);
            if taken == input.len() && taken > 0 {
                return Ok((taken, None));
            }
            self.begins = Some(self.lines + 1);
        }
        let line = self.begins.unwrap_or(self.lines + 1);
        loop {
            let (result, read, written, ended) = self.core.read_record(
                &input[taken..],
                &mut self.text[self.used..],
                &mut self.ends[self.fields..],
            );
            self.count_lines(&input[taken..taken + read]);
            taken += read;
            self.used += written;
            self.fields += ended;
            match result {
                ReadRecordResult::InputEmpty => return Ok((taken, None)),
                ReadRecordResult::OutputFull if self.text.len() < MAX_RECORD => {
                    self.text.resize(self.text.len() * 2, 0);
                }
                ReadRecordResult::OutputFull => {
                    return Err(bad_row(line, "is too long, or a quote is not closed"));
                }
                ReadRecordResult::OutputEndsFull => {
                    return Err(bad_row(line, "has too many fields"));
                }
                ReadRecordResult::Record => break,
                ReadRecordResult::End => return Ok((taken, None)),
            }
        }
        self.begins = None;
        let (used, fields) = (self.used, self.fields);
        (self.used, self.fields) = (0, 0);
        let text = std::str::from_utf8(&self.text[..used])
            .map_err(|_| bad_row(line, "is not text in UTF-8"))?;
        let starts = std::iter::once(0).chain(self.ends[..fields].iter().copied());
        let fields = starts
            .zip(&self.ends[..fields])
            .map(|(start, end)| text.get(start..*end));
        let fields: Option<Vec<_>> = fields.collect();
        let fields = fields.ok_or_else(|| bad_row(line, "is not text in UTF-8"))?;
        Ok((taken, Some(Record { line, fields })))
    }

    fn count_lines(&mut self, bytes: &[u8]) {
        self.lines += bytes
            .iter()
            .map(|byte| u64::from(*byte == b'\n'))
            .sum::<u64>();
    }
}

/// 400 about a row, by its line.
pub(crate) fn bad_row(line: u64, problem: impl std::fmt::Display) -> Refusal {
    Refusal::invalid(format!("line {line}: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All records of a file that arrives in pieces of one size.
    fn read(file: &[u8], piece: usize) -> Result<Vec<(u64, Vec<String>)>, Refusal> {
        let mut reader = Reader::new();
        let mut records = Vec::new();
        let mut take = |record: Record<'_>| {
            let fields = record
                .fields
                .iter()
                .map(|field| (*field).to_owned())
                .collect();
            records.push((record.line, fields));
        };
        for chunk in file.chunks(piece) {
            let mut rest = chunk;
            while !rest.is_empty() {
                let (taken, record) = reader.read(rest)?;
                record.into_iter().for_each(&mut take);
                rest = &rest[taken..];
            }
        }
        while let (_, Some(record)) = reader.read(&[])? {
            take(record);
        }
        Ok(records)
    }

    fn rows(rows: &[(u64, &[&str])]) -> Vec<(u64, Vec<String>)> {
        rows.iter()
            .map(|(n, f)| (*n, f.iter().map(|f| (*f).to_owned()).collect()))
            .collect()
    }

    #[test]
    fn records_and_lines_do_not_depend_on_the_pieces() {
        let file = b"a,b\r\n1,\"x\ny\"\r\n\r\n2,\"\"\"q\"\",\"\n3,last";
        let whole = rows(&[
            (1, &["a", "b"]),
            (2, &["1", "x\ny"]),
            (5, &["2", "\"q\","]),
            (6, &["3", "last"]),
        ]);
        for piece in 1..=file.len() {
            assert_eq!(read(file, piece).unwrap(), whole, "{piece}");
        }
    }

    #[test]
    fn a_file_may_end_anyhow() {
        assert_eq!(read(b"", 1).unwrap(), rows(&[]));
        assert_eq!(read(b"\n\r\n", 1).unwrap(), rows(&[]));
        assert_eq!(read(b"a\n", 9).unwrap(), rows(&[(1, &["a"])]));
        assert_eq!(read(b"a,", 9).unwrap(), rows(&[(1, &["a", ""])]));
    }

    #[test]
    fn what_cannot_be_a_record_is_refused() {
        let endless = [b"a\n\"".to_vec(), vec![b'x'; MAX_RECORD + 1]].concat();
        assert!(
            read(&endless, 4096)
                .unwrap_err()
                .message
                .starts_with("line 2: is too long")
        );
        let wide = ",".repeat(MAX_FIELDS + 1);
        assert_eq!(
            read(wide.as_bytes(), 7).unwrap_err().message,
            "line 1: has too many fields"
        );
        assert_eq!(
            read(b"a\n\xff\n", 9).unwrap_err().message,
            "line 2: is not text in UTF-8"
        );
        // Whole as a text, but not field by field.
        assert_eq!(read(b"\xc3,\xa9\n", 9).unwrap_err().status, 400);
    }
}
