//! Which keeper belongs to a store, and how a mount begins: fresh, or going on from an engine that is gone.

use std::ffi::OsString;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use holdfast_engine::Engine;
use holdfast_engine::fileops::Connection;
use holdfast_mount::{Found, KeeperPlace, Kept, Mount, MountError, MountOptions};

use crate::Paths;
use crate::hidden::KEEPER;

/// An engine that was just killed may take a moment to go.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// By the store, so that two engines with different ones do not meet.
pub fn place(paths: &Paths) -> KeeperPlace {
    let store = blake3::hash(paths.store.as_os_str().as_encoded_bytes()).to_hex();
    KeeperPlace {
        socket: paths.runtime.join(format!("keeper-{}", &store[..8])),
        // This very program, also where an upgrade has replaced its file meanwhile.
        program: "/proc/self/exe".into(),
        arguments: vec![OsString::from(KEEPER)],
    }
}

/// The mount that is wanted, where a keeper has it. Another one that nobody serves is ended.
pub fn find(keeper: &KeeperPlace, wanted: &MountOptions, replace: bool) -> Option<Kept> {
    for _ in 0..TRIES {
        match keeper.find(replace) {
            Found::Here(kept) if kept.is(&wanted.directory, &wanted.options) => return Some(kept),
            Found::Here(kept) => {
                kept.end();
                return None;
            }
            Found::Busy => sleep(PAUSE),
            Found::Nobody => return None,
        }
    }
    None
}

pub fn connection(kept: Option<&Kept>) -> Connection {
    match kept {
        Some(kept) => Connection { id: kept.id(), lives: true },
        None => Connection {
            id: getrandom::u64().expect("the kernel has random bytes once it has booted"),
            lives: false,
        },
    }
}

/// How the mount begins.
pub struct Mounting {
    pub options: MountOptions,
    /// The connection's number.
    pub connection: u64,
    pub keeper: KeeperPlace,
    pub kept: Option<Kept>,
}

impl Mounting {
    pub fn mount(self, engine: Engine) -> Result<Mount, MountError> {
        let Mounting { options, connection, keeper, kept } = self;
        match kept {
            Some(kept) if engine.taken_over => return Mount::take_over(engine.fileops, &options, kept),
            Some(kept) => {
                tracing::warn!("the mount of the last engine cannot go on, and is made anew");
                kept.end();
            }
            None => {}
        }
        Mount::start_kept(engine.fileops, &options, connection, &keeper)
    }
}

/// The life of the keeper process.
pub fn keeper_main(socket: &Path) -> std::process::ExitCode {
    match holdfast_mount::keeper_main(socket.as_os_str()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(_) => std::process::ExitCode::FAILURE,
    }
}
