//! Times: UTC, whole seconds, no zone.

use std::fmt;

use serde::{Serialize, Serializer};

/// A point in time, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    pub year: i32,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

impl Timestamp {
    /// Reads the form of the CSV files, `2025-09-19 22:25:05`; None if it is not
    /// that, or not a day or a time there is.
    pub fn from_csv(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let separators = [(4, b'-'), (7, b'-'), (10, b' '), (13, b':'), (16, b':')];
        if bytes.len() != 19 || separators.iter().any(|(at, byte)| bytes[*at] != *byte) {
            return None;
        }
        let year = number(&bytes[0..4])?;
        let pair = |at: usize| number(&bytes[at..at + 2]).and_then(|n| u8::try_from(n).ok());
        let time = Self {
            year: i32::from(year),
            month: pair(5)?,
            day: pair(8)?,
            hour: pair(11)?,
            minute: pair(14)?,
            second: pair(17)?,
        };
        time.exists().then_some(time)
    }

    fn exists(&self) -> bool {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let days = match self.month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            1..=12 => 31,
            _ => return false,
        };
        self.year > 0
            && (1..=days).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second < 60
    }
}

fn number(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + u16::from(byte - b'0'))
    })
}

/// The form of the API, `2025-09-19T22:25:05`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = self;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_times_become_api_times() {
        let time = Timestamp::from_csv("2025-09-19 22:25:05").unwrap();
        assert_eq!(time.to_string(), "2025-09-19T22:25:05");
        assert_eq!(
            serde_json::to_string(&time).unwrap(),
            "\"2025-09-19T22:25:05\""
        );
        assert!(Timestamp::from_csv("2024-02-29 00:00:00").is_some());
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in [
            "",
            "2025-09-19",
            "2025-09-19T22:25:05",
            "2025-9-19 22:25:05",
            "2025-09-19 22:25:5",
            "2025-02-29 00:00:00",
            "2100-02-29 00:00:00",
            "2025-04-31 00:00:00",
            "2025-13-01 00:00:00",
            "2025-00-01 00:00:00",
            "2025-01-00 00:00:00",
            "2025-01-01 24:00:00",
            "2025-01-01 00:60:00",
            "2025-01-01 00:00:60",
            "0000-01-01 00:00:00",
            "2025-09-19 22:25:05Z",
            "２025-09-19 22:25",
            "+025-09-19 22:25:05",
        ] {
            assert_eq!(Timestamp::from_csv(bad), None, "{bad}");
        }
    }
}
