//! `sftp://` against real servers on loopback: the conformance suite for each, and what each can do.

use std::sync::Arc;
use std::time::Duration;

use holdfast_engine::model::Confidence;
use holdfast_engine::remote::Remote;
use holdfast_remotes::conformance::{Fixture, Subject};
use holdfast_remotes::sftp::{SftpOptions, SftpRemote};
use holdfast_testkit::sshd::{HOST, Sshd, sftp_server};

use crate::support::{OWNER, PATIENT, is_root, skipped};

/// Of OpenSSH; what `sftp-server -P` takes.
const EXTENSIONS: &str = "posix-rename,hardlink,fsync,lsetstat,statvfs,fstatvfs,limits,copy-data,\
                          expand-path,users-groups-by-id";

/// A server, and a folder of it. Fields go in their order: first the remote.
pub struct Server {
    subject: Subject,
    pub sshd: Sshd,
    _top: tempfile::TempDir,
}

impl Fixture for Server {
    fn subject(&self) -> &Subject {
        &self.subject
    }
}

/// A remote for a folder of a server.
pub fn remote(sshd: &Sshd, folder: &std::path::Path, deadline: Duration) -> SftpRemote {
    remote_with(sshd, folder, |options| options.deadline = deadline)
}

fn remote_with(sshd: &Sshd, folder: &std::path::Path, change: impl FnOnce(&mut SftpOptions)) -> SftpRemote {
    let mut options = SftpOptions::with_command(&sshd.ssh_command()).unwrap();
    options.deadline = PATIENT;
    change(&mut options);
    SftpRemote::new(&format!("sftp://{HOST}{}", folder.display()), OWNER, options).unwrap()
}

impl Server {
    /// With this command for `sftp`; `None` where it cannot be had here, and that is said.
    pub async fn start(sftp: &str) -> Option<Server> {
        Server::start_with(sftp, |_| ()).await
    }

    pub async fn start_with(sftp: &str, change: impl FnOnce(&mut SftpOptions)) -> Option<Server> {
        let sshd = Sshd::with_sftp(sftp).inspect_err(|why| skipped(why)).ok()?;
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("export");
        std::fs::create_dir(&folder).unwrap();
        let remote = remote_with(&sshd, &folder, change);
        let capabilities = remote.connect().await.unwrap();
        let subject = Subject {
            remote: Arc::new(remote),
            capabilities,
            folder,
            owner: OWNER.into(),
            // The server's process is root's where the tests are.
            obeys_modes: !is_root(),
        };
        Some(Server { subject, sshd, _top: top })
    }
}

mod faults;
mod hostile;
mod races;
mod way;

mod openssh {
    use super::*;

    async fn fixture() -> Option<Server> {
        Server::start("").await
    }
    holdfast_remotes::conformance_tests!(fixture);

    #[tokio::test]
    async fn what_it_can_do_is_told() {
        let Some(server) = fixture().await else { return };
        let c = &server.subject.capabilities;
        assert!(!c.exchange && !c.file_ids && !c.watches && !c.xattrs);
        assert!(c.hard_links && c.symlinks && c.modes && c.set_times && c.case_sensitive);
        assert_eq!((c.time_step, c.confidence), (Duration::from_secs(1), Confidence::Guessed));
        assert!(c.caveat.contains("whole seconds") && !c.caveat.contains("moment"), "{}", c.caveat);
    }
}

/// OpenSSH without its extensions: version 3 and nothing else.
mod plain {
    use super::*;

    async fn fixture() -> Option<Server> {
        match sftp_server() {
            Ok(program) => Server::start(&format!("{program} -P {EXTENSIONS}")).await,
            Err(why) => {
                skipped(&why);
                None
            }
        }
    }
    holdfast_remotes::conformance_tests!(fixture);
}

/// As if the server carried requests out in any order.
mod one_by_one {
    use super::*;

    async fn fixture() -> Option<Server> {
        Server::start_with("", |options| options.pretend_no_order = true).await
    }
    holdfast_remotes::conformance_tests!(fixture);
}

/// Another author's server.
mod green_end {
    use super::*;

    const PROGRAM: &str = "/usr/libexec/gesftpserver";

    async fn fixture() -> Option<Server> {
        if !std::path::Path::new(PROGRAM).exists() {
            skipped("gesftpserver is missing");
            return None;
        }
        Server::start(PROGRAM).await
    }
    holdfast_remotes::conformance_tests!(fixture);
}
