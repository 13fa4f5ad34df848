//! The hosts that most tests run against.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::host::Shared;
use crate::probe::Probe;
use crate::services::{Services, Wanted, shared_valkey};
use crate::{Api, Database, Host, HostOptions, Manifest, eventually, unique};

/// What has to happen happens within this, on a loaded machine.
const SOON: Duration = Duration::from_secs(20);

/// The application with a database and a Valkey, shared by the tests that
/// keep to users and urls of their own.
pub struct Application {
    pub host: Host,
    pub database: Database,
    /// Where the application has one.
    pub valkey: Option<Services>,
}

/// The shared application, its log shown where the test fails.
pub async fn application() -> (Shared, &'static Database) {
    static SHARED: OnceCell<Application> = OnceCell::const_new();
    let shared = SHARED.get_or_init(Application::start).await;
    (Shared(&shared.host), &shared.database)
}

impl Application {
    /// One of the test's own, on an empty database and an empty Valkey.
    pub async fn start() -> Self {
        Self::start_as(Manifest::application()).await
    }

    /// The same by a manifest of the test's own.
    pub async fn start_as(manifest: Manifest) -> Self {
        let database = Database::create().await;
        let valkey = Wanted::default().valkey(&[]).start().await;
        let options = HostOptions::new(manifest)
            .database(database.url())
            .valkey(valkey.valkey_url());
        let host = Host::start(options).await;
        Self {
            host,
            database,
            valkey: Some(valkey),
        }
    }

    /// One without Valkey, on an empty database.
    pub async fn start_without_valkey() -> Self {
        let database = Database::create().await;
        let options = HostOptions::new(Manifest::application()).database(database.url());
        let host = Host::start(options).await;
        Self {
            host,
            database,
            valkey: None,
        }
    }

    pub fn api(&self) -> Api {
        self.host.api()
    }
}

/// A user that no other test has.
pub async fn a_user(api: &Api) -> Value {
    let name = unique::name("user");
    let body = json!({ "username": name, "email": format!("{name}@example.com") });
    api.post("/users", &body).await.expect(201).value()
}

/// A url, of nobody's, to a target that no other test has.
pub async fn a_url(api: &Api) -> Value {
    let target = format!("https://example.com/{}", unique::name("page"));
    api.post("/urls", &json!({ "original_url": target }))
        .await
        .expect(201)
        .value()
}

/// A url of a user's.
pub async fn a_url_of(api: &Api, user: &Value) -> Value {
    let target = format!("https://example.com/{}", unique::name("page"));
    let body = json!({ "original_url": target, "user_id": user["id"] });
    api.post("/urls", &body).await.expect(201).value()
}

/// `/users/ID` and the like, by the object's own id.
///
/// # Panics
/// Where the object has none.
pub fn path(collection: &str, object: &Value) -> String {
    format!("/{collection}/{}", object["id"].as_u64().expect("an id"))
}

/// The path a url is visited at.
///
/// # Panics
/// Where it has no code.
pub fn visit(url: &Value) -> String {
    format!("/{}", url["short_code"].as_str().expect("a code"))
}

/// The events of one url, of one kind where one is given.
pub async fn events_of(api: &Api, url: &Value, kind: Option<&str>) -> Vec<Value> {
    let mut path = format!("/events?url_id={}&per_page=1000", url["id"]);
    if let Some(kind) = kind {
        path.push_str("&event_type=");
        path.push_str(kind);
    }
    api.get(&path).await.expect(200).list()
}

/// Waits until the node answers from its near cache, which it has repaired first.
///
/// # Panics
/// Where it never does.
pub async fn trusted(host: &Host) {
    eventually("the cache is trusted", SOON, || async {
        let trusted = host
            .metrics()
            .await
            .sum("warmlink_valkey_near_trusted", &[]);
        (trusted == Some(1.0)).then_some(())
    })
    .await;
}

/// A host with one guest, with a database and the run's Valkey.
pub struct Lone {
    pub host: Host,
    pub database: Database,
    pub valkey_url: String,
    pub probe: Probe,
}

impl Lone {
    /// `keys` are lines of the component's table, which may use the variables
    /// `database_url` and so on.
    pub async fn start(guest: &str, keys: &str, tool: &str) -> Self {
        let database = Database::create().await;
        let valkey_url = shared_valkey().await.valkey_url().to_owned();
        let mut manifest = Manifest::one(guest, keys);
        if !tool.is_empty() {
            manifest = manifest.with_tool(tool);
        }
        let options = HostOptions::new(manifest)
            .database(database.url())
            .valkey(&valkey_url);
        let host = Host::start(options).await;
        let probe = Probe::new(host.api(), "/");
        Self {
            host,
            database,
            valkey_url,
            probe,
        }
    }
}
