//! A real server behind a real network mount: sshd on loopback, mounted by sshfs without caches.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use holdfast_engine::model::LocPath;
use holdfast_engine::remote::{Remote, RemoteError};
use holdfast_remotes::conformance::{Bytes, Fixture, Subject, new_meta, path};
use holdfast_remotes::folder::{FolderOptions, FolderRemote};
use rustix::process::Signal;

use crate::process::{children, signal};
use crate::support::{OWNER, PATIENT, helper, skipped, until};

/// An sshd of its own, and its folder mounted.
struct Mounted {
    top: tempfile::TempDir,
    sshd: std::process::Child,
    mounted: bool,
}

const SFTP_SERVERS: [&str; 2] = ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server"];

fn missing() -> Option<String> {
    for tool in ["/usr/sbin/sshd", "/usr/bin/sshfs", "/usr/bin/ssh", "/usr/bin/ssh-keygen", "/dev/fuse"] {
        if !Path::new(tool).exists() {
            return Some(format!("{tool} is missing"));
        }
    }
    if !SFTP_SERVERS.iter().any(|s| Path::new(s).exists()) {
        return Some("sftp-server is missing".into());
    }
    None
}

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)))
}

impl Mounted {
    async fn new() -> Option<Mounted> {
        if let Some(why) = missing() {
            skipped(&why);
            return None;
        }
        match Mounted::start().await {
            Ok(mounted) => Some(mounted),
            Err(why) => {
                skipped(&why);
                None
            }
        }
    }

    async fn start() -> Result<Mounted, String> {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path();
        std::fs::create_dir(dir.join("export")).unwrap();
        std::fs::create_dir(dir.join("mnt")).unwrap();
        if rustix::process::geteuid().is_root() {
            // Where Debian's sshd wants its empty folder.
            let _ = std::fs::create_dir_all("/run/sshd");
        }
        for key in ["host", "id"] {
            run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", dir.join(key).to_str().unwrap()])?;
        }
        std::fs::copy(dir.join("id.pub"), dir.join("authorized_keys")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let sftp = SFTP_SERVERS.iter().find(|s| Path::new(s).exists()).unwrap();
        let at = dir.display();
        std::fs::write(
            dir.join("sshd_config"),
            format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nPidFile none\n\
                 AuthorizedKeysFile {at}/authorized_keys\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
                 KbdInteractiveAuthentication no\nPermitRootLogin yes\nUseDNS no\nSubsystem sftp {sftp}\n"
            ),
        )
        .unwrap();
        std::fs::write(
            dir.join("ssh_config"),
            format!(
                "Host fx\n HostName 127.0.0.1\n Port {port}\n IdentityFile {at}/id\n IdentitiesOnly yes\n\
                 IdentityAgent none\n UserKnownHostsFile {at}/known_hosts\n StrictHostKeyChecking no\n LogLevel ERROR\n"
            ),
        )
        .unwrap();
        let sshd = Command::new("/usr/sbin/sshd")
            .args([
                "-D",
                "-f",
                dir.join("sshd_config").to_str().unwrap(),
                "-E",
                dir.join("log").to_str().unwrap(),
            ])
            .stdin(Stdio::null())
            .spawn()
            .map_err(|e| e.to_string())?;
        let mut server = Mounted { top, sshd, mounted: false };
        let mut ended = false;
        until("sshd listens", || {
            ended = server.sshd.try_wait().unwrap().is_some();
            ended || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        })
        .await;
        if ended {
            let log = std::fs::read_to_string(server.top.path().join("log")).unwrap_or_default();
            return Err(format!("sshd does not start: {log}"));
        }
        server.mount()?;
        Ok(server)
    }

    fn mount(&mut self) -> Result<(), String> {
        let dir = self.top.path();
        let from = format!("fx:{}/export", dir.display());
        let config = format!("ssh_command=ssh -F {}/ssh_config", dir.display());
        let options = "dir_cache=no,attr_timeout=0,entry_timeout=0,negative_timeout=0";
        let mount = |options: &str| {
            run("sshfs", &["-o", &config, "-o", options, &from, self.mnt().to_str().unwrap()])
        };
        // Some versions refuse links that lead outside, others do not know the option for that.
        mount(&format!("{options},no_contain_symlinks")).or_else(|_| mount(options))?;
        self.mounted = true;
        Ok(())
    }

