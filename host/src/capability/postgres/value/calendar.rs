//! Dates and times: PostgreSQL counts days and microseconds from 2000-01-01,
//! the interfaces have calendar fields.
//!
//! The calendar is chrono's, which ends with the year 262142; dates past it,
//! and PostgreSQL's `infinity`, are out of range here as they are under Spin.

use chrono::{Datelike, NaiveDate};

use super::{Date, DateTime, Time};

/// 2000-01-01, counted from 0001-01-01 as day 1.
const EPOCH_DAY: i32 = 730_120;
/// 2000-01-01T00:00:00Z, counted from 1970.
const EPOCH_SECONDS: i64 = 946_684_800;
const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// A day or an instant outside the calendar, `infinity` included; or fields
/// that name none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutOfRange;

pub(super) fn date_from_days(days: i32) -> Result<Date, OutOfRange> {
    let date = days
        .checked_add(EPOCH_DAY)
        .and_then(NaiveDate::from_num_days_from_ce_opt)
        .ok_or(OutOfRange)?;
    Ok((date.year(), narrow(date.month())?, narrow(date.day())?))
}

pub(super) fn days_from_date((year, month, day): Date) -> Result<i32, OutOfRange> {
    NaiveDate::from_ymd_opt(year, month.into(), day.into())
        .map(|date| date.num_days_from_ce() - EPOCH_DAY)
        .ok_or(OutOfRange)
}

/// `micros` since midnight; 24:00:00 is a time in PostgreSQL.
pub(super) fn time_from_micros(micros: i64) -> Result<Time, OutOfRange> {
    if !(0..=MICROS_PER_DAY).contains(&micros) {
        return Err(OutOfRange);
    }
    let seconds = micros / MICROS_PER_SECOND;
    Ok((
        narrow(seconds / 3_600)?,
        narrow(seconds / 60 % 60)?,
        narrow(seconds % 60)?,
        narrow(micros % MICROS_PER_SECOND * 1_000)?,
    ))
}

/// Nanoseconds below a microsecond are cut off, as Spin does.
pub(super) fn micros_from_time((hour, minute, second, nanos): Time) -> Result<i64, OutOfRange> {
    if minute > 59 || second > 59 || nanos > 999_999_999 {
        return Err(OutOfRange);
    }
    let seconds = i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second);
    let micros = seconds * MICROS_PER_SECOND + i64::from(nanos / 1_000);
    // At the day's end nothing may be cut off: that would be the next day's.
    if micros > MICROS_PER_DAY || (micros == MICROS_PER_DAY && nanos > 0) {
        return Err(OutOfRange);
    }
    Ok(micros)
}

pub(super) fn datetime_from_micros(micros: i64) -> Result<DateTime, OutOfRange> {
    let days = i32::try_from(micros.div_euclid(MICROS_PER_DAY)).map_err(|_| OutOfRange)?;
    let (year, month, day) = date_from_days(days)?;
    let (hour, minute, second, nanos) = time_from_micros(micros.rem_euclid(MICROS_PER_DAY))?;
    Ok((year, month, day, hour, minute, second, nanos))
}

pub(super) fn micros_from_datetime(
    (year, month, day, hour, minute, second, nanos): DateTime,
) -> Result<i64, OutOfRange> {
    let days = i64::from(days_from_date((year, month, day))?);
    let time = micros_from_time((hour, minute, second, nanos))?;
    days.checked_mul(MICROS_PER_DAY)
        .and_then(|micros| micros.checked_add(time))
        .ok_or(OutOfRange)
}

/// `seconds` since 1970.
pub(super) fn micros_from_timestamp(seconds: i64) -> Result<i64, OutOfRange> {
    seconds
        .checked_sub(EPOCH_SECONDS)
        .and_then(|seconds| seconds.checked_mul(MICROS_PER_SECOND))
        .ok_or(OutOfRange)
}

fn narrow<T, U: TryFrom<T>>(value: T) -> Result<U, OutOfRange> {
    U::try_from(value).map_err(|_| OutOfRange)
}
