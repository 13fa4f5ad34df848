//! A wall clock that jumps by a day, there and back.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use http::header::HeaderName;
use tempfile::TempDir;
use warmlink_tests::control::Ended;
use warmlink_tests::raw::Raw;
use warmlink_tests::revisions::named;
use warmlink_tests::table::until_in_flight;
use warmlink_tests::{Control, Host, HostOptions, Manifest, control, host, run};

const TOKEN: &str = "of-sixteen-or-more";
const DAY: i64 = 24 * 60 * 60;

/// A clock that a host is started with, and that a test sets.
struct Clock {
    folder: TempDir,
}

impl Clock {
    /// # Panics
    /// Where there is no C compiler; cargo takes one, too.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Self { folder };
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/host/faults/clock.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", source, "-ldl", "-o"])
            .arg(clock.library())
            .status();
        assert!(compiled.is_ok_and(|status| status.success()));
        clock.jump(0);
        clock
    }

    /// From now on it is so many seconds from the right time.
    fn jump(&self, seconds: i64) {
        let new = self.folder.path().join("new");
        fs::write(&new, seconds.to_string()).unwrap();
        // At once: it is read at any moment.
        fs::rename(new, self.offset()).unwrap();
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("clock.so")
    }

    fn offset(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    fn given_to(&self, options: HostOptions) -> HostOptions {
        options
            .env("LD_PRELOAD", self.library().to_str().unwrap())
            .env("CLOCK_OFFSET", self.offset().to_str().unwrap())
    }
}

/// The header that asks for a revision, by the right time.
async fn signed(digest: &str) -> String {
    let env = [("WARMLINK_ADMIN_TOKEN".to_owned(), TOKEN.to_owned())];
    let output = host::command(&env.into())
        .args(["sign", "rev", digest])
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let (_, value) = said.trim().split_once(": ").unwrap();
    value.to_owned()
}

/// The revision that answers, or the status where none does.
async fn name(host: &Host, headers: &[(HeaderName, &str)]) -> String {
    let api = host.api();
    let (method, body) = (http::Method::GET, bytes::Bytes::new());
    let reply = api.send(method, "/rev/body?lines=3", headers, body).await;
    if reply.status != 200 {
        return reply.status.as_u16().to_string();
    }
    control::name(&reply.headers, &reply.body, 3).unwrap()
}

#[test]
fn a_clock_that_jumps_costs_nobody_more_than_what_expires() {
    run(async {
        let clock = Clock::new();
        let rate = "[component.limited.tool.warmlink.rate]\nrequests = 3\nper = \"1h\"";
        let manifest = Manifest::several(&[
            ("rev", "revision", ""),
            ("it", "http", "deadline = \"20s\""),
            ("limited", "http", rate),
        ]);
        let options = HostOptions::new(manifest).env("WARMLINK_ADMIN_TOKEN", TOKEN);
        let host = Host::start(clock.given_to(options)).await;
        let control = Control::at(host.admin(), Some(TOKEN));
        let limited = async || host.api().get("/limited/status/204").await;
        for _ in 0..3 {
            limited().await.expect(204);
        }
        let digest = control.deploy("rev", named("first", "ok")).await["revision"].clone();
        let asked = signed(&digest.as_str().unwrap()[..12]).await;
        let asks = [(
            HeaderName::from_static("x-warmlink-revision"),
            asked.as_str(),
        )];
        assert_eq!(name(&host, &asks).await, "first");

        for (jump, heard) in [(DAY, "403"), (-DAY, "first"), (0, "first")] {
            // One that is on its way has its whole time, and no less.
            let mut under_way = Raw::post_head(host.public(), "/it/count", 1).await;
            until_in_flight(&host, "it", 1).await;
            clock.jump(jump);
            under_way.send("x").await;
            assert_eq!(under_way.response().await.status, 200);
            // A client has what it had.
            let reply = limited().await;
            reply.error(429);
            let after: u64 = reply.header("retry-after").unwrap().parse().unwrap();
            assert!(after <= 3600, "{after}");
            assert_eq!(name(&host, &asks).await, heard);
            // The order of what was deployed is that of the commands.
            control.deploy("rev", named("second", "ok")).await;
            assert_eq!(name(&host, &[]).await, "second");
            Ended::of(control.command("rev", "rollback", "").await).done();
            assert_eq!(name(&host, &[]).await, "first");
        }
    });
}
