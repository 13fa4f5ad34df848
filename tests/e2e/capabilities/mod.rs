//! What components may ask of the host, call by call.

mod errors;
mod http_outbound;
mod isolation;
mod key_value;
mod opening;
mod postgres3;
mod redis;
mod redis_session;
mod streams;
mod types;
mod variables;

use serde_json::Value;
use tokio::sync::OnceCell;
use warmlink_tests::host::Shared;
use warmlink_tests::probe::{Probe, open};
use warmlink_tests::{Database, Host, HostOptions, Manifest, services};

/// What each guest is granted, and the servers that stand behind it.
struct Rig {
    host: Host,
    database: Database,
    valkey: &'static str,
}

/// What the manifest says of each probe beyond its route and its guest.
const GRANTS: &[(&str, &str)] = &[
    ("postgres42", DATABASE),
    ("postgres3", DATABASE),
    ("redis3", VALKEY),
    ("redis2", VALKEY),
    ("kv3", STORES),
    ("kv2", STORES),
    ("variables3", VARIABLES),
    ("variables2", VARIABLES),
];
const DATABASE: &str = "allowed_outbound_hosts = [\"{{ database_origin }}\"]";
const VALKEY: &str = "allowed_outbound_hosts = [\"{{ valkey_origin }}\"]";
const STORES: &str = "key_value_stores = [\"default\", \"other\"]";
const VARIABLES: &str = "variables = { greeting = \"hello {{ name }}\", plain = \"as it is\" }";

const APPLICATION: &str = r#"
[variables]
database_url = { required = true, secret = true }
database_origin = { required = true }
valkey_url = { required = true, secret = true }
valkey_origin = { required = true }
name = { default = "world" }
unshared = { default = "not given to any component" }

[[application.tool.warmlink.postgres]]
address = "{{ database_url }}"
min = 2
max = 6

[[application.tool.warmlink.valkey]]
address = "{{ valkey_url }}"

[application.tool.warmlink.key_value.default]
address = "{{ valkey_url }}"
prefix = "kv:default:"

[application.tool.warmlink.key_value.other]
address = "{{ valkey_url }}"
prefix = "kv:other:"
"#;

async fn rig() -> (Shared, &'static Rig) {
    static RIG: OnceCell<Rig> = OnceCell::const_new();
    let rig = RIG.get_or_init(Rig::start).await;
    (Shared(&rig.host), rig)
}

impl Rig {
    async fn start() -> Self {
        let database = Database::create().await;
        let valkey = services::shared_valkey().await.valkey_url();
        let mut text = APPLICATION.to_owned();
        for (guest, grants) in GRANTS {
            text.push_str(&format!(
                "[[trigger.http]]\nroute = \"/{guest}/...\"\ncomponent = \"{guest}\"\n\
                 [component.{guest}]\nsource = \"{guest}\"\n{grants}\n\
                 [component.{guest}.tool.warmlink]\nreuse = 100\n"
            ));
        }
        let options = HostOptions::new(Manifest::guests(&text))
            .database(database.url())
            .valkey(valkey);
        let host = Host::start(options).await;
        Self {
            host,
            database,
            valkey,
        }
    }

    fn probe(&self, guest: &str) -> Probe {
        Probe::new(self.host.api(), &format!("/{guest}"))
    }

    /// The step that opens handle `c` on the database.
    fn database(&self) -> Value {
        open("c", self.database.url())
    }

    /// The step that opens handle `c` on the Valkey.
    fn valkey(&self) -> Value {
        open("c", self.valkey)
    }
}
