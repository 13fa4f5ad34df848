//! How much memory the process may have.

use procfs::process::Process;
use procfs::{Current as _, Meminfo, ProcessCGroup};
use std::path::{Path, PathBuf};

/// Of four parts, those that instances may have, unless it is said otherwise: what
/// remains is the host's own, the compiler's and that of answers on their way. A node
/// that ran with 1 GiB held 584 MiB with four imports of 128 MiB each and load.
const OF_FOUR: u64 = 3;

/// Where control groups are mounted.
const GROUPS: &str = "/sys/fs/cgroup";

/// What instances may hold together where nothing is said of it, in bytes.
pub(super) fn usual() -> u64 {
    // Where the system does not say what there is, it is not for us to bound.
    allowed().map_or(u64::MAX, |bytes| bytes / 4 * OF_FOUR)
}

/// What the process may have: as much as its machine, or a control group of its,
/// whichever is least.
fn allowed() -> Option<u64> {
    let machine = Meminfo::current().ok().map(|memory| memory.mem_total);
    let groups = Process::myself().and_then(|process| process.cgroups());
    let groups = groups.map(|groups| groups.0).unwrap_or_default();
    let limits = groups.iter().filter_map(limit);
    machine.into_iter().chain(limits).min()
}

/// The limit of a group of memory, or of one around it. In a container the group is
/// often seen as the root, or by a path of the machine that is not there.
fn limit(group: &ProcessCGroup) -> Option<u64> {
    let (mount, file) = if group.hierarchy == 0 {
        (PathBuf::from(GROUPS), "memory.max")
    } else if group.controllers.iter().any(|name| name == "memory") {
        (Path::new(GROUPS).join("memory"), "memory.limit_in_bytes")
    } else {
        return None;
    };
    let path = group.pathname.trim_start_matches('/');
    let around = Path::new(path).ancestors();
    around
        .filter_map(|path| std::fs::read_to_string(mount.join(path).join(file)).ok())
        .filter_map(|text| text.trim().parse().ok())
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_more_than_the_machine_has() {
        let machine = Meminfo::current().unwrap().mem_total;
        let allowed = allowed().unwrap();
        assert!((1 << 20..=machine).contains(&allowed), "{allowed}");
        assert!(usual() < allowed);
    }

    #[test]
    fn what_is_no_group_of_memory_has_no_limit_of_it() {
        let group = ProcessCGroup {
            hierarchy: 3,
            controllers: vec!["cpu".into()],
            pathname: "/".into(),
        };
        assert_eq!(limit(&group), None);
    }
}
