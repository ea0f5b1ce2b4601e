//! One verified connection, with an end.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::PeerInfo;

/// A TLS connection of a known peer. It gives back its slot when it is dropped, and fails every
/// operation once it is too old or the server has stopped, whatever the other side does.
pub(super) struct PeerStream {
    tls: TlsStream<TcpStream>,
    info: PeerInfo,
    /// Resolves when the connection must end; `None` once it has.
    end: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    _slot: OwnedSemaphorePermit,
}

// === impl PeerStream ===

impl PeerStream {
    /// `life` bounds the connection; dropping the other half of `cut` ends it at once.
    pub(super) fn new(
        tls: TlsStream<TcpStream>,
        info: PeerInfo,
        life: Duration,
        mut cut: watch::Receiver<()>,
        slot: OwnedSemaphorePermit,
    ) -> Self {
        let end = async move {
            tokio::select! {
                () = tokio::time::sleep(life) => {}
                _ = cut.changed() => {}
            }
        };
        Self { tls, info, end: Some(Box::pin(end)), _slot: slot }
    }

    /// The TLS stream, as long as the connection may live.
    fn alive(&mut self, cx: &mut Context<'_>) -> io::Result<Pin<&mut TlsStream<TcpStream>>> {
        if let Some(end) = &mut self.end
            && end.as_mut().poll(cx).is_ready()
        {
            tracing::debug!(peer = %self.info.peer, "connection cut: too old or shutting down");
            self.end = None;
        }
        if self.end.is_some() {
            return Ok(Pin::new(&mut self.tls));
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "the connection's time is over"))
    }
}

impl Connected for PeerStream {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.info.clone()
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().alive(cx)?.poll_read(cx, buf)
    }
}

impl AsyncWrite for PeerStream {
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
        self.tls.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().alive(cx)?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().alive(cx)?.poll_shutdown(cx)
    }
}
