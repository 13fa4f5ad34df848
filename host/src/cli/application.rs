//! From flags, environment and manifest to a node that is ready to be begun.

use super::Failure;
use crate::app::{Node, Watch, preflight};
use crate::config::{Addresses, Config, Faults, NodeArgs, Secret, Servers, from_environment};
use crate::local::{Options, Services, Settings};
use crate::manifest;
use clap::Args;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a manifest says in place of a server that does not run yet. Only its
/// form matters: nothing connects to it.
const PRIVATE_DATABASE: &str = "postgres://private@localhost/private";
const PRIVATE_VALKEY: &str = "redis://localhost:6379";

/// Where the control database is named.
const CONTROL_URL: &str = "WARMLINK_CONTROL_URL";

/// Which application, and how this node runs.
#[derive(Debug, Args)]
pub(super) struct ApplicationArgs {
    /// The application's manifest, or the folder that holds its `spin.toml`.
    #[arg(default_value = "spin.toml", value_name = "MANIFEST")]
    manifest: PathBuf,
    #[command(flatten)]
    node: NodeArgs,
}

/// An application whose manifest and configuration hold no fault.
pub(super) struct Application {
    pub(super) config: Config,
    pub(super) spec: manifest::Spec,
    /// What deserves a word though it is no fault.
    pub(super) notes: Vec<String>,
    addresses: Addresses,
    path: PathBuf,
    text: String,
    base: PathBuf,
    private: Private,
}

/// The servers that the manifest's variables ask for and nobody named.
#[derive(Debug, Clone, Copy, Default)]
struct Private {
    database: bool,
    valkey: bool,
}

impl ApplicationArgs {
    /// Reads all of it.
    ///
    /// # Errors
    ///
    /// Every fault of the configuration and of the manifest, at once.
    pub(super) fn read(self) -> Result<Application, Failure> {
        let path = if self.manifest.is_dir() {
            self.manifest.join("spin.toml")
        } else {
            self.manifest
        };
        let mut faults = Faults::default();
        let addresses = self.node.addresses();
        let config = self
            .node
            .resolve()
            .map_err(|found| faults.merge(found))
            .ok();
        if let Some(url) = addresses.control.as_ref().filter(|url| !url.is_empty()) {
            preflight::postgres_target(&mut faults, CONTROL_URL, url);
        }
        let text = std::fs::read_to_string(&path)
            .map_err(|error| {
                faults.add(
                    path.display().to_string(),
                    error.to_string(),
                    "name a manifest: `warmlink up path/to/spin.toml`",
                );
            })
            .ok();
        let private = text
            .as_deref()
            .map_or_else(Private::default, |text| Private::wanted(text, &addresses));
        // Judged whatever is wrong with the rest: one call names every fault.
        let resolved = text.as_deref().and_then(|text| {
            let database = private.database.then(|| PRIVATE_DATABASE.into());
            let valkey = private.valkey.then(|| PRIVATE_VALKEY.into());
            resolve(text, &addresses, database, valkey)
                .map_err(|found| faults.merge(found))
                .ok()
        });
        match (config, text, resolved) {
            (Some(config), Some(text), Some((spec, notes))) => Ok(Application {
                config,
                spec,
                notes,
                addresses,
                text,
                base: folder_of(&path),
                path,
                private,
            }),
            _ => Err(failed(&path, &faults)),
        }
    }
}

impl Application {
    /// Starts the servers that the application is to have of its own.
    ///
    /// # Errors
    ///
    /// When one is missing or does not start.
    pub(super) async fn services(&self) -> Result<Services, Failure> {
        let options = Options {
            state: self.config.state.clone(),
            postgres: self.private.database.then(Settings::default),
            valkey: self.private.valkey.then(Settings::default),
        };
        Ok(Services::start(options).await?)
    }

