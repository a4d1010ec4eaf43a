//! The programs that are measured, each as one would call it by hand for that work.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Failure, Result, find, quiet};
use crate::served::Served;

/// One program that keeps `here` and a server's folder together.
pub trait Peer {
    /// Where our side's files are edited.
    fn here(&self) -> PathBuf;
    /// Brings everything here for the first time.
    fn preload(&self) -> Result<()>;
    /// After `preload`: what a program needs once before it can be asked for differences. Not timed.
    fn settle(&self) -> Result<()> {
        Ok(())
    }
    /// Called before our side is edited. Not timed.
    fn before_edits(&self) -> Result<()> {
        Ok(())
    }
    /// Both sides may have changed; nothing may be lost.
    fn reconcile(&self) -> Result<()>;
    /// Only our side has changed.
    fn send(&self) -> Result<()> {
        self.reconcile()
    }
}

/// Ours and those that are installed, and those that are not.
pub fn names() -> (Vec<&'static str>, Vec<&'static str>) {
    let (present, absent): (Vec<_>, Vec<_>) =
        ["rsync", "unison", "rclone"].into_iter().partition(|p| find(p).is_some());
    (std::iter::once("holdfast").chain(present).collect(), absent)
}

/// One of `names`, with its own empty folder of that name in `work`.
pub fn start(name: &str, ctl: &Path, server: &Path, work: &Path) -> Result<Box<dyn Peer>> {
    let sides = Sides { server: server.to_owned(), here: work.join(name), state: work.join("state") };
    Ok(match name {
        "holdfast" => Box::new(Holdfast::start(ctl, server)?),
        "rsync" => Box::new(Rsync(sides)),
        "unison" => Box::new(Unison(sides)),
        "rclone" => Box::new(Rclone(sides)),
        other => return Err(Failure::new(format!("there is no peer `{other}`"))),
    })
}

struct Holdfast(Served);

impl Holdfast {
    fn start(ctl: &Path, server: &Path) -> Result<Holdfast> {
        let served = Served::start(ctl)?;
        let url = format!("file://{}", server.display());
        quiet(&mut served.ctl(["location", "add", "bench", &url]), &[0])?;
        Ok(Holdfast(served))
    }
}

impl Peer for Holdfast {
    fn here(&self) -> PathBuf {
        self.0.mount().join("bench")
    }
    fn preload(&self) -> Result<()> {
        quiet(&mut self.0.ctl(["pin", "bench:", "--wait"]), &[0])
    }
    fn settle(&self) -> Result<()> {
        quiet(&mut self.0.ctl(["sync", "bench", "--wait"]), &[0])
    }
    fn before_edits(&self) -> Result<()> {
        quiet(&mut self.0.ctl(["offline", "bench"]), &[0])
    }
    fn reconcile(&self) -> Result<()> {
        quiet(&mut self.0.ctl(["online", "bench"]), &[0])?;
        quiet(&mut self.0.ctl(["sync", "bench", "--wait"]), &[0, 4])
    }
}

struct Sides {
    server: PathBuf,
    here: PathBuf,
    /// For what a program keeps between its calls.
    state: PathBuf,
}

/// With a `/` at the end: what lies in it.
fn contents(folder: &Path) -> String {
    format!("{}/", folder.display())
}

struct Rsync(Sides);

impl Rsync {
    fn pass(options: &[&str], from: &Path, to: &Path) -> Result<()> {
        quiet(Command::new("rsync").arg("-a").args(options).arg(contents(from)).arg(contents(to)), &[0])
    }
}

impl Peer for Rsync {
    fn here(&self) -> PathBuf {
        self.0.here.clone()
    }
    fn preload(&self) -> Result<()> {
        Self::pass(&[], &self.0.server, &self.0.here)
    }
    /// Two passes; it sees no conflict, the newer file wins unseen.
    fn reconcile(&self) -> Result<()> {
        Self::pass(&["--update"], &self.0.server, &self.0.here)?;
        Self::pass(&["--update"], &self.0.here, &self.0.server)
    }
    fn send(&self) -> Result<()> {
        Self::pass(&["--delete"], &self.0.here, &self.0.server)
    }
}

struct Unison(Sides);

impl Peer for Unison {
    fn here(&self) -> PathBuf {
        self.0.here.clone()
    }
    fn preload(&self) -> Result<()> {
        self.reconcile()
    }
    /// Skips conflicts, then ends with 1.
    fn reconcile(&self) -> Result<()> {
        let mut command = Command::new("unison");
        command.arg(&self.0.server).arg(&self.0.here).env("UNISON", self.0.state.join("unison"));
        command.args(["-batch", "-silent", "-times", "-confirmbigdel=false", "-fastcheck=true"]);
        quiet(&mut command, &[0, 1])
    }
}

struct Rclone(Sides);

impl Rclone {
    fn call(&self, words: &[&str]) -> Result<()> {
        let mut command = Command::new("rclone");
        command.args(&words[..1]).arg(&self.0.server).arg(&self.0.here).args(&words[1..]);
        // Nobody else reads a file again after copying it.
        command.args(["--transfers", "16", "--checkers", "16", "--config", "", "--ignore-checksum"]);
        if words[0] == "bisync" {
            command.arg("--workdir").arg(self.0.state.join("rclone"));
        }
        quiet(&mut command, &[0])
    }
}

impl Peer for Rclone {
    fn here(&self) -> PathBuf {
        self.0.here.clone()
    }
    fn preload(&self) -> Result<()> {
        self.call(&["copy"])
    }
    fn settle(&self) -> Result<()> {
        self.call(&["bisync", "--resync"])
    }
    fn reconcile(&self) -> Result<()> {
        self.call(&["bisync", "--force"])
    }
}
