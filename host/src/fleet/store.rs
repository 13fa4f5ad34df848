//! Desired state and the nodes' reports, in PostgreSQL.

use super::connection::{Changes, Connection, LIMIT};
use super::error::Error;
use super::node::Report;
use super::schema;
use super::state::State;
use crate::pool::postgres;
use crate::signature::Key;
use tokio_postgres::types::Type;

/// One row if it was the first write, none if somebody was faster.
const WRITE_FIRST: &str = "\
WITH written AS ( \
    INSERT INTO warmlink.desired AS d \
        (application, manifest, version, state, mac, proposed_at, updated_at) \
    SELECT $1, $2, $3 + 1, $4, $5, CASE WHEN $6 THEN now() END, now() WHERE $3 = 0 \
    ON CONFLICT DO NOTHING \
    RETURNING d.application) \
SELECT pg_notify('warmlink', application)::text FROM written";

/// One row if the version was still the expected one.
const WRITE: &str = "\
WITH written AS ( \
    UPDATE warmlink.desired AS d \
    SET version = $3 + 1, state = $4, mac = $5, updated_at = now(), \
        proposed_at = CASE WHEN $6 THEN now() ELSE d.proposed_at END \
    WHERE d.application = $1 AND d.manifest = $2 AND d.version = $3 \
    RETURNING d.application) \
SELECT pg_notify('warmlink', application)::text FROM written";

const REPORT: &str = "\
INSERT INTO warmlink.node AS n (application, instance, node, manifest, seen_at, report) \
VALUES ($1, $2, $3, $4, now(), $5) \
ON CONFLICT (application, instance) DO UPDATE \
SET node = excluded.node, manifest = excluded.manifest, seen_at = excluded.seen_at, \
    report = excluded.report";

/// Rows that another node is at are left to it.
const FORGET: &str = "\
DELETE FROM warmlink.node WHERE application = $1 AND instance IN ( \
    SELECT instance FROM warmlink.node \
    WHERE application = $1 AND instance <> $2 AND seen_at < now() - interval '10 minutes' \
    FOR UPDATE SKIP LOCKED)";

const LEAVE: &str = "DELETE FROM warmlink.node WHERE application = $1 AND instance = $2";

/// Where the store is, and on whose behalf.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The control database, as the control role. It must be reached without a
    /// transaction pooler in between, which would keep notifications back.
    pub target: postgres::Target,
    /// The application's name.
    pub application: String,
    /// This node's name.
    pub node: String,
    /// This process, by its random name ([`super::new_instance`]).
    pub instance: String,
    /// The digest of what this node's manifest says.
    pub manifest: String,
    /// What desired state is signed with.
    pub key: Key,
    /// How many revisions of a component are kept at least.
    pub keep: usize,
}

/// A connection to the control database.
///
/// Every call is bounded in time. After [`Error::Unavailable`],
/// [`Error::Schema`] and [`Error::Refused`] the store is closed and its owner
/// opens another.
#[derive(Debug)]
pub struct Store {
    pub(super) connection: Connection,
    pub(super) settings: Settings,
}

impl Store {
    /// Connects, and sets up the schema `warmlink` as far as it is missing.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; [`Error::Schema`], which will not mend itself.
    pub async fn open(settings: Settings) -> Result<Self, Error> {
        let mut connection = Connection::open(&settings.target, &settings.application).await?;
        schema::set_up(&mut connection).await?;
        Ok(Self {
            connection,
            settings,
        })
    }

    /// Whether this store will do nothing any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    /// Tells when desired state was written, by whichever node.
    #[must_use]
    pub fn changes(&self) -> Changes {
        self.connection.changes()
    }

    /// Makes `state` the desired one, if the version is still `expected`, and
    /// announces it. `false`: somebody else was first, and nothing was written.
    ///
    /// The new version is `expected + 1`. A proposal whose id is that one is
    /// new, and its age counts from now.
    ///
    /// # Errors
    /// As described for [`Store`]; after [`Error::Unavailable`] it may have been
    /// written all the same.
    pub async fn write(&self, expected: i64, state: &State) -> Result<bool, Error> {
        let Settings {
            application,
            manifest,
            key,
            ..
        } = &self.settings;
        let version = expected + 1;
        let proposed = state.proposal.as_ref().is_some_and(|new| new.id == version);
        let text = serde_json::to_string(state).map_err(|_| Error::Unknown)?;
        let number = version.to_be_bytes();
        let mac = key.sign(&signed(application, manifest, &number, &text));
        let statement = if expected == 0 { WRITE_FIRST } else { WRITE };
        let parameters = [
            (application as _, Type::TEXT),
            (manifest as _, Type::TEXT),
            (&expected as _, Type::INT8),
            (&text as _, Type::TEXT),
            (&mac as _, Type::TEXT),
            (&proposed as _, Type::BOOL),
        ];
        let rows = self.connection.query(LIMIT, statement, &parameters).await?;
        Ok(!rows.is_empty())
    }

    /// Says how this node is doing, which also says that it is alive. Nodes that
    /// said nothing for ten minutes are forgotten in passing.
    ///
    /// # Errors
    /// As described for [`Store`].
    pub async fn report(&self, report: &Report) -> Result<(), Error> {
        let Settings {
            application,
            node,
            instance,
            manifest,
            ..
        } = &self.settings;
        let text = serde_json::to_string(report).map_err(|_| Error::Unknown)?;
        let row = [
            (application as _, Type::TEXT),
            (instance as _, Type::TEXT),
            (node as _, Type::TEXT),
            (manifest as _, Type::TEXT),
            (&text as _, Type::TEXT),
        ];
        // Two transactions in one round trip: two nodes that find each other
        // long unseen must not wait for each other.
        let (reported, forgotten) = tokio::join!(
            self.connection.query(LIMIT, REPORT, &row),
            self.connection.query(LIMIT, FORGET, &row[..2]),
        );
        reported?;
        forgotten?;
        Ok(())
    }

    /// Takes this node's report back: nobody waits for it any more.
    ///
    /// # Errors
    /// As described for [`Store`].
    pub async fn leave(&self) -> Result<(), Error> {
        let Settings {
            application,
            instance,
            ..
        } = &self.settings;
        let row = [(application as _, Type::TEXT), (instance as _, Type::TEXT)];
        self.connection.query(LIMIT, LEAVE, &row).await?;
        Ok(())
    }
}

/// What the signature is over.
pub(super) fn signed<'a>(
    application: &'a str,
    manifest: &'a str,
    version: &'a [u8; 8],
    state: &'a str,
) -> [&'a [u8]; 4] {
    [
        application.as_bytes(),
        manifest.as_bytes(),
        version,
        state.as_bytes(),
    ]
}
