//! Durations, byte sizes and shares as people write them: `250ms`, `64MiB`, `5%`.

use std::time::Duration;

/// How a duration is written.
pub(crate) const DURATION_HELP: &str =
    "write a whole number and its unit, as in \"250ms\", \"5s\", \"2m\" or \"1h\"";

/// How a size is written.
pub(crate) const SIZE_HELP: &str = "write a whole number of bytes, or a number and its unit, as in \"512B\", \"16KiB\", \"64MiB\" or \"1GiB\"";

const DURATION_UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
const SIZE_UNITS: [(&str, u64); 4] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// Reads a duration such as `250ms`. The error says what is wrong with the text;
/// [`DURATION_HELP`] says how to write one.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    parse(text, &DURATION_UNITS, "duration").map(Duration::from_millis)
}

/// Reads a size in bytes such as `64MiB`. The error says what is wrong with the
/// text; [`SIZE_HELP`] says how to write one.
pub(crate) fn parse_size(text: &str) -> Result<usize, String> {
    let bytes = parse(text, &SIZE_UNITS, "size")?;
    usize::try_from(bytes).map_err(|_| format!("{text:?} is more than this machine can address"))
}

/// Reads a share such as `5%` or `0.25%`, in hundredths of a percent. It is at
/// least one of those, and at most all.
pub(crate) fn parse_percent(text: &str) -> Result<u32, String> {
    let wrong = || format!("{text:?} is not a share of a hundred");
    let number = text.trim();
    let number = number.strip_suffix('%').unwrap_or(number).trim_end();
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return Err(wrong());
    }
    if part.len() > 2 {
        return Err(format!("{text:?} has more than two decimals"));
    }
    let whole: u32 = whole.parse().map_err(|_| wrong())?;
    let part: u32 = format!("{part:0<2}").parse().map_err(|_| wrong())?;
    match whole
        .checked_mul(100)
        .and_then(|whole| whole.checked_add(part))
    {
        Some(0) => Err(format!("{text:?} is nothing")),
        Some(share) if share <= 10_000 => Ok(share),
        Some(_) | None => Err(format!("{text:?} is more than all")),
    }
}

/// The shortest exact way to write a share given in hundredths of a percent.
pub(crate) fn format_percent(share: u32) -> String {
    format!("{}%", f64::from(share) / 100.0)
}

fn parse(text: &str, units: &[(&str, u64)], what: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    if number.is_empty() {
        return Err(format!("{text:?} is not a {what}"));
    }
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Err(format!("{text:?} has no unit"));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(format!(
            "{text:?} is not a {what}: {unit:?} is not one of its units"
        ));
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*factor))
        .ok_or_else(|| format!("{text:?} is too large"))
}

/// The shortest exact way to write a duration; fractions of a millisecond are
/// not written.
pub(crate) fn format_duration(duration: Duration) -> String {
    format(
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        &DURATION_UNITS,
    )
}

/// The shortest exact way to write a size.
pub(crate) fn format_size(bytes: usize) -> String {
    format(bytes as u64, &SIZE_UNITS)
}

fn format(value: u64, units: &[(&str, u64); 4]) -> String {
    units
        .iter()
        .rev()
        .find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor))
        .map_or_else(
            || format!("0{}", units[0].0),
            |(unit, factor)| format!("{}{unit}", value / factor),
        )
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_to_two_decimals() {
        for (text, share) in [
            ("5%", 500),
            ("10", 1000),
            ("0.5 %", 50),
            ("99.99%", 9_999),
            ("100%", 10_000),
            (" 1.05%", 105),
        ] {
            assert_eq!(parse_percent(text), Ok(share), "{text}");
        }
        for text in [
            "",
            "%",
            "0",
            "0.00%",
            "100.01%",
            "1.234%",
            "-1%",
            "+1",
            ".5",
            "5.",
            "1e1",
            "99999999999%",
            "a%",
        ] {
            assert!(parse_percent(text).is_err(), "{text}");
        }
        for share in [1, 50, 105, 500, 9_999, 10_000] {
            assert_eq!(parse_percent(&format_percent(share)), Ok(share));
        }
    }

    #[test]
    fn durations_are_read() {
        for (text, millis) in [
            ("250ms", 250),
            ("5s", 5_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            (" 10 s ", 10_000),
            ("0s", 0),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "1.5s",
            "5 seconds",
            "5S",
            "1m30s",
            "99999999999999999999s",
            "9999999999999999999h",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("64MiB", 64 << 20),
            ("16KiB", 16 << 10),
            ("1GiB", 1 << 30),
            ("512B", 512),
            ("2 KiB", 2048),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "64",
            "64MB",
            "64M",
            "64mib",
            "-1B",
            "1.5MiB",
            "MiB",
            "99999999999999999999GiB",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for millis in [
            0, 1, 250, 1_000, 1_500, 60_000, 90_000, 3_600_000, 86_400_000,
        ] {
            let duration = Duration::from_millis(millis);
            assert_eq!(
                parse_duration(&format_duration(duration)),
                Ok(duration),
                "{millis}"
            );
        }
        assert_eq!(format_duration(Duration::from_secs(90)), "90s");
        for bytes in [0, 1, 1023, 1024, 1 << 20, (1 << 20) + 1, 3 << 30] {
            assert_eq!(parse_size(&format_size(bytes)), Ok(bytes), "{bytes}");
        }
        assert_eq!(format_size(64 << 20), "64MiB");
    }
}
