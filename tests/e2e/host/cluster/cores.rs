//! How much of the processors a host takes for its own: what the limit of its container
//! allows, by the quota of a control group of the test's.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::{available_parallelism, sleep};
use std::time::Duration;

use tokio::process::Command;
use warmlink_tests::daemonset::DaemonSet;
use warmlink_tests::{Host, Manifest, eventually, paths, process, run};

use super::SOON;

/// In microseconds, the kernel's and the cluster's default.
const PERIOD: u32 = 100_000;

/// A control group below this process's own, so that whatever bounds that bounds this, too.
struct Group(PathBuf);

impl Group {
    /// One with a quota of so many thousandths of a core. None where groups cannot be
    /// made, which takes root and the cgroup file system.
    fn of(thousandths: u32) -> Option<Self> {
        let (own, first) = own()?;
        let it = Self(own.join(format!("warmlink-tests-{}", std::process::id())));
        let quota = thousandths * (PERIOD / 1000);
        let set = fs::create_dir(&it.0).and_then(|()| {
            if first {
                fs::write(it.0.join("cpu.cfs_period_us"), PERIOD.to_string())?;
                fs::write(it.0.join("cpu.cfs_quota_us"), quota.to_string())
            } else {
                fs::write(it.0.join("cpu.max"), format!("{quota} {PERIOD}"))
            }
        });
        match set {
            Ok(()) => Some(it),
            Err(error) => {
                eprintln!("SKIPPED: a limit of cores: {}: {error}", it.0.display());
                None
            }
        }
    }

    fn processes(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Whoever was in it may take a moment to be gone.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            sleep(Duration::from_millis(20));
        }
        eprintln!("{} is left behind", self.0.display());
    }
}

/// The group that this process is in where processors are shared out, and whether that is
/// by the first version's rules.
fn own() -> Option<(PathBuf, bool)> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let mounted = |kind: &str, option: Option<&str>| {
        mounts.lines().find_map(|line| {
            let fields: Vec<_> = line.split(' ').collect();
            let has = |wanted: &str| fields[3].split(',').any(|it| it == wanted);
            (fields[2] == kind && option.is_none_or(has)).then(|| PathBuf::from(fields[1]))
        })
    };
    for line in groups.lines() {
        let [_, controllers, path] = line.splitn(3, ':').collect::<Vec<_>>()[..] else {
            continue;
        };
        let below = |root: PathBuf| root.join(path.trim_start_matches('/'));
        if controllers.split(',').any(|it| it == "cpu") {
            return Some((below(mounted("cgroup", Some("cpu"))?), true));
        }
        if controllers.is_empty()
            && let Some(root) = mounted("cgroup2", None)
            && shares_processors(&below(root.clone()))
        {
            return Some((below(root), false));
        }
    }
    eprintln!("SKIPPED: a limit of cores: no control group shares processors out here");
    None
}

/// Whether groups below this one can have a share of their own.
fn shares_processors(group: &Path) -> bool {
    let given = fs::read_to_string(group.join("cgroup.subtree_control"));
    given.is_ok_and(|given| given.split_whitespace().any(|it| it == "cpu"))
}

/// The threads that serve, as far as they run: a thread has its name from then on.
fn serving(host: &Host) -> usize {
    let threads = process::threads(host.pid());
    threads.iter().filter(|it| it.starts_with("core-")).count()
}

/// Starts a host with so many thousandths of a core, and waits for the threads that serve
/// in it to be as many as there are `cores`.
async fn serves_on(thousandths: u32, cores: usize) -> Option<()> {
    let group = Group::of(thousandths)?;
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("spin.toml");
    fs::write(&manifest, Manifest::one("http", "").text()).unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", "echo $$ >\"$0\" && exec \"$@\""])
        .arg(group.processes())
        .arg(paths::binary())
        .arg("up")
        .arg(&manifest)
        .current_dir(folder.path())
        .env_remove("WARMLINK_CORES")
        .env("WARMLINK_LISTEN", "127.0.0.1:0")
        .env("WARMLINK_ADMIN_LISTEN", "127.0.0.1:0")
        .env("WARMLINK_CACHE", paths::cache());
    let mut host = Host::launch(command, folder);
    host.opened().await;
    host.api().get("/echo").await.expect(200);
    eventually(&format!("{cores} threads serve"), SOON, || async {
        (serving(&host) == cores).then_some(())
    })
    .await;
    // And no more of them.
    host.api().get("/echo").await.expect(200);
    assert_eq!(serving(&host), cores, "of {thousandths} thousandths");
    assert_eq!(host.terminate().await.code(), Some(0));
    Some(())
}

#[test]
fn it_serves_on_as_many_cores_as_its_limit_has_whole_ones() {
    run(async {
        let there = available_parallelism().unwrap().get();
        let limit = DaemonSet::base().cpu_limit();
        for thousandths in [limit, 1500, 1000, 500] {
            let whole = (thousandths / 1000).max(1) as usize;
            if serves_on(thousandths, whole.min(there)).await.is_none() {
                return;
            }
        }
        if there == 1 {
            eprintln!("SKIPPED: a limit of cores below those there are: there is one");
        }
    });
}
