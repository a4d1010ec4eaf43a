//! A real server behind a real network mount: sshd on loopback, mounted by sshfs without caches.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use holdfast_engine::model::LocPath;
use holdfast_engine::remote::{Remote, RemoteError};
use holdfast_remotes::conformance::{Bytes, Fixture, Subject, new_meta, path};
use holdfast_remotes::folder::{FolderOptions, FolderRemote};
use holdfast_testkit::connect;
use holdfast_testkit::sshd::{Sshd, Sshfs};

use crate::support::{OWNER, PATIENT, helper, skipped, until};

/// An sshd of its own, and its folder mounted. Fields go in their order: first the mount.
struct Mounted {
    sshfs: Sshfs,
    sshd: Sshd,
    top: tempfile::TempDir,
}

impl Mounted {
    fn new() -> Option<Mounted> {
        Mounted::start().inspect_err(|why| skipped(why)).ok()
    }

    fn start() -> Result<Mounted, String> {
        let top = tempfile::tempdir().unwrap();
        let (export, mnt) = (top.path().join("export"), top.path().join("mnt"));
        std::fs::create_dir(&export).unwrap();
        std::fs::create_dir(&mnt).unwrap();
        let sshd = Sshd::start()?;
        let sshfs = Sshfs::mount(&sshd, &export, &mnt)?;
        Ok(Mounted { sshfs, sshd, top })
    }

    fn export(&self) -> PathBuf {
        self.top.path().join("export")
    }

    fn options(&self, deadline: Duration) -> FolderOptions {
        let mut options = FolderOptions::new(self.top.path().join("locks"));
        options.deadline = deadline;
        options
    }

    fn remote(&self, options: FolderOptions) -> FolderRemote {
        FolderRemote::new(self.sshfs.at(), OWNER, helper(), options).unwrap()
    }
}

/// Fields go in their order: first the remote, then the mount.
pub struct OverSshfs {
    subject: Subject,
    _server: Mounted,
}

impl Fixture for OverSshfs {
    fn subject(&self) -> &Subject {
        &self.subject
    }
}

pub async fn fixture() -> Option<OverSshfs> {
    let server = Mounted::new()?;
    let remote = server.remote(server.options(PATIENT));
    let capabilities = remote.connect().await.unwrap();
    let subject = Subject {
        remote: Arc::new(remote),
        capabilities,
        folder: server.export(),
        owner: OWNER.into(),
        // The server's process is root's where the tests are.
        obeys_modes: !rustix::process::geteuid().is_root(),
    };
    Some(OverSshfs { subject, _server: server })
}

holdfast_remotes::conformance_tests!(fixture);

#[tokio::test]
async fn what_it_can_do_is_told() {
    let Some(fixture) = fixture().await else { return };
    let c = &fixture.subject.capabilities;
    assert!(!c.exchange && !c.file_ids && !c.watches && !c.xattrs);
    assert!(c.hard_links && c.symlinks && c.modes && c.set_times);
    assert_eq!(c.time_step, Duration::from_secs(1));
    assert_eq!(c.confidence, holdfast_engine::model::Confidence::Guessed);
    assert!(c.caveat.contains("second"), "{}", c.caveat);
}

#[track_caller]
fn assert_gone<T: std::fmt::Debug>(result: Result<T, RemoteError>) -> String {
    match result {
        Err(RemoteError::Gone { message, .. }) => message,
        other => panic!("expected Gone, got {other:?}"),
    }
}

/// A frozen server: every call ends within the deadline, and once it wakes up all is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_is_gone_until_it_wakes_up() {
    let Some(server) = Mounted::new() else {
        return;
    };
    let remote = server.remote(server.options(Duration::from_secs(2)));
    connect(&remote).await;
    std::fs::write(server.export().join("a"), b"x").unwrap();
    server.sshd.freeze();
    let (root, file) = (LocPath::root(), path("a"));
    let (list, stat) = futures::future::join(remote.list(&root), remote.stat(&file)).await;
    assert_gone(list);
    assert_gone(stat);
    // And it stays so, without hanging, as long as the server sleeps.
    assert_gone(remote.connect().await);
    assert_gone(remote.stat(&path("a")).await);
    server.sshd.thaw();
    connect(&remote).await;
    let meta = loop {
        match remote.stat(&path("a")).await {
            Ok(meta) => break meta,
            Err(RemoteError::Gone { .. }) => connect(&remote).await,
            Err(other) => panic!("{other:?}"),
        }
    };
    assert_eq!(meta.size, 1);
}

/// The server dies: calls are refused at once or after the deadline, never answered with "empty".
#[tokio::test]
async fn a_dead_server_is_gone() {
    let Some(server) = Mounted::new() else {
        return;
    };
    let remote = server.remote(server.options(Duration::from_secs(2)));
    connect(&remote).await;
    std::fs::write(server.export().join("a"), b"x").unwrap();
    server.sshd.kill_sessions();
    assert_gone(remote.list(&LocPath::root()).await);
    assert_gone(remote.create_file(&path("b"), Bytes::arc(b"x"), &new_meta()).await);
    assert_gone(remote.connect().await);
}

#[tokio::test]
async fn an_unmounted_share_is_gone_until_it_is_mounted_again() {
    let Some(mut server) = Mounted::new() else {
        return;
    };
    let remote = server.remote(server.options(PATIENT));
    remote.connect().await.unwrap();
    assert!(remote.identity().unwrap().starts_with("fuse.sshfs|fx:"), "{:?}", remote.identity());
    remote.create_file(&path("a"), Bytes::arc(b"x"), &new_meta()).await.unwrap();
    until("it can be unmounted", || server.sshfs.unmount()).await;
    assert_gone(remote.list(&LocPath::root()).await);
    assert_gone(remote.connect().await);
    server.sshfs.again().unwrap();
    remote.connect().await.unwrap();
    assert_eq!(remote.stat(&path("a")).await.unwrap().size, 1);
}
