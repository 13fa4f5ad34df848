//! What the manifest comes to: every default filled in, every template resolved.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use ipnet::IpNet;
use serde::{Serialize, Serializer};

use super::{
    AllowedHosts, CanarySpec, ComponentLimits, HostLimits, RateRule, RateSpec, RepairSpec,
    StreamSpec, Value,
};
use crate::config::Secret;
use crate::config::quantity::{format_duration, format_size};
use crate::router::RoutePattern;

/// What a node runs. Neither `Debug` nor `Serialize` shows a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Spec {
    /// The application's name.
    pub name: String,
    /// Its version; empty where the manifest gives none.
    pub version: String,
    /// The limits of a node as a whole.
    pub limits: HostLimits,
    /// The limit of each client's requests, over all components that say nothing
    /// else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateSpec>,
    /// Peers whose `X-Forwarded-For` is believed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<IpNet>,
    /// The path that answers with the node's metrics on the public port.
    pub metrics_path: Option<String>,
    /// Routes and the components behind them, in the order of the manifest.
    pub routes: Vec<Route>,
    /// Components by name, in the order of the manifest. One without a route is
    /// not reached over HTTP.
    pub components: IndexMap<String, ComponentSpec>,
    /// PostgreSQL pools to warm.
    pub postgres: Vec<PostgresPoolSpec>,
    /// Valkey pools to warm. Empty where the node has no Valkey.
    pub valkey: Vec<ValkeyPoolSpec>,
    /// Where key-value stores are, by label. A label without Valkey is absent.
    pub key_value: BTreeMap<String, KeyValueSpec>,
    /// The schema's migrations.
    pub migrations: Option<Migrations>,
}

/// A route and the component behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Route {
    /// The paths.
    pub pattern: RoutePattern,
    /// The component's name. It is one of the [`Spec`].
    pub component: String,
}

/// A component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComponentSpec {
    /// Its name.
    pub id: String,
    /// Where its bytes are.
    pub source: Source,
    /// Its variables.
    pub variables: BTreeMap<String, Value>,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// Folders it may read.
    pub files: Vec<Mount>,
    /// Where it may connect to.
    pub allowed_outbound_hosts: AllowedHosts,
    /// Labels of the key-value stores it may open.
    pub key_value_stores: Vec<String>,
    /// How it is built.
    pub build: Option<Build>,
    /// Its limits.
    pub limits: ComponentLimits,
    /// Whether it is told in `spin-*` headers how each request was routed. They
    /// are a quarter of what a small request costs.
    pub spin_headers: bool,
    /// Its limit of each client's requests.
    #[serde(skip_serializing_if = "RateRule::is_inherited")]
    pub rate: RateRule,
    /// The path that a new revision has to answer with 2xx before it serves.
    pub probe: Option<String>,
    /// How its canaries are chosen and judged.
    pub canary: CanarySpec,
    /// The stream that is delivered to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamSpec>,
    /// The cache that it repairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repair: Option<RepairSpec>,
}

/// Where a component's bytes are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A file, relative to the manifest's folder.
    Path(PathBuf),
    /// An address.
    Url {
        /// `http` or `https`.
        url: String,
        /// The SHA-256 of the bytes: `sha256:` and 64 hexadecimal digits.
        digest: String,
    },
}

/// A folder that a component may read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Where it is, relative to the manifest's folder.
    pub source: PathBuf,
    /// Where the component sees it: an absolute path.
    pub destination: String,
}

/// How a component is built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Build {
    /// Shell commands, run one after another.
    pub commands: Vec<String>,
    /// Where they run, relative to the manifest's folder; that folder itself
    /// where none is given.
    pub workdir: Option<PathBuf>,
    /// Paths and patterns, relative to `workdir`, whose change asks for a build.
    pub watch: Vec<String>,
}

/// A PostgreSQL pool to warm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PostgresPoolSpec {
    /// The server, as a URL or as libpq has it.
    pub address: Secret,
    /// Connections kept open.
    pub min: u32,
    /// Connections there may be.
    pub max: NonZeroU32,
}

/// A Valkey pool to warm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ValkeyPoolSpec {
    /// The server's URL.
    pub address: Secret,
    /// Connections that all requests share.
    pub connections: NonZeroU32,
    /// Commands that may await a reply at once, over all connections.
    pub in_flight: NonZeroU32,
    /// The longest wait for one reply.
    #[serde(serialize_with = "as_duration")]
    pub command_timeout: Duration,
    /// What is kept of its values in the host's own memory.
    pub near: Option<NearCacheSpec>,
}

/// A near cache: values of a Valkey in the host's own memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NearCacheSpec {
    /// What the keys begin with whose values are kept; at least one.
    pub prefixes: Vec<String>,
    /// Bytes of memory.
    #[serde(serialize_with = "as_size")]
    pub size: usize,
}

/// Where the keys of a key-value store are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyValueSpec {
    /// The Valkey server's URL.
    pub address: Secret,
    /// What every key of the store begins with on the server.
    pub prefix: String,
}

/// A schema's migrations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Migrations {
    /// The folder of numbered SQL files, relative to the manifest's folder.
    pub directory: PathBuf,
    /// The database.
    pub address: Secret,
}

/// Serialises a duration as the manifest would have it.
pub(super) fn as_duration<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&format_duration(*value))
}

/// Serialises a size as the manifest would have it.
pub(super) fn as_size<S: Serializer>(value: &usize, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&format_size(*value))
}
