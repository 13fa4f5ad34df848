//! Ends the hosts of a test run that ended without ending them: one shell that
//! is told of each host, and ends those left when its input closes.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex};

const SCRIPT: &str = r#"
trap '' INT TERM
while read -r change pid; do
  case $change in
    +) pids="$pids $pid" ;;
    -) left=; for p in $pids; do [ "$p" = "$pid" ] || left="$left $p"; done; pids=$left ;;
  esac
done
for p in $pids; do kill -TERM "$p" 2>/dev/null; done
"#;

static REAPER: LazyLock<Mutex<Child>> = LazyLock::new(|| {
    let shell = Command::new("sh")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("there is a shell");
    Mutex::new(shell)
});

/// End this process at the latest when the test binary ends.
pub fn watch(pid: u32) {
    tell(&format!("+ {pid}\n"));
}

/// This process has ended.
pub fn forget(pid: u32) {
    tell(&format!("- {pid}\n"));
}

fn tell(line: &str) {
    let mut shell = REAPER.lock().expect("no one panics while holding it");
    let input = shell.stdin.as_mut().expect("the shell was given a pipe");
    input
        .write_all(line.as_bytes())
        .expect("the shell reads to the end");
}