    fn unmount(&mut self) -> bool {
        let done = run("fusermount3", &["-u", self.mnt().to_str().unwrap()]).is_ok();
        self.mounted &= !done;
        done
    }

    fn mnt(&self) -> PathBuf {
        self.top.path().join("mnt")
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
        FolderRemote::new(&self.mnt(), OWNER, helper(), options).unwrap()
    }

    /// The server's processes for our connections; not the one that listens.
    fn sessions(&self) -> Vec<u32> {
        let mut all = children(self.sshd.id());
        let mut next = 0;
        while next < all.len() {
            all.extend(children(all[next]));
            next += 1;
        }
        all
    }

    fn freeze(&self) {
        for pid in self.sessions() {
            signal(pid, Signal::STOP);
        }
    }

    fn thaw(&self) {
        for pid in self.sessions() {
            signal(pid, Signal::CONT);
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.thaw();
        if self.mounted {
            let _ = run("fusermount3", &["-u", "-z", self.mnt().to_str().unwrap()]);
        }
        for pid in self.sessions() {
            signal(pid, Signal::KILL);
        }
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}

/// Fields go in their order: first the remote, then the mount.
pub struct Sshfs {
    subject: Subject,
    _server: Mounted,
}

impl Fixture for Sshfs {
    fn subject(&self) -> &Subject {
        &self.subject
    }
}

pub async fn fixture() -> Option<Sshfs> {
    let server = Mounted::new().await?;
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
    Some(Sshfs { subject, _server: server })
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
    let Some(server) = Mounted::new().await else {
        return;
    };
    let remote = server.remote(server.options(Duration::from_secs(2)));
    connect(&remote).await;
    std::fs::write(server.export().join("a"), b"x").unwrap();
    server.freeze();
    let (root, file) = (LocPath::root(), path("a"));
    let (list, stat) = futures::future::join(remote.list(&root), remote.stat(&file)).await;
    assert_gone(list);
    assert_gone(stat);
    // And it stays so, without hanging, as long as the server sleeps.
    assert_gone(remote.connect().await);
    assert_gone(remote.stat(&path("a")).await);
    server.thaw();
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

/// On a machine so slow that the short deadline of a test passes, it is tried again.
async fn connect(remote: &dyn Remote) {
    loop {
        match remote.connect().await {
            Ok(_) => return,
            Err(RemoteError::Gone { message, .. }) => eprintln!("again: {message}"),
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// The server dies: calls are refused at once or after the deadline, never answered with "empty".
#[tokio::test]
async fn a_dead_server_is_gone() {
    let Some(server) = Mounted::new().await else {
        return;
    };
    let remote = server.remote(server.options(Duration::from_secs(2)));
    connect(&remote).await;
    std::fs::write(server.export().join("a"), b"x").unwrap();
    for pid in server.sessions() {
        signal(pid, Signal::KILL);
    }
    assert_gone(remote.list(&LocPath::root()).await);
    assert_gone(remote.create_file(&path("b"), Bytes::arc(b"x"), &new_meta()).await);
    assert_gone(remote.connect().await);
}

#[tokio::test]
async fn an_unmounted_share_is_gone_until_it_is_mounted_again() {
    let Some(mut server) = Mounted::new().await else {
        return;
    };
    let remote = server.remote(server.options(PATIENT));
    remote.connect().await.unwrap();
    assert!(remote.identity().unwrap().starts_with("fuse.sshfs|fx:"), "{:?}", remote.identity());
    remote.create_file(&path("a"), Bytes::arc(b"x"), &new_meta()).await.unwrap();
    until("it can be unmounted", || server.unmount()).await;
    assert_gone(remote.list(&LocPath::root()).await);
    assert_gone(remote.connect().await);
    server.mount().unwrap();
    remote.connect().await.unwrap();
    assert_eq!(remote.stat(&path("a")).await.unwrap().size, 1);
}