    /// The node, its variables filled in with where `services` are. Where it is
    /// to `watch`, it reads the manifest again as it changes.
    ///
    /// # Errors
    ///
    /// What the real addresses bring to light; nothing, as a rule.
    pub(super) fn node(self, services: &Services, watch: bool) -> Result<Node, Failure> {
        let database = services.database_url().cloned();
        let valkey = services.valkey_url().cloned();
        let resolved = resolve(
            &self.text,
            &self.addresses,
            database.clone(),
            valkey.clone(),
        );
        let (spec, _) = resolved.map_err(|found| Failure::usage(found.to_string()))?;
        let watch = watch.then(|| {
            let (path, addresses) = (self.path.clone(), self.addresses.clone());
            Watch {
                manifest: self.path,
                reread: Box::new(move || {
                    let text = std::fs::read_to_string(&path)
                        .map_err(|error| format!("{}: {error}", path.display()))?;
                    let (database, valkey) = (database.clone(), valkey.clone());
                    let (spec, _) = resolve(&text, &addresses, database, valkey)
                        .map_err(|found| found.to_string())?;
                    Ok((text, spec))
                }),
            }
        });
        let control = self.addresses.control.as_ref();
        let control = control.or_else(|| services.control_url());
        Ok(Node {
            config: self.config,
            spec,
            text: self.text,
            base: self.base,
            control: match control {
                Some(url) if !url.is_empty() => {
                    let mut faults = Faults::default();
                    let target = preflight::postgres_target(&mut faults, CONTROL_URL, url);
                    faults
                        .or(target)
                        .map_err(|found| Failure::usage(found.to_string()))?
                }
                Some(_) | None => None,
            },
            watch,
        })
    }

    /// The names of the servers that `up` would start.
    pub(super) fn private_servers(&self) -> Vec<&'static str> {
        let database = self.private.database.then_some("PostgreSQL");
        let valkey = self.private.valkey.then_some("Valkey");
        database.into_iter().chain(valkey).collect()
    }
}

impl Private {
    fn wanted(text: &str, addresses: &Addresses) -> Self {
        // A text that is no TOML is the manifest reader's to complain about.
        let manifest: toml::Table = text.parse().unwrap_or_default();
        let declares = |name: &str| {
            manifest
                .get("variables")
                .is_some_and(|variables| variables.get(name).is_some())
                && std::env::var_os(format!("SPIN_VARIABLE_{}", name.to_ascii_uppercase()))
                    .is_none()
        };
        Self {
            database: addresses.database.is_none() && declares("database_url"),
            valkey: addresses.valkey.is_none() && declares("valkey_url"),
        }
    }
}

/// Reads the manifest with the addresses of the environment or, where it names
/// none, with those of private servers.
fn resolve(
    text: &str,
    addresses: &Addresses,
    database: Option<Secret>,
    valkey: Option<Secret>,
) -> Result<(manifest::Spec, Vec<String>), Faults> {
    let mut faults = Faults::default();
    let mut environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    // An address is an address by whichever of its two names it is given.
    let mut given = |configured: &Option<Secret>, name: &str, private: Option<Secret>| {
        let own = environment.remove(&format!("SPIN_VARIABLE_{name}"));
        configured.clone().or(own.map(Secret::from)).or(private)
    };
    let database = given(&addresses.database, "DATABASE_URL", database);
    let valkey = given(&addresses.valkey, "VALKEY_URL", valkey);
    let database = database.and_then(|url| {
        let target = preflight::postgres_target(&mut faults, "DATABASE_URL", &url)?;
        Some((url, listed(&target.servers())))
    });
    let valkey = valkey.and_then(|url| {
        if url.is_empty() {
            return Some((url, String::new()));
        }
        let target = preflight::valkey_target(&mut faults, "VALKEY_URL", &url)?;
        Some((url, listed(&target.origins())))
    });
    let bad_addresses = !faults.is_empty();
    let values = from_environment(environment, Servers { database, valkey });
    let read = manifest::read(text, &values).and_then(|spec| {
        let mut notes = spec.notes();
        notes.extend(preflight::check(&spec)?);
        Ok((spec, notes))
    });
    match read {
        Ok(read) => faults.or(read),
        Err(found) => {
            // A variable that is only missing because its address is no
            // address was named already.
            let follows = |key: &str| {
                bad_addresses
                    && [
                        "database_url",
                        "database_origin",
                        "valkey_url",
                        "valkey_origin",
                    ]
                    .iter()
                    .any(|name| key == format!("variables.{name}"))
            };
            for fault in found {
                if !follows(&fault.key) {
                    faults.push(fault);
                }
            }
            Err(faults)
        }
    }
}

/// Origins, as a variable of several has them.
fn listed(origins: &[impl ToString]) -> String {
    let origins = origins.iter().map(ToString::to_string);
    origins.collect::<Vec<_>>().join(",")
}

fn folder_of(manifest: &Path) -> PathBuf {
    match manifest.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn failed(manifest: &Path, faults: &Faults) -> Failure {
    let count = faults.len();
    let noun = if count == 1 { "fault" } else { "faults" };
    Failure::usage(format!("{}: {count} {noun}\n{faults}", manifest.display()))
}
