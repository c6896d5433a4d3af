//! A port that can be shut and opened again.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use axum::serve::Listener;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use super::line::{Line, Lines, Wire};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Opens and shuts a server's port.
#[derive(Clone, Debug)]
pub struct Door {
    wanted_open: watch::Sender<bool>,
    is_open: watch::Receiver<bool>,
    lines: Arc<Lines>,
}

impl Door {
    /// Refuses connections from now on, and cuts the open ones. Returns when that is done.
    pub async fn shut(&self) {
        self.turn(false).await;
        self.lines.cut_all(false);
    }

    /// Accepts connections again. Returns when that is done.
    pub async fn open(&self) {
        self.turn(true).await;
    }

    /// Cuts every open connection.
    pub(crate) fn cut_all(&self) {
        self.lines.cut_all(true);
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

/// The listener of a port. A [`Door`] can shut it.
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
    /// The port is bound, so that no other process gets it, but does not listen, so that it refuses.
    Shut {
        _bound: TcpSocket,
    },
}

fn bound_socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    // While a port is opened or shut, two sockets are bound to it for a moment.
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

impl Gate {
    pub(crate) fn bind(port: u16) -> anyhow::Result<(Self, Door)> {
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let socket = bound_socket(wanted).with_context(|| format!("cannot use {wanted}"))?;
        let listener = socket
            .listen(BACKLOG)
            .with_context(|| format!("cannot listen on {wanted}"))?;
        let address = listener.local_addr()?;
        let (wanted_sender, wanted_open) = watch::channel(true);
        let (is_open, is_open_receiver) = watch::channel(true);
        let lines = Arc::new(Lines::new());
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

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
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
        // A caller waits for a small answer. If this fails, the answer is only slower.
        let _ = stream.set_nodelay(true);
        let line = Line::new();
        self.lines.add(&line);
        Wire::new(stream, line)
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
                    // There are no file descriptors left, or the caller is gone already.
                    Err(_) => tokio::task::yield_now().await,
                },
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
