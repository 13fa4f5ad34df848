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
    size(pid, "VmHWM").expect("the process runs")
}

/// A size that the system names so; none where the process has ended.
pub fn size(pid: u32, name: &str) -> Option<u64> {
    let said = said(pid, name)?;
    let kilobytes: u64 = said.strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
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

/// The processes that it has started and not yet waited for.
///
/// # Panics
/// Where the system does not tell.
pub fn children(pid: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").expect("the system tells of its processes");
    all.filter_map(|entry| {
        let it: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        // It may have ended meanwhile.
        let stat = fs::read_to_string(format!("/proc/{it}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(") ")?;
        let parent: u32 = rest.split(' ').nth(1)?.parse().ok()?;
        (parent == pid).then_some(it)
    })
    .collect()
}

/// What the system says of it by this name, with one space between the words.
///
/// # Panics
/// Where it says nothing.
pub fn status(pid: u32, name: &str) -> String {
    said(pid, name).unwrap_or_else(|| panic!("nothing of {name}: {pid} may have ended"))
}

fn said(pid: u32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?.strip_prefix(':')?;
        Some(rest.split_whitespace().collect::<Vec<_>>().join(" "))
    })
}

/// The names of its threads.
///
/// # Panics
/// Where the process has ended.
pub fn threads(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .map(|name| name.trim_end().to_owned())
        .collect()
}

/// Has the system refuse it memory beyond so many bytes more than it has now, touched or
/// not; false where it cannot be had.
pub fn limit_memory(pid: u32, more: u64) -> bool {
    let Some(now) = size(pid, "VmData") else {
        return false;
    };
    // The upper limit stays, so that it can be lifted.
    Command::new("prlimit")
        .arg(format!("--pid={pid}"))
        .arg(format!("--data={}:", now + more))
        .status()
        .is_ok_and(|status| status.success())
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
