//! What both stand-ins stand on: a server that can hang up, refuse connections and end without a
//! trace.
//!
//! An ordinary server always answers. A stand-in must also be able to close a connection without
//! an answer, to refuse new connections while its port stays its own, to know when an answer has
//! left, and to take everything it started with it when it is dropped.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use anyhow::Context as _;
use axum::Router;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::watched::Watched;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

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
    fn new() -> Self {
        let (writes, _) = watch::channel(0);
        Self(Arc::new(LineState {
            cut: AtomicBool::new(false),
            spared: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            writes,
        }))
    }

    /// Closes the connection. Nothing is written to it any more.
    pub fn cut(&self) {
        self.0.cut.store(true, Ordering::SeqCst);
        self.0.reader.wake();
    }

    /// Keeps this connection through the next [`Door::shut`], so that whoever asked for it gets an
    /// answer.
    pub fn spare(&self) {
        self.0.spared.store(true, Ordering::SeqCst);
    }

    /// Waits until something was handed to the network on this connection after this call, or the
    /// connection is gone.
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
struct Lines(Watched<Vec<Weak<LineState>>>);

impl Lines {
    fn add(&self, line: &Line) {
        self.0.change(|lines| {
            lines.retain(|other| other.strong_count() > 0);
            lines.push(Arc::downgrade(&line.0));
        });
    }

    fn cut_all(&self, even_spared: bool) {
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

/// Opens and shuts a server's port.
#[derive(Clone, Debug)]
pub struct Door {
    wanted_open: watch::Sender<bool>,
    is_open: watch::Receiver<bool>,
    lines: Arc<Lines>,
}

impl Door {
    /// From now on connections are refused, and those that were open are cut. Returns when it is
    /// so.
    pub async fn shut(&self) {
        self.turn(false).await;
        self.lines.cut_all(false);
    }

    /// From now on connections are accepted again. Returns when it is so.
    pub async fn open(&self) {
        self.turn(true).await;
    }

    async fn turn(&self, open: bool) {
        self.wanted_open.send_replace(open);
        // An error means that the server has ended.
        let _ = self
            .is_open
            .clone()
            .wait_for(|is_open| *is_open == open)
            .await;
    }
}

/// The listening end of a port, which a [`Door`] can shut.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    state: GateState,
    wanted_open: watch::Receiver<bool>,
    is_open: watch::Sender<bool>,
    lines: Arc<Lines>,
}

#[derive(Debug)]
enum GateState {
    Open(TcpListener),
    /// Bound, so that nobody else gets the port, but not listening, so that it refuses.
    Shut {
        _bound: TcpSocket,
    },
}

fn bound_socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    // Both sockets of a port that is being opened or shut are bound to it for a moment.
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

impl Gate {
    fn bind(port: u16) -> anyhow::Result<(Self, Door)> {
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let socket = bound_socket(wanted).with_context(|| format!("cannot use {wanted}"))?;
        let listener = socket
            .listen(BACKLOG)
            .with_context(|| format!("cannot listen on {wanted}"))?;
        let address = listener.local_addr()?;
        let (wanted_sender, wanted_open) = watch::channel(true);
        let (is_open, is_open_receiver) = watch::channel(true);
        let lines = Arc::new(Lines(Watched::new(Vec::new())));
        let door = Door {
            wanted_open: wanted_sender,
            is_open: is_open_receiver,
            lines: lines.clone(),
        };
        let state = GateState::Open(listener);
        Ok((
            Self {
                address,
                state,
                wanted_open,
                is_open,
                lines,
            },
            door,
        ))
    }

    fn turn(&mut self, open: bool) -> io::Result<()> {
        let socket = bound_socket(self.address)?;
        self.state = if open {
            GateState::Open(socket.listen(BACKLOG)?)
        } else {
            GateState::Shut { _bound: socket }
        };
        self.is_open.send_replace(open);
        Ok(())
    }

    fn admit(&self, stream: TcpStream) -> Wire {
        // An answer is small and awaited. Where this fails, it is only slower.
        let _ = stream.set_nodelay(true);
        let line = Line::new();
        self.lines.add(&line);
        Wire {
            stream,
            line,
            unflushed: false,
        }
    }
}

impl Listener for Gate {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        loop {
            let wanted = *self.wanted_open.borrow_and_update();
            let is_open = matches!(self.state, GateState::Open(_));
            if wanted != is_open && self.turn(wanted).is_err() {
                tokio::task::yield_now().await;
                continue;
            }
            let GateState::Open(listener) = &self.state else {
                if self.wanted_open.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                continue;
            };
            tokio::select! {
                biased;
                Ok(()) = self.wanted_open.changed() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, from)) => return (self.admit(stream), from),
                    // Out of file descriptors, or a caller that has already gone.
                    Err(_) => tokio::task::yield_now().await,
                },
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Work that outlives the request that began it, but not the server.
#[derive(Clone, Debug)]
pub struct Tasks(watch::Receiver<()>);

impl Tasks {
    /// Runs `work` in a task of its own, to its end or to the server's.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<Option<T>> {
        let mut end = self.0.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ended = end.changed() => None,
                done = work => Some(done),
            }
        })
    }
}

/// Two ports on 127.0.0.1: one for the stand-in itself, one for its controls alone, which answers
/// also while the first refuses connections.
#[derive(Debug)]
pub struct Binding {
    gate: Gate,
    door: Door,
    control_gate: Gate,
    control_door: Door,
    end: watch::Sender<()>,
}

