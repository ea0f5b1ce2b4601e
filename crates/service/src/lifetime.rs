//! A connection with an end.
//!
//! It exists because a certificate is looked at when a connection is made, and a connection may
//! stand for long. It guarantees that a standing connection ends when it is too old, and soon
//! after its other side would no longer be let in: revoked, expired, or no longer covered by a
//! revocation list in date. Whatever the other side does, every operation then fails.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::identity::{ReloadingIdentity, TlsIdentity};

/// Resolves, with the reason, when a connection must end.
pub(crate) type End = Pin<Box<dyn Future<Output = io::Error> + Send>>;

/// A stream that fails every operation once its end has come.
pub(crate) struct Bounded<S, T> {
    stream: S,
    end: Option<End>,
    /// What lives and ends with the connection.
    pub(crate) companion: T,
}

impl<S, T> Bounded<S, T> {
    pub(crate) fn new(stream: S, end: End, companion: T) -> Self {
        Self { stream, end: Some(end), companion }
    }
}

impl<S: Unpin, T> Bounded<S, T> {
    /// The stream, as long as the connection may live.
    fn alive(&mut self, cx: &mut Context<'_>) -> io::Result<Pin<&mut S>> {
        let Some(end) = &mut self.end else {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the connection has ended"));
        };
        if let Poll::Ready(reason) = end.as_mut().poll(cx) {
            self.end = None;
            return Err(reason);
        }
        Ok(Pin::new(&mut self.stream))
    }
}

/// Resolves when the connection is as old as it may be.
pub(crate) async fn too_old(age: Duration) -> io::Error {
    tokio::time::sleep(age).await;
    io::Error::new(io::ErrorKind::TimedOut, "the connection is as old as it may be")
}

/// Resolves when `check`, made every `interval` with the identity then in force, says no.
pub(crate) async fn unwelcome(
    identity: Arc<ReloadingIdentity>,
    interval: Duration,
    check: impl Fn(&TlsIdentity) -> Result<(), rustls::Error> + Send,
) -> io::Error {
    loop {
        tokio::time::sleep(interval).await;
        if let Err(error) = check(&identity.current()) {
            return io::Error::new(io::ErrorKind::PermissionDenied, error);
        }
    }
}

impl<S: AsyncRead + Unpin, T: Unpin> AsyncRead for Bounded<S, T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().alive(cx)?.poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin, T: Unpin> AsyncWrite for Bounded<S, T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().alive(cx)?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().alive(cx)?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().alive(cx)?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().alive(cx)?.poll_shutdown(cx)
    }
}
