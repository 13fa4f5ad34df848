//! A guest's standard output and error, as log lines under its name.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

/// Longest line kept whole; a longer one is logged in pieces, so that a guest
/// that never ends a line cannot grow the host.
const MAX_LINE: usize = 8 << 10;

/// One of a guest's two streams.
#[derive(Debug, Clone)]
pub struct GuestLog {
    component: Arc<str>,
    stream: &'static str,
}

impl GuestLog {
    /// The stream named `stream` of a component.
    pub fn new(component: Arc<str>, stream: &'static str) -> Self {
        Self { component, stream }
    }
}

impl IsTerminal for GuestLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestLog {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Lines {
            log: self.clone(),
            partial: Vec::new(),
        })
    }
}

struct Lines {
    log: GuestLog,
    partial: Vec<u8>,
}

impl Lines {
    fn emit(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        if !line.is_empty() {
            tracing::info!(component = %self.log.component, stream = self.log.stream, "{line}");
        }
    }
}

impl AsyncWrite for Lines {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let this = &mut *self;
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            this.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || this.partial.len() >= MAX_LINE {
                let line = std::mem::take(&mut this.partial);
                this.emit(&line);
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let line = std::mem::take(&mut self.partial);
        self.emit(&line);
    }
}
