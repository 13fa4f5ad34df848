//! `warmlink deploy`: gives a component another revision.

use std::fmt;
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::remote::{Cause, Order, Query, RolloutArgs, component_path, roll_out};
use super::upload::open;
use super::{Failure, exit};
use crate::config::quantity::parse_percent;

/// All requests, in hundredths of a percent.
const ALL: u32 = 10_000;

/// What is read and hashed at a time.
const CHUNK: usize = 64 * 1024;

/// Gives a component another revision, on every node, without a restart: each
/// node loads, verifies and warms it, and when all have, all switch. A revision
/// that some node cannot serve is refused, and what served before serves on.
///
/// Ctrl-C leaves a rollout that has begun running.
#[derive(Debug, Args)]
#[command(after_long_help = exit::HELP)]
pub(super) struct DeployArgs {
    /// The component, by its name in the manifest.
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    name: String,
    /// The component's file, as it was built.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Give it this share of requests only, until `promote` or `rollback`:
    /// `10%`, `0.5%`.
    #[arg(long, value_name = "PERCENT", value_parser = Share::parse)]
    canary: Option<Share>,
    /// What `revisions` is to say of it.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    rollout: RolloutArgs,
}

/// Deploys.
///
/// # Errors
///
/// When the file cannot be read; when the revision is refused; when the end is not
/// known.
pub(super) fn run(args: DeployArgs) -> Result<ExitCode, Failure> {
    roll_out(&args.rollout, order(&args))
}

async fn order(args: &DeployArgs) -> Result<Order, Cause> {
    let (file, length, digest) = read(&args.file).await.map_err(Cause::Unreadable)?;
    let query = Query::default()
        .text("digest", Some(digest))
        .text("canary", args.canary.map(|share| share.to_string()))
        .text("note", args.note.as_ref())
        .flag("force", args.rollout.force)
        .flag("wait", args.rollout.wait);
    Ok(Order {
        path: query.of(&component_path(&args.name, "deploy")),
        component: Some((file, length)),
    })
}

/// The file, to be read from its beginning; its length; its SHA-256. It stays open
/// in between, so that a build that replaces it meanwhile changes nothing.
async fn read(location: &Path) -> Result<(File, u64, String), String> {
    let (mut file, _) = open(location).await?;
    let (length, digest) = digest(&mut file)
        .await
        .map_err(|error| format!("cannot read {}: {error}", location.display()))?;
    Ok((file, length, digest))
}

async fn digest(file: &mut File) -> io::Result<(u64, String)> {
    let mut hash = Sha256::new();
    let mut length = 0;
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read(&mut chunk).await?;
        if read == 0 {
            break;
        }
        hash.update(&chunk[..read]);
        length += read as u64;
    }
    file.seek(SeekFrom::Start(0)).await?;
    Ok((length, hex::encode(hash.finalize())))
}

/// A canary's share of requests, in hundredths of a percent: 1 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share(u32);

impl Share {
    /// Reads `10%`, `10` or `0.25%`.
    fn parse(text: &str) -> Result<Self, String> {
        match parse_percent(text)? {
            ALL => Err("a canary gets less than all requests: leave --canary out".into()),
            share => Ok(Self(share)),
        }
    }
}

impl fmt::Display for Share {
    /// In percent, without the sign.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_percentage_with_two_decimals_at_most() {
        for (text, share, written) in [
            ("10%", 1000, "10"),
            ("10", 1000, "10"),
            ("10 %", 1000, "10"),
            ("0.5%", 50, "0.5"),
            ("0.05", 5, "0.05"),
            ("0.01%", 1, "0.01"),
            ("99.99", 9999, "99.99"),
            ("012.50%", 1250, "12.5"),
        ] {
            assert_eq!(Share::parse(text), Ok(Share(share)), "{text}");
            assert_eq!(Share(share).to_string(), written);
        }
        for text in [
            "", "0", "100%", "100", "999", "0.001%", "10%%", "ten", "1 0", "NaN", "١٠",
        ] {
            assert!(Share::parse(text).is_err(), "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_file_is_hashed_and_then_read_from_its_beginning() {
        let location = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(location.path(), "abc").unwrap();
        let (mut file, length, digest) = read(location.path()).await.unwrap();
        assert_eq!(length, 3);
        assert_eq!(
            digest,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let mut text = String::new();
        file.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "abc");
    }
}
