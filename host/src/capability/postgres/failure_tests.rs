use super::super::value::{Parameter, Value};
use super::*;
use bytes::BytesMut;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio_postgres::NoTls;
use tokio_postgres::types::{ToSql, Type};

/// What the driver makes of an error report with these fields.
async fn report(fields: &[(u8, &str)]) -> Failure {
    let mut body = Vec::new();
    for (tag, value) in fields {
        body.push(*tag);
        body.extend_from_slice(value.as_bytes());
        body.push(0);
    }
    body.push(0);
    let mut message = vec![b'E'];
    message.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    message.extend_from_slice(&body);
    let (ours, mut server) = tokio::io::duplex(4096);
    server.write_all(&message).await.unwrap();
    let mut config = tokio_postgres::Config::new();
    config
        .user("u")
        .ssl_mode(tokio_postgres::config::SslMode::Disable);
    let error = config.connect_raw(ours, NoTls).await.err().unwrap();
    let error = error.into_source().unwrap().downcast::<DbError>().unwrap();
    Error::Database(error).into()
}

#[tokio::test]
async fn the_servers_report_is_passed_on_by_name() {
    let failure = report(&[
        (b'S', "ERROR"),
        (b'C', "23505"),
        (
            b'M',
            "duplicate key value violates unique constraint \"urls_pkey\"",
        ),
        (b'D', "Key (code)=(abc)\nalready exists."),
        (b's', "public"),
        (b't', "urls"),
        (b'n', "urls_pkey"),
        (b'L', "664"),
    ])
    .await;
    let Failure::Database(report) = &failure else {
        panic!("{failure:?}");
    };
    assert_eq!(
        (report.severity.as_str(), report.code.as_str()),
        ("ERROR", "23505")
    );
    assert_eq!(
        report.detail.as_deref(),
        Some("Key (code)=(abc)\nalready exists.")
    );
    let extras = [
        ("schema", "public"),
        ("table", "urls"),
        ("constraint", "urls_pkey"),
        ("line", "664"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(report.extras, extras);
    assert_eq!(
        failure.to_string(),
        "ERROR: duplicate key value violates unique constraint \"urls_pkey\" (23505); \
         detail: Key (code)=(abc) already exists.; schema: public; table: urls; \
         constraint: urls_pkey; line: 664"
    );
}

#[tokio::test]
async fn both_kinds_of_position_and_the_advice_are_extras() {
    let common = [(b'S', "ERROR"), (b'C', "42601"), (b'M', "syntax error")];
    for (fields, expected) in [
        (
            vec![(b'P', "15"), (b'H', "mind the comma")],
            vec![("hint", "mind the comma"), ("position", "15")],
        ),
        (
            vec![
                (b'p', "3"),
                (b'q', "SELECT"),
                (b'W', "PL/pgSQL function f()"),
            ],
            vec![
                ("where", "PL/pgSQL function f()"),
                ("internal_position", "3"),
                ("internal_query", "SELECT"),
            ],
        ),
    ] {
        let Failure::Database(report) = report(&[&common[..], &fields].concat()).await else {
            panic!("no report");
        };
        let extras: Vec<_> = report
            .extras
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(extras, expected);
    }
}

#[test]
fn what_a_parameter_says_is_found_under_the_drivers_error() {
    let parameters = Parameter::all(vec![Value::Int32(7)]);
    let mut out = BytesMut::new();
    let fault = parameters[0]
        .to_sql_checked(&Type::TEXT, &mut out)
        .err()
        .unwrap();
    let found = parameter(Some(&*fault)).map(ToString::to_string);
    assert_eq!(found.as_deref(), Some("$1: expected text, got int4"));
    assert_eq!(parameter(Some(&std::fmt::Error)), None);
    assert_eq!(parameter(None), None);
}

#[test]
fn no_connection_is_told_from_a_failed_statement() {
    let waited = Duration::from_millis(1);
    let reason = "connection refused".to_owned();
    for error in [Error::PoolTimeout { waited }, Error::Unavailable { reason }] {
        let text = error.to_string();
        assert_eq!(Failure::from(error), Failure::Connection(text));
    }
    for error in [
        Error::Deadline { ran: waited },
        Error::ConnectionLost,
        Error::Reclaimed { idle: waited },
        Error::Refused {
            what: "COPY",
            instead: "insert",
        },
        Error::Closed,
    ] {
        let text = error.to_string();
        assert_eq!(Failure::from(error), Failure::Other(text));
    }
}

#[test]
fn a_value_without_a_form_names_its_column() {
    let failure = Failure::Conversion {
        column: "born".into(),
        fault: Mismatch::OutOfRange,
    };
    assert_eq!(
        failure.to_string(),
        "column `born`: infinite, or outside the calendar's years"
    );
}
