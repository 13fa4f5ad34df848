//! A hot standby of a PostgreSQL, to fail over to.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use warmlink_tests::address;

use crate::port::Port;
use crate::postgres::{Postgres, answers, connect};
use crate::server::{Server, remove, until_it_answers};

pub(crate) struct Standby {
    server: Server,
    promoted: bool,
    /// Keeps its data.
    folder: TempDir,
}

impl Standby {
    /// Copies the server's data, follows it, and has it wait for this one with each
    /// write: what was answered is on both.
    ///
    /// # Errors
    /// Where either does not do its part.
    pub(crate) async fn start(primary: &Postgres) -> anyhow::Result<Self> {
        let recipe = primary.server.recipe();
        let folder = TempDir::new()?;
        std::os::unix::fs::chown(folder.path(), Some(recipe.owner.0), Some(recipe.owner.1))?;
        let data = folder.path().join("data");
        let backup = recipe.program.with_file_name("pg_basebackup");
        let copied = recipe
            .command(&backup)
            .current_dir(folder.path())
            .arg("--pgdata")
            .arg(&data)
            .args(["--write-recovery-conf", "--checkpoint=fast", "--dbname"])
            .arg(primary.admin_url()?)
            .output()
            .await
            .with_context(|| format!("running {}", backup.display()))?;
        ensure!(
            copied.status.success(),
            "pg_basebackup: {}",
            String::from_utf8_lossy(&copied.stderr)
        );
        std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o700))?;
        let port = Port::free()?;
        let mut recipe = recipe.clone();
        let old = recipe.directory.clone();
        for argument in &mut recipe.arguments {
            if *argument == old {
                *argument = data.clone().into();
            } else if argument.to_string_lossy().starts_with("port=") {
                *argument = OsString::from(format!("port={}", port.number()));
            }
        }
        recipe.directory = data;
        let standby = Self {
            server: Server::start(recipe, port)?,
            promoted: false,
            folder,
        };
        let url = standby.url(primary);
        until_it_answers("the standby", || answers(&url)).await?;
        let admin = primary.admin().await?;
        for sql in [
            "ALTER SYSTEM SET synchronous_standby_names = '*'",
            "SELECT pg_reload_conf()",
        ] {
            admin.execute(sql, &[]).await?;
        }
        let follows = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'";
        until_it_answers("replication", || async {
            admin
                .query_opt(follows, &[])
                .await
                .is_ok_and(|it| it.is_some())
        })
        .await?;
        Ok(standby)
    }

    fn place(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.server.number()).into()
    }

    pub(crate) fn authority(&self) -> String {
        self.place().to_string()
    }

    /// The address of both, of which that will do which takes writes.
    pub(crate) fn beside(&self, primary: &str) -> String {
        let place = address::authority(primary);
        let both = primary.replacen(&place, &format!("{place},{}", self.authority()), 1);
        format!("{both}?target_session_attrs=read-write")
    }

    /// The application's database there.
    pub(crate) fn url(&self, primary: &Postgres) -> String {
        address::at(primary.database.url(), self.place())
    }

    pub(crate) fn is_promoted(&self) -> bool {
        self.promoted
    }

    /// Has it take writes, and waits until it does.
    ///
    /// # Errors
    /// Where it does not.
    pub(crate) async fn promote(&mut self, primary: &Postgres) -> anyhow::Result<()> {
        let admin = address::at(&primary.admin_url()?, self.place());
        let admin = connect(&admin).await?;
        let done = admin.query_one("SELECT pg_promote()", &[]).await?;
        ensure!(done.try_get::<_, bool>(0)?, "the standby was not promoted");
        self.promoted = true;
        Ok(())
    }

    /// # Errors
    /// Where it does not end.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        self.server.kill().await?;
        remove(self.folder).await
    }
}
