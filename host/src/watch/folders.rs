//! Which folders the kernel tells us of (inotify), and what it tells.
//!
//! Folders, never files: an editor that saves by a rename puts another file in
//! the place of the one that was watched.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::net::unix::pipe;

use super::WatchError;

/// Room for the events of one read, in bytes: about a hundred.
const BUFFER: usize = 4096;

/// What may happen in a folder. A link appears without ever being written to, so
/// creation counts as well.
const WANTED: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Something happened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A file was written, came or went.
    File {
        /// Which.
        path: PathBuf,
        /// Whoever writes it is not done.
        writing: bool,
    },
    /// A folder came or went.
    Folder {
        /// Which.
        path: PathBuf,
        /// It went elsewhere, with all that is in it.
        moved: bool,
    },
    /// More happened than the kernel keeps: anything may have.
    Overflow,
}

/// The folders that are watched, each without those inside of it.
#[derive(Debug)]
pub(super) struct Folders {
    // No pipe, and read like one: it tells when there is something, and that is
    // all we ask of it.
    inotify: pipe::Receiver,
    watches: HashMap<PathBuf, i32>,
    // By way of links, one folder may be watched under several paths.
    paths: HashMap<i32, Vec<PathBuf>>,
}

impl Folders {
    /// Watches nothing yet. Has to be called inside of a Tokio runtime.
    ///
    /// # Errors
    ///
    /// When the kernel gives out no more of these.
    pub(super) fn new() -> Result<Self, WatchError> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(WatchError::start)?;
        Ok(Self {
            inotify: pipe::Receiver::from_owned_fd_unchecked(inotify).map_err(WatchError::Start)?,
            watches: HashMap::new(),
            paths: HashMap::new(),
        })
    }

    /// Watches these folders and no others. Returns those that were not watched
    /// before; such as are gone meanwhile are left out.
    ///
    /// # Errors
    ///
    /// When a folder is there and cannot be watched.
    pub(super) fn watch(&mut self, wanted: &BTreeSet<PathBuf>) -> Result<Vec<PathBuf>, WatchError> {
        self.drop_watches(|path| !wanted.contains(path));
        let mut new = Vec::new();
        for path in wanted {
            if self.watches.contains_key(path) {
                continue;
            }
            let watch = match inotify::add_watch(&self.inotify, path, WANTED) {
                Ok(watch) => watch,
                Err(Errno::NOENT | Errno::NOTDIR) => continue,
                Err(error) => return Err(WatchError::folder(path, error)),
            };
            self.watches.insert(path.clone(), watch);
            self.paths.entry(watch).or_default().push(path.clone());
            new.push(path.clone());
        }
        Ok(new)
    }

    /// Ends the watch of a folder and of all inside of it: another one may be
    /// at its place now, and its own watch would go with it where it goes.
    pub(super) fn forget(&mut self, folder: &Path) {
        self.drop_watches(|path| path.starts_with(folder));
    }

    fn drop_watches(&mut self, which: impl Fn(&Path) -> bool) {
        let Self {
            inotify,
            watches,
            paths,
        } = self;
        watches.retain(|path, watch| {
            if !which(path) {
                return true;
            }
            if let Some(others) = paths.get_mut(watch) {
                others.retain(|other| other != path);
                if others.is_empty() {
                    paths.remove(watch);
                    // Fails where the folder is gone, and the watch with it.
                    let _ = inotify::remove_watch(&*inotify, *watch);
                }
            }
            false
        });
    }

    /// Waits until there is something to read.
    pub(super) async fn readable(&self) -> io::Result<()> {
        loop {
            self.inotify.readable().await?;
            // No event fits into one byte: where there is one it stays, with
            // another error. Where all were read already, the wait goes on.
            match self.inotify.try_read(&mut [0]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => return Ok(()),
            }
        }
    }

    /// What happened since the last call. Does not wait.
    pub(super) fn read(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                // WOULDBLOCK, as nothing else can go wrong with it.
                Err(_) => return events,
            };
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                events.push(Event::Overflow);
            }
            let name = event.file_name().map(|name| name.to_bytes());
            for folder in self.paths.get(&event.wd()).into_iter().flatten() {
                events.push(match name {
                    None => Event::Folder {
                        path: folder.clone(),
                        moved: flags.contains(ReadFlags::MOVE_SELF),
                    },
                    Some(name) => {
                        let path = folder.join(OsStr::from_bytes(name));
                        if flags.contains(ReadFlags::ISDIR) {
                            let moved = flags.contains(ReadFlags::MOVED_FROM);
                            Event::Folder { path, moved }
                        } else {
                            let writing = flags.contains(ReadFlags::MODIFY);
                            Event::File { path, writing }
                        }
                    }
                });
            }
        }
    }
}
