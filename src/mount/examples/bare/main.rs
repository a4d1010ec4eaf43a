//! `bare FOLDER MOUNT`: a FUSE file system that hands everything on to a folder and keeps nothing.
//!
//! What the mount is measured against: the same crate, threads, options and lifetimes, an in-memory
//! table of nodes, no log, no tree of its own, no content store. For `cargo xtask bench` only: what
//! else changes the folder is not noticed, and nobody is asked for rights. Says `ready` when it
//! serves; ends when it is unmounted or its input ends.

#![allow(clippy::unwrap_used, reason = "a program to measure with: a fault ends it")]

mod convert;
mod nodes;
mod requests;

use std::io::Read;
use std::path::PathBuf;

use fuser::Session;
use holdfast_mount::MountOptions;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(folder), Some(mount), None) = (args.next(), args.next(), args.next()) else {
        return Err("usage: bare FOLDER MOUNT".into());
    };
    let config = MountOptions::at(&mount).config(rustix::process::geteuid().is_root())?;
    let session = Session::new(requests::Bare::over(&folder)?, &mount, &config)?.spawn()?;
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(session);
    Ok(())
}
