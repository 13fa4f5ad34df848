//! The state folder: its lock, the servers' homes in it, and their passwords.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, chown, symlink,
};
use std::path::{Path, PathBuf};

use super::account::Account;
use super::error::Error;

/// Where homes go that the servers' account could not reach in the state folder.
const ELSEWHERE: &str = "/var/lib/warmlink";

const LOCK: &str = "lock";

/// An open, locked state folder.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    account: Option<Account>,
    // The lock ends with the file, and the file with the process.
    _lock: File,
}

/// The folder of one server. Ours, as the secrets and logs in it are; only `data`
/// and what the server must read belong to the server's account, so that a server
/// gone bad cannot lead us astray when we are root.
#[derive(Debug, Clone)]
pub(super) struct Home {
    pub(super) path: PathBuf,
    /// Whom the server runs as; `None`: as we are.
    pub(super) account: Option<Account>,
}

impl Folder {
    /// Makes the folder if need be, and takes its lock.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let account = Account::for_servers()?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(path)
            .map_err(Error::io("create", path))?;
        let path = path.canonicalize().map_err(Error::io("open", path))?;
        let used = path
            .read_dir()
            .map_err(Error::io("open", &path))?
            .next()
            .is_some();
        let ours = !used || path.join(LOCK).exists();
        let lock = lock(&path)?;
        if account.is_some() && ours {
            // The servers run as somebody else, who must pass through. What is
            // secret inside is closed by itself.
            let open = || {
                let mode = fs::metadata(&path)?.permissions().mode();
                fs::set_permissions(&path, Permissions::from_mode(mode | 0o011))
            };
            open().map_err(Error::io("open the way into", &path))?;
        }
        Ok(Self {
            path,
            account,
            _lock: lock,
        })
    }

    /// The folder's absolute path, free of links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The home of the server `name`: the existing one, or a new one.
    pub(super) fn home(&self, name: &str) -> Result<Home, Error> {
        let path = self.path.join(name);
        match path.canonicalize() {
            Ok(existing) => self.existing_home(existing),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.new_home(&path, name),
            Err(error) => Err(Error::io("open", &path)(error)),
        }
    }

    fn existing_home(&self, path: PathBuf) -> Result<Home, Error> {
        let Some(account) = &self.account else {
            return Ok(Home {
                path,
                account: None,
            });
        };
        // Data that an unprivileged host made stays its owner's.
        let data = path.join("data");
        let owner = Account::owner_of(&data).ok().filter(|owner| owner.uid != 0);
        let account = owner.unwrap_or_else(|| account.clone());
        match account
            .barred_from(&path)
            .map_err(Error::io("open", &path))?
        {
            None => Ok(Home {
                path,
                account: Some(account),
            }),
            Some(barrier) => Err(Error::Unreachable {
                account: account.name,
                barrier,
                target: path,
            }),
        }
    }

    fn new_home(&self, path: &Path, name: &str) -> Result<Home, Error> {
        let mut target = path.to_owned();
        if let Some(account) = &self.account
            && let Some(barrier) = account
                .barred_from(&self.path)
                .map_err(Error::io("open", &self.path))?
        {
            target = self.link_elsewhere(path, name, account, &barrier)?;
        }
        // The account may pass through to its data, and see nothing on the way.
        let mode = if self.account.is_some() { 0o711 } else { 0o700 };
        DirBuilder::new()
            .create(&target)
            .and_then(|()| fs::set_permissions(&target, Permissions::from_mode(mode)))
            .map_err(Error::io("create", &target))?;
        Ok(Home {
            path: target,
            account: self.account.clone(),
        })
    }

    /// Makes `path` a link to a new place that `account` can reach, and returns
    /// that place, not made yet.
    fn link_elsewhere(
        &self,
        path: &Path,
        name: &str,
        account: &Account,
        barrier: &Path,
    ) -> Result<PathBuf, Error> {
        let unreachable = || Error::Unreachable {
            account: account.name.clone(),
            barrier: barrier.to_owned(),
            target: self.path.clone(),
        };
        let parent = Path::new(ELSEWHERE);
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)
            .map_err(Error::io("create", parent))?;
        if account
            .barred_from(parent)
            .map_err(Error::io("open", parent))?
            .is_some()
        {
            return Err(unreachable());
        }
        let target = parent.join(format!("{name}-{}", &random_hex()[..16]));
        // A dangling link is what is left when someone cleared the other place.
        if path.is_symlink() {
            fs::remove_file(path).map_err(Error::io("replace", path))?;
        }
        symlink(&target, path).map_err(Error::io("link", path))?;
        tracing::info!(
            account = account.name,
            closed = %barrier.display(),
            data = %target.display(),
            "the servers' account cannot enter the state folder; their data goes elsewhere",
        );
        Ok(target)
    }
}

