//! `spin:postgres@4.2.0`: in blocking and in async form, with rows as a stream.

mod rows;
mod values;

use self::rows::RowStream;
use super::bindings::spin::postgres4_2_0::postgres::{
    Column, DbError, Error, Host as Interface, HostConnection, HostConnectionBuilder,
    HostConnectionBuilderWithStore, HostConnectionWithStore, ParameterValue, QueryError, Row,
    RowSet,
};
use super::failure::{Failure, Report};
use super::open::{build, set_ca_root};
use super::result::Decoder;
use super::value::Kind;
use super::{Builder, Caller, Connection, close, open};
use crate::capability::{HasCapabilities, Host, View, current_call};
use crate::pool::postgres::Rows;
use crate::telemetry::trace::Span;
use wasmtime::component::{Access, Accessor, FutureReader, Resource, StreamReader};

type Answer<V> = wasmtime::Result<Result<V, Error>>;

/// Columns, rows, and how it ended.
type Streamed = (
    Vec<Column>,
    StreamReader<Row>,
    FutureReader<Result<(), Error>>,
);

impl Interface for View<'_> {}

impl HostConnection for View<'_> {
    fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        close(self, connection)
    }
}

impl HostConnectionBuilder for View<'_> {
    fn drop(&mut self, builder: Resource<Builder>) -> wasmtime::Result<()> {
        self.table.delete(builder)?;
        Ok(())
    }
}

impl<T: HasCapabilities> HostConnectionBuilderWithStore<T> for Host {
    async fn new(
        mut store: Access<'_, T, Self>,
        address: String,
    ) -> wasmtime::Result<Resource<Builder>> {
        let builder = Builder {
            address,
            ca_root: None,
        };
        // A constructor has no error to answer: this one traps.
        Ok(store.get().table.push(builder)?)
    }

    async fn set_ca_root(
        mut store: Access<'_, T, Self>,
        builder: Resource<Builder>,
        certificate: String,
    ) -> Answer<()> {
        let set = set_ca_root(&mut store.get(), &builder, certificate)?;
        Ok(set.map_err(Error::from))
    }

    async fn build(
        mut store: Access<'_, T, Self>,
        builder: Resource<Builder>,
    ) -> Answer<Resource<Connection>> {
        current_call(&mut store)?;
        Ok(build(store.get(), &builder)?.map_err(Error::from))
    }

    async fn build_async(
        accessor: &Accessor<T, Self>,
        builder: Resource<Builder>,
    ) -> Answer<Resource<Connection>> {
        accessor.with(|mut store| {
            current_call(&mut store)?;
            Ok(build(store.get(), &builder)?.map_err(Error::from))
        })
    }
}

impl<T: HasCapabilities> HostConnectionWithStore<T> for Host {
    async fn open(mut store: Access<'_, T, Self>, address: String) -> Answer<Resource<Connection>> {
        current_call(&mut store)?;
        Ok(open(store.get(), &address, None).map_err(Error::from))
    }

    async fn open_async(
        accessor: &Accessor<T, Self>,
        address: String,
    ) -> Answer<Resource<Connection>> {
        accessor.with(|mut store| {
            current_call(&mut store)?;
            Ok(open(store.get(), &address, None).map_err(Error::from))
        })
    }

    async fn query(
        store: Access<'_, T, Self>,
        connection: Resource<Connection>,
        statement: String,
        params: Vec<ParameterValue>,
    ) -> Answer<RowSet> {
        let caller = Caller::of(store, &connection)?;
        Ok(whole(&caller, &statement, params)
            .await
            .map_err(Error::from))
    }

    async fn query_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        params: Vec<ParameterValue>,
    ) -> Answer<Streamed> {
        let caller = accessor.with(|store| Caller::of(store, &connection))?;
        let span = caller.span(&statement);
        let rows = match caller.query(&statement, params, &span).await {
            Ok(mut rows) => {
                rows.set_deadline(caller.body_deadline);
                rows
            }
            Err(failure) => {
                failure.tell(&span);
                return Ok(Err(failure.into()));
            }
        };
        let columns = columns(&rows);
        let (rows, ended) = RowStream::new(rows, span);
        accessor.with(|mut store| {
            let stream = StreamReader::new(&mut store, rows)?;
            let outcome = FutureReader::new(&mut store, async {
                // A guest that drops the stream wants no more: no error.
                wasmtime::error::Ok(ended.await.unwrap_or(Ok(())))
            })?;
            Ok(Ok((columns, stream, outcome)))
        })
    }

    async fn execute(
        store: Access<'_, T, Self>,
        connection: Resource<Connection>,
        statement: String,
        params: Vec<ParameterValue>,
    ) -> Answer<u64> {
        let caller = Caller::of(store, &connection)?;
        Ok(caller
            .execute(&statement, params)
            .await
            .map_err(Error::from))
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        params: Vec<ParameterValue>,
    ) -> Answer<u64> {
        let caller = accessor.with(|store| Caller::of(store, &connection))?;
        Ok(caller
            .execute(&statement, params)
            .await
            .map_err(Error::from))
    }
}

async fn whole(
    caller: &Caller,
    statement: &str,
    params: Vec<ParameterValue>,
) -> Result<RowSet, Failure> {
    let run = async |span: &Span| {
        let rows = caller.query(statement, params, span).await?;
        let columns = columns(&rows);
        let decoder = Decoder::of(&rows, Kind::of);
        let rows = decoder.all(rows).await?;
        Ok(RowSet { columns, rows })
    };
    caller.traced(statement, run).await
}

fn columns(rows: &Rows) -> Vec<Column> {
    rows.columns()
        .iter()
        .map(|column| Column {
            name: column.name().to_owned(),
            data_type: values::data_type(column.type_()),
        })
        .collect()
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Connection(text) => Self::ConnectionFailed(text),
            Failure::Parameter(text) => Self::BadParameter(text),
            Failure::Database(report) => Self::QueryFailed(QueryError::DbError((*report).into())),
            Failure::Query(text) => Self::QueryFailed(QueryError::Text(text)),
            Failure::Conversion { .. } => Self::ValueConversionFailed(failure.to_string()),
            Failure::Other(text) => Self::Other(text),
        }
    }
}

impl From<Report> for DbError {
    fn from(report: Report) -> Self {
        Self {
            as_text: report.text,
            severity: report.severity,
            code: report.code,
            message: report.message,
            detail: report.detail,
            extras: report.extras,
        }
    }
}
