//! Calls `spin:postgres@4.2.0` as a script says, or streams one query's rows
//! into the response (`/stream`).

use std::collections::HashMap;

use guest_probe3::wasip3::exports::http::handler::Guest;
use guest_probe3::wasip3::http::types::{ErrorCode, Request, Response};
use guest_probe3::wasip3::{self};
use guest_probe3::{Answer, Exchange, json_answer, outcome, spawn, stream_answer};
use serde::Deserialize;
use serde_json::{Value, json};

wit_bindgen::generate!({
    inline: "package probe:guest; world probe { import spin:postgres/postgres@4.2.0; }",
    path: "../../../wit",
    additional_derives: [serde::Serialize, serde::Deserialize],
    generate_all,
});

use spin::postgres4_2_0::postgres::{
    Connection, ConnectionBuilder, DbValue, Error, ParameterValue,
};

struct Component;

wasip3::http::service::export!(Component);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    name: String,
    address: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Building {
    name: String,
    address: String,
    ca: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    on: String,
    sql: String,
    #[serde(default)]
    params: Vec<ParameterValue>,
    /// Drop the stream after this many rows.
    rows: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Step {
    Open(Opening),
    OpenAsync(Opening),
    Build(Building),
    BuildAsync(Building),
    Query(Statement),
    QueryAsync(Statement),
    Execute(Statement),
    ExecuteAsync(Statement),
    /// Two `query_async` on one handle, both begun before either is read.
    Both(Statement, Statement),
    Close(String),
    Wait(u64),
    Trap(()),
}

impl Guest for Component {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let mut exchange = Exchange::new(request);
        if exchange.path.ends_with("/stream") {
            return stream(&mut exchange).await;
        }
        let script = match exchange.script::<Step>().await {
            Ok(script) => script,
            Err(answer) => return answer,
        };
        let mut session = Session::default();
        let mut outcomes = Vec::new();
        for step in script {
            outcomes.push(session.step(step).await);
        }
        json_answer(200, &Value::Array(outcomes))
    }
}

#[derive(Default)]
struct Session {
    open: HashMap<String, Connection>,
}

impl Session {
    fn on(&self, name: &str) -> &Connection {
        self.open.get(name).expect("the script opened the handle")
    }

    fn opened(&mut self, name: String, connection: Result<Connection, Error>) -> Value {
        outcome(connection.map(|connection| {
            self.open.insert(name, connection);
        }))
    }

    async fn step(&mut self, step: Step) -> Value {
        match step {
            Step::Open(opening) => {
                let connection = Connection::open(&opening.address);
                self.opened(opening.name, connection)
            }
            Step::OpenAsync(opening) => {
                let connection = Connection::open_async(opening.address).await;
                self.opened(opening.name, connection)
            }
            Step::Build(building) => {
                let connection = builder(&building).and_then(|builder| builder.build());
                self.opened(building.name, connection)
            }
            Step::BuildAsync(building) => {
                let connection = match builder(&building) {
                    Ok(builder) => builder.build_async().await,
                    Err(error) => Err(error),
                };
                self.opened(building.name, connection)
            }
            Step::Query(it) => outcome(self.on(&it.on).query(&it.sql, &it.params)),
            Step::QueryAsync(it) => query(self.on(&it.on), it).await,
            Step::Execute(it) => outcome(self.on(&it.on).execute(&it.sql, &it.params)),
            Step::ExecuteAsync(it) => {
                outcome(self.on(&it.on).execute_async(it.sql, it.params).await)
            }
            Step::Both(first, second) => self.both(first, second).await,
            Step::Close(name) => {
                drop(
                    self.open
                        .remove(&name)
                        .expect("the script opened the handle"),
                );
                json!({ "ok": null })
            }
            Step::Wait(milliseconds) => {
                guest_probe3::wait(milliseconds).await;
                json!({ "ok": null })
            }
            Step::Trap(()) => core::arch::wasm32::unreachable(),
        }
    }

    async fn both(&self, first: Statement, second: Statement) -> Value {
        let one = self
            .on(&first.on)
            .query_async(first.sql, first.params)
            .await;
        let two = self
            .on(&second.on)
            .query_async(second.sql, second.params)
            .await;
        let two = finish(two, second.rows).await;
        let one = finish(one, first.rows).await;
        json!({ "ok": [one, two] })
    }
}

fn builder(building: &Building) -> Result<ConnectionBuilder, Error> {
    let builder = ConnectionBuilder::new(&building.address);
    if let Some(certificate) = &building.ca {
        builder.set_ca_root(certificate)?;
    }
    Ok(builder)
}

async fn query(connection: &Connection, it: Statement) -> Value {
    finish(connection.query_async(it.sql, it.params).await, it.rows).await
}

type Rows = (
    Vec<spin::postgres4_2_0::postgres::Column>,
    wit_bindgen::StreamReader<Vec<DbValue>>,
    wit_bindgen::FutureReader<Result<(), Error>>,
);

async fn finish(rows: Result<Rows, Error>, limit: Option<usize>) -> Value {
    let (columns, mut stream, end) = match rows {
        Ok(rows) => rows,
        Err(error) => return json!({ "err": error }),
    };
    let mut rows = Vec::new();
    let mut whole = true;
    while let Some(row) = stream.next().await {
        rows.push(row);
        if limit.is_some_and(|limit| rows.len() >= limit) {
            whole = false;
            break;
        }
    }
    drop(stream);
    let end = if whole {
        outcome(end.await)
    } else {
        Value::Null
    };
    json!({ "ok": { "columns": columns, "rows": rows, "end": end } })
}

/// The first column of each row, one a line, as fast as the client reads.
async fn stream(exchange: &mut Exchange) -> Answer {
    let script = match exchange.script::<(Opening, Statement)>().await {
        Ok(script) => script,
        Err(answer) => return answer,
    };
    let Some((opening, statement)) = script.into_iter().next() else {
        return json_answer(400, &json!({ "error": "an empty script" }));
    };
    let connection = match Connection::open_async(opening.address).await {
        Ok(connection) => connection,
        Err(error) => return json_answer(500, &json!({ "err": error })),
    };
    let (_columns, mut rows, end) = match connection
        .query_async(statement.sql, statement.params)
        .await
    {
        Ok(rows) => rows,
        Err(error) => return json_answer(500, &json!({ "err": error })),
    };
    let (response, mut writer) = stream_answer(200, &[])?;
    spawn(async move {
        while let Some(row) = rows.next().await {
            let line = match row.into_iter().next() {
                Some(DbValue::Str(text)) => text,
                other => json!(other).to_string(),
            };
            if !writer
                .write_all(format!("{line}\n").into_bytes())
                .await
                .is_empty()
            {
                return;
            }
        }
        if let Err(error) = end.await {
            writer
                .write_all(json!({ "err": error }).to_string().into_bytes())
                .await;
        }
        drop(connection);
    });
    Ok(response)
}
