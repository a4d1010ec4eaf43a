//! A bare FUSE file system, served by an example of the mount: the same requests, no log.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::helper::Helper;
use crate::run::{self, Result};

/// Ends, and is unmounted, when it is dropped.
pub struct Bare {
    mount: PathBuf,
    _helper: Helper,
}

impl Bare {
    pub fn start(program: &Path, folder: &Path, mount: &Path) -> Result<Bare> {
        let mut command = Command::new(program);
        let (helper, _) = Helper::start("the bare file system", command.args([folder, mount]))?;
        Ok(Bare { mount: mount.to_owned(), _helper: helper })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        if Command::new("fusermount3").args(["-u", "-z", "-q"]).arg(&self.mount).status().is_err() {
            eprintln!("xtask: the bare file system cannot be unmounted");
        }
    }
}

pub fn build() -> Result<PathBuf> {
    run::build("holdfast-mount", run::Build::Example("bare"))
}
