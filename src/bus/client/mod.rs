//! An engine in another process, asked over its private socket.

mod calls;
mod events;

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_io::Timer;
use futures::FutureExt;
use holdfast_engine::handle::{Error, ErrorKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zbus::connection::Builder;
use zbus::zvariant::{DynamicType, Type};

use crate::OBJECT_PATH;
use crate::commands::Answer;
use crate::server::kind_of;
use crate::socket::ShortPath;

/// An engine that has not greeted by then does not work.
const HANDSHAKE: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("no engine is running")]
    NoEngine,
    #[error("cannot reach the engine at {}: {error}", .socket.display())]
    Io { socket: PathBuf, error: io::Error },
    #[error("cannot speak with the engine at {}: {text}", .socket.display())]
    Speak { socket: PathBuf, text: String },
}

/// A connection to an engine; cheap to clone. Its commands are those of [`crate::Commands`].
#[derive(Clone)]
pub struct Client {
    connection: zbus::Connection,
}

impl Client {
    pub async fn connect(socket: &Path) -> Result<Client, ConnectError> {
        let stream = ShortPath::new(socket).and_then(|short| UnixStream::connect(short.path()));
        let stream = stream.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ConnectError::NoEngine,
            _ => ConnectError::Io { socket: socket.to_owned(), error },
        })?;
        let speak = |text: String| ConnectError::Speak { socket: socket.to_owned(), text };
        let greeting = Builder::async_io_unix_stream(stream).p2p().build();
        let connection = futures::select_biased! {
            connection = greeting.fuse() => connection.map_err(|error| speak(error.to_string()))?,
            _ = FutureExt::fuse(Timer::after(HANDSHAKE)) => return Err(speak("it does not answer".into())),
        };
        Ok(Client { connection })
    }

    /// Returns when the engine has gone away.
    pub async fn closed(&self) {
        self.connection.closed().await;
    }

    async fn call<B, R>(&self, interface: &str, method: &str, body: &B) -> Answer<R>
    where
        B: Serialize + DynamicType,
        R: DeserializeOwned + Type,
    {
        let reply = self
            .connection
            .call_method(
                None::<()>,
                OBJECT_PATH,
                Some(format!("app.holdfast.Engine1.{interface}")),
                method,
                body,
            )
            .await
            .map_err(error)?;
        reply.body().deserialize().map_err(error)
    }
}

/// The engine's own error as it was, anything else as a failure of the connection.
fn error(error: zbus::Error) -> Error {
    match error {
        zbus::Error::MethodError(name, text, _) => match kind_of(name.as_str()) {
            Some(kind) => Error { kind, text: text.unwrap_or_default() },
            None => Error::failed(format!(
                "the engine refuses the call: {}",
                text.unwrap_or_else(|| name.to_string())
            )),
        },
        zbus::Error::InputOutput(_) => {
            Error { kind: ErrorKind::Failed, text: "the engine has gone away".into() }
        }
        other => Error::failed(format!("the engine cannot be understood: {other}")),
    }
}
