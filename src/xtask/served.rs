//! An engine of one's own: `holdfastctl serve` with private folders, ended on every path out.
//!
//! Whatever happens, nothing stays mounted and no process is left: dropping it ends the engine and
//! unmounts, and the kernel ends the engine should xtask itself be killed.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use crate::run::{self, Failure, Result, While};

const READY_WITHIN: Duration = Duration::from_secs(30);
const ENDED_WITHIN: Duration = Duration::from_secs(30);

pub struct Served {
    ctl: PathBuf,
    folder: Folder,
    child: Child,
}

/// The temporary folder that holds everything; never cleared away while something is mounted in it.
struct Folder(Option<TempDir>);

impl Folder {
    fn path(&self) -> &Path {
        self.0.as_ref().map_or(Path::new("/nonexistent"), TempDir::path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let Some(folder) = self.0.take() else { return };
        if is_mounted_below(folder.path()) {
            let path = folder.keep();
            eprintln!("xtask: something is still mounted in {}; it is left as it is", path.display());
        }
    }
}

impl Served {
    /// Starts an engine whose mount can be used when this returns.
    pub fn start(ctl: &Path) -> Result<Served> {
        Served::start_with(ctl, None)
    }

    /// With this in its environment besides.
    pub fn start_with(ctl: &Path, variable: Option<(&str, String)>) -> Result<Served> {
        let folder =
            tempfile::Builder::new().prefix("holdfast-").tempdir().when("cannot make a temporary folder")?;
        let folder = Folder(Some(folder));
        for name in ["data", "config", "cache", "runtime", "home", "mount"] {
            let path = folder.path().join(name);
            DirBuilder::new()
                .mode(0o700)
                .create(&path)
                .when(format_args!("cannot make {}", path.display()))?;
        }
        let log = File::create(folder.path().join("serve.log")).when("cannot make a log file")?;
        let mut command = with_private_folders(ctl, folder.path());
        command.envs(variable);
        command.arg("serve").arg("--mount").arg(folder.path().join("mount"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let parent = rustix::process::getpid();
        // SAFETY: between fork and exec only system calls are made; nothing is allocated or locked.
        unsafe {
            command.pre_exec(move || {
                rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
                // A parent that died before the call above would never be told of.
                if rustix::process::getppid() == Some(parent) {
                    Ok(())
                } else {
                    Err(rustix::io::Errno::SRCH.into())
                }
            });
        }
        let child = command.spawn().when(format_args!("cannot start {}", ctl.display()))?;
        let mut served = Served { ctl: ctl.to_owned(), folder, child };
        served.wait_until_ready()?;
        Ok(served)
    }

    /// Where the locations appear.
    pub fn mount(&self) -> PathBuf {
        self.folder.path().join("mount")
    }

    /// A folder beside the engine's, cleared away with it.
    pub fn make_folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        fs::create_dir_all(&path).when(format_args!("cannot make {}", path.display()))?;
        Ok(path)
    }

    /// `holdfastctl` speaking to this engine.
    pub fn ctl<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = with_private_folders(&self.ctl, self.folder.path());
        command.args(args);
        command
    }

    /// As a person ends it; what it says on its way out must be right too.
    pub fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM);
        let status = self.wait(ENDED_WITHIN)?;
        match status {
            None => Err(self.failure("the engine did not end within 30 s of SIGTERM")),
            Some(status) if !status.success() => {
                Err(self.failure(&format!("the engine ended with {status} after SIGTERM")))
            }
            Some(_) if is_mounted_below(self.folder.path()) => {
                Err(self.failure("the engine has ended and left its mount behind"))
            }
            Some(_) => Ok(()),
        }
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let Some(stdout) = self.child.stdout.take() else {
            return Err(Failure::new("the engine gives no output"));
        };
        match ready(stdout).recv_timeout(READY_WITHIN) {
            Ok(line) if line.starts_with("ready ") => Ok(()),
            Ok(line) => {
                Err(self.failure(&format!("the engine said `{line}` where `ready DIR` was expected")))
            }
            Err(mpsc::RecvTimeoutError::Timeout) => Err(self.failure("the engine was not ready within 30 s")),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                Err(self.failure("the engine ended before it was ready"))
            }
        }
    }

    /// The sentence, and the last lines of what the engine had to say.
    fn failure(&self, what: &str) -> Failure {
        let log = fs::read(self.folder.path().join("serve.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let mut tail: Vec<&str> = log.lines().rev().take(20).collect();
        tail.reverse();
        let said = if tail.is_empty() { "It said nothing.".to_owned() } else { tail.join("\n") };
        Failure::new(format!("{what}\n{said}"))
    }

    fn signal(&self, signal: Signal) {
        // An error means that it has ended, which is what is wanted.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// `None` where it still runs after `time`.
    fn wait(&mut self, time: Duration) -> Result<Option<ExitStatus>> {
        let until = Instant::now() + time;
        loop {
            if let Some(status) = self.child.try_wait().when("cannot wait for the engine")? {
                return Ok(Some(status));
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.signal(Signal::TERM);
            if !matches!(self.wait(ENDED_WITHIN), Ok(Some(_))) {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
        let mount = self.mount();
        if is_mounted_below(&mount) {
            let _ = run::quiet(Command::new("fusermount3").args(["-u", "-z"]).arg(&mount), &[0]);
        }
    }
}

fn with_private_folders(ctl: &Path, folder: &Path) -> Command {
    let mut command = Command::new(ctl);
    for (name, below) in [
        ("XDG_DATA_HOME", "data"),
        ("XDG_CONFIG_HOME", "config"),
        ("XDG_CACHE_HOME", "cache"),
        ("XDG_RUNTIME_DIR", "runtime"),
        ("HOME", "home"),
    ] {
        command.env(name, folder.join(below));
    }
    // The person's own engine may hold the name on the person's bus; this one speaks by its socket.
    command.env_remove("DBUS_SESSION_BUS_ADDRESS");
    command
}

/// The first line of the engine's output, and a reader that goes on so that the pipe never fills.
fn ready(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(std::result::Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}

fn is_mounted_below(folder: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().filter_map(|line| line.split(' ').nth(1)).any(|at| Path::new(at).starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A program that answers as `serve` should, or not.
    fn fake_ctl(folder: &Path, script: &str) -> PathBuf {
        let path = folder.join("ctl");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn an_engine_is_started_and_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let ctl =
            fake_ctl(folder.path(), "trap 'exit 0' TERM; echo ready \"$3\"; while :; do sleep 0.02; done");
        let served = Served::start(&ctl).unwrap();
        let below = served.folder.path().to_owned();
        assert!(below.join("runtime").is_dir());
        served.stop().unwrap();
        assert!(!below.exists());
    }

    #[test]
    fn an_engine_that_fails_is_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let ctl = fake_ctl(folder.path(), "echo 'holdfastctl: no room' >&2; exit 1");
        let failure = Served::start(&ctl).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(failure.contains("ended before it was ready"), "{failure}");
        assert!(failure.contains("no room"), "{failure}");
    }

    #[test]
    fn a_dropped_engine_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let ctl =
            fake_ctl(folder.path(), "trap 'exit 3' TERM; echo ready \"$3\"; while :; do sleep 0.02; done");
        let served = Served::start(&ctl).unwrap();
        let pid = served.child.id();
        drop(served);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
