//! An application in a folder of its own, and what its watcher tells.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::manifest::{self, Spec};
use crate::watch::{Change, Notice, Watcher};

/// Longest wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a watcher told.
#[derive(Debug)]
pub(super) enum Told {
    Change(Change),
    Notice(Notice),
}

pub(super) struct Project {
    folder: TempDir,
    told: UnboundedReceiver<Told>,
    tell: UnboundedSender<Told>,
}

/// A watcher at work. Its build ends with it.
pub(super) struct Running(JoinHandle<()>);

impl Project {
    /// Files by path, made before anything is watched.
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        let folder = tempfile::tempdir().unwrap();
        let project = Self { folder, told, tell };
        project.write("spin.toml", "as it was");
        for (path, text) in files {
            project.write(path, text);
        }
        project
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Saves as editors do: another file, then its name.
    pub(super) fn replace(&self, path: &str, text: &str) {
        let beside = format!("{path}.new");
        self.write(&beside, text);
        fs::rename(self.path(&beside), self.path(path)).unwrap();
    }

    pub(super) fn watcher(&self, spec: &Spec) -> Watcher {
        let tell = self.tell.clone();
        Watcher::new(
            &self.path("spin.toml"),
            self.folder.path(),
            spec,
            move |notice| {
                let _ = tell.send(Told::Notice(notice));
            },
        )
        .unwrap()
    }

    /// Watches in the background.
    pub(super) fn watch(&self, components: &str) -> Running {
        let mut watcher = self.watcher(&spec(components));
        let tell = self.tell.clone();
        Running(tokio::spawn(async move {
            while tell.send(Told::Change(watcher.next().await)).is_ok() {}
        }))
    }

    /// What is told next.
    pub(super) async fn told(&mut self) -> Told {
        let told = timeout(PATIENCE, self.told.recv()).await;
        told.expect("something is told in time").unwrap()
    }

    #[track_caller]
    pub(super) fn nothing_more(&mut self) {
        let told = self.told.try_recv();
        assert!(told.is_err(), "{told:?}");
    }

    /// The next word is of a build that begins. Returns whose and why.
    pub(super) async fn building(&mut self) -> (String, String) {
        match self.told().await {
            Told::Notice(Notice::Building { id, because }) => (id, shown(&because)),
            other => panic!("{other:?}"),
        }
    }

    /// The next word is of a component that changed. Returns whether it was
    /// built.
    pub(super) async fn changed(&mut self, wanted: &str) -> bool {
        match self.told().await {
            Told::Change(Change::Component { id, built }) if id == wanted => built.is_some(),
            other => panic!("{other:?}"),
        }
    }

    /// The next word is of the manifest.
    pub(super) async fn manifest_changed(&mut self) {
        let told = self.told().await;
        assert!(matches!(told, Told::Change(Change::Manifest)), "{told:?}");
    }

    /// The next word is of a build that changed nothing.
    pub(super) async fn unchanged(&mut self, wanted: &str) {
        match self.told().await {
            Told::Notice(Notice::Unchanged { id, .. }) if id == wanted => {}
            other => panic!("{other:?}"),
        }
    }

    /// The next word is of a build that failed. Returns how.
    pub(super) async fn failed(&mut self, wanted: &str) -> String {
        match self.told().await {
            Told::Notice(Notice::BuildFailed { id, error }) if id == wanted => error.to_string(),
            other => panic!("{other:?}"),
        }
    }

    /// A named pipe, for a build to meet the test at.
    pub(super) fn pipe(&self, name: &str) -> Pipe {
        let path = self.path(name);
        mkfifoat(CWD, &path, Mode::RWXU).unwrap();
        Pipe(path)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) struct Pipe(PathBuf);

impl Pipe {
    /// Waits for a byte. Held open for both ways, so that none is missed.
    pub(super) fn receiver(&self) -> pipe::Receiver {
        let mut options = pipe::OpenOptions::new();
        options.read_write(true).open_receiver(&self.0).unwrap()
    }

    /// Holds no writing end, so that it ends with the last writer.
    pub(super) fn ending_receiver(&self) -> pipe::Receiver {
        pipe::OpenOptions::new().open_receiver(&self.0).unwrap()
    }

    /// Sends a byte. It waits inside while the sender lives.
    pub(super) async fn send(&self) -> pipe::Sender {
        let mut options = pipe::OpenOptions::new();
        let mut sender = options.read_write(true).open_sender(&self.0).unwrap();
        sender.write_all(b"\n").await.unwrap();
        sender
    }
}

/// Reads one byte; `None` at the end.
pub(super) async fn byte(from: &mut pipe::Receiver) -> Option<u8> {
    let mut byte = [0];
    let read = timeout(PATIENCE, from.read(&mut byte)).await;
    let length = read.expect("it comes in time").unwrap();
    (length > 0).then_some(byte[0])
}

/// An application of these components, the first of them behind a route.
pub(in crate::watch) fn spec(components: &str) -> Spec {
    let (_, first) = components.split_once("[component.").unwrap();
    let (first, _) = first.split_once(']').unwrap();
    let text = format!(
        "spin_manifest_version = 2\napplication.name = \"app\"\n\
         [[trigger.http]]\nroute = \"/\"\ncomponent = \"{first}\"\n{components}"
    );
    manifest::read(&text, &BTreeMap::new()).unwrap()
}

fn shown(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
