//! Rows on their way to the staging table, as one array per column.

use spin_sdk::pg::ParameterValue;

/// Rows or bytes at which a batch is sent: large enough to make round trips rare,
/// small enough for a few of them to fit in memory.
const MAX_ROWS: usize = 5_000;
const MAX_BYTES: usize = 1024 * 1024;

/// One field of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Int(Option<i64>),
    Text(Option<String>),
}

#[derive(Clone, Debug)]
enum Column {
    Ints(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
}

/// Rows of one kind; every row has the same cells.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
}

impl Batch {
    /// Adds a row; its line number goes first.
    pub(crate) fn push(&mut self, line: u64, cells: impl IntoIterator<Item = Cell>) {
        let line = Cell::Int(i64::try_from(line).ok());
        let cells = std::iter::once(line).chain(cells);
        for (index, cell) in cells.enumerate() {
            if index == self.columns.len() {
                self.columns.push(match cell {
                    Cell::Int(_) => Column::Ints(Vec::new()),
                    Cell::Text(_) => Column::Texts(Vec::new()),
                });
            }
            match (&mut self.columns[index], cell) {
                (Column::Ints(column), Cell::Int(value)) => {
                    self.bytes += size_of::<i64>();
                    column.push(value);
                }
                (Column::Texts(column), Cell::Text(value)) => {
                    self.bytes += value.as_ref().map_or(0, String::len);
                    column.push(value);
                }
                _ => unreachable!("the cells of a kind keep their types from row to row"),
            }
        }
        self.rows += 1;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.rows >= MAX_ROWS || self.bytes >= MAX_BYTES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The arrays, in the order of the cells.
    pub(crate) fn into_parameters(self) -> Vec<ParameterValue> {
        let columns = self.columns.into_iter();
        columns
            .map(|column| match column {
                Column::Ints(values) => ParameterValue::ArrayInt64(values),
                Column::Texts(values) => ParameterValue::ArrayStr(values),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_in_the_order_of_the_cells() {
        let mut batch = Batch::default();
        assert!(batch.is_empty());
        batch.push(2, [Cell::Int(Some(7)), Cell::Text(Some("a".into()))]);
        batch.push(3, [Cell::Int(None), Cell::Text(None)]);
        let parameters = batch.into_parameters();
        assert!(matches!(&parameters[..], [
            ParameterValue::ArrayInt64(lines),
            ParameterValue::ArrayInt64(ids),
            ParameterValue::ArrayStr(texts),
        ] if *lines == [Some(2), Some(3)] && *ids == [Some(7), None]
            && *texts == [Some("a".to_owned()), None]));
    }

    #[test]
    fn a_batch_is_bounded_in_rows_and_bytes() {
        let mut rows = Batch::default();
        let mut bytes = Batch::default();
        for line in 1..MAX_ROWS as u64 {
            rows.push(line, []);
        }
        assert!(!rows.is_full());
        rows.push(1, []);
        assert!(rows.is_full());
        bytes.push(1, [Cell::Text(Some("x".repeat(MAX_BYTES)))]);
        assert!(bytes.is_full());
    }
}
