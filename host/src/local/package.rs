//! The command that installs a server on this system: named, never run. What
//! installs is `make setup`.

use std::env;
use std::ffi::OsStr;

/// (package manager's program, command for PostgreSQL, command for Valkey).
const MANAGERS: [(&str, &str, &str); 6] = [
    (
        "apt-get",
        "apt-get install postgresql",
        "apt-get install valkey-server",
    ),
    ("dnf", "dnf install postgresql-server", "dnf install valkey"),
    ("apk", "apk add postgresql", "apk add valkey"),
    ("pacman", "pacman -S postgresql", "pacman -S valkey"),
    (
        "zypper",
        "zypper install postgresql-server",
        "zypper install valkey",
    ),
    ("brew", "brew install postgresql", "brew install valkey"),
];

/// How to get PostgreSQL's server here.
pub(super) fn postgres_hint() -> String {
    hint(
        env::var_os("PATH").as_deref(),
        |(_, postgres, _)| postgres,
        "DATABASE_URL=postgres://…",
    )
}

/// How to get a Valkey server here.
pub(super) fn valkey_hint() -> String {
    hint(
        env::var_os("PATH").as_deref(),
        |(_, _, valkey)| valkey,
        "VALKEY_URL=redis://…",
    )
}

type Manager = (&'static str, &'static str, &'static str);

fn hint(path: Option<&OsStr>, pick: fn(Manager) -> &'static str, instead: &str) -> String {
    let has = |program: &str| {
        path.is_some_and(|path| env::split_paths(path).any(|folder| folder.join(program).is_file()))
    };
    let install = match MANAGERS.into_iter().find(|(program, ..)| has(program)) {
        Some(manager) => format!("`make setup`, or `{}`", pick(manager)),
        None => "the system's package manager".to_owned(),
    };
    format!("install it with {install}; or use a server of yours: {instead}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_command_of_the_manager_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().as_os_str();
        let valkey = |path| hint(path, |(_, _, valkey)| valkey, "X=y");
        assert_eq!(
            valkey(Some(path)),
            "install it with the system's package manager; or use a server of yours: X=y"
        );
        std::fs::write(folder.path().join("apk"), "").unwrap();
        assert!(valkey(Some(path)).contains("`apk add valkey`"));
        assert!(!valkey(None).contains("apk"));
    }
}
