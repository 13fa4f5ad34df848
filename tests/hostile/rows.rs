//! Who does what, by which limits, and what is to come of it.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use warmlink_tests::Manifest;
use warmlink_tests::probe::open;

/// One way of being hostile: a component of its own.
pub(super) struct Row {
    /// The component's name.
    pub name: &'static str,
    pub guest: &'static str,
    /// Lines of its `tool` table.
    pub limits: &'static str,
    pub ask: Ask,
    /// What may come of it, and nothing else. A trap breaks what the instance is
    /// still sending. An import that has waited until the
    /// deadline says so, and a guest that is quick answers that.
    pub outcomes: &'static [&'static str],
    /// No answer takes longer, whoever else is at work on the machine.
    pub longest: Duration,
}

/// What the component is asked.
pub(super) enum Ask {
    /// A behaviour of the guest's, by its path.
    Get(&'static str),
    /// A script of steps on a handle `c` of the database.
    Script(&'static [Step]),
    /// As many handles, each with a transaction that it begins.
    Transactions(usize),
}

#[derive(Clone, Copy)]
pub(super) enum Step {
    Execute(&'static str),
    Query(&'static str),
    QueryAsync(&'static str),
    /// The stream is dropped after so many rows.
    Some(&'static str, u64),
    Wait(u64),
    Trap,
}

const ROW_OF_A_KILOBYTE: &str =
    "SELECT repeat('x', 1000) FROM (SELECT generate_series(1, 10000000)) AS of_ten_million";
const ENDLESS: &str = "SELECT pg_sleep(3600)";
const CREATED: &str = "CREATE TEMPORARY TABLE left_behind AS SELECT 1";

/// Limits of time are short, so that many fit in a while; those that are not to
/// be met are long, so that a busy machine does not meet them.
const CPU: &str = "cpu = \"10ms\"";
const MEMORY: &str = "cpu = \"20s\"\nmemory = \"8MiB\"";
const HANDLES: &str = "cpu = \"20s\"\nhandles = 512\nreuse = 100000";
const DEADLINE: &str = "deadline = \"100ms\"\ncpu = \"20s\"";
/// Enough to read a hundred kilobytes of a script in.
const LATER: &str = "deadline = \"700ms\"\ncpu = \"20s\"";
const LITTLE: &str = "deadline = \"100ms\"\ncpu = \"20s\"\nmemory = \"8MiB\"";
const SHARED: &str = "deadline = \"100ms\"\ncpu = \"20s\"\nconcurrency = 4\nreuse = 100000";
/// With nobody to send to, a guest has as long as for an answer.
const IDLE: &str = "body_idle = \"100ms\"\nbody_total = \"20s\"\ndeadline = \"1s\"";
const COLD: &str = "warm = 0";
const NONE: &str = "cpu = \"20s\"";

/// A limit of a tenth of a second is met within this by a machine at work on
/// other things.
const LONGEST: Duration = Duration::from_secs(20);

const fn http(
    name: &'static str,
    limits: &'static str,
    path: &'static str,
    outcomes: &'static [&'static str],
) -> Row {
    Row {
        name,
        guest: "http",
        limits,
        ask: Ask::Get(path),
        outcomes,
        longest: LONGEST,
    }
}

const fn postgres(
    name: &'static str,
    limits: &'static str,
    ask: Ask,
    outcomes: &'static [&'static str],
) -> Row {
    Row {
        name,
        guest: "postgres42",
        limits,
        ask,
        outcomes,
        longest: LONGEST,
    }
}

pub(super) const ROWS: &[Row] = &[
    http("spins", CPU, "spin", &["502 trapped"]),
    http("calls", CPU, "call", &["502 trapped"]),
    http("awaits", DEADLINE, "await", &["504 deadline"]),
    http("recurses", NONE, "recurse", &["502 trapped"]),
    http("grows", MEMORY, "exhaust", &["502 trapped"]),
    http("hoards", HANDLES, "handles?n=1000", &["502 trapped"]),
    http(
        "leaks",
        HANDLES,
        "leak?n=100",
        &["200", "502 trapped", "200 broken"],
    ),
    http("panics", NONE, "panic", &["502 trapped"]),
    http("traps", NONE, "trap", &["502 trapped"]),
    http(
        "lies",
        NONE,
        "short?declared=100&sent=10",
        &["502 guest_error", "200 broken"],
    ),
    http("never-answers", DEADLINE, "never", &["504 deadline"]),
    http("never-answers-shared", SHARED, "never", &["504 deadline"]),
    http(
        "never-ends",
        IDLE,
        "stream-then-stall?bytes=20000",
        &["200 broken"],
    ),
    http(
        "traps-late",
        NONE,
        "stream-then-trap?bytes=20000",
        &["200 broken", "502 trapped"],
    ),
    http(
        "spins-late",
        CPU,
        "stream-then-spin?bytes=20000",
        &["200 broken", "502 trapped"],
    ),
    http("lingers", DEADLINE, "linger", &["200"]),
    Row {
        name: "traps-at-start",
        guest: "start",
        limits: COLD,
        ask: Ask::Get("any"),
        outcomes: &["503 instantiation"],
        longest: LONGEST,
    },
    Row {
        name: "drops-its-answer",
        guest: "outbound2",
        limits: NONE,
        ask: Ask::Get("silent"),
        outcomes: &["502 trapped"],
        longest: LONGEST,
    },
    postgres(
        "a-thousand-transactions",
        LATER,
        Ask::Transactions(1000),
        // A core as busy as that may not have read the script by then.
        &["504 deadline", "200 err", "408 request_timeout"],
    ),
    postgres(
        "a-transaction-kept",
        DEADLINE,
        Ask::Script(&[
            Step::Execute("BEGIN"),
            Step::Execute(CREATED),
            Step::Wait(3_600_000),
        ]),
        &["504 deadline"],
    ),
    postgres(
        "a-transaction-trapped-in",
        NONE,
        Ask::Script(&[Step::Execute("BEGIN"), Step::Execute(CREATED), Step::Trap]),
        &["502 trapped"],
    ),
    postgres(
        "ten-million-rows",
        DEADLINE,
        Ask::Script(&[Step::Query(ROW_OF_A_KILOBYTE)]),
        &["504 deadline", "200 err"],
    ),
    postgres(
        "ten-million-rows-kept",
        LITTLE,
        Ask::Script(&[Step::QueryAsync(ROW_OF_A_KILOBYTE)]),
        &["502 trapped", "504 deadline", "200 err"],
    ),
    postgres(
        "ten-million-rows-dropped",
        NONE,
        Ask::Script(&[Step::Some(ROW_OF_A_KILOBYTE, 3)]),
        &["200"],
    ),
    postgres(
        "a-query-without-end",
        DEADLINE,
        Ask::Script(&[Step::Query(ENDLESS)]),
        &["504 deadline", "200 err"],
    ),
    postgres(
        "a-query-awaited-without-end",
        SHARED,
        Ask::Script(&[Step::QueryAsync(ENDLESS)]),
        &["504 deadline", "200 err"],
    ),
];

/// Connections to the database: pins leave a quarter of them to others.
const POOL: &str =
    "[[postgres]]\naddress = \"{{ database_url }}\"\nmin = 8\nmax = 8\n[limits]\nin_flight = 256\n";

/// All rows' components, and two that mean no harm, each behind `/NAME/...`.
pub(super) fn manifest() -> Manifest {
    let mut text = "[variables]\n\
                    database_url = { required = true, secret = true }\n\
                    database_origin = { required = true }\n"
        .to_owned();
    let harmless = [
        ("neighbour", "http", "reuse = 1000\nconcurrency = 4"),
        ("books", "postgres42", "reuse = 1000\nconcurrency = 4"),
    ];
    let rows = ROWS.iter().map(|row| (row.name, row.guest, row.limits));
    for (name, guest, limits) in rows.chain(harmless) {
        let granted = if guest == "postgres42" {
            "allowed_outbound_hosts = [\"{{ database_origin }}\"]\n"
        } else {
            ""
        };
        write!(
            text,
            "[[trigger.http]]\nroute = \"/{name}/...\"\ncomponent = \"{name}\"\n\
             [component.{name}]\nsource = \"{guest}\"\n{granted}\
             [component.{name}.tool.warmlink]\nidle = \"100ms\"\n{limits}\n"
        )
        .expect("a string takes all");
    }
    Manifest::guests(&text).with_tool(POOL)
}

impl Row {
    /// Instances that are there while nobody asks.
    pub(super) fn warm(&self) -> f64 {
        if self.limits.contains(COLD) { 0.0 } else { 1.0 }
    }

    /// What is sent, byte for byte.
    pub(super) fn request(&self, database: &str) -> String {
        let name = self.name;
        let script = match self.ask {
            Ask::Get(path) => {
                return format!("GET /{name}/{path} HTTP/1.1\r\nhost: test\r\n\r\n");
            }
            Ask::Script(steps) => {
                let steps = steps.iter().map(|step| step.json());
                [open("c", database)].into_iter().chain(steps).collect()
            }
            Ask::Transactions(count) => transactions(database, count),
        };
        post(&format!("/{name}/"), &Value::Array(script))
    }
}

fn transactions(database: &str, count: usize) -> Vec<Value> {
    let names = (0..count).map(|number| format!("c{number}"));
    names
        .flat_map(|name| {
            let begin = json!({ "execute": { "on": name, "sql": "BEGIN" } });
            [open(&name, database), begin]
        })
        .collect()
}

/// A request with a body of JSON.
pub(super) fn post(path: &str, body: &Value) -> String {
    let body = body.to_string();
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n{body}")
}

impl Step {
    fn json(self) -> Value {
        match self {
            Self::Execute(sql) => json!({ "execute": { "on": "c", "sql": sql } }),
            Self::Query(sql) => json!({ "query": { "on": "c", "sql": sql } }),
            Self::QueryAsync(sql) => json!({ "query_async": { "on": "c", "sql": sql } }),
            Self::Some(sql, rows) => {
                json!({ "query_async": { "on": "c", "sql": sql, "rows": rows } })
            }
            Self::Wait(milliseconds) => json!({ "wait": milliseconds }),
            Self::Trap => json!({ "trap": null }),
        }
    }
}
