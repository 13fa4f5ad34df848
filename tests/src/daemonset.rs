//! The host's pods, as the manifests under `k8s/` describe them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use yaml_rust2::{Yaml, YamlLoader};

use crate::paths;

/// The workload of the host, read from where it is decided.
pub struct DaemonSet {
    name: String,
    pod: Yaml,
    env: Vec<(String, Source)>,
    /// Volumes and where they are mounted.
    mounts: Vec<(String, String)>,
}

/// Where a variable's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The manifest, with references to variables before it.
    Text(String),
    /// A key of a Secret.
    Secret(String, String),
    /// What the cluster knows of the pod.
    Field(String),
}

/// What kubelet asks, and how long it bears with the answer.
#[derive(Debug)]
pub struct Probe {
    pub path: String,
    pub port: u16,
    pub period: Duration,
    pub timeout: Duration,
    /// As many in a row count.
    pub failures: u32,
}

impl Probe {
    /// How long no answer is no failure, if each attempt is taken for a slow one.
    pub fn patience(&self) -> Duration {
        self.timeout * self.failures
    }
}

impl DaemonSet {
    /// The base alone, with servers of one's own.
    ///
    /// # Panics
    /// Where it is not as it is known here.
    pub fn base() -> Self {
        Self::in_yaml(&read("base/daemonset.yaml"))
    }

    /// The base, and the patch that this component brings for it.
    ///
    /// # Panics
    /// Where either is not as it is known here.
    #[must_use]
    pub fn patched_by(mut self, component: &str) -> Self {
        let patch = Self::in_yaml(&read(&format!("components/{component}/host.yaml")));
        assert_eq!(patch.name, self.name, "the patch is for another");
        let patched = |name: &str| patch.env.iter().any(|(it, _)| it == name);
        self.env.retain(|(name, _)| !patched(name));
        // kustomize puts what a patch says first.
        self.env.splice(0..0, patch.env);
        self.mounts.splice(0..0, patch.mounts);
        self
    }

    /// The workload of this name in a rendered set of manifests.
    ///
    /// # Panics
    /// Where it is not there.
    pub fn rendered(text: &str) -> Self {
        Self::in_yaml(text)
    }

    /// The one DaemonSet among the documents.
    fn in_yaml(text: &str) -> Self {
        let documents = YamlLoader::load_from_str(text).expect("the manifests are YAML");
        let mut found = documents
            .into_iter()
            .filter(|it| it["kind"].as_str() == Some("DaemonSet"));
        let it = found.next().expect("there is a DaemonSet");
        assert!(found.next().is_none(), "there is one DaemonSet");
        let pod = it["spec"]["template"]["spec"].clone();
        let containers = list(&pod["containers"]);
        assert_eq!(containers.len(), 1, "the host is alone in its pod");
        let env = list(&containers[0]["env"]).iter().map(variable).collect();
        let mounts = containers[0]["volumeMounts"].as_vec();
        let mounts = mounts.into_iter().flatten();
        let mounts = mounts
            .map(|it| (text_of(&it["name"]), text_of(&it["mountPath"])))
            .collect();
        Self {
            name: text_of(&it["metadata"]["name"]),
            pod,
            env,
            mounts,
        }
    }

    fn container(&self) -> &Yaml {
        &self.pod["containers"][0]
    }

    /// Every variable, in order.
    pub fn variables(&self) -> &[(String, Source)] {
        &self.env
    }

