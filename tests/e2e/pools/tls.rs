//! Servers behind TLS, with certificates that a private authority has signed.

use std::path::Path;

use tempfile::TempDir;
use warmlink_tests::probe::Probe;
use warmlink_tests::services::shared_valkey;
use warmlink_tests::tls::{Authority, Opening};
use warmlink_tests::{Database, Host, HostOptions, Manifest, eventually, run};

use super::{SOON, valkey};

const POOL: &str = "[[postgres]]\naddress = \"{{ database_url }}\"\nmin = 1\nmax = 1";
const VARIABLES: &str = "[variables]\ndatabase_url = { required = true, secret = true }";

/// Whose certificate is trusted, by which mode, under which name the server is
/// called, and what its certificate is for.
struct Case {
    sslmode: &'static str,
    trusts_it: bool,
    certified: &'static str,
    accepted: bool,
}

const CASES: &[Case] = &[
    case("verify-full", true, "localhost", true),
    case("verify-full", true, "elsewhere.test", false),
    case("verify-full", false, "localhost", false),
    // The name does not count there.
    case("verify-ca", true, "elsewhere.test", true),
    case("verify-ca", false, "localhost", false),
    // As libpq has it: with roots, what is required is checked against them.
    case("require", true, "elsewhere.test", true),
    case("require", false, "localhost", false),
];

const fn case(
    sslmode: &'static str,
    trusts_it: bool,
    certified: &'static str,
    accepted: bool,
) -> Case {
    Case {
        sslmode,
        trusts_it,
        certified,
        accepted,
    }
}

/// The certificates of two authorities, one of which nobody here has signed with.
fn roots(authority: &Authority) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("it.pem"), authority.pem()).unwrap();
    std::fs::write(folder.path().join("other.pem"), Authority::new().pem()).unwrap();
    folder
}

fn path(folder: &TempDir, trusts_it: bool) -> String {
    let name = if trusts_it { "it.pem" } else { "other.pem" };
    folder.path().join(Path::new(name)).display().to_string()
}

#[test]
fn a_database_is_believed_as_far_as_sslmode_says() {
    run(async {
        let database = Database::create().await;
        let authority = Authority::new();
        let roots = roots(&authority);
        for case in CASES {
            let relay = authority
                .relay(case.certified, Opening::Postgres, &database.authority())
                .await;
            let url = database
                .url_through(relay.port())
                .replace("127.0.0.1", "localhost");
            let root = path(&roots, case.trusts_it);
            let url = format!("{url}?sslmode={}&sslrootcert={root}", case.sslmode);
            let manifest = Manifest::one("http", VARIABLES).with_tool(POOL);
            let host = Host::spawn(HostOptions::new(manifest).database(&url));
            if case.accepted {
                host.opened().await;
                continue;
            }
            let admin = host.admin_bound().await;
            eventually("the certificate is complained of", SOON, || async {
                let lines = host.log().lines();
                let complains = |line: &String| line.contains("certificate");
                lines.iter().any(complains).then_some(())
            })
            .await;
            assert!(!host.is_open(), "{admin}: {}", case.sslmode);
        }
    });
}

#[test]
fn a_valkey_is_believed_by_the_systems_roots() {
    run(async {
        let authority = Authority::new();
        let roots = roots(&authority);
        let server = shared_valkey().await;
        let relay = authority
            .relay("localhost", Opening::Direct, &server.valkey_authority())
            .await;
        let url = server
            .valkey_url_through(relay.port())
            .replace("redis://", "rediss://")
            .replace("127.0.0.1", "localhost");
        for trusts_it in [true, false] {
            let options = HostOptions::new(valkey::manifest())
                .valkey(&url)
                .env("SSL_CERT_FILE", &path(&roots, trusts_it));
            let host = Host::start(options).await;
            let probe = Probe::new(host.api(), "/");
            let outcomes = probe.run(valkey::get(&url)).await;
            let answered = outcomes[1].get("ok").is_some();
            assert_eq!(answered, trusts_it, "{outcomes:?}");
        }
    });
}
