//! A compile cache that cannot be written, or read, or believed.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use warmlink_tests::control::Ended;
use warmlink_tests::revisions::named;
use warmlink_tests::{Control, Host, HostOptions, Manifest, control, run};

/// A disk of four mebibytes; it goes with this value.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// None where this is not root, who alone may mount.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m,mode=0700", "small"])
            .arg(folder.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        eprintln!("SKIPPED: a full disk: it takes root to mount one");
        None
    }

    /// Leaves no room.
    fn fill(&self) {
        let mut file = fs::File::create(self.0.path().join("filler")).unwrap();
        let piece = [1; 4096];
        while file.write_all(&piece).is_ok() {}
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // At once where nobody is in it, and otherwise once nobody is.
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

async fn host_on(disk: &SmallDisk) -> Host {
    let options = HostOptions::new(Manifest::one("revision", ""));
    Host::start(options.env("WARMLINK_CACHE", disk.path())).await
}

async fn name(host: &Host) -> String {
    let reply = host.api().get("/body?lines=3").await.expect(200);
    control::name(&reply.headers, &reply.body, 3).unwrap()
}

/// How often it was said that the cache cannot be written.
fn complaints(host: &Host) -> usize {
    let lines = host.log().lines();
    let said = |line: &&String| line.contains("WARN") && line.contains("No space left");
    lines.iter().filter(said).count()
}

#[test]
fn a_full_disk_is_no_obstacle_to_a_start() {
    run(async {
        let Some(disk) = SmallDisk::mount() else {
            return;
        };
        disk.fill();
        let host = host_on(&disk).await;
        assert_eq!(name(&host).await, "original");
        assert_eq!(complaints(&host), 1);
    });
}

#[test]
fn nor_is_it_to_a_deploy() {
    run(async {
        let Some(disk) = SmallDisk::mount() else {
            return;
        };
        let host = host_on(&disk).await;
        disk.fill();
        assert_eq!(name(&host).await, "original");
        Control::of(&host).deploy("probe", named("new", "ok")).await;
        assert_eq!(name(&host).await, "new");
        assert_eq!(complaints(&host), 1);
    });
}

#[test]
fn a_disk_that_fills_up_is_no_obstacle_to_who_serves() {
    run(async {
        let Some(disk) = SmallDisk::mount() else {
            return;
        };
        let host = host_on(&disk).await;
        disk.fill();
        let control = Control::of(&host);
        let reply = control.try_deploy("probe", named("new", "ok"), "").await;
        // Whatever becomes of the deploy, the component answers, as one or the other.
        let deployed = reply.status == 200 && Ended::of(reply).last()["event"] == "done";
        let wanted = if deployed { "new" } else { "original" };
        assert_eq!(name(&host).await, wanted);
        // With room, the next one is as usual.
        fs::remove_file(disk.0.path().join("filler")).unwrap();
        control.deploy("probe", named("next", "ok")).await;
        assert_eq!(name(&host).await, "next");
    });
}

/// What a file of compiled code may be found to be.
type Damage = (&'static str, fn(&Path));

fn cut(path: &Path, length: impl Fn(usize) -> usize) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..length(bytes.len())]).unwrap();
}

const UNUSABLE: &[Damage] = &[
    ("empty", |path| cut(path, |_| 0)),
    ("half", |path| cut(path, |length| length / 2)),
    ("all but a byte", |path| cut(path, |length| length - 1)),
    ("no head", |path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[..64].fill(0);
        fs::write(path, bytes).unwrap();
    }),
    ("leads nowhere", |path| {
        fs::remove_file(path).unwrap();
        symlink(path, path).unwrap();
    }),
    // Root reads it all the same.
    ("closed", |path| {
        fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
    }),
];

const CHANGED: &[Damage] = &[
    ("a bit of its code", |path| {
        let mut bytes = fs::read(path).unwrap();
        let half = bytes.len() / 2;
        bytes[half] ^= 1;
        fs::write(path, bytes).unwrap();
    }),
    ("zeros in its middle", |path| {
        let mut bytes = fs::read(path).unwrap();
        let half = bytes.len() / 2;
        bytes[half..half + 4096].fill(0);
        fs::write(path, bytes).unwrap();
    }),
];

#[test]
fn compiled_code_that_cannot_be_read_is_made_again() {
    run(made_again(UNUSABLE));
}

#[test]
fn compiled_code_that_was_changed_is_made_again() {
    run(made_again(CHANGED));
}

/// Starts hosts on a cache whose one file was damaged, each in its way.
async fn made_again(damages: &[Damage]) {
    let folder = tempfile::tempdir().unwrap();
    let host_on = async |cache: &Path| {
        let options = HostOptions::new(Manifest::one("revision", ""));
        Host::start(options.env("WARMLINK_CACHE", cache.to_str().unwrap())).await
    };
    let first = folder.path().join("first");
    host_on(&first).await.terminate().await;
    let files: Vec<_> = fs::read_dir(&first).unwrap().collect();
    let [Ok(file)] = files.as_slice() else {
        panic!("{files:?}");
    };
    let compiled = fs::read(file.path()).unwrap();
    for (damage, make) in damages {
        let cache = folder.path().join(damage);
        fs::create_dir(&cache).unwrap();
        fs::set_permissions(&cache, Permissions::from_mode(0o700)).unwrap();
        let path = cache.join(file.file_name());
        fs::write(&path, &compiled).unwrap();
        make(&path);
        let mut host = host_on(&cache).await;
        assert_eq!(name(&host).await, "original", "{damage}");
        assert_eq!(host.terminate().await.code(), Some(0), "{damage}");
        let whole = fs::read(&path).unwrap() == compiled;
        assert!(whole, "{damage}: it is as it was found");
    }
}
