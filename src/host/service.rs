//! A served engine: store, mount and bus, started and ended in the order that is safe.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_bus::{Server, ServerError, ServerOptions};
use holdfast_engine::handle::{Error, Handle};
use holdfast_engine::{Engine, Options};
use rustix::process::{getegid, geteuid};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::boot::boot_id;
use crate::clash::Places;
use crate::connector::connector;
use crate::mount::{Mount, MountOptions, make_folder, prepared};
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
}

#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    #[error(transparent)]
    Paths(#[from] PathsError),
    #[error("{0}")]
    Engine(#[from] Error),
    #[error("cannot use {} as the mount: {error}", .dir.display())]
    MountFolder { dir: PathBuf, error: io::Error },
    #[error("cannot mount at {}: {text}", .dir.display())]
    Mount { dir: PathBuf, text: String },
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
        let folder = |error| HostError::MountFolder {
            dir: dir.to_owned(),
            error,
        };
        let dir = prepared(dir).map_err(folder)?;
        let places = Places {
            mount: Some(dir.clone()),
            store: crate::follow(&options.paths.store, Some(&dir)),
        };

        options.paths.make_runtime()?;
        // First, because it locks the store: a second engine goes no further.
        let engine = Engine::start(
            Options {
                store: options.paths.store.clone(),
                boot_id: boot_id(),
                owner: owner(),
                mount: Some(dir.clone()),
            },
            Arc::new(RealWorld::new(runtime.handle().clone())),
            connector(places.clone()),
        )?;
        let mut service = Service {
            handle: engine.handle,
            mount: None,
            mount_dir: dir,
            server: None,
            runtime,
        };
        if let Err(error) = service.serve(engine.fileops, &options, &places) {
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
        fileops: holdfast_engine::fileops::Fileops,
        options: &ServeOptions,
        places: &Places,
    ) -> Result<(), HostError> {
        // A mount that was moved since the locations were added.
        for location in self.runtime.block_on(self.handle.location_list())? {
            if let Some(why) = places.clash(&location.url) {
                return Err(HostError::Clash {
                    name: location.name,
                    why,
                });
            }
        }
        let mount = MountOptions {
            dir: self.mount_dir.clone(),
            options: options.mount_options.clone(),
        };
        make_folder(&mount.dir).map_err(|error| HostError::MountFolder {
            dir: mount.dir.clone(),
            error,
        })?;
        self.mount =
            Some(Mount::start(fileops, &mount).map_err(|text| HostError::Mount { dir: mount.dir, text })?);
        self.server = Some(Server::start(
            Arc::new(self.handle.clone()),
            &ServerOptions {
                socket: options.paths.socket(),
                session_bus: options.session_bus,
            },
        )?);
        Ok(())
    }

    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    pub fn mount_dir(&self) -> &Path {
        &self.mount_dir
    }

    /// Takes no more calls, unmounts, commits. All three are tried; the first failure is told.
    pub fn stop(self) -> Result<(), HostError> {
        if let Some(server) = self.server {
            server.stop();
        }
        let dir = self.mount_dir;
        let unmounted = match self.mount {
            Some(mount) => mount.unmount().map_err(|text| HostError::Mount { dir, text }),
            None => Ok(()),
        };
        let committed = self.runtime.block_on(self.handle.shut_down());
        self.runtime.shutdown_timeout(std::time::Duration::from_secs(5));
        unmounted?;
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
    service.runtime.block_on(async {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    });
    service.stop()
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
    let uid = geteuid();
    (!uid.is_root()).then(|| (uid.as_raw(), getegid().as_raw()))
}
