//! Connections that can be cut.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::gate::Gate;
use crate::observed::Observed;

/// One connection, as a handler sees it.
#[derive(Clone, Debug)]
pub struct Line(Arc<LineState>);

#[derive(Debug)]
struct LineState {
    cut: AtomicBool,
    spared: AtomicBool,
    reader: AtomicWaker,
    writes: watch::Sender<u64>,
}

impl Line {
    pub(super) fn new() -> Self {
        let (writes, _) = watch::channel(0);
        Self(Arc::new(LineState {
            cut: AtomicBool::new(false),
            spared: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            writes,
        }))
    }

    /// Closes the connection without writing anything more to it.
    pub fn cut(&self) {
        self.0.cut.store(true, Ordering::SeqCst);
        self.0.reader.wake();
    }

    /// Keeps this connection open through the next [`Door::shut`], so that the caller who asked to shut the
    /// port gets an answer.
    pub fn spare(&self) {
        self.0.spared.store(true, Ordering::SeqCst);
    }

    /// Waits until something was written to this connection after this call, or the connection is gone.
    pub fn next_write(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut writes = self.0.writes.subscribe();
        async move {
            // An error means that the connection is gone.
            let _ = writes.changed().await;
        }
    }

    fn is_cut(&self) -> bool {
        self.0.cut.load(Ordering::SeqCst)
    }
}

impl Connected<IncomingStream<'_, Gate>> for Line {
    fn connect_info(stream: IncomingStream<'_, Gate>) -> Self {
        stream.io().line.clone()
    }
}

/// A TCP connection that its [`Line`] can cut.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    line: Line,
    unflushed: bool,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, line: Line) -> Self {
        Self {
            stream,
            line,
            unflushed: false,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.line.0.reader.register(context.waker());
        if self.line.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.line.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.unflushed = true;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() && self.unflushed {
            self.unflushed = false;
            self.line
                .0
                .writes
                .send_modify(|count| *count = count.wrapping_add(1));
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.line
            .0
            .writes
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// All open connections of one server.
#[derive(Debug)]
pub(super) struct Lines(Observed<Vec<Weak<LineState>>>);

impl Lines {
    pub(super) fn new() -> Self {
        Self(Observed::new(Vec::new()))
    }

    pub(super) fn add(&self, line: &Line) {
        self.0.change(|lines| {
            lines.retain(|other| other.strong_count() > 0);
            lines.push(Arc::downgrade(&line.0));
        });
    }

    pub(super) fn cut_all(&self, even_spared: bool) {
        for line in self
            .0
            .read(|lines| lines.iter().filter_map(Weak::upgrade).collect::<Vec<_>>())
        {
            if even_spared || !line.spared.swap(false, Ordering::SeqCst) {
                Line(line).cut();
            }
        }
    }
}