impl Binding {
    /// Takes both ports; 0 means any free one.
    ///
    /// # Errors
    /// When a port is taken.
    pub fn new(port: u16, control_port: u16) -> anyhow::Result<Self> {
        let (gate, door) = Gate::bind(port)?;
        let (control_gate, control_door) = Gate::bind(control_port)?;
        let (end, _) = watch::channel(());
        Ok(Self {
            gate,
            door,
            control_gate,
            control_door,
            end,
        })
    }

    /// What opens and shuts the first port.
    #[must_use]
    pub fn door(&self) -> Door {
        self.door.clone()
    }

    /// Where to put work that outlives its request.
    #[must_use]
    pub fn tasks(&self) -> Tasks {
        Tasks(self.end.subscribe())
    }

    /// Serves both ports until the returned handle is dropped.
    #[must_use]
    pub fn serve(self, wire: Router, control: Router) -> Server {
        let address = self.gate.address;
        let control_address = self.control_gate.address;
        let wire = wire
            .merge(control.clone())
            .into_make_service_with_connect_info::<Line>();
        let control = control.into_make_service_with_connect_info::<Line>();
        let serving = [
            tokio::spawn(async move { axum::serve(self.gate, wire).await }),
            tokio::spawn(async move { axum::serve(self.control_gate, control).await }),
        ];
        Server {
            address,
            control_address,
            doors: [self.door, self.control_door],
            serving,
            _end: self.end,
        }
    }
}

/// A running server. Dropping it ends everything that it started.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    control_address: SocketAddr,
    doors: [Door; 2],
    serving: [JoinHandle<io::Result<()>>; 2],
    _end: watch::Sender<()>,
}

impl Server {
    /// The address of the first port, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address of the controls' own port, without a slash at its end.
    #[must_use]
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control_address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for serving in &self.serving {
            serving.abort();
        }
        for door in &self.doors {
            door.lines.cut_all(true);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use axum::extract::ConnectInfo;
    use axum::routing::get;
    use futures_util::FutureExt as _;

    use super::*;

    fn server() -> (Server, Door, watch::Receiver<bool>) {
        let (hanging, seen) = watch::channel(false);
        let binding = Binding::new(0, 0).unwrap();
        let door = binding.door();
        let tasks = binding.tasks();
        let wire = Router::new()
            .route("/", get(|| async { "here" }))
            .route(
                "/cut",
                get(|ConnectInfo(line): ConnectInfo<Line>| async move {
                    line.cut();
                    std::future::pending::<()>().await;
                }),
            )
            .route(
                "/hang",
                get(move || async move {
                    hanging.send_replace(true);
                    tasks.spawn(std::future::pending::<()>());
                    std::future::pending::<()>().await;
                }),
            );
        let control = Router::new().route("/_sandbox", get(|| async { "controls" }));
        (binding.serve(wire, control), door, seen)
    }

    async fn get_text(url: String) -> reqwest::Result<String> {
        crate::http::client(Duration::from_secs(10))
            .unwrap()
            .get(url)
            .send()
            .await?
            .text()
            .await
    }

    #[tokio::test]
    async fn a_cut_line_ends_without_an_answer() {
        let (server, _door, _) = server();
        let error = get_text(format!("{}/cut", server.url())).await.unwrap_err();
        assert!(!error.is_connect() && !error.is_timeout(), "{error:?}");
    }

    #[tokio::test]
    async fn the_next_write_is_the_answer_and_not_before_it() {
        let binding = Binding::new(0, 0).unwrap();
        let (arrived, mut arrival) = tokio::sync::mpsc::unbounded_channel();
        let go_on = Arc::new(tokio::sync::Notify::new());
        let told = go_on.clone();
        let wire = Router::new().route(
            "/",
            get(move |ConnectInfo(line): ConnectInfo<Line>| async move {
                arrived.send(line.next_write()).unwrap();
                told.notified().await;
                "here"
            }),
        );
        let server = binding.serve(wire, Router::new());
        let asked = tokio::spawn(get_text(server.url()));
        let mut written = Box::pin(arrival.recv().await.unwrap());
        assert!((&mut written).now_or_never().is_none());
        go_on.notify_one();
        written.await;
        assert_eq!(asked.await.unwrap().unwrap(), "here");
    }

    #[tokio::test]
    async fn a_shut_door_refuses_connections_and_keeps_its_port_and_its_controls() {
        let (server, door, _) = server();
        let url = server.url();
        door.shut().await;
        assert!(get_text(url.clone()).await.unwrap_err().is_connect());
        assert_eq!(
            get_text(format!("{}/_sandbox", server.control_url()))
                .await
                .unwrap(),
            "controls"
        );
        door.open().await;
        assert_eq!(get_text(url.clone()).await.unwrap(), "here");
        assert_eq!(server.url(), url);
    }

    #[tokio::test]
    async fn a_server_that_is_dropped_leaves_no_task_and_no_port_behind() {
        let metrics = tokio::runtime::Handle::current().metrics();
        let before = metrics.num_alive_tasks();
        let (server, _door, mut hanging) = server();
        let url = server.url();
        let asked = tokio::spawn(get_text(format!("{url}/hang")));
        hanging.wait_for(|seen| *seen).await.unwrap();
        drop(server);
        assert!(asked.await.unwrap().is_err());
        while metrics.num_alive_tasks() > before {
            tokio::task::yield_now().await;
        }
        assert!(get_text(url).await.unwrap_err().is_connect());
    }
}
