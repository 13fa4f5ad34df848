//! What of a component lies on disk or elsewhere: its bytes, its files, its
//! build. Nothing here looks there.

use std::path::{Component, Path, PathBuf};

use super::reader::Node;
use super::spec::{Build, Mount, Source};

/// How a source is written.
pub(super) const SOURCE_HELP: &str =
    "write the path of a .wasm file, or { url = \"https://...\", digest = \"sha256:...\" }";

const DESTINATION_HELP: &str = "write an absolute path of the guest's, as in { source = \"static\", destination = \"/static\" }";

pub(super) fn source(node: &Node<'_>) -> Option<Source> {
    if !node.is_table() {
        return node.text().map(|path| Source::Path(path.into()));
    }
    let mut table = node.table()?;
    let url = table.get("url");
    let digest = table.get("digest");
    let registry = ["registry", "package", "version"].map(|name| table.get(name).is_some());
    table.finish();
    if registry.contains(&true) {
        node.fault("this host takes no components from registries", SOURCE_HELP);
        return None;
    }
    let (Some(url), Some(digest)) = (url, digest) else {
        node.fault("a source by address has a url and a digest", SOURCE_HELP);
        return None;
    };
    let address = url.text();
    let parsed = address.and_then(|text| url::Url::parse(text).ok());
    let fetched = parsed.is_some_and(|url| matches!(url.scheme(), "http" | "https"));
    if let Some(text) = address.filter(|_| !fetched) {
        url.fault(format!("{text:?} is no http or https address"), SOURCE_HELP);
    }
    let sum = digest.text();
    let is_sum = |text: &&str| {
        text.strip_prefix("sha256:").is_some_and(|digits| {
            digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    };
    if let Some(text) = sum.filter(|text| !is_sum(text)) {
        digest.fault(
            format!("{text:?} is no SHA-256"),
            "write \"sha256:\" and the 64 hexadecimal digits that sha256sum prints",
        );
    }
    Some(Source::Url {
        url: address?.to_owned(),
        digest: sum?.to_owned(),
    })
}

pub(super) fn files(node: &Node<'_>) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for item in node.list().unwrap_or_default() {
        let mount = if item.is_table() {
            placed(&item)
        } else {
            pattern(&item)
        };
        let Some(mount) = mount else { continue };
        let taken = |other: &Mount| {
            other.destination.trim_end_matches('/') == mount.destination.trim_end_matches('/')
        };
        if mounts.iter().any(taken) {
            item.fault(
                format!("another folder is mounted at {:?}", mount.destination),
                "give each folder a destination of its own",
            );
        }
        mounts.push(mount);
    }
    mounts
}

fn placed(node: &Node<'_>) -> Option<Mount> {
    let mut table = node.table()?;
    let source = table.require("source", DESTINATION_HELP);
    let destination = table.require("destination", DESTINATION_HELP);
    table.finish();
    let source = source.and_then(|node| node.text());
    let node = destination?;
    let destination = node.text()?;
    if !destination.starts_with('/') {
        node.fault(
            format!("the destination {destination:?} is not absolute"),
            DESTINATION_HELP,
        );
    }
    Some(Mount {
        source: source?.into(),
        destination: destination.to_owned(),
    })
}

/// A folder by its path, or as the pattern of all that is in it; the guest sees
/// it at the same path. Other patterns would grant a selection, and what is
/// mounted is the folder itself.
fn pattern(node: &Node<'_>) -> Option<Mount> {
    let text = node.text()?;
    let folder = text.strip_prefix("./").unwrap_or(text);
    let folder = match folder {
        "**/*" => ".",
        _ => folder.strip_suffix("/**/*").unwrap_or(folder),
    };
    let folder = folder.trim_end_matches('/');
    if folder.contains(['*', '?', '[', ']']) {
        node.fault(
            format!("{text:?} selects files, and this host mounts whole folders"),
            "write a folder with all that is in it: \"static/**/*\", or { source = \"static\", destination = \"/static\" }",
        );
        return None;
    }
    let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if folder.is_empty() || !Path::new(folder).components().all(inside) {
        node.fault(
            format!("{text:?} does not stay inside the manifest's folder"),
            "say where the guest sees it: { source = \"...\", destination = \"/...\" }",
        );
        return None;
    }
    if folder == "." && text != "**/*" && text != "./**/*" {
        node.fault(
            format!("{text:?} is no path of a folder"),
            "write \"./**/*\" for all of the manifest's folder",
        );
        return None;
    }
    let destination = if folder == "." { "" } else { folder };
    Some(Mount {
        source: PathBuf::from(folder),
        destination: format!("/{destination}"),
    })
}

pub(super) fn build(node: &Node<'_>) -> Option<Build> {
    let mut table = node.table()?;
    let help = "write the shell command that builds the component, or a list of them";
    let command = table.require("command", help);
    let workdir = table.get("workdir").and_then(|node| node.text());
    let watch = table.get("watch").map(|node| node.strings());
    table.finish();
    let command = command?;
    let commands = if command.is_list() {
        command.strings()
    } else {
        command.text().map(str::to_owned).into_iter().collect()
    };
    if command.is_list() && command.is_empty() {
        command.fault("there is no command", help);
    }
    Some(Build {
        commands,
        workdir: workdir.map(PathBuf::from),
        watch: watch.unwrap_or_default(),
    })
}
