//! A host where a container would have it: the first process of its own, nobody's user with
//! no capability, in a root that cannot be written, with a folder for its state.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command as Checked, Stdio};

use tempfile::TempDir;
use tokio::process::Command;
use warmlink_tests::daemonset::DaemonSet;
use warmlink_tests::{Host, Manifest, paths, process};

/// What kubelet makes of an `emptyDir` with an `fsGroup`.
const EMPTY_DIR: u32 = 0o2777;

/// Becomes the host. What is mounted is seen there alone, and goes with it.
const INSIDE: &str = r#"
set -eu
root=$1 state=$2 at=$3 user=$4 group=$5 volumes=$6 binary=$7
shift 7
mount --bind "$root" "$root"
# The libraries of host and `setpriv`, which an image would have of its own.
for folder in usr lib lib64; do
    [ -e "/$folder" ] || continue
    mount --bind "/$folder" "$root/$folder"
    mount -o remount,bind,ro "$root/$folder"
done
mount --bind "$binary" "$root/warmlink"
mount -o remount,bind,ro "$root/warmlink"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -o remount,bind,ro "$root"
mount --bind "$state" "$root$at"
exec unshare --root="$root" --wd=/app setpriv --reuid="$user" --regid="$group" \
    --groups="$volumes" --bounding-set=-all --inh-caps=-all --no-new-privs /warmlink "$@"
"#;

/// The place, and the volume in it, which outlive a host.
pub(super) struct Sandbox {
    folder: TempDir,
    set: DaemonSet,
}

impl Sandbox {
    /// None where this is not root, who alone may mount. `files` lie at their paths.
    pub(super) fn new(set: DaemonSet, files: &[(impl AsRef<str>, Vec<u8>)]) -> Option<Self> {
        let mounts = Checked::new("unshare")
            .args(["--mount", "--pid", "--fork", "mount", "-t", "tmpfs"])
            .args(["none", "/mnt"])
            .stderr(Stdio::null())
            .status();
        if !mounts.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: a host as in a container: it takes root to mount one");
            return None;
        }
        // Why any of this is done.
        assert_eq!(set.secures("readOnlyRootFilesystem"), Some(true));
        assert_eq!(set.secures("allowPrivilegeEscalation"), Some(false));
        let it = Self {
            folder: tempfile::tempdir().unwrap(),
            set,
        };
        let at = it.set.mounted_at("state");
        let folders = ["usr", "lib", "lib64", "proc", "dev", "app"];
        for folder in folders.into_iter().chain([at.trim_start_matches('/')]) {
            fs::create_dir_all(it.root().join(folder)).unwrap();
        }
        fs::write(it.root().join("warmlink"), "").unwrap();
        for (path, bytes) in files {
            let path = it.root().join(path.as_ref().trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        fs::create_dir(it.state()).unwrap();
        let [_, _, volumes] = it.set.identity();
        chown(it.state(), Some(0), Some(volumes)).unwrap();
        fs::set_permissions(it.state(), Permissions::from_mode(EMPTY_DIR)).unwrap();
        Some(it)
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    pub(super) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Starts the image's program with the manifests' arguments, in this environment and
    /// no other, and waits for its admin port.
    pub(super) async fn start(&self, env: &BTreeMap<String, String>) -> Host {
        let identity = self.set.identity().map(|id| id.to_string());
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private"])
            .args(["--pid", "--fork", "--kill-child"])
            .args(["sh", "-c", INSIDE, "sh"])
            .args([self.root(), self.state()])
            .arg(self.set.mounted_at("state"))
            .args(identity)
            .arg(paths::binary())
            .args(self.set.arguments())
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .envs(env);
        let mut host = Host::launch(command, tempfile::tempdir().unwrap());
        host.admin_bound().await;
        host.enter();
        host
    }
}

/// The application as the image has it (`scripts/image-root.sh`).
pub(super) fn application() -> Vec<(String, Vec<u8>)> {
    let root = paths::root();
    let manifest = fs::read_to_string(root.join("spin.toml")).unwrap();
    let mut files = Vec::new();
    for line in manifest.lines() {
        if let Some(path) = line.strip_prefix("source = \"") {
            let path = path.trim_end_matches('"');
            let bytes = fs::read(root.join(path)).unwrap();
            files.push((format!("/app/{path}"), bytes));
        }
    }
    for entry in fs::read_dir(root.join("components/schema")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let at = format!("/app/components/schema/{name}");
        files.push((at, fs::read(&path).unwrap()));
    }
    let public = manifest
        .lines()
        .filter(|line| !line.starts_with("metrics = "));
    let manifest = public.collect::<Vec<_>>().join("\n");
    files.push(("/app/spin.toml".to_owned(), manifest.into_bytes()));
    files
}

/// A guest that needs nothing.
pub(super) fn guest() -> Vec<(&'static str, Vec<u8>)> {
    let manifest = Manifest::one("./probe.wasm", "").text();
    vec![
        ("/app/spin.toml", manifest.into_bytes()),
        ("/app/probe.wasm", fs::read(paths::guest("http")).unwrap()),
    ]
}

/// It is who the manifests say, and may nothing.
pub(super) fn assert_confined(host: &Host, set: &DaemonSet) {
    let [user, group, volumes] = set.identity();
    let four = |id: u32| [id; 4].map(|it| it.to_string()).join(" ");
    let said = |name: &str| process::status(host.pid(), name);
    assert_eq!(said("Uid"), four(user));
    assert_eq!(said("Gid"), four(group));
    assert_eq!(said("Groups"), volumes.to_string());
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(said(set), "0000000000000000", "{set}");
    }
    assert_eq!(said("NoNewPrivs"), "1");
    // As in a container: no signal has an effect that it does not ask for.
    assert!(said("NSpid").ends_with(" 1"), "{}", said("NSpid"));
    // Not even by root, where the host stands.
    for path in ["more", "app/more"] {
        let error = fs::write(format!("/proc/{}/root/{path}", host.pid()), "").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem, "{path}");
    }
}

/// What lies in the state folder is the host's, and compiled code closed to all others.
pub(super) fn assert_state(state: &Path, set: &DaemonSet) {
    let [user, ..] = set.identity();
    let mut unseen = vec![state.join("cache")];
    while let Some(path) = unseen.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        assert_eq!(metadata.uid(), user, "{}", path.display());
        let open = metadata.mode() & 0o077;
        assert_eq!(open, 0, "{}: {:o}", path.display(), metadata.mode());
        if metadata.is_dir() {
            unseen.extend(fs::read_dir(&path).unwrap().map(|it| it.unwrap().path()));
        }
    }
}
