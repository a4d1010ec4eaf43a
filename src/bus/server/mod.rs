//! Offers an engine on a private socket, and on the session bus where its name is free.
//!
//! One thread accepts; each connection is served by zbus. The socket's folder and file belong to
//! this user alone, and a peer of another user is turned away whatever the modes say.

mod error;
mod events;
mod faces;
mod listen;
mod xml;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_executor::Executor;
use async_io::{Async, Timer};
use futures::FutureExt;
use std::os::unix::net::{UnixListener, UnixStream};
use zbus::connection::Builder;
use zbus::fdo::{RequestNameFlags, RequestNameReply};

use crate::{BUS_NAME, Commands};

pub(crate) use error::kind_of;
pub use xml::introspection;

/// A peer that has not signed in by then is let go.
const HANDSHAKE: Duration = Duration::from_secs(10);

pub struct ServerOptions {
    /// Where the private socket is to be; its folder is made where absent.
    pub socket: PathBuf,
    /// Whether the session bus is tried too.
    pub session_bus: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("another engine serves the socket {}", .0.display())]
    Taken(PathBuf),
    #[error("the folder {} of the private socket belongs to somebody else", .0.display())]
    NotOurs(PathBuf),
    #[error("cannot serve the private socket {}: {error}", .socket.display())]
    Io { socket: PathBuf, error: std::io::Error },
}

/// A served engine. Stops when dropped.
pub struct Server {
    socket: PathBuf,
    stop: async_channel::Sender<()>,
    thread: Option<JoinHandle<()>>,
    _lock: std::fs::File,
}

impl Server {
    /// The socket can be connected to when this returns; the session bus follows by itself.
    pub fn start(engine: Arc<dyn Commands>, options: &ServerOptions) -> Result<Server, ServerError> {
        let io = |error| ServerError::Io { socket: options.socket.clone(), error };
        let (listener, lock) = listen::bind(&options.socket)?;
        let listener = Async::new(listener).map_err(io)?;
        let (stop, stopped) = async_channel::bounded(1);
        let session_bus = options.session_bus;
        let thread = std::thread::Builder::new()
            .name("holdfast-bus".into())
            .spawn(move || {
                let executor = Arc::new(Executor::new());
                let shared = Shared { engine, stopped };
                if session_bus {
                    executor.spawn(serve_session_bus(shared.clone())).detach();
                }
                executor.spawn(accept(executor.clone(), listener, shared.clone())).detach();
                async_io::block_on(executor.run(async {
                    let _ = shared.stopped.recv().await;
                    farewell(&executor).await;
                }));
            })
            .map_err(io)?;
        Ok(Server { socket: options.socket.clone(), stop, thread: Some(thread), _lock: lock })
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Takes no more calls and removes the socket.
    pub fn stop(self) {}
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
        self.stop.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the bus panicked");
        }
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Shared {
    engine: Arc<dyn Commands>,
    /// Closed when all is to end.
    stopped: async_channel::Receiver<()>,
}

impl Shared {
    /// Serves a connection until its client goes away, or all is to end.
    async fn serve(&self, connection: zbus::Connection) -> zbus::Result<()> {
        futures::select_biased! {
            () = connection.closed().fuse() => Ok(()),
            _ = self.stopped.recv().fuse() => connection.clone().close().await,
        }
    }
}

/// Gives the connections a moment to end.
async fn farewell(executor: &Executor<'static>) {
    for _ in 0..100 {
        if executor.is_empty() {
            return;
        }
        Timer::after(Duration::from_millis(10)).await;
    }
}

async fn accept(executor: Arc<Executor<'static>>, listener: Async<UnixListener>, shared: Shared) {
    loop {
        let accepted = futures::select_biased! {
            _ = shared.stopped.recv().fuse() => return,
            accepted = listener.accept().fuse() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let shared = shared.clone();
                executor
                    .spawn(async move {
                        if let Err(error) = serve_peer(stream, shared).await {
                            tracing::info!(%error, "a client of the private socket went away");
                        }
                    })
                    .detach();
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a client on the private socket");
                Timer::after(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn serve_peer(stream: Async<UnixStream>, shared: Shared) -> zbus::Result<()> {
    let stream = stream.into_inner()?;
    if !listen::is_same_user(&stream)? {
        tracing::warn!("a client of another user was turned away");
        return Ok(());
    }
    let builder = Builder::async_io_unix_stream(stream).server(zbus::Guid::generate())?.p2p();
    let handshake = faces::serve_at(builder, shared.engine.clone())?.build();
    let connection = futures::select_biased! {
        connection = handshake.fuse() => connection?,
        _ = shared.stopped.recv().fuse() => return Ok(()),
        _ = FutureExt::fuse(Timer::after(HANDSHAKE)) => {
            return Err(zbus::Error::Handshake("the client did not sign in".into()));
        }
    };
    shared.serve(connection).await
}

async fn serve_session_bus(shared: Shared) {
    if std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_none() {
        tracing::info!("no session bus: the private socket only");
        return;
    }
    let taken = futures::select_biased! {
        _ = shared.stopped.recv().fuse() => return,
        taken = take_name(shared.engine.clone()).fuse() => taken,
    };
    match taken {
        Ok(Some(connection)) => match shared.serve(connection).await {
            Ok(()) => tracing::info!("the session bus is no longer served"),
            Err(error) => tracing::info!(%error, "the session bus is no longer served"),
        },
        Ok(None) => tracing::info!(name = BUS_NAME, "the bus name is taken: the private socket only"),
        Err(error) => tracing::info!(%error, "the session bus cannot be used: the private socket only"),
    }
}

async fn take_name(engine: Arc<dyn Commands>) -> zbus::Result<Option<zbus::Connection>> {
    let connection = faces::serve_at(Builder::session()?, engine)?.build().await?;
    let reply = connection.request_name_with_flags(BUS_NAME, RequestNameFlags::DoNotQueue.into()).await;
    match reply {
        Ok(RequestNameReply::PrimaryOwner | RequestNameReply::AlreadyOwner) => Ok(Some(connection)),
        Ok(_) | Err(zbus::Error::NameTaken) => Ok(None),
        Err(error) => Err(error),
    }
}
