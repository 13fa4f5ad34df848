//! Tables of aligned columns.
//!
//! Written by hand: two spaces between columns are all there is to it, once the
//! width of a text on a terminal is known.

use super::{Colours, Tone, no_controls};
use unicode_width::UnicodeWidthStr as _;

const GAP: usize = 2;

/// A text of one line, and what it is to its reader.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// The text without its control characters.
    pub(in crate::cli) fn new(text: impl AsRef<str>) -> Self {
        Self {
            text: no_controls(text.as_ref()),
            tone: Tone::Plain,
        }
    }

    /// An optional text; an empty cell for none.
    pub(in crate::cli) fn maybe(text: Option<impl ToString>) -> Self {
        Self::new(text.map(|text| text.to_string()).unwrap_or_default())
    }

    /// The same in that tone.
    pub(in crate::cli) fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }
}

/// Rows under a head. Columns that no row has anything in are left out.
#[derive(Debug)]
pub(in crate::cli) struct Table<const N: usize> {
    head: [&'static str; N],
    rows: Vec<[Cell; N]>,
}

impl<const N: usize> Table<N> {
    /// No rows yet.
    pub(in crate::cli) fn new(head: [&'static str; N]) -> Self {
        let rows = Vec::new();
        Self { head, rows }
    }

    /// One more row.
    pub(in crate::cli) fn row(&mut self, cells: [Cell; N]) {
        self.rows.push(cells);
    }

    /// The lines, each ended; nothing without rows.
    pub(in crate::cli) fn render(&self, colours: Colours) -> String {
        let mut text = String::new();
        if self.rows.is_empty() {
            return text;
        }
        let widths: [usize; N] = std::array::from_fn(|column| {
            let widest = self.rows.iter().map(|row| row[column].text.width()).max();
            match widest.unwrap_or_default() {
                0 => 0,
                widest => widest.max(self.head[column].width()),
            }
        });
        let head = self.head.map(|name| Cell::new(name).tone(Tone::Head));
        for row in std::iter::once(&head).chain(&self.rows) {
            // Padding waits for a text after it: no line ends in spaces.
            let mut padding = 0;
            for (cell, width) in row.iter().zip(widths).filter(|(_, width)| *width > 0) {
                if !cell.text.is_empty() {
                    text.extend(std::iter::repeat_n(' ', padding));
                    text.push_str(&colours.paint(&cell.text, cell.tone));
                    padding = 0;
                }
                padding += width - cell.text.width().min(width) + GAP;
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_what_a_terminal_shows() {
        let mut table = Table::new(["NODE", "EMPTY", "STATE", "NOTE"]);
        table.row(["東京", "", "live", ""].map(Cell::new));
        table.row(["e\u{301}", "", "", "late"].map(Cell::new));
        table.row(["node-c", "", "away", "a\u{1b}[31mb"].map(Cell::new));
        let expected = "NODE    STATE  NOTE\n\
                        東京    live\n\
                        e\u{301}              late\n\
                        node-c  away   a[31mb\n";
        assert_eq!(table.render(Colours::NONE), expected);
        assert_eq!(Table::new(["A"]).render(Colours::NONE), "");
    }
}
