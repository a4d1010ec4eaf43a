//! An engine on a fresh store with one location, mounted.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use holdfast_engine::fileops::{Connection, Fileops};
use holdfast_engine::world::World;
use holdfast_engine::{Engine, Options};
use holdfast_mount::{Mount, MountOptions};
use tempfile::TempDir;

use crate::rule::open_to_all;
use crate::server::EmptyServer;
use crate::world::RealWorld;

pub struct Served {
    mount: Option<Mount>,
    engine: Engine,
    place: PathBuf,
    _folder: TempDir,
}

impl Served {
    /// `None`, and a word about it, where nothing can be mounted.
    pub fn start() -> Option<Served> {
        if let Err(error) = std::fs::File::options().read(true).write(true).open("/dev/fuse") {
            println!("SKIPPED: /dev/fuse cannot be opened: {error}");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        open_to_all(folder.path());
        let place = folder.path().join("mount");
        let engine = engine(folder.path(), &place);
        let mount = Mount::start(engine.fileops.clone(), &options(&place)).unwrap();
        Some(Served { mount: Some(mount), engine, place, _folder: folder })
    }

    pub fn place(&self) -> &Path {
        &self.place
    }

    pub fn fileops(&self) -> Fileops {
        self.engine.fileops.clone()
    }

    pub fn mount(&self) -> &Mount {
        self.mount.as_ref().unwrap()
    }

    pub fn take_mount(&mut self) -> Mount {
        self.mount.take().unwrap()
    }

    pub fn mount_again(&mut self) {
        self.mount = Some(Mount::start(self.fileops(), &options(&self.place)).unwrap());
    }

    /// A folder of the location that everybody may write to.
    pub fn area(&self) -> PathBuf {
        let area = self.place.join("nas/area");
        std::fs::create_dir(&area).unwrap();
        open_to_all(&area);
        area
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.mount = None;
        let _ = block_on(self.engine.handle.shut_down());
    }
}

pub fn options(place: &Path) -> MountOptions {
    let mut options = MountOptions::at(place);
    if rustix::process::geteuid().is_root() {
        options.options = ["allow_other", "suid", "dev"].map(String::from).into();
    }
    options
}

/// With a location `nas` that has been looked at once and is offline from then on.
fn engine(folder: &Path, place: &Path) -> Engine {
    let options = Options {
        store: folder.join("store"),
        boot_id: [7; 16],
        owner: None,
        default_owner: (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
        mount: Some(place.to_owned()),
        connection: Connection { id: 1, lives: false },
    };
    let world: Arc<dyn World> = Arc::new(RealWorld::new());
    let engine = Engine::start(options, world, Arc::new(EmptyServer)).unwrap();
    let limit = Some(Duration::from_secs(10));
    block_on(async {
        engine.handle.location_add("nas", "empty://").await.unwrap();
        // It would wait for the kernel to be told, and nothing is mounted yet.
        engine.handle.sync(Some("nas"), false, limit).await.unwrap();
        while engine.handle.status().await.unwrap().locations[0].last_sync.is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        engine.handle.offline(Some("nas")).await.unwrap();
    });
    engine
}
