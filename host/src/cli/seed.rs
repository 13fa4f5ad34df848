//! `warmlink seed`: loads CSV files through a running application's API.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use indicatif::ProgressBar;
use tokio::fs::File;

use super::client::{base_url, client, join};
use super::upload::{Upload, bar, open};
use super::{Failure, runtime};
use crate::error::with_causes;

/// The files, in the order in which their rows refer to each other.
const FILES: [(&str, &str); 3] = [
    ("users.csv", "/users/bulk"),
    ("urls.csv", "/urls/bulk"),
    ("events.csv", "/events/bulk"),
];
/// Enough for every answer of the API to an import.
const ANSWER_LIMIT: usize = 64 * 1024;

/// Loads `users.csv`, `urls.csv` and `events.csv` of a folder through the running
/// API: each file is one import, all or nothing.
#[derive(Debug, Args)]
pub(super) struct SeedArgs {
    /// The folder with the three files.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Where the application listens.
    #[arg(long, default_value = "http://127.0.0.1:3000", value_name = "URL", value_parser = base_url)]
    url: Uri,
}

/// Loads the files.
///
/// # Errors
///
/// When a file cannot be read, before any is sent; and at the first that the
/// application does not take.
pub(super) fn run(args: SeedArgs) -> Result<ExitCode, Failure> {
    runtime()?.block_on(seed(args))
}

async fn seed(args: SeedArgs) -> Result<ExitCode, Failure> {
    let mut files = Vec::with_capacity(FILES.len());
    for (name, path) in FILES {
        let location = args.directory.join(name);
        files.push((name, path, open(&location).await.map_err(Failure::other)?));
    }
    let client = client();
    for (name, path, (file, length)) in files {
        let begin = Instant::now();
        let bar = bar(name, length);
        let uri = join(&args.url, path).map_err(Failure::usage)?;
        let imported = import(&client, uri, name, file, length, &bar).await;
        bar.finish_and_clear();
        let imported = imported.map_err(|error| Failure::other(format!("{name}: {error}")))?;
        println!(
            "{name:<12}{imported:>9} rows {:>8.1} s",
            begin.elapsed().as_secs_f64()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Sends one file; returns how many rows the application says it took.
async fn import(
    client: &Client<HttpConnector, Upload>,
    uri: Uri,
    name: &str,
    file: File,
    length: u64,
    bar: &ProgressBar,
) -> Result<u64, ImportError> {
    let upload = Upload::form(name, file, length, bar.clone());
    let request = Request::post(uri)
        .header(header::CONTENT_TYPE, upload.content_type())
        .header(header::ACCEPT, "application/json")
        .body(upload)
        .map_err(|error| ImportError::NoAnswer(error.to_string()))?;
    let response = client
        .request(request)
        .await
        .map_err(|error| ImportError::NoAnswer(with_causes(&error)))?;
    read_answer(response).await
}

async fn read_answer(response: Response<Incoming>) -> Result<u64, ImportError> {
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_LIMIT)
        .collect()
        .await;
    let body = body
        .map_err(|error| ImportError::NoAnswer(with_causes(&*error)))?
        .to_bytes();
    let answer: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let field = |name: &str| answer.as_ref()?.get(name);
    match field("imported").and_then(serde_json::Value::as_u64) {
        Some(rows) if status == StatusCode::CREATED => Ok(rows),
        _ => Err(ImportError::Refused {
            status,
            message: field("error").and_then(|error| error.as_str().map(str::to_owned)),
        }),
    }
}

/// Why a file was not taken.
#[derive(Debug)]
enum ImportError {
    /// The connection failed before a whole answer came.
    NoAnswer(String),
    /// The application said no, with its own words where it gave any.
    Refused {
        status: StatusCode,
        message: Option<String>,
    },
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(reason) => write!(f, "no answer: {reason}"),
            Self::Refused {
                status,
                message: Some(message),
            } => write!(f, "{status}: {message}"),
            Self::Refused {
                status,
                message: None,
            } => {
                write!(f, "{status}, which is not what an import answers")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_gives_the_status_and_the_servers_words() {
        let refused = |message| ImportError::Refused {
            status: StatusCode::CONFLICT,
            message,
        };
        assert_eq!(
            refused(Some("line 7: id 3 is taken".into())).to_string(),
            "409 Conflict: line 7: id 3 is taken"
        );
        assert!(refused(None).to_string().starts_with("409 Conflict"));
    }
}
