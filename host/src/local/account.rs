//! The unprivileged account that the servers run as when we are root.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::error::Error;

/// Tried in this order. PostgreSQL's packages make the first; every system has
/// the second.
const NAMES: [&str; 2] = ["postgres", "nobody"];

/// A user of this system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// Whom the servers run as: nobody else (`None`) unless we are root, whom
    /// PostgreSQL refuses to run as.
    pub(super) fn for_servers() -> Result<Option<Self>, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        NAMES
            .iter()
            .find_map(|name| find(&users, name))
            .map(Some)
            .ok_or(Error::NoAccount)
    }

    /// The account that owns existing data, which is then the one to go on with.
    pub(super) fn owner_of(path: &Path) -> std::io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let (uid, gid) = (metadata.uid(), metadata.gid());
        Ok(Self {
            name: format!("user {uid}"),
            uid,
            gid,
        })
    }

    /// The first folder on the way to `path`, or `path` itself, that this
    /// account may not enter; for a file, or not run. `path` must be free of links.
    ///
    /// Goes by the permission bits: an access list that grants more is not seen,
    /// and one that grants less makes the server's own start fail, with its words.
    pub(super) fn barred_from(&self, path: &Path) -> std::io::Result<Option<PathBuf>> {
        let mut way: Vec<&Path> = path.ancestors().collect();
        way.reverse();
        for step in way {
            let metadata = fs::metadata(step)?;
            if !self.may_enter(metadata.mode(), metadata.uid(), metadata.gid()) {
                return Ok(Some(step.to_owned()));
            }
        }
        Ok(None)
    }

    fn may_enter(&self, mode: u32, owner: u32, group: u32) -> bool {
        let bit = if owner == self.uid {
            0o100
        } else if group == self.gid {
            0o010
        } else {
            0o001
        };
        mode & bit != 0
    }
}

fn find(users: &str, name: &str) -> Option<Account> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        (uid != 0).then(|| Account {
            name: name.to_owned(),
            uid,
            gid,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\n\
                         broken:x\n\
                         nobody:x:65534:65533:nobody:/:/sbin/nologin\n";

    fn nobody() -> Account {
        Account {
            name: "nobody".into(),
            uid: 65534,
            gid: 65533,
        }
    }

    #[test]
    fn users_are_found_by_their_whole_name() {
        assert_eq!(find(USERS, "nobody"), Some(nobody()));
        assert_eq!(find(USERS, "body"), None);
        assert_eq!(find(USERS, "broken"), None);
        assert_eq!(
            find(USERS, "root"),
            None,
            "root is never the unprivileged one"
        );
    }

    #[test]
    fn the_bits_of_the_closest_class_decide() {
        let account = nobody();
        assert!(account.may_enter(0o001, 0, 0));
        assert!(!account.may_enter(0o770, 0, 0));
        assert!(account.may_enter(0o010, 0, 65533));
        assert!(
            !account.may_enter(0o001, 0, 65533),
            "the group's bits bar its members"
        );
        assert!(
            !account.may_enter(0o011, 65534, 65533),
            "and the owner's bar the owner"
        );
    }

    #[test]
    fn a_closed_folder_on_the_way_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (closed, inner) = (root.join("closed"), root.join("closed/inner"));
        fs::create_dir_all(&inner).unwrap();
        for (path, mode) in [(&root, 0o755), (&closed, 0o700), (&inner, 0o755)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let stranger = Account {
            name: "x".into(),
            uid: u32::MAX - 7,
            gid: u32::MAX - 7,
        };
        assert_eq!(stranger.barred_from(&inner).unwrap(), Some(closed.clone()));
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(stranger.barred_from(&inner).unwrap(), None);
    }
}
