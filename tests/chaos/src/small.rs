//! A disk of the tables' own that is soon full: a real one, in memory.

use std::path::PathBuf;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::postgres::Postgres;
use crate::world::run;

/// Room for the tables of a run, and then some.
const SIZE: &str = "48m";
/// What a write meets that finds no room.
const FULL: std::io::ErrorKind = std::io::ErrorKind::StorageFull;

/// It goes with this value.
pub(crate) struct SmallDisk {
    folder: TempDir,
    removed: bool,
}

impl SmallDisk {
    /// Moves the application's tables there.
    ///
    /// # Errors
    /// Where this is not root, or the server does not do its part.
    pub(crate) async fn under(postgres: &Postgres) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let (uid, gid) = postgres.server.recipe().owner;
        let options = format!("size={SIZE},mode=0700,uid={uid},gid={gid}");
        let at = folder.path().to_str().context("a path that is text")?;
        run("mount", &["-t", "tmpfs", "-o", &options, "chaos", at]).await?;
        let disk = Self {
            folder,
            removed: false,
        };
        let path = disk.folder.path().join("space");
        let path = path.to_str().context("a path that is text")?;
        std::fs::create_dir(path)?;
        std::os::unix::fs::chown(path, Some(uid), Some(gid))?;
        // The superuser's words, so the folder's name may be part of them.
        let admin = postgres.admin().await?;
        admin
            .batch_execute(&format!("CREATE TABLESPACE small LOCATION '{path}'"))
            .await?;
        for (kind, schema) in [("TABLE", "public"), ("INDEX", "public")] {
            let all = if kind == "TABLE" {
                "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = $1"
            } else {
                "SELECT quote_ident(indexname) FROM pg_indexes WHERE schemaname = $1"
            };
            for row in admin.query(all, &[&schema]).await? {
                let name: String = row.try_get(0)?;
                admin
                    .batch_execute(&format!(
                        "ALTER {kind} {schema}.{name} SET TABLESPACE small"
                    ))
                    .await?;
            }
        }
        Ok(disk)
    }

    /// Leaves no room.
    ///
    /// # Errors
    /// Where something else than room is missing.
    pub(crate) fn fill(&self) -> anyhow::Result<()> {
        use std::io::Write as _;
        let mut file = std::fs::File::create(self.ballast())?;
        // In pages: what is left is less than one.
        let page = [1; 4096];
        loop {
            match file.write_all(&page) {
                Ok(()) => {}
                Err(error) if error.kind() == FULL => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Gives the room back.
    ///
    /// # Errors
    /// Where it was not taken.
    pub(crate) fn free(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.ballast())?)
    }

    /// # Errors
    /// Where it is still in use.
    pub(crate) async fn remove(mut self) -> anyhow::Result<()> {
        self.removed = true;
        run(
            "umount",
            &[self.folder.path().to_str().context("a path that is text")?],
        )
        .await
    }

    fn ballast(&self) -> PathBuf {
        self.folder.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    /// At once where nobody is in it, and otherwise once nobody is.
    fn drop(&mut self) {
        if !self.removed {
            let mut command = std::process::Command::new("umount");
            let _ = command.arg("-l").arg(self.folder.path()).status();
        }
    }
}
