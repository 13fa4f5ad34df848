//! What the system knows of a process, and what it may be told about it.

use std::fs;
use std::process::Command;
use std::time::Duration;

/// The unit of times in `/proc`, on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// The most physical memory it has had since its start, or since [`forget_peak`].
///
/// # Panics
/// Where the process has ended.
pub fn peak_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    kilobytes
        .expect("it has memory")
        .parse::<u64>()
        .expect("a number")
        * 1024
}

/// From now on the peak is of what follows.
///
/// # Panics
/// Where the process has ended.
pub fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the process is ours");
}

/// The time that processors have worked for it.
///
/// # Panics
/// Where the process has ended.
pub fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    // The name before it may have spaces of its own.
    let (_, rest) = stat.rsplit_once(") ").expect("a name in parentheses");
    let fields: Vec<_> = rest.split(' ').collect();
    let ticks = |at: usize| fields[at].parse::<u32>().expect("a number");
    TICK * (ticks(11) + ticks(12))
}

/// How many descriptors it may have open: for now, and at most.
///
/// # Panics
/// Where the process has ended.
pub fn descriptor_limits(pid: u32) -> (u64, u64) {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("the process runs");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let line = line.expect("every process has it");
    let mut numbers = line.split_whitespace().skip(3);
    let mut next = || match numbers.next() {
        Some("unlimited") => u64::MAX,
        number => number.and_then(|it| it.parse().ok()).expect("a number"),
    };
    (next(), next())
}

/// Lets it have so many descriptors from now on; false where the system refuses.
pub fn limit_descriptors(pid: u32, now: u64, at_most: u64) -> bool {
    Command::new("prlimit")
        .arg(format!("--pid={pid}"))
        .arg(format!("--nofile={now}:{at_most}"))
        .status()
        .is_ok_and(|status| status.success())
}

/// Has this process, and those that it starts from now on, have room for so many
/// descriptors; false where the system refuses.
pub fn make_room(wanted: u64) -> bool {
    let own = std::process::id();
    let (now, at_most) = descriptor_limits(own);
    now >= wanted || limit_descriptors(own, wanted, at_most.max(wanted))
}
