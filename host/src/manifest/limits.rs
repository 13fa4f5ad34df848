//! Limits, their defaults and the reasons for them.

mod component;
mod host;

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

pub use component::ComponentLimits;
pub use host::HostLimits;

/// The same for every limit that is a time: below, a clock tick decides; above,
/// it is a mistake, and sums of clock and limit stay far from overflowing.
const TIMES: RangeInclusive<Duration> = Duration::from_millis(1)..=LONGEST;
const TIMES_OR_NONE: RangeInclusive<Duration> = Duration::ZERO..=LONGEST;
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Instances at 4 GiB of addresses each have to fit 47 bits, with room.
const MOST_IN_FLIGHT: u32 = 16_384;

const fn count(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}
