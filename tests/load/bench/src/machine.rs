//! Where and of what a run was.

use std::process::Command;

use anyhow::Context as _;

/// The machine and the sources.
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory: String,
    pub(crate) kernel: String,
    pub(crate) commit: String,
}

impl Machine {
    /// # Errors
    /// Where the machine does not say.
    pub(crate) fn look() -> anyhow::Result<Self> {
        let cpus = std::fs::read_to_string("/proc/cpuinfo")?;
        let memory = std::fs::read_to_string("/proc/meminfo")?;
        let kilobytes: u64 = value(&memory, "MemTotal")
            .and_then(|value| value.split_whitespace().next()?.parse().ok())
            .context("a size of memory")?;
        Ok(Self {
            cpu: value(&cpus, "model name").unwrap_or("unknown").to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            memory: format!("{:.0} GiB", kilobytes as f64 / f64::from(1 << 20)),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")?
                .trim()
                .to_owned(),
            commit: commit()?,
        })
    }
}

/// The value of the first line `NAME : VALUE`.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// The commit that is checked out; what was changed since makes it `dirty`, the
/// record of an earlier run aside.
fn commit() -> anyhow::Result<String> {
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&[
        "status",
        "--porcelain",
        "--",
        ":/",
        ":(exclude,top)tests/load/results.md",
    ])?;
    Ok(if changed.is_empty() {
        commit
    } else {
        format!("{commit}, dirty")
    })
}

fn git(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git")
        .args(arguments)
        .output()
        .context("running git")?;
    anyhow::ensure!(
        output.status.success(),
        "git {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name() {
        let text = "processor\t: 0\nmodel name\t: A CPU @ 2: GHz\nmodel name\t: B\n";
        assert_eq!(value(text, "model name"), Some("A CPU @ 2: GHz"));
        assert_eq!(value(text, "flags"), None);
    }
}
