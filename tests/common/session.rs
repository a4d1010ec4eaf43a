//! `holdfastctl serve` with folders of its own, ended and unmounted on every path out.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::Value;
use tempfile::TempDir;

use super::{Ran, Times, limit};

/// The name of the location in most tests.
pub const NAS: &str = "nas";

pub struct Session {
    /// Kept as it is where something stays mounted in it.
    folder: Option<TempDir>,
    base: PathBuf,
    ctl: PathBuf,
    pub(super) child: Option<Child>,
    /// The address by which the server's folder is reached, and how exactly that keeps times.
    pub reached: (String, Times),
    /// Kept whole on failure, for whoever looks.
    pub serve_options: Vec<String>,
    /// What the engine finds in its environment besides.
    pub serve_env: Vec<(&'static str, String)>,
}

/// A test that cannot run here says why, in a line that is counted.
pub fn skip(why: &str) {
    println!("SKIPPED: {why}");
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// Why nothing can be mounted on this machine.
fn no_mount() -> Option<&'static str> {
    let fuse = OpenOptions::new().read(true).write(true).open("/dev/fuse");
    if fuse.is_err() {
        Some("/dev/fuse cannot be opened")
    } else if !has_program("fusermount3") {
        Some("there is no fusermount3 (package fuse3)")
    } else {
        None
    }
}

/// The program that is tried: built beside the tests.
fn built_ctl() -> PathBuf {
    let tests = std::env::current_exe().expect("a running program has a path");
    let ctl = tests
        .parent()
        .and_then(Path::parent)
        .map(|profile| profile.join("holdfastctl"))
        .expect("tests lie in a folder of the target folder");
    assert!(
        ctl.is_file(),
        "holdfastctl is not built; `cargo build --workspace --bins` builds it, and `cargo xtask test` does so by itself"
    );
    ctl
}

impl Session {
    /// Folders, and no engine yet. `None` (and said why) where this machine cannot mount.
    pub fn prepared() -> Option<Session> {
        if let Some(why) = no_mount() {
            skip(why);
            return None;
        }
        let ctl = built_ctl();
        let folder =
            tempfile::Builder::new().prefix("holdfast-").tempdir().expect("a temporary folder can be made");
        let base = folder.path().canonicalize().expect("it is there");
        for name in ["data", "config", "cache", "runtime", "home", "server"] {
            DirBuilder::new().mode(0o700).create(base.join(name)).expect("a new folder can be filled");
        }
        let reached = (format!("file://{}", base.join("server").display()), Times::Exact);
        let (serve_options, serve_env) = (Vec::new(), Vec::new());
        Some(Session { folder: Some(folder), base, ctl, child: None, reached, serve_options, serve_env })
    }

    /// A served engine without locations.
    pub fn empty() -> Option<Session> {
        let mut session = Session::prepared()?;
        session.serve();
        Some(session)
    }

    /// Files (path, text) on the server, added as the location `nas` and pinned whole.
    #[track_caller]
    pub fn pinned(files: &[(&str, &str)]) -> Option<Session> {
        let session = Session::empty()?;
        for (path, text) in files {
            session.write_there(path, text);
        }
        session.add_and_pin();
        Some(session)
    }

    #[track_caller]
    pub fn add_and_pin(&self) {
        self.ok(&["location", "add", NAS, &self.url()]);
        self.ok(&["pin", "nas:", "--wait"]);
    }

    // --- places -----------------------------------------------------------------------------------

    /// The folder that holds all of this session.
    pub fn base(&self) -> &Path {
        &self.base
    }

    pub fn mount(&self) -> PathBuf {
        self.base.join("home/Holdfast")
    }

    pub fn store(&self) -> PathBuf {
        self.base.join("data/holdfast")
    }

    /// A path of the location in the mount.
    pub fn here(&self, path: &str) -> PathBuf {
        self.mount().join(NAS).join(path)
    }

    /// A path on the server.
    pub fn there(&self, path: &str) -> PathBuf {
        self.base.join("server").join(path)
    }

    pub fn url(&self) -> String {
        self.reached.0.clone()
    }

    #[track_caller]
    pub fn write_here(&self, path: &str, text: impl AsRef<[u8]>) {
        write(&self.here(path), text.as_ref());
    }

    #[track_caller]
    pub fn write_there(&self, path: &str, text: impl AsRef<[u8]>) {
        write(&self.there(path), text.as_ref());
    }

