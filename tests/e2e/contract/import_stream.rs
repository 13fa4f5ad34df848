//! Files far larger than the memory that importing them may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use warmlink_tests::rig::{self, Application};
use warmlink_tests::seed::{Link, Seed, URLS_HEADER, urls_csv};
use warmlink_tests::{Api, Reply, csv, runtime};

/// 55,000 urls of 2,000 bytes.
const USERS: u64 = 11_000;
const ROW: usize = 2_000;
const FILE: u64 = 100 << 20;

/// What imports may add to the resident memory of a host at rest, whatever the
/// file's size: the instance's own, some batches on their way, and no more.
const BOUND: u64 = 40 << 20;

/// On a machine that does much else meanwhile.
const LIMIT: Duration = Duration::from_secs(300);

/// The urls of a set, their targets made long.
struct File {
    urls: Vec<Link>,
    /// The row of this index is broken.
    broken: Option<usize>,
    sent: Arc<AtomicU64>,
}

impl File {
    fn of(seed: &Seed) -> Self {
        Self {
            urls: seed.urls.clone(),
            broken: None,
            sent: Arc::default(),
        }
    }

    async fn upload(self, api: &Api) -> Reply {
        let sent = Arc::clone(&self.sent);
        let rows = 0..self.urls.len();
        let header = std::iter::once(format!("{URLS_HEADER}\n"));
        let pieces = header
            .chain(rows.map(move |index| self.row(index)))
            .map(move |piece| {
                sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
                Bytes::from(piece)
            });
        csv::upload_pieces(api, "/urls/bulk", pieces)
            .await
            .expect("the upload is answered")
    }

    fn row(&self, index: usize) -> String {
        let mut url = long(&self.urls[index]);
        if self.broken == Some(index) {
            url.original_url = "a-word".to_owned();
        }
        let text = urls_csv(&[url]);
        text.split_once('\n').expect("a header").1.to_owned()
    }
}

fn long(url: &Link) -> Link {
    let mut url = url.clone();
    let rest = ROW - urls_csv(&[url.clone()]).len() + URLS_HEADER.len();
    url.original_url.push_str(&"x".repeat(rest));
    url
}

async fn prepared() -> (Application, Seed, Peak) {
    let application = Application::start_without_valkey().await;
    let peak = Peak::from_now(application.host.pid());
    let seed = Seed::generate(USERS);
    csv::upload(&application.api(), "/users/bulk", seed.users_csv())
        .await
        .expect(201);
    (application, seed, peak)
}

#[test]
fn a_large_file_is_imported_in_bounded_memory() {
    runtime::run_within(LIMIT, async {
        let (application, seed, peak) = prepared().await;
        let api = application.api();
        let file = File::of(&seed);
        let sent = Arc::clone(&file.sent);
        let reply = file.upload(&api).await.expect(201);
        peak.assert_bounded();
        let rows = seed.urls.len();
        assert_eq!(reply.value(), json!({ "count": rows, "imported": rows }));
        let sent = sent.load(Ordering::Relaxed);
        assert!(sent >= FILE, "only {sent} bytes");

        let list = api
            .get(&format!("/urls?after_id={}", rows - 2))
            .await
            .expect(200)
            .list();
        assert_eq!(list.len(), 2);
        let last = long(&seed.urls[rows - 1]);
        assert_eq!(list[1]["original_url"], last.original_url);
        assert_eq!(list[1]["short_code"], last.short_code);
        assert_eq!(rig::a_url(&api).await["id"], rows + 1);
    });
}

#[test]
fn a_bad_row_near_the_end_of_a_large_file_undoes_all_before_it() {
    runtime::run_within(LIMIT, async {
        let (application, seed, peak) = prepared().await;
        let api = application.api();
        let mut file = File::of(&seed);
        let index = seed.urls.len() - 10;
        file.broken = Some(index);
        let sent = Arc::clone(&file.sent);
        let reply = file.upload(&api).await;
        peak.assert_bounded();
        // The header is line 1.
        reply.error_naming(400, &format!("line {}:", index + 2));
        reply.error_naming(400, "original_url");
        assert!(sent.load(Ordering::Relaxed) > FILE * 9 / 10);
        assert!(api.get("/urls").await.expect(200).list().is_empty());
        // Not even a number was spent.
        assert_eq!(rig::a_url(&api).await["id"], 1);
    });
}

#[test]
fn a_bad_row_at_the_start_of_a_large_file_is_not_read_past() {
    runtime::run_within(LIMIT, async {
        let (application, seed, _) = prepared().await;
        let api = application.api();
        let mut file = File::of(&seed);
        file.broken = Some(0);
        let sent = Arc::clone(&file.sent);
        let reply = file.upload(&api).await;
        reply.error_naming(400, "line 2:");
        let sent = sent.load(Ordering::Relaxed);
        assert!(sent < FILE / 2, "{sent} bytes were taken");
        assert!(api.get("/urls").await.expect(200).list().is_empty());
    });
}

/// The most physical memory that a process has had since some moment.
struct Peak {
    pid: u32,
    start: u64,
}

impl Peak {
    fn from_now(pid: u32) -> Self {
        // See proc(5): 5 resets the peak to what is in use now.
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("our own child's");
        let mut peak = Self { pid, start: 0 };
        peak.start = peak.bytes();
        peak
    }

    #[track_caller]
    fn assert_bounded(&self) {
        let grown = self.bytes() - self.start;
        assert!(grown < BOUND, "{grown} bytes more than {}", self.start);
    }

    fn bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))
            .expect("the process runs");
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let number = line
            .and_then(|line| line.split_whitespace().nth(1))
            .expect("a number");
        number.parse::<u64>().expect("a number") * 1024
    }
}
