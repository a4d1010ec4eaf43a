//! A bare FUSE file system, served by an example of the mount: the same requests, no log.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::run::{self, Failure, Result, While};

/// Ends, and is unmounted, when it is dropped.
pub struct Bare {
    child: Child,
    mount: PathBuf,
}

impl Bare {
    pub fn start(program: &Path, folder: &Path, mount: &Path) -> Result<Bare> {
        let mut child = Command::new(program)
            .args([folder, mount])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .when("cannot start the bare file system")?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line).when("the bare file system says nothing")?;
        }
        let bare = Bare { child, mount: mount.to_owned() };
        match line.trim() {
            "ready" => Ok(bare),
            _ => Err(Failure::new("the bare file system does not start")),
        }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.child.stdin.take());
        let unmount = Command::new("fusermount3").args(["-u", "-z", "-q"]).arg(&self.mount).status();
        if unmount.is_err() || self.child.wait().is_err() {
            eprintln!("xtask: the bare file system does not end");
            let _ = self.child.kill();
        }
    }
}

pub fn build() -> Result<PathBuf> {
    run::build("holdfast-mount", run::Build::Example("bare"))
}
