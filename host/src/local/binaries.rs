//! Where the servers' programs are.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::Error;
use super::folder::Folder;
use super::{Options, Settings, package};

/// Folders where packages put PostgreSQL's server programs, outside the search
/// path: (parent, prefix of the versioned folder, what follows it).
const POSTGRES_PLACES: [(&str, &str, &str); 6] = [
    ("/usr/lib/postgresql", "", "bin"),          // Debian, Ubuntu
    ("/usr", "pgsql-", "bin"),                   // the project's own RPMs
    ("/usr/libexec", "postgresql", ""),          // Alpine
    ("/usr/lib", "postgresql", "bin"),           // SUSE
    ("/opt/homebrew/opt", "postgresql@", "bin"), // Homebrew
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql@", "bin"),
];

/// PostgreSQL's programs: those of one version, from one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PostgresBinaries {
    pub(super) postgres: PathBuf,
    pub(super) initdb: PathBuf,
    /// As a data folder's `PG_VERSION` has it: `15`.
    pub(super) major: String,
}

/// What was found for what was asked.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) postgres: Option<(PostgresBinaries, Settings)>,
    pub(super) valkey: Option<(PathBuf, Settings)>,
}

/// Finds the programs of every server asked for, or says all that is missing.
pub(super) fn find(options: &Options, folder: &Folder) -> Result<Found, Error> {
    let mut missing = Vec::new();
    let mut found = Found {
        postgres: None,
        valkey: None,
    };
    if let Some(settings) = &options.postgres {
        let made_by = super::postgres::made_by(folder);
        match find_postgres(made_by.as_deref()) {
            Some(binaries) => found.postgres = Some((binaries, settings.clone())),
            None => missing.push(format!(
                "no PostgreSQL server (`postgres` and `initdb`) was found in PATH or where \
                 packages put it: {}",
                package::postgres_hint()
            )),
        }
    }
    if let Some(settings) = &options.valkey {
        match find_valkey(folder.path()) {
            Some(binary) => found.valkey = Some((binary, settings.clone())),
            None => missing.push(format!(
                "no Valkey server (`valkey-server`) was found in PATH or under {}: {}",
                folder.path().join("tools").display(),
                package::valkey_hint()
            )),
        }
    }
    if missing.is_empty() {
        Ok(found)
    } else {
        Err(Error::Missing(missing))
    }
}

/// The version that made the existing data, else the one in PATH, else the newest.
fn find_postgres(made_by: Option<&str>) -> Option<PostgresBinaries> {
    let mut all: Vec<PostgresBinaries> = search_path("postgres")
        .into_iter()
        .chain(packaged_postgres())
        .filter_map(examine)
        .collect();
    let wanted = made_by.and_then(|major| all.iter().position(|found| found.major == major));
    if all.is_empty() {
        None
    } else {
        Some(all.swap_remove(wanted.unwrap_or(0)))
    }
}

/// `valkey-server` in PATH or the project's tools, else a `redis-server` in PATH.
fn find_valkey(state: &Path) -> Option<PathBuf> {
    search_path("valkey-server")
        .into_iter()
        .chain(tools(state, env::current_exe().ok().as_deref()))
        .chain(search_path("redis-server"))
        .find(|path| path.is_file())
        .and_then(|path| path.canonicalize().ok())
}

/// Where `make setup` puts a Valkey that no package provides: under the state
/// folder given, or under the default one of the clone that this binary was
/// built in.
fn tools(state: &Path, exe: Option<&Path>) -> Vec<PathBuf> {
    let clone = exe
        .into_iter()
        .flat_map(Path::ancestors)
        .map(|folder| folder.join(".warmlink"));
    std::iter::once(state.to_owned())
        .chain(clone)
        .map(|folder| folder.join("tools/valkey-server"))
        .collect()
}

fn search_path(program: &str) -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .filter(|path| path.is_file())
        .collect()
}

/// The server programs in the places that packages use, newest first.
fn packaged_postgres() -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for (parent, prefix, rest) in POSTGRES_PLACES {
        let Ok(entries) = Path::new(parent).read_dir() else {
            continue;
        };
        for entry in entries.flatten() {
            if let Some(major) = version_after(prefix, &entry.file_name().to_string_lossy()) {
                found.push((major, entry.path().join(rest).join("postgres")));
            }
        }
    }
    found.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    found
        .into_iter()
        .map(|(_, path)| path)
        .filter(|path| path.is_file())
        .collect()
}

fn version_after(prefix: &str, name: &str) -> Option<u32> {
    name.strip_prefix(prefix)?.parse().ok()
}

/// Looks at one `postgres`: its version, and its `initdb` beside it.
fn examine(postgres: PathBuf) -> Option<PostgresBinaries> {
    // A link in PATH leads to the folder that has the other programs.
    let postgres = postgres.canonicalize().ok()?;
    let initdb = postgres.with_file_name("initdb");
    if !initdb.is_file() {
        return None;
    }
    let output = Command::new(&postgres).arg("--version").output().ok()?;
    let major = major_version(&String::from_utf8_lossy(&output.stdout))?;
    Some(PostgresBinaries {
        postgres,
        initdb,
        major,
    })
}

/// The major version in `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`.
fn major_version(text: &str) -> Option<String> {
    let version = text.strip_prefix("postgres (PostgreSQL) ")?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_server_prints_them() {
        let debian = "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n";
        assert_eq!(major_version(debian).as_deref(), Some("15"));
        assert_eq!(
            major_version("postgres (PostgreSQL) 19beta1\n").as_deref(),
            Some("19")
        );
        assert_eq!(major_version("postgres (PostgreSQL) x").as_deref(), None);
        assert_eq!(major_version("redis 7"), None);
    }

    #[test]
    fn only_versioned_folders_count() {
        assert_eq!(version_after("", "15"), Some(15));
        assert_eq!(version_after("pgsql-", "pgsql-16"), Some(16));
        assert_eq!(version_after("postgresql", "postgresql"), None);
        assert_eq!(version_after("postgresql", "postgresql-common"), None);
    }

    #[test]
    fn tools_are_looked_for_in_the_state_folder_and_the_clone() {
        let found = tools(
            Path::new("/s"),
            Some(Path::new("/clone/target/release/warmlink")),
        );
        assert_eq!(found[0], Path::new("/s/tools/valkey-server"));
        assert!(found.contains(&PathBuf::from("/clone/.warmlink/tools/valkey-server")));
    }
}