    /// The environment, where `given` says what comes from elsewhere than the manifest.
    /// As the cluster has it, only what was named before can be referred to.
    pub fn environment(&self, given: impl Fn(&Source) -> String) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        for (name, source) in &self.env {
            let value = match source {
                Source::Text(text) => all.iter().fold(text.clone(), |text, (known, value)| {
                    text.replace(&format!("$({known})"), value)
                }),
                other => given(other),
            };
            all.insert(name.clone(), value);
        }
        all
    }

    /// A variable whose value is in the manifest.
    ///
    /// # Panics
    /// Where it is not.
    pub fn text(&self, name: &str) -> &str {
        let found = self.env.iter().find(|(it, _)| it == name);
        match found {
            Some((_, Source::Text(text))) => text,
            other => panic!("{name} is {other:?}"),
        }
    }

    /// What the image's program is told.
    pub fn arguments(&self) -> Vec<String> {
        list(&self.container()["args"])
            .iter()
            .map(text_of)
            .collect()
    }

    /// From being told to end until it is killed.
    pub fn grace(&self) -> Duration {
        seconds(&self.pod["terminationGracePeriodSeconds"])
    }

    /// Bytes that it may have.
    ///
    /// # Panics
    /// Where there is no such limit.
    pub fn memory_limit(&self) -> u64 {
        let text = text_of(&self.container()["resources"]["limits"]["memory"]);
        let units = [("Mi", 20), ("Gi", 30)];
        let read = units.iter().find_map(|(unit, bits)| {
            let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
            Some(number << bits)
        });
        read.unwrap_or_else(|| panic!("{text} is no size known here"))
    }

    /// Thousandths of a core that it may use.
    ///
    /// # Panics
    /// Where there is no such limit.
    pub fn cpu_limit(&self) -> u32 {
        let text = text_of(&self.container()["resources"]["limits"]["cpu"]);
        match text.strip_suffix('m') {
            Some(number) => number.parse().expect("a number"),
            None => 1000 * text.parse::<u32>().expect("a number"),
        }
    }

    /// The user, the group, and the group that the volumes are given to.
    pub fn identity(&self) -> [u32; 3] {
        ["runAsUser", "runAsGroup", "fsGroup"].map(|key| {
            let number = self.pod["securityContext"][key].as_i64();
            number
                .and_then(|it| u32::try_from(it).ok())
                .unwrap_or_else(|| panic!("no {key}"))
        })
    }

    /// `startupProbe` and so on.
    ///
    /// # Panics
    /// Where there is none, or it asks no port of the pod's.
    pub fn probe(&self, name: &str) -> Probe {
        let probe = &self.container()[name];
        let asked = text_of(&probe["httpGet"]["port"]);
        let ports = list(&self.container()["ports"]);
        let port = ports
            .iter()
            .find(|it| it["name"].as_str() == Some(&asked))
            .unwrap_or_else(|| panic!("{name} asks port {asked}"));
        let number = |yaml: &Yaml| yaml.as_i64().expect("a number");
        Probe {
            path: text_of(&probe["httpGet"]["path"]),
            port: number(&port["containerPort"]).try_into().expect("a port"),
            period: seconds(&probe["periodSeconds"]),
            timeout: seconds(&probe["timeoutSeconds"]),
            failures: number(&probe["failureThreshold"]).try_into().expect("few"),
        }
    }

    /// Volumes, and where they are mounted.
    pub fn mounts(&self) -> &[(String, String)] {
        &self.mounts
    }

    /// Where the volume of this name is mounted.
    ///
    /// # Panics
    /// Where it is not.
    pub fn mounted_at(&self, volume: &str) -> &str {
        let found = self.mounts.iter().find(|(name, _)| name == volume);
        &found
            .unwrap_or_else(|| panic!("{volume} is mounted nowhere"))
            .1
    }

    /// A key of the container's security context, with a value of yes or no.
    pub fn secures(&self, key: &str) -> Option<bool> {
        self.container()["securityContext"][key].as_bool()
    }
}

fn read(path: &str) -> String {
    let path = paths::root().join("k8s").join(Path::new(path));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn variable(yaml: &Yaml) -> (String, Source) {
    let name = text_of(&yaml["name"]);
    let from = &yaml["valueFrom"];
    let secret = &from["secretKeyRef"];
    let source = if let Some(text) = yaml["value"].as_str() {
        Source::Text(text.to_owned())
    } else if !secret.is_badvalue() {
        Source::Secret(text_of(&secret["name"]), text_of(&secret["key"]))
    } else {
        Source::Field(text_of(&from["fieldRef"]["fieldPath"]))
    };
    (name, source)
}

#[track_caller]
fn list(yaml: &Yaml) -> &Vec<Yaml> {
    yaml.as_vec().expect("a list")
}

#[track_caller]
fn text_of(yaml: &Yaml) -> String {
    yaml.as_str().expect("a text").to_owned()
}

#[track_caller]
fn seconds(yaml: &Yaml) -> Duration {
    let number = yaml.as_i64().expect("a number of seconds");
    Duration::from_secs(number.try_into().expect("none is below 0"))
}
