//! Tables that read the same in a terminal and as Markdown.

use unicode_width::UnicodeWidthStr as _;

/// Lays rows out under a head, the columns from the second on at their right
/// edge where they are numbers.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            let longest = cells.map(|cell| cell.width()).max();
            longest.unwrap_or(0).max(head[column].width()).max(3)
        })
        .collect();
    let right: Vec<bool> = (0..head.len())
        .map(|column| {
            let mut cells = rows.iter().filter_map(|row| row.get(column));
            !rows.is_empty() && cells.all(|cell| is_number(cell))
        })
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.enumerate().map(|(column, cell)| {
            let blank = " ".repeat(widths[column] - cell.width());
            if right[column] {
                format!("{blank}{cell}")
            } else {
                format!("{cell}{blank}")
            }
        });
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let mut text = line(&mut head.iter().copied());
    let rule = widths.iter().zip(&right).map(|(width, right)| {
        let dashes = "-".repeat(width - 1);
        if *right {
            format!("{dashes}:")
        } else {
            format!("{dashes}-")
        }
    });
    text.push_str(&format!("| {} |\n", rule.collect::<Vec<_>>().join(" | ")));
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}

fn is_number(cell: &str) -> bool {
    cell.is_empty() || cell.starts_with(|first: char| first.is_ascii_digit())
}

/// A whole number, with a comma between thousands.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            vec!["a".to_owned(), "1,000".to_owned()],
            vec!["µµµµ".to_owned(), "7".to_owned()],
        ];
        let expected = "\
| x    |   y/s |
| ---- | ----: |
| a    | 1,000 |
| µµµµ |     7 |
";
        assert_eq!(table(&["x", "y/s"], &rows), expected);
    }

    #[test]
    fn thousands_are_told_apart() {
        assert_eq!(thousands(0.4), "0");
        assert_eq!(thousands(999.6), "1,000");
        assert_eq!(thousands(116_032.0), "116,032");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
    }
}
