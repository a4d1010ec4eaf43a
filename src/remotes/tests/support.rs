//! Folders, helpers and mounts for the tests; all gone afterwards.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use holdfast_remotes::conformance::{Fixture, Subject};
use holdfast_remotes::folder::{FolderOptions, FolderRemote, HelperCommand, Pretend};

use holdfast_engine::remote::Remote;

pub const OWNER: &str = "tester";
/// Far above what any call takes on any machine.
pub const PATIENT: Duration = Duration::from_secs(300);

/// The helper of this crate. Run by root it would be refused nothing: these capabilities are taken
/// away first.
pub fn helper() -> HelperCommand {
    let helper = env!("CARGO_BIN_EXE_holdfast-remote-helper");
    if is_root() && Path::new("/usr/bin/setpriv").exists() {
        return HelperCommand {
            program: "/usr/bin/setpriv".into(),
            args: vec!["--bounding-set=-dac_override,-dac_read_search".into(), helper.into()],
        };
    }
    HelperCommand { program: helper.into(), args: vec![] }
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// A folder to be the location, and one for locks.
pub struct Dirs {
    pub top: tempfile::TempDir,
}

impl Dirs {
    pub fn new() -> Dirs {
        let dirs = Dirs { top: tempfile::tempdir().unwrap() };
        std::fs::create_dir(dirs.root()).unwrap();
        std::fs::create_dir(dirs.gate()).unwrap();
        dirs
    }

    pub fn root(&self) -> PathBuf {
        self.top.path().join("root")
    }

    pub fn gate(&self) -> PathBuf {
        self.top.path().join("gate")
    }

    pub fn options(&self, pretend: Pretend) -> FolderOptions {
        let mut options = FolderOptions::new(self.top.path().join("locks"));
        options.deadline = PATIENT;
        options.pretend = pretend;
        options
    }

    pub fn remote(&self, options: FolderOptions) -> FolderRemote {
        FolderRemote::new(&self.root(), OWNER, helper(), options).unwrap()
    }
}

/// A plain folder under test.
pub struct Plain {
    pub dirs: Dirs,
    subject: Subject,
}

impl Plain {
    pub async fn new(pretend: Pretend) -> Plain {
        let dirs = Dirs::new();
        let remote = dirs.remote(dirs.options(pretend));
        let capabilities = remote.connect().await.unwrap();
        let subject = Subject {
            remote: Arc::new(remote),
            capabilities,
            folder: dirs.root(),
            owner: OWNER.into(),
            obeys_modes: !is_root() || Path::new("/usr/bin/setpriv").exists(),
        };
        Plain { dirs, subject }
    }
}

impl Fixture for Plain {
    fn subject(&self) -> &Subject {
        &self.subject
    }
}

/// Waits until something is so; for what other processes do. Fails only when it never is.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..60_000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never so: {what}");
}
