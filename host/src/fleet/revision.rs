//! The bytes of what was deployed.

use super::connection::{BYTES_LIMIT, LIMIT};
use super::error::Error;
use super::store::{Settings, Store};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use tokio_postgres::types::Type;

/// Deployed again, it is new again; and its bytes are mended, should they be
/// damaged.
const PUT: &str = "\
INSERT INTO warmlink.revision AS r \
    (application, component, digest, bytes, note, node, deployed_at) \
VALUES ($1, $2, $3, $4, $5, $6, now()) \
ON CONFLICT (application, component, digest) DO UPDATE \
SET bytes = excluded.bytes, note = excluded.note, node = excluded.node, \
    deployed_at = excluded.deployed_at";

const BYTES: &str = "\
SELECT bytes FROM warmlink.revision WHERE application = $1 AND component = $2 AND digest = $3";

const LIST: &str = "\
SELECT digest, octet_length(bytes)::int8, note, node, \
    to_char(deployed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') \
FROM warmlink.revision WHERE application = $1 AND component = $2 \
ORDER BY deployed_at DESC, digest";

/// Whatever the desired state of another manifest names is kept, whoever signed
/// it: a digest that occurs in its text.
const PRUNE: &str = "\
DELETE FROM warmlink.revision r \
WHERE r.application = $1 AND r.component = $2 AND r.digest <> ALL ($3) \
    AND r.digest NOT IN ( \
        SELECT n.digest FROM warmlink.revision n \
        WHERE n.application = $1 AND n.component = $2 \
        ORDER BY n.deployed_at DESC, n.digest LIMIT $4) \
    AND NOT EXISTS ( \
        SELECT FROM warmlink.desired d \
        WHERE d.application = $1 AND d.manifest <> $5 AND strpos(d.state, r.digest) > 0) \
RETURNING 1";

/// A revision whose bytes are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRevision {
    /// Its SHA-256, in hexadecimal.
    pub digest: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// What its deployer said of it.
    pub note: Option<String>,
    /// Through which node it came.
    pub node: String,
    /// When it was deployed last, in RFC 3339, by the database's clock.
    pub deployed_at: String,
}

impl Store {
    /// Stores a revision, whose SHA-256 is `digest`.
    ///
    /// # Errors
    /// [`Error::Damaged`] where `bytes` are something else; as described for
    /// [`Store`].
    pub async fn put_revision(
        &self,
        component: &str,
        digest: &str,
        bytes: &[u8],
        note: Option<&str>,
    ) -> Result<(), Error> {
        check(digest, bytes)?;
        let Settings {
            application, node, ..
        } = &self.settings;
        let row = [
            (application as _, Type::TEXT),
            (&component as _, Type::TEXT),
            (&digest as _, Type::TEXT),
            (&bytes as _, Type::BYTEA),
            (&note as _, Type::TEXT),
            (node as _, Type::TEXT),
        ];
        self.connection.query(BYTES_LIMIT, PUT, &row).await?;
        Ok(())
    }

    /// The bytes of a revision; `None` where they are not stored.
    ///
    /// # Errors
    /// [`Error::Damaged`], which leaves the store usable; as described for
    /// [`Store`].
    pub async fn bytes(&self, component: &str, digest: &str) -> Result<Option<Vec<u8>>, Error> {
        let parameters = [
            (&self.settings.application as _, Type::TEXT),
            (&component as _, Type::TEXT),
            (&digest as _, Type::TEXT),
        ];
        let rows = self
            .connection
            .query(BYTES_LIMIT, BYTES, &parameters)
            .await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let bytes: Vec<u8> = row.get(0);
        check(digest, &bytes)?;
        Ok(Some(bytes))
    }

    /// The stored revisions of a component, newest first.
    ///
    /// # Errors
    /// As described for [`Store`].
    pub async fn revisions(&self, component: &str) -> Result<Vec<StoredRevision>, Error> {
        let parameters = [
            (&self.settings.application as _, Type::TEXT),
            (&component as _, Type::TEXT),
        ];
        let rows = self.connection.query(LIMIT, LIST, &parameters).await?;
        let revisions = rows.iter().map(|row| StoredRevision {
            digest: row.get(0),
            bytes: row.get::<_, i64>(1).unsigned_abs(),
            note: row.get(2),
            node: row.get(3),
            deployed_at: row.get(4),
        });
        Ok(revisions.collect())
    }

    /// Removes old revisions of a component: all but the newest of
    /// [`Settings::keep`], those in `keep`, and what desired states against other
    /// manifests name. Returns how many were removed.
    ///
    /// # Errors
    /// As described for [`Store`].
    pub async fn prune(&self, component: &str, keep: &BTreeSet<String>) -> Result<u64, Error> {
        let keep: Vec<&str> = keep.iter().map(String::as_str).collect();
        let newest = i64::try_from(self.settings.keep).unwrap_or(i64::MAX);
        let parameters = [
            (&self.settings.application as _, Type::TEXT),
            (&component as _, Type::TEXT),
            (&keep as _, Type::TEXT_ARRAY),
            (&newest as _, Type::INT8),
            (&self.settings.manifest as _, Type::TEXT),
        ];
        let rows = self.connection.query(LIMIT, PRUNE, &parameters).await?;
        Ok(rows.len() as u64)
    }
}

fn check(digest: &str, bytes: &[u8]) -> Result<(), Error> {
    if hex::encode(Sha256::digest(bytes)) == digest {
        return Ok(());
    }
    Err(Error::Damaged(digest.to_owned()))
}