    #[track_caller]
    pub fn read_here(&self, path: &str) -> String {
        read(&self.here(path))
    }

    #[track_caller]
    pub fn read_there(&self, path: &str) -> String {
        read(&self.there(path))
    }

    // --- the engine -------------------------------------------------------------------------------

    pub fn serve_command(&self) -> Command {
        let mut command = self.command();
        command.arg("serve");
        for option in &self.serve_options {
            command.arg("-o").arg(option);
        }
        command.envs(self.serve_env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command
    }

    /// Starts the engine; when it returns the mount can be used.
    #[track_caller]
    pub fn serve(&mut self) {
        self.serve_with(&[]);
    }

    #[track_caller]
    pub(super) fn serve_with(&mut self, arguments: &[&str]) {
        assert!(self.child.is_none(), "it runs already");
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.base.join("serve.log"))
            .expect("a log file");
        let mut command = self.serve_command();
        command.args(arguments).stdout(Stdio::piped()).stderr(log);
        dies_with_us(&mut command);
        let mut child = command.spawn().expect("holdfastctl can be started");
        let stdout = child.stdout.take().expect("it is piped");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        self.child = Some(child);
        match lines.recv_timeout(limit()) {
            Ok(line) => assert_eq!(line, format!("ready {}", self.mount().display())),
            Err(error) => panic!("the engine is not ready ({error}):\n{}", self.log()),
        }
    }

