//! The multipart body: one part of it, `file`, as it arrives.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{Stream, stream};
use multer::{Error, Field, Multipart};
use shared::{Refusal, guest::Body};

/// A multipart body, read up to some point.
pub(crate) struct Parts {
    body: Multipart<'static>,
    file: Option<Field<'static>>,
}

impl Parts {
    /// Starts on a body. 400 if its type has no parts.
    pub(crate) fn new(content_type: Option<&str>, body: Body) -> Result<Self, Refusal> {
        let boundary = multer::parse_boundary(content_type.unwrap_or_default())
            .map_err(|_| Refusal::invalid("body: must be multipart/form-data with a part file"))?;
        let chunks = stream::unfold(body, |mut body| async {
            let chunk = body.chunk().await.transpose()?;
            Some((chunk.map(Bytes::from), body))
        });
        Ok(Self {
            body: Multipart::new(OneByOne::new(chunks), boundary),
            file: None,
        })
    }

    /// Goes to the part `file`. 400 if there is none.
    pub(crate) async fn find_file(&mut self) -> Result<(), Refusal> {
        while let Some(field) = self.body.next_field().await.map_err(refuse)? {
            if field.name() == Some("file") {
                self.file = Some(field);
                return Ok(());
            }
        }
        Err(Refusal::invalid("file: the body has no such part"))
    }

    /// The file's next bytes, none at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        match &mut self.file {
            Some(file) => file.chunk().await.map_err(refuse),
            None => Ok(None),
        }
    }

    /// Reads on to the body's end.
    pub(crate) async fn finish(&mut self) -> Result<(), Refusal> {
        self.file = None;
        while self.body.next_field().await.map_err(refuse)?.is_some() {}
        Ok(())
    }
}

fn refuse(error: Error) -> Refusal {
    match error {
        // What reading the body came to, in its own words.
        Error::StreamReadFailed(cause) => match cause.downcast::<Refusal>() {
            Ok(refusal) => *refusal,
            Err(_) => Refusal::invalid("body: did not arrive whole"),
        },
        _ => Refusal::invalid("body: is not well-formed multipart/form-data"),
    }
}

/// Hands out one item per poll. The multipart reader takes all that is ready
/// before it gives any of it on: with a fast client, that is the whole file.
struct OneByOne<S> {
    inner: Pin<Box<S>>,
    pause: bool,
}

impl<S: Stream> OneByOne<S> {
    fn new(inner: S) -> Self {
        Self {
            inner: Box::pin(inner),
            pause: false,
        }
    }
}

impl<S: Stream> Stream for OneByOne<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        if self.pause {
            self.pause = false;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let item = self.inner.as_mut().poll_next(context);
        self.pause = matches!(item, Poll::Ready(Some(_)));
        item
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, executor::block_on};

    use super::*;

    #[test]
    fn one_item_is_handed_out_per_poll() {
        let mut items = OneByOne::new(stream::iter([1, 2]));
        let mut context = Context::from_waker(futures::task::noop_waker_ref());
        assert_eq!(items.poll_next_unpin(&mut context), Poll::Ready(Some(1)));
        assert_eq!(items.poll_next_unpin(&mut context), Poll::Pending);
        assert_eq!(items.poll_next_unpin(&mut context), Poll::Ready(Some(2)));
        assert_eq!(items.poll_next_unpin(&mut context), Poll::Pending);
        assert_eq!(items.poll_next_unpin(&mut context), Poll::Ready(None));
        assert_eq!(
            block_on(OneByOne::new(stream::iter(0..9)).collect::<Vec<_>>()).len(),
            9
        );
    }
}