impl Home {
    /// A file or folder in this home.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The password kept in the file `name`, if there is one.
    pub(super) fn password(&self, name: &str) -> Result<Option<String>, Error> {
        let path = self.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    /// The password kept in the file `name`, made now if there is none.
    pub(super) fn password_or_new(&self, name: &str) -> Result<String, Error> {
        if let Some(password) = self.password(name)? {
            return Ok(password);
        }
        let password = random_hex();
        self.write_secret(name, &password)?;
        Ok(password)
    }

    /// Makes an empty folder `name` for the server's account, in place of any
    /// that is there.
    pub(super) fn new_folder(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.join(name);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &path)(error));
            }
            _ => {}
        }
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .and_then(|()| self.give(&path))
            .map_err(Error::io("create", &path))?;
        Ok(path)
    }

    /// Writes a file that only we (and root) can read, whole or not at all.
    fn write_secret(&self, name: &str, text: &str) -> Result<(), Error> {
        self.write(name, text, |_| Ok(()))
    }

    /// Writes a file that only the server's account (and root) can read, whole or
    /// not at all.
    pub(super) fn write_for_server(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        self.write(name, text, |path| self.give(path))?;
        Ok(self.join(name))
    }

    fn write(
        &self,
        name: &str,
        text: &str,
        finish: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<(), Error> {
        let (path, new) = (self.join(name), self.join(&format!("{name}.new")));
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            finish(&new)?;
            fs::rename(&new, &path)
        };
        write().map_err(Error::io("write", &path))
    }

    fn give(&self, path: &Path) -> io::Result<()> {
        match &self.account {
            Some(account) => chown(path, Some(account.uid), Some(account.gid)),
            None => Ok(()),
        }
    }

    /// Opens a new log; the one of the run before is kept under `NAME.1`.
    pub(super) fn log(&self, name: &str) -> Result<(PathBuf, File), Error> {
        let path = self.join(name);
        match fs::rename(&path, self.join(&format!("{name}.1"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("rename", &path)(error));
            }
            _ => {}
        }
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(Error::io("create", &path))?;
        Ok((path, file))
    }
}

fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(Error::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let holder = match holder.trim() {
                "" => "another process".to_owned(),
                pid => format!("process {pid}"),
            };
            return Err(Error::Locked {
                folder: folder.to_owned(),
                holder,
            });
        }
        Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
    }
    let name_holder = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        file.set_permissions(Permissions::from_mode(0o644))
    };
    name_holder(&mut file).map_err(Error::io("write", &path))?;
    Ok(file)
}

/// 192 bits from the system's randomness, as text that no URL, SQL string or
/// configuration file needs to escape.
fn random_hex() -> String {
    hex::encode(rand::random::<[u8; 24]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_holder_at_a_time() {
        let state = tempfile::tempdir().unwrap();
        let first = Folder::open(state.path()).unwrap();
        match Folder::open(state.path()) {
            Err(Error::Locked { holder, .. }) => {
                assert_eq!(holder, format!("process {}", std::process::id()));
            }
            other => panic!("a second holder got {other:?}"),
        }
        drop(first);
        Folder::open(state.path()).unwrap();
    }

    #[test]
    fn a_password_is_made_once_and_closed_to_others() {
        let state = tempfile::tempdir().unwrap();
        let home = Home {
            path: state.path().to_owned(),
            account: None,
        };
        assert_eq!(home.password("secret").unwrap(), None);
        let first = home.password_or_new("secret").unwrap();
        assert_eq!(first.len(), 48);
        assert_eq!(home.password_or_new("secret").unwrap(), first);
        assert_ne!(home.password_or_new("other").unwrap(), first);
        let mode = fs::metadata(home.join("secret"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!home.join("secret.new").exists());
    }

    #[test]
    fn a_home_is_found_again() {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::open(state.path()).unwrap();
        let made = folder.home("postgres").unwrap();
        let mode = fs::metadata(&made.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o066, 0, "nobody else reads or writes there");
        let found = folder.home("postgres").unwrap();
        assert_eq!(
            found.path.canonicalize().unwrap(),
            made.path.canonicalize().unwrap()
        );
        assert_eq!(found.account, made.account);
        if let Ok(target) = fs::read_link(state.path().join("postgres")) {
            fs::remove_dir(target).unwrap();
        }
    }

    #[test]
    fn the_log_of_the_run_before_is_kept() {
        let state = tempfile::tempdir().unwrap();
        let home = Home {
            path: state.path().to_owned(),
            account: None,
        };
        for text in ["one", "two"] {
            let (_, mut file) = home.log("server.log").unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(home.join("server.log")).unwrap(), "two");
        assert_eq!(
            fs::read_to_string(home.join("server.log.1")).unwrap(),
            "one"
        );
    }
}
