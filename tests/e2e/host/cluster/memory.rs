//! What a host may take of memory: as much as its container's limit is made of, and where the
//! system gives it no more, one guest goes without.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use tokio::task::JoinHandle;
use warmlink_tests::daemonset::DaemonSet;
use warmlink_tests::raw::Raw;
use warmlink_tests::revisions::salted;
use warmlink_tests::seed::{Seed, URLS_HEADER, urls_csv};
use warmlink_tests::traffic::Traffic;
use warmlink_tests::{
    Api, Control, Database, Host, HostOptions, Manifest, csv, eventually, paths, process, rig, run,
    services,
};

use super::{SOON, compiled_before, succeeds};

const MIB: u64 = 1 << 20;

/// What the application lets an import take, and how many there are at once.
struct Imports {
    memory: u64,
    at_once: u64,
}

impl Imports {
    fn of_the_application() -> Self {
        let manifest: toml::Table = Manifest::application().text().parse().unwrap();
        let limits = &manifest["component"]["import"]["tool"]["warmlink"];
        let memory = limits["memory"].as_str().unwrap();
        let memory = memory.strip_suffix("MiB").unwrap();
        Self {
            memory: memory.parse().unwrap(),
            at_once: limits["in_flight"]
                .as_integer()
                .unwrap()
                .try_into()
                .unwrap(),
        }
    }
}

