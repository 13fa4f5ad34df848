//! A file on its way, read as it is sent.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::fs::File;
use tokio::io::{AsyncRead as _, ReadBuf};

/// What is read and sent at a time.
const CHUNK: usize = 64 * 1024;

/// Opens a file; returns it and its length in bytes.
///
/// # Errors
///
/// A sentence that names the file, when it cannot be opened or is none.
pub(super) async fn open(location: &Path) -> Result<(File, u64), String> {
    let unreadable = |error| format!("cannot read {}: {error}", location.display());
    let file = File::open(location).await.map_err(unreadable)?;
    let metadata = file.metadata().await.map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(format!("{} is not a file", location.display()));
    }
    Ok((file, metadata.len()))
}

/// How far an upload of `length` bytes is; drawn on a terminal only.
pub(super) fn bar(name: &str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{msg:<12}[{bar:32}] {bytes:>10} of {total_bytes:<10} {bytes_per_sec}",
    )
    .expect("the template is well formed")
    .progress_chars("=> ");
    ProgressBar::new(length)
        .with_style(style)
        .with_message(name.to_owned())
}

/// A body that is a file on disk, as it is or as the one part, `file`, of a
/// `multipart/form-data`. Its length is known before it is read, and is kept: what
/// a file gains meanwhile is left out, and one that becomes shorter ends the upload
/// with an error.
#[derive(Debug)]
pub(super) struct Upload {
    content_type: String,
    head: Bytes,
    file: File,
    left: u64,
    tail: Bytes,
    buffer: BytesMut,
    bar: ProgressBar,
}

impl Upload {
    /// The file's `length` bytes from where it stands, and nothing else.
    pub(super) fn plain(content_type: &str, file: File, length: u64, bar: ProgressBar) -> Self {
        Self {
            content_type: content_type.to_owned(),
            head: Bytes::new(),
            file,
            left: length,
            tail: Bytes::new(),
            buffer: BytesMut::new(),
            bar,
        }
    }

    /// The same as a form's file named `name`.
    pub(super) fn form(name: &str, file: File, length: u64, bar: ProgressBar) -> Self {
        // Random, so that no file holds it but by intent.
        let boundary = format!("warmlink-{}", hex::encode(rand::random::<[u8; 16]>()));
        let head = format!(
            "--{boundary}\r\n\
             content-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             content-type: text/csv\r\n\r\n"
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        let content_type = format!("multipart/form-data; boundary={boundary}");
        Self {
            head: head.into(),
            tail: tail.into(),
            ..Self::plain(&content_type, file, length, bar)
        }
    }

    /// The request's content type; a form's names its boundary.
    pub(super) fn content_type(&self) -> &str {
        &self.content_type
    }

    fn poll_file(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let want = CHUNK.min(usize::try_from(self.left).unwrap_or(CHUNK));
        self.buffer.resize(want, 0);
        let mut space = ReadBuf::new(&mut self.buffer);
        ready!(Pin::new(&mut self.file).poll_read(cx, &mut space))?;
        let read = space.filled().len();
        if read == 0 {
            return Poll::Ready(Err(io::Error::other("the file became shorter meanwhile")));
        }
        self.left -= read as u64;
        self.bar.inc(read as u64);
        Poll::Ready(Ok(self.buffer.split_to(read).freeze()))
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let data = if !this.head.is_empty() {
            std::mem::take(&mut this.head)
        } else if this.left > 0 {
            match ready!(this.poll_file(cx)) {
                Ok(data) => data,
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        } else if !this.tail.is_empty() {
            std::mem::take(&mut this.tail)
        } else {
            return Poll::Ready(None);
        };
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.head.is_empty() && self.left == 0 && self.tail.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.head.len() as u64 + self.left + self.tail.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    async fn upload(text: &str, length: u64) -> Upload {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let (opened, _) = open(file.path()).await.unwrap();
        Upload::form("users.csv", opened, length, ProgressBar::hidden())
    }

    #[tokio::test]
    async fn the_form_is_as_long_as_it_says_and_holds_the_file() {
        let text = "id,username\n".repeat(20_000);
        let upload = upload(&text, text.len() as u64).await;
        let (content_type, bar) = (upload.content_type().to_owned(), upload.bar.clone());
        let (_, boundary) = content_type.split_once("boundary=").unwrap();
        let announced = upload.size_hint().exact().unwrap();
        let sent = upload.collect().await.unwrap().to_bytes();
        assert_eq!(sent.len() as u64, announced);
        assert_eq!(bar.position(), text.len() as u64);
        let sent = std::str::from_utf8(&sent).unwrap();
        let (head, rest) = sent.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("--{boundary}\r\n")));
        assert!(head.contains("name=\"file\"; filename=\"users.csv\""));
        assert_eq!(rest, format!("{text}\r\n--{boundary}--\r\n"));
    }

    #[tokio::test]
    async fn a_plain_upload_is_the_file_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let (opened, length) = open(file.path()).await.unwrap();
        let upload = Upload::plain("a/b", opened, length, ProgressBar::hidden());
        assert_eq!(
            (upload.content_type(), upload.size_hint().exact()),
            ("a/b", Some(3))
        );
        assert_eq!(upload.collect().await.unwrap().to_bytes(), "abc");
    }

    #[tokio::test]
    async fn a_folder_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            open(folder.path())
                .await
                .unwrap_err()
                .ends_with("not a file")
        );
    }

    #[tokio::test]
    async fn an_empty_file_is_an_empty_part() {
        let sent = upload("", 0).await.collect().await.unwrap().to_bytes();
        assert!(sent.windows(8).any(|four| four == b"\r\n\r\n\r\n--"));
    }

    #[tokio::test]
    async fn a_file_that_shrinks_is_an_error_not_a_short_form() {
        let error = upload("abc", 4).await.collect().await.unwrap_err();
        assert!(error.to_string().contains("shorter"));
    }

    #[tokio::test]
    async fn a_file_that_grows_is_cut_where_its_length_was_announced() {
        let upload = upload("abcdef", 3).await;
        let announced = upload.size_hint().exact().unwrap();
        let sent = upload.collect().await.unwrap().to_bytes();
        assert_eq!(sent.len() as u64, announced);
        assert!(!sent.windows(4).any(|four| four == b"abcd"));
    }
}
