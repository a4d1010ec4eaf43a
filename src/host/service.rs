//! A served engine: store, mount and bus, started and ended in the order that is safe.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_bus::{Server, ServerError, ServerOptions};
use holdfast_engine::handle::{Error, Handle};
use holdfast_engine::{Engine, Options};
use holdfast_mount::{Mount, MountError, MountOptions};
use rustix::process::{Resource, getegid, geteuid, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::boot::boot_id;
use crate::clash::Places;
use crate::connector::connector;
use crate::keeper::{self, Mounting};
use crate::mount::prepared;
use crate::{Paths, PathsError, RealWorld};

/// What a service is started with.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    pub paths: Paths,
    /// In place of the usual one.
    pub mount: Option<PathBuf>,
    /// As `mount -o` takes them.
    pub mount_options: Vec<String>,
    /// Whether the session bus is tried too.
    pub session_bus: bool,
    /// An engine that serves the store now is asked to make way; its mount goes on with this one.
    pub replace: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    #[error(transparent)]
    Paths(#[from] PathsError),
    #[error("cannot use the store {}: {error}", .path.display())]
    Store { path: PathBuf, error: Error },
    #[error("{0}")]
    Engine(#[from] Error),
    #[error("cannot use {} as the mount: {error}", .dir.display())]
    MountFolder { dir: PathBuf, error: io::Error },
    #[error(transparent)]
    Mount(#[from] MountError),
    #[error("somebody else has unmounted {}", .0.display())]
    Unmounted(PathBuf),
    #[error("location {name} cannot be served: {why}")]
    Clash { name: String, why: String },
    #[error(transparent)]
    Bus(#[from] ServerError),
}

/// A running engine with its mount and its bus. End it with [`Service::stop`].
pub struct Service {
    handle: Handle,
    mount: Option<Mount>,
    mount_dir: PathBuf,
    server: Option<Server>,
    runtime: Runtime,
}

impl Service {
    /// Blocks until the mount can be used and the private socket answers.
    pub fn start(options: ServeOptions) -> Result<Service, HostError> {
        let runtime = runtime()?;
        Service::start_on(runtime, options)
    }

    fn start_on(runtime: Runtime, options: ServeOptions) -> Result<Service, HostError> {
        let dir = options.mount.as_deref().unwrap_or(&options.paths.mount);
        let folder = |error| HostError::MountFolder { dir: dir.to_owned(), error };
        let dir = prepared(dir).map_err(folder)?;
        let places =
            Places { mount: Some(dir.clone()), store: crate::follow(&options.paths.store, Some(&dir)) };

        options.paths.make_runtime()?;
        raise_file_limit();
        let keeper = keeper::place(&options.paths);
        let mount_options = MountOptions { options: options.mount_options.clone(), ..MountOptions::at(&dir) };
        let kept = keeper::find(&keeper, &mount_options, options.replace);
        let connection = keeper::connection(kept.as_ref());
        // First, because it locks the store: a second engine goes no further.
        let engine = Engine::start(
            Options {
                store: options.paths.store.clone(),
                boot_id: boot_id(),
                owner: owner(),
                default_owner: ids(),
                mount: Some(dir.clone()),
                connection,
            },
            Arc::new(RealWorld::new(runtime.handle().clone())),
            connector(places.clone(), &options.paths.runtime),
        )
        .map_err(|error| HostError::Store { path: options.paths.store.clone(), error })?;
        let mut service =
            Service { handle: engine.handle.clone(), mount: None, mount_dir: dir, server: None, runtime };
        let mounting = Mounting { options: mount_options, connection: connection.id, keeper, kept };
        if let Err(error) = service.serve(engine, mounting, &options, &places) {
            // What the engine has recovered is committed; the first error is the one to tell.
            if let Err(second) = service.stop() {
                tracing::error!(error = %second, "could not stop cleanly");
            }
            return Err(error);
        }
        Ok(service)
    }

    fn serve(
        &mut self,
        engine: Engine,
        mounting: Mounting,
        options: &ServeOptions,
        places: &Places,
    ) -> Result<(), HostError> {
        // A mount that was moved since the locations were added.
        for location in self.runtime.block_on(self.handle.location_list())? {
            if let Some(why) = places.clash(&location.url) {
                return Err(HostError::Clash { name: location.name, why });
            }
        }
        self.runtime.block_on(async { crate::network::watch(&self.handle) });
        self.mount = Some(mounting.mount(engine)?);
        self.server = Some(Server::start(
            Arc::new(self.handle.clone()),
            &ServerOptions { socket: options.paths.socket(), session_bus: options.session_bus },
        )?);
        Ok(())
    }

    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Makes way for another engine, with which the mount goes on once this process has ended.
    pub fn leave(self) -> Result<(), HostError> {
        if let Some(mount) = &self.mount {
            mount.fall_silent();
        }
        if let Some(server) = self.server {
            server.stop();
        }
        let committed = self.runtime.block_on(self.handle.shut_down());
        if let Some(mount) = self.mount {
            mount.leave();
        }
        self.runtime.shutdown_timeout(std::time::Duration::from_secs(5));
        Ok(committed?)
    }

    pub fn mount_dir(&self) -> &Path {
        &self.mount_dir
    }

    /// Takes no more calls, unmounts, commits.
    pub fn stop(self) -> Result<(), HostError> {
        if let Some(server) = self.server {
            server.stop();
        }
        if let Some(mount) = self.mount {
            mount.unmount();
        }
        let committed = self.runtime.block_on(self.handle.shut_down());
        self.runtime.shutdown_timeout(std::time::Duration::from_secs(5));
        Ok(committed?)
    }
}

/// Serves until SIGTERM or SIGINT; `ready` is called with the mount's folder.
pub fn serve_until_signal(options: ServeOptions, ready: impl FnOnce(&Path)) -> Result<(), HostError> {
    let runtime = runtime()?;
    // Caught from here on, so that one that comes while we start ends us cleanly as well.
    let (mut term, mut int) = {
        let _inside = runtime.enter();
        let catch = |kind| signal(kind).map_err(HostError::Runtime);
        (catch(SignalKind::terminate())?, catch(SignalKind::interrupt())?)
    };
    let service = Service::start_on(runtime, options)?;
    ready(service.mount_dir());
    let ended = service.mount.as_ref().map(Mount::ended);
    let make_way = service.mount.as_ref().and_then(Mount::make_way);
    let end = service.runtime.block_on(async {
        tokio::select! {
            _ = term.recv() => End::Asked,
            _ = int.recv() => End::Asked,
            () = closed(ended) => End::Unmounted,
            () = told(make_way) => End::Replaced,
        }
    });
    let dir = service.mount_dir().to_owned();
    match end {
        End::Asked => service.stop(),
        End::Replaced => service.leave(),
        End::Unmounted => {
            service.stop()?;
            Err(HostError::Unmounted(dir))
        }
    }
}

enum End {
    Asked,
    /// Another engine takes over.
    Replaced,
    /// By somebody else.
    Unmounted,
}

async fn closed(channel: Option<async_channel::Receiver<()>>) {
    match channel {
        Some(channel) => drop(channel.recv().await),
        None => std::future::pending().await,
    }
}

async fn told(channel: Option<async_channel::Receiver<()>>) {
    match channel {
        Some(channel) if channel.recv().await.is_ok() => {}
        _ => std::future::pending().await,
    }
}

/// Contents that are fetched and sent by the hundred are open files.
fn raise_file_limit() {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, files) {
        tracing::debug!(%error, "the limit of open files stays");
    }
}

fn runtime() -> Result<Runtime, HostError> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name("holdfast-work")
        .enable_all()
        .build()
        .map_err(HostError::Runtime)
}

/// Everything belongs to the user who mounts, except where an engine runs as root.
fn owner() -> Option<(u32, u32)> {
    (!geteuid().is_root()).then(ids)
}

fn ids() -> (u32, u32) {
    (geteuid().as_raw(), getegid().as_raw())
}
