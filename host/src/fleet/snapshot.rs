//! Reading all that the control database says.

use super::connection::LIMIT;
use super::error::Error;
use super::node::{NodeReport, NodeRow, reports, seconds};
use super::state::State;
use super::store::{Settings, Store, signed};
use serde::Deserialize;
use std::time::Duration;
use tokio_postgres::types::Type;

/// Everything in one statement, and so of one moment. Of other manifests' states
/// the latest few.
const READ: &str = "\
SELECT d.version, d.state, d.mac, \
    extract(epoch FROM now() - d.proposed_at)::float8, \
    (SELECT coalesce(json_agg(json_build_object( \
            'instance', n.instance, 'node', n.node, 'manifest', n.manifest, \
            'seen', extract(epoch FROM now() - n.seen_at)::float8, 'report', n.report) \
        ORDER BY n.node, n.instance), '[]')::text \
     FROM warmlink.node n WHERE n.application = $1), \
    (SELECT coalesce(json_agg(json_build_object( \
            'manifest', o.manifest, 'version', o.version, 'state', o.state, 'mac', o.mac) \
        ORDER BY o.updated_at DESC), '[]')::text \
     FROM (SELECT * FROM warmlink.desired \
           WHERE application = $1 AND manifest <> $2 \
           ORDER BY updated_at DESC LIMIT 16) o) \
FROM (VALUES (1)) one LEFT JOIN warmlink.desired d ON d.application = $1 AND d.manifest = $2";

/// What the database says, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The digest of the manifest that it is about.
    pub manifest: String,
    /// The state's version; 0 where none was written yet.
    pub version: i64,
    /// What the nodes with this manifest are to run.
    pub state: State,
    /// Since the proposal was made; zero where there is none.
    pub age_of_proposal: Duration,
    /// The nodes of the application, of whatever manifest, this one included.
    pub nodes: Vec<NodeReport>,
    /// What is deployed against other manifests, the latest first.
    pub set_aside: Vec<SetAside>,
}

impl Snapshot {
    /// Whether `node` goes by the same desired state.
    #[must_use]
    pub fn is_peer(&self, node: &NodeReport) -> bool {
        node.manifest == self.manifest
    }
}

/// What is active by a desired state that is not this manifest's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The component.
    pub component: String,
    /// The revision.
    pub revision: String,
    /// The manifest that it was made against.
    pub manifest: String,
}

/// A state as it is stored.
#[derive(Debug, Deserialize)]
struct Signed {
    manifest: String,
    version: i64,
    state: String,
    mac: String,
}

impl Store {
    /// What is there now. `after` is the highest version that was seen before:
    /// a signed state that is older is a replay.
    ///
    /// # Errors
    /// [`Error::Forged`], [`Error::Stale`] and [`Error::Unknown`] are about the
    /// state and leave the store usable; else as described for [`Store`].
    pub async fn read(&self, after: i64) -> Result<Snapshot, Error> {
        let Settings {
            application,
            manifest,
            ..
        } = &self.settings;
        let parameters = [(application as _, Type::TEXT), (manifest as _, Type::TEXT)];
        let rows = self.connection.query(LIMIT, READ, &parameters).await?;
        let row = rows.first().ok_or(Error::Unknown)?;
        let version: i64 = row.get::<_, Option<i64>>(0).unwrap_or(0);
        let state = if version == 0 {
            State::default()
        } else {
            self.verified(&Signed {
                manifest: manifest.clone(),
                version,
                state: row.get(1),
                mac: row.get(2),
            })?
        };
        if version < after {
            return Err(Error::Stale {
                after,
                found: version,
            });
        }
        let age = row.get::<_, Option<f64>>(3).map_or(Duration::ZERO, seconds);
        let nodes: Vec<NodeRow> = json(row.get(4))?;
        let others: Vec<Signed> = json(row.get(5))?;
        Ok(Snapshot {
            manifest: manifest.clone(),
            version,
            age_of_proposal: state.proposal.as_ref().map_or(Duration::ZERO, |_| age),
            state,
            nodes: reports(nodes),
            set_aside: self.set_aside(&others),
        })
    }

    fn verified(&self, stored: &Signed) -> Result<State, Error> {
        let version = stored.version.to_be_bytes();
        let application = &self.settings.application;
        let parts = signed(application, &stored.manifest, &version, &stored.state);
        if !self.settings.key.verify(&parts, &stored.mac) {
            return Err(Error::Forged);
        }
        serde_json::from_str(&stored.state).map_err(|_| Error::Unknown)
    }

    /// What is active by those of the states that are ours.
    fn set_aside(&self, others: &[Signed]) -> Vec<SetAside> {
        let mut found = Vec::new();
        for stored in others {
            let Ok(state) = self.verified(stored) else {
                continue;
            };
            found.extend(
                state
                    .components
                    .into_iter()
                    .map(|(component, desired)| SetAside {
                        component,
                        revision: desired.active,
                        manifest: stored.manifest.clone(),
                    }),
            );
        }
        found
    }
}

/// Reads what one of our own statements put together.
fn json<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|_| Error::Unknown)
}
