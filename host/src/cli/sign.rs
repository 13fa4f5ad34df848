//! `warmlink sign`: the header by which a request asks for a revision.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::Failure;
use super::remote::admin_token;
use crate::config::quantity::parse_duration;
use crate::signature::{self, Key};
use std::path::PathBuf;
use std::time::Duration;

/// Fewest digits that name a revision.
const DIGITS: usize = 4;

/// Prints the header by which a request gets one revision of a component, past
/// all weights: how a canary is looked at before others are sent to it. Asks no
/// node; the revision is to be one that serves.
///
/// curl -H "$(warmlink sign redirect 3fa2c1d0)" http://...
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct SignArgs {
    /// The component, by its name in the manifest.
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    name: String,
    /// The first digits of the revision, four or more.
    #[arg(value_name = "REVISION", value_parser = digits)]
    revision: String,
    /// How long the header is good.
    #[arg(long = "for", default_value = "1h", value_name = "DURATION", value_parser = parse_duration)]
    good_for: Duration,
    /// The file that holds the admin token [default: the token itself in the
    /// environment's WARMLINK_ADMIN_TOKEN].
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Prints it.
///
/// # Errors
///
/// When there is no token.
pub(super) fn run(args: SignArgs) -> Result<ExitCode, Failure> {
    let token = admin_token(args.token_file.as_deref())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let expires = now.unwrap_or_default().as_secs() + args.good_for.as_secs();
    let expires = expires.to_string();
    let parts = signature::asking(&args.name, &args.revision, &expires);
    let mac = Key::new(token.expose()).sign(&parts);
    println!("x-warmlink-revision: {}.{expires}.{mac}", args.revision);
    Ok(ExitCode::SUCCESS)
}

fn digits(text: &str) -> Result<String, String> {
    if text.len() < DIGITS || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("write {DIGITS} or more hexadecimal digits"));
    }
    Ok(text.to_ascii_lowercase())
}
