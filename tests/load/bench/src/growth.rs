//! What a large table costs: the same requests to two hosts in turn, one with few
//! links and one with many.

use anyhow::ensure;
use http::Method;
use warmlink_tests::columns::{table, thousands};
use warmlink_tests::database::connect;
use warmlink_tests::services::{Services, Wanted};
use warmlink_tests::{Database, Host, HostOptions, Manifest};

use crate::stage::say;
use crate::turns::{Asked, in_turn};
use crate::work::{Request, Walk};
use crate::wrk::Wrk;

/// Links of the one and of the other.
const FEW: u64 = 1_000;
const MANY: u64 = 5_000_000;

/// Links made by one statement.
const AT_ONCE: u64 = 250_000;

/// Requests go to links all over the table, so many at a step; it has no divisor in
/// common with either number.
const STRIDE: u64 = 2_399_999;

/// Ids below the last that lists begin at: so many rows a page has always.
const PAGE: u64 = 100;

const CONNECTIONS: u32 = 50;
const ROUNDS: usize = 5;

/// How far apart the two may be.
const MOST: f64 = 0.15;

/// `$1` and `$2`: first and last number.
const LINKS: &str = "\
WITH made AS (
    INSERT INTO urls (short_code, original_url, title)
    SELECT 'g' || lpad(n::text, 7, '0'),
           'https://example.com/articles/' || n || '?ref=bench', 'Article ' || n
    FROM generate_series($1::bigint, $2::bigint) AS n ORDER BY n
    RETURNING id, short_code
)
INSERT INTO codes (code, url_id) SELECT short_code, id FROM made";

/// A host and what it has to itself.
struct Side {
    host: Host,
    links: u64,
    _database: Database,
    valkey: Services,
}

/// What is asked, given how many links there are.
struct Work {
    title: &'static str,
    request: fn(u64) -> Request,
}

const WORKS: [Work; 3] = [
    Work {
        title: "HEAD /CODE, cached",
        // The same number of links in both: as many as are visited often.
        request: |_| request(Method::HEAD, "/g%07d", 302, FEW, 0),
    },
    Work {
        title: "GET /urls/ID, any of the table",
        request: |links| request(Method::GET, "/urls/%d", 200, links, 1),
    },
    Work {
        title: "GET /urls, a page anywhere",
        request: |links| {
            let path = "/urls?after_id=%d&per_page=100";
            request(Method::GET, path, 200, links - PAGE, 0)
        },
    },
];

fn request(method: Method, path: &'static str, status: u16, count: u64, base: u64) -> Request {
    let (body, stride) = ("", STRIDE);
    Request {
        method,
        path,
        body,
        status,
        walk: Some(Walk {
            count,
            stride,
            base,
        }),
    }
}

/// Makes the tables, measures, and says how the two compare.
///
/// # Errors
/// Where something fails, or the two are further apart than they may be.
pub(crate) async fn growth() -> anyhow::Result<()> {
    say(&format!(
        "making {} and {} links",
        thousands(FEW as f64),
        thousands(MANY as f64)
    ));
    let sides = [Side::start(FEW).await?, Side::start(MANY).await?];
    let wrk = Wrk::new()?;
    let (mut rows, mut worst) = (Vec::new(), 0.0_f64);
    for work in &WORKS {
        let asked = sides.each_ref().map(|side| Asked {
            host: &side.host,
            request: (work.request)(side.links),
        });
        let [few, many] = in_turn(&wrk, asked, CONNECTIONS, ROUNDS).await?;
        let ratio = many.rate / few.rate;
        worst = worst.max((ratio - 1.0).abs());
        rows.push(vec![
            work.title.to_owned(),
            thousands(few.rate),
            thousands(many.rate),
            format!("{:.2}", few.p99),
            format!("{:.2}", many.p99),
            format!("{ratio:.2}"),
        ]);
    }
    let head = [
        "work",
        "requests/s, few",
        "requests/s, many",
        "p99 ms, few",
        "p99 ms, many",
        "many : few",
    ];
    println!("\n{}", table(&head, &rows));
    for side in sides {
        side.stop().await;
    }
    ensure!(
        worst <= MOST,
        "further apart than {MOST} of the one with few links: {worst:.2}"
    );
    Ok(())
}

impl Side {
    async fn start(links: u64) -> anyhow::Result<Self> {
        let database = Database::create().await;
        let valkey = Wanted::default().valkey(&[]).start().await;
        let options = HostOptions::new(Manifest::application())
            .database(database.url())
            .valkey(valkey.valkey_url());
        let host = Host::start(options).await;
        let client = connect(database.url()).await;
        for first in (0..links).step_by(AT_ONCE as usize) {
            let last = (first + AT_ONCE).min(links) - 1;
            let numbers = [i64::try_from(first)?, i64::try_from(last)?];
            client.execute(LINKS, &[&numbers[0], &numbers[1]]).await?;
        }
        client.batch_execute("VACUUM ANALYZE urls, codes").await?;
        Ok(Self {
            host,
            links,
            _database: database,
            valkey,
        })
    }

    async fn stop(mut self) {
        self.host.terminate().await;
        drop(self.valkey.stop().await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_comes_to_every_link() {
        let divisor = |mut a: u64, mut b: u64| {
            while b > 0 {
                (a, b) = (b, a % b);
            }
            a
        };
        for work in &WORKS {
            for links in [FEW, MANY] {
                let walk = (work.request)(links).walk.unwrap();
                assert_eq!(divisor(walk.count, walk.stride), 1, "{}", work.title);
            }
        }
    }
}