/// The most memory of any process that a host has compile.
struct Compilers {
    peak: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Compilers {
    fn of(host: &Host) -> Self {
        let (pid, peak) = (host.pid(), Arc::<AtomicU64>::default());
        let seen = peak.clone();
        let task = tokio::spawn(async move {
            loop {
                for child in process::children(pid) {
                    // The kernel keeps the peak: only what it grows after the last look is
                    // missed.
                    seen.fetch_max(process::size(child, "VmHWM").unwrap_or(0), Relaxed);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        Self { peak, task }
    }

    fn peak(&self) -> u64 {
        self.peak.load(Relaxed)
    }
}

impl Drop for Compilers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Some mebibytes of urls, whose numbers are those of no other file.
fn file(number: u64) -> impl Iterator<Item = Bytes> + Send + Sync + Unpin + 'static {
    let urls = Seed::generate(500).urls;
    let rows = urls.into_iter().map(move |mut url| {
        url.id += (number + 1) * 100_000;
        url.user_id = 1;
        url.short_code = format!("f{}", url.id);
        url.original_url.push_str(&"x".repeat(1_900));
        let text = urls_csv(&[url]);
        Bytes::from(text.split_once('\n').unwrap().1.to_owned())
    });
    std::iter::once(Bytes::from(format!("{URLS_HEADER}\n"))).chain(rows)
}

#[test]
fn all_that_the_limit_is_made_of_fits_into_it_at_once() {
    run(async {
        let set = DaemonSet::base();
        let imports = Imports::of_the_application();
        // One that takes all that an import may take, for as long as its client likes.
        let limits = format!(
            "memory = \"{}MiB\"\nin_flight = {}\ncpu = \"30s\"",
            imports.memory, imports.at_once
        );
        let manifest = Manifest::application().with_guest("greedy", "http", &limits);
        let database = Database::create().await;
        let valkey = services::shared_valkey().await;
        // Nothing is left in there of what was compiled before, function by function.
        let folder = tempfile::tempdir().unwrap();
        let owner = fs::metadata(folder.path()).unwrap();
        compiled_before(folder.path(), [owner.uid(), owner.gid()]).await;
        let options = HostOptions::new(manifest)
            .database(database.url())
            .valkey(valkey.valkey_url())
            .env(
                "WARMLINK_CACHE",
                folder.path().join("cache").to_str().unwrap(),
            );
        let host = Host::start(options).await;
        let (api, rest) = (host.api(), host.resident_bytes());
        let user = rig::a_user(&api).await;
        let url = rig::a_url(&api).await;

        // The largest that there may be, all at once: a body that nobody reads.
        let bytes = (imports.memory - 8) * MIB;
        let path = format!("/greedy/stream?chunks=1&bytes={bytes}");
        let mut hoards = Vec::new();
        for _ in 0..imports.at_once {
            let mut raw = Raw::get(host.public(), &path).await;
            assert_eq!(raw.head().await, 200);
            hoards.push(raw);
        }
        let held = imports.at_once * bytes;
        eventually("all of it is held", SOON, || async {
            (host.resident_bytes() > rest + held).then_some(())
        })
        .await;

        // Beside them real imports, of files that are larger than a batch by far, and clients.
        let mut traffic = Traffic::default();
        let (visit, lookup) = (rig::visit(&url), rig::path("urls", &url));
        traffic.add(
            "client",
            8,
            || host.api(),
            move |api: Api| {
                let (visit, lookup) = (visit.clone(), lookup.clone());
                async move {
                    let reply = api.get(&visit).await;
                    anyhow::ensure!(reply.status == 302, "{}", reply.text());
                    let reply = api.get(&lookup).await;
                    anyhow::ensure!(reply.status == 200, "{}", reply.text());
                    Ok(api)
                }
            },
        );
        assert_eq!(user["id"], 1);
        let numbers = 0..imports.at_once;
        let imported = numbers.map(|it| csv::upload_pieces(&api, "/urls/bulk", file(it)));
        for reply in join_all(imported).await {
            reply.unwrap().expect(201);
        }
        assert!(traffic.stop().await > 0);

        // And one component more, which is compiled.
        let compilers = Compilers::of(&host);
        let import = paths::root().join("target/wasm32-wasip2/guest/import.wasm");
        let swapped = salted(&import, "another");
        Control::of(&host).deploy("import", swapped).await;
        let (own, compiler) = (process::peak_bytes(host.pid()), compilers.peak());
        println!(
            "of {} MiB: at rest {}, {} held by guests, at most {}, and {} to compile",
            set.memory_limit() / MIB,
            rest / MIB,
            held / MIB,
            own / MIB,
            compiler / MIB
        );
        assert!(compiler > 0, "nothing was compiled apart");
        assert!(own + compiler < set.memory_limit());
        assert!(succeeds(&host.admin_api(), &set.probe("livenessProbe")).await);

        // And it is given back.
        drop(hoards);
        eventually("what was held is free", SOON, || async {
            (host.resident_bytes() < rest + held / 2).then_some(())
        })
        .await;
        api.get(&rig::path("urls", &url)).await.expect(200);
    });
}

#[test]
fn memory_that_the_system_refuses_is_missed_by_one_guest_alone() {
    run(async {
        let greedy = "memory = \"256MiB\"\ncpu = \"30s\"";
        // As the application's own are: what serves has the memory that it needs.
        let kept = "reuse = 4096\nconcurrency = 16";
        let manifest = Manifest::several(&[("greedy", "http", greedy), ("other", "http", kept)]);
        // So that it is clear which instance answers.
        let options = HostOptions::new(manifest).env("WARMLINK_CORES", "1");
        let host = Host::start(options).await;
        let (api, set) = (host.api(), DaemonSet::base());
        for component in ["greedy", "other"] {
            api.get(&format!("/{component}/grow?mib=4"))
                .await
                .expect(200);
        }
        if !process::limit_memory(host.pid(), 128 * MIB) {
            eprintln!("SKIPPED: a limit of memory: there is no prlimit here");
            return;
        }
        for _ in 0..3 {
            let grown = api.get("/greedy/grow?mib=200").await.expect(200).value();
            let given = grown["given"].as_u64().unwrap();
            assert!((64..=128).contains(&given), "{given} MiB of 128");
            let reply = api.get("/greedy/exhaust").await;
            reply.error(502);
            assert_eq!(reply.value()["kind"], "trapped");
            api.get("/other/grow?mib=4").await.expect(200);
            assert!(succeeds(&host.admin_api(), &set.probe("livenessProbe")).await);
            assert!(succeeds(&host.admin_api(), &set.probe("readinessProbe")).await);
        }
        // With room again, all is as before.
        assert!(process::limit_memory(host.pid(), 1 << 40));
        let grown = api.get("/greedy/grow?mib=200").await.expect(200).value();
        assert_eq!(grown["given"], 200);
    });
}
