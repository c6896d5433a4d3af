//! The HTTP server of both stand-ins.
//!
//! An ordinary server always answers. A stand-in must also be able to close a connection without an answer,
//! to refuse new connections while it keeps its port, to know when an answer was sent, and to end everything
//! that it started when it is dropped.

mod gate;
mod line;

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use axum::Router;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::gate::{Door, Gate};
pub use self::line::{Line, Wire};

/// Runs work that may last longer than its request, but not longer than the server.
#[derive(Clone, Debug)]
pub struct Tasks(watch::Receiver<()>);

impl Tasks {
    /// Runs `work` in a task of its own, until it or the server ends.
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

/// Two ports on 127.0.0.1: one for the stand-in itself, and one for its controls alone. The second answers
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

    /// Opens and shuts the first port.
    #[must_use]
    pub fn door(&self) -> Door {
        self.door.clone()
    }

    /// Runs work that may last longer than its request.
    #[must_use]
    pub fn tasks(&self) -> Tasks {
        Tasks(self.end.subscribe())
    }

    /// Serves both ports until the returned handle is dropped.
    #[must_use]
    pub fn serve(self, wire: Router, control: Router) -> Server {
        let address = self.gate.address();
        let control_address = self.control_gate.address();
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
            door.cut_all();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;
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
        let signal = go_on.clone();
        let wire = Router::new().route(
            "/",
            get(move |ConnectInfo(line): ConnectInfo<Line>| async move {
                arrived.send(line.next_write()).unwrap();
                signal.notified().await;
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