    /// The last lines the engine had to say.
    pub fn log(&self) -> String {
        let log = fs::read(self.base.join("serve.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// As a power cut of the engine alone: it gets no chance to say goodbye.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// As a person ends it.
    #[track_caller]
    pub fn stop(&mut self) {
        let mut child = self.child.take().expect("it runs");
        signal(&child, Signal::TERM);
        match wait(&mut child) {
            Some(status) => assert!(status.success(), "ended with {status}:\n{}", self.log()),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the engine does not end after SIGTERM:\n{}", self.log());
            }
        }
        assert!(!is_mounted_at(&self.mount()), "the mount was left behind");
    }

    // --- the command line -------------------------------------------------------------------------

    /// `holdfastctl` speaking to this engine.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.ctl);
        for (name, below) in [
            ("XDG_DATA_HOME", "data"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_RUNTIME_DIR", "runtime"),
            ("HOME", "home"),
        ] {
            command.env(name, self.base.join(below));
        }
        // The person's own engine may hold the name on the person's bus.
        command.env_remove("DBUS_SESSION_BUS_ADDRESS");
        command.current_dir(&self.base);
        command
    }

    #[track_caller]
    pub fn ctl<S: AsRef<OsStr>>(&self, args: &[S]) -> Ran {
        Ran::of(self.command().args(args).stdin(Stdio::null()))
    }

    #[track_caller]
    pub fn ok<S: AsRef<OsStr>>(&self, args: &[S]) -> String {
        self.ctl(args).code(0).text()
    }

    /// What `--json` answers where the command is done.
    #[track_caller]
    pub fn json<S: AsRef<OsStr>>(&self, args: &[S]) -> Value {
        self.json_code(args, 0)
    }

    #[track_caller]
    pub fn json_code<S: AsRef<OsStr>>(&self, args: &[S], code: i32) -> Value {
        let ran = Ran::of(self.command().arg("--json").args(args).stdin(Stdio::null()));
        ran.code(code).json()
    }

    #[track_caller]
    pub fn offline(&self) {
        self.ok(&["offline", NAS]);
    }

    /// Online, and brought together; the exit status of `sync --wait`.
    #[track_caller]
    pub fn online(&self, code: i32) {
        self.ok(&["online", NAS]);
        self.sync(code);
    }

    /// Brings both sides together, however it ends.
    #[track_caller]
    pub fn try_sync(&self) -> Ran {
        let hopeless = (limit() - Duration::from_secs(60)).as_secs().to_string();
        self.ctl(&["sync", NAS, "--wait", "--timeout", &hopeless])
    }

    #[track_caller]
    pub fn sync(&self, code: i32) {
        let ran = self.try_sync();
        if ran.code != code {
            let told = [
                self.ctl(&["conflicts"]).text(),
                self.ctl(&["problems"]).text(),
                self.ctl(&["changes"]).text(),
                self.ctl(&["status"]).text(),
            ];
            panic!(
                "{} was to end with {code} and ended with {}: {}\n{}\n{}",
                ran.spelled,
                ran.code,
                ran.err,
                told.join("\n"),
                self.log()
            );
        }
    }

    /// Path and kind of each open conflict, in the order of the paths.
    #[track_caller]
    pub fn conflicts(&self) -> Vec<(String, String)> {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let conflicts = self.json(&["conflicts"]);
        let mut found: Vec<(String, String)> = conflicts
            .as_array()
            .expect("an array")
            .iter()
            .map(|c| {
                let path = text(&c["path"]);
                (path.trim_start_matches("nas:").to_owned(), text(&c["kind"]))
            })
            .collect();
        found.sort();
        found
    }

    #[track_caller]
    pub fn must_conflict(&self, expected: &[(&str, &str)]) {
        let mut expected: Vec<(String, String)> =
            expected.iter().map(|(p, k)| ((*p).to_owned(), (*k).to_owned())).collect();
        expected.sort();
        let found = self.conflicts();
        if found != expected {
            let why = |path: &String| {
                let path = format!("nas:{path}");
                format!(
                    "{}\n{}",
                    self.ctl(&["--json", "states", &path]).text(),
                    self.ctl(&["why", &path]).text()
                )
            };
            let why: Vec<String> = found.iter().map(|(path, _)| why(path)).collect();
            let problems = self.ctl(&["problems"]).text();
            assert_eq!(found, expected, "{problems}\n{}", why.join("\n"));
        }
    }

    /// A shell line in the location's folder of the mount.
    #[track_caller]
    pub fn shell(&self, line: &str) -> Ran {
        Ran::of(
            Command::new("sh")
                .args(["-ec", line])
                .current_dir(self.here(""))
                .env("HOME", self.base.join("home"))
                .env("GIT_CONFIG_NOSYSTEM", "1")
                .env("XDG_CONFIG_HOME", self.base.join("config"))
                .stdin(Stdio::null()),
        )
    }

    /// Both sides hold the same, and the store is sound.
    #[track_caller]
    pub fn must_agree(&self) {
        let found = super::differences(&self.here(""), &self.there(""), self.reached.1);
        assert!(found.is_empty(), "the sides differ:\n  {}\n{}", found.join("\n  "), self.log());
        let left = super::leftovers(&self.there(""));
        assert!(left.is_empty(), "left on the server: {left:?}");
        let ran = self.ctl(&["--json", "check"]);
        assert_eq!(ran.json()["ok"], true, "check finds {}", ran.text());
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            if std::thread::panicking() {
                eprintln!("what the engine said:\n{}", self.log());
            }
            signal(&child, Signal::TERM);
            if wait(&mut child).is_none() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        // Whatever a killed engine left, innermost first.
        for at in mounts_below(&self.base).into_iter().rev() {
            let quiet = |command: &mut Command| {
                let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
            };
            quiet(Command::new("fusermount3").args(["-u", "-z", "--"]).arg(&at));
            quiet(Command::new("umount").args(["-l", "--"]).arg(&at));
        }
        if !mounts_below(&self.base).is_empty()
            && let Some(folder) = self.folder.take()
        {
            let path = folder.keep();
            eprintln!("something is still mounted in {}; it is left as it is", path.display());
        }
    }
}

/// The kernel ends the engine should the tests themselves be killed.
pub fn dies_with_us(command: &mut Command) {
    // SAFETY: between fork and exec only one system call is made; nothing is allocated or locked.
    unsafe {
        command.pre_exec(|| {
            rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
            Ok(())
        });
    }
}

fn signal(child: &Child, signal: Signal) {
    // An error means that it has ended, which is what is wanted.
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

fn wait(child: &mut Child) -> Option<ExitStatus> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
            _ => return None,
        }
    }
}

/// Asks only the table of mounts: a mount without an engine may not answer.
fn mounts_below(folder: &Path) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .map(PathBuf::from)
        .filter(|at| at.starts_with(folder))
        .collect()
}

pub fn is_mounted_at(folder: &Path) -> bool {
    mounts_below(folder).iter().any(|at| at == folder)
}

#[track_caller]
fn write(path: &Path, bytes: &[u8]) {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    }
    fs::write(path, bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

#[track_caller]
fn read(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// For tests that hold a file open over commands.
pub fn open_for_writing(path: &Path) -> File {
    OpenOptions::new().write(true).open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
