//! A server that freezes or dies, and each way to be refused.

use std::path::Path;
use std::time::Duration;

use holdfast_engine::model::{LocPath, OfflineReason};
use holdfast_engine::remote::{Remote, RemoteError};
use holdfast_remotes::conformance::{Bytes, Fixture, new_meta, path};
use holdfast_remotes::sftp::{SftpOptions, SftpRemote};
use holdfast_testkit::connect;
use holdfast_testkit::process::{children, signal};
use holdfast_testkit::sshd::{HOST, Sshd, sftp_server};
use rustix::process::Signal;

use super::{Server, remote};
use crate::support::{OWNER, PATIENT, is_root, skipped, until};

#[track_caller]
fn assert_gone<T: std::fmt::Debug>(result: Result<T, RemoteError>) -> (OfflineReason, String) {
    match result {
        Err(RemoteError::Gone { reason, message }) => (reason, message),
        other => panic!("expected Gone, got {other:?}"),
    }
}

/// A frozen server: every call ends within the deadline, and once it wakes up all is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_is_gone_until_it_wakes_up() {
    let Some(server) = Server::start("").await else { return };
    let folder = &server.subject().folder;
    let remote = remote(&server.sshd, folder, Duration::from_secs(2));
    connect(&remote).await;
    std::fs::write(folder.join("a"), b"x").unwrap();
    server.sshd.freeze();
    let (root, file) = (LocPath::root(), path("a"));
    let (list, stat) = futures::future::join(remote.list(&root), remote.stat(&file)).await;
    assert_gone(list);
    assert_gone(stat);
    let large = Bytes::arc(&vec![7; 4 << 20]);
    assert_gone(remote.create_file(&path("large"), large, &new_meta()).await);
    // And it stays so, without hanging, as long as the server sleeps.
    assert_gone(remote.connect().await);
    server.sshd.thaw();
    connect(&remote).await;
    assert_eq!(remote.stat(&path("a")).await.unwrap().size, 1);
    assert!(!folder.join("large").exists());
}

/// The server dies: calls are refused, never answered with "empty".
#[tokio::test]
async fn a_dead_server_is_gone_until_it_is_back() {
    let Some(mut server) = Server::start("").await else { return };
    let folder = server.subject().folder.clone();
    let remote = remote(&server.sshd, &folder, PATIENT);
    remote.connect().await.unwrap();
    std::fs::write(folder.join("a"), b"x").unwrap();
    server.sshd.kill();
    assert_gone(remote.list(&LocPath::root()).await);
    assert_gone(remote.create_file(&path("b"), Bytes::arc(b"x"), &new_meta()).await);
    let (reason, message) = assert_gone(remote.connect().await);
    assert!(reason == OfflineReason::ServerGone && message.contains("no SSH server listens"), "{message}");
    server.sshd.listen().unwrap();
    remote.connect().await.unwrap();
    assert_eq!(remote.list(&LocPath::root()).await.unwrap().entries.len(), 1);
}

/// A connection that leads nowhere any more is found out without a call that waits for it, and one that
/// ends tells so itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_is_proven_and_its_end_is_told() {
    let Some(server) = Server::start("").await else { return };
    let remote = remote(&server.sshd, &server.subject().folder, PATIENT);
    connect(&remote).await;
    remote.probe(PATIENT).await.unwrap();
    server.sshd.freeze();
    let (_, message) = assert_gone(remote.probe(Duration::from_millis(500)).await);
    assert!(message.contains("does not answer"), "{message}");
    assert_gone(Err::<(), _>(remote.lost().await));
    server.sshd.thaw();
    connect(&remote).await;
    let (lost, ()) = futures::future::join(remote.lost(), async { server.sshd.kill_sessions() }).await;
    assert_gone(Err::<(), _>(lost));
    connect(&remote).await;
    remote.probe(PATIENT).await.unwrap();
}

/// In the middle of an upload: nothing half is at the path, and what is left is ours to clear away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_leaves_old_or_new() {
    let Some(server) = Server::start("").await else { return };
    let s = server.subject();
    let old = s.create("a", b"old").await;
    let new = vec![7; 64 << 20];
    let temps = || -> Vec<_> {
        let names = std::fs::read_dir(&s.folder).unwrap().flatten().map(|e| e.file_name());
        names.filter(|n| n.as_encoded_bytes().starts_with(b".holdfast-")).collect()
    };
    let (at, meta) = (path("a"), new_meta());
    let upload = s.remote.replace_file(&at, &old.version, Bytes::arc(&new), &meta);
    let cut = async {
        until("the upload has begun", || !temps().is_empty()).await;
        server.sshd.kill_sessions();
    };
    let (result, ()) = futures::future::join(upload, cut).await;
    let now = s.other_reads("a");
    match result {
        Ok(_) => assert!(now == new),
        Err(error) => {
            assert_gone::<()>(Err(error));
            assert!(now == b"old" || now == new);
        }
    }
    s.remote.connect().await.unwrap();
    for left in s.remote.leftovers(&LocPath::root()).await.unwrap() {
        s.remote.remove_file(&LocPath::root().join(&left.name), &left.meta.version).await.unwrap();
    }
    s.assert_nothing_left_over();
}

/// The children that connect to this server. Others come and go with other tests.
fn ssh_children(server: &Server) -> Vec<u32> {
    let config = server.sshd.ssh_config().into_os_string().into_encoded_bytes();
    let is_ours = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.windows(config.len()).any(|window| window == config)
    };
    children(std::process::id()).into_iter().filter(is_ours).collect()
}

/// The child that carries the connection goes with the remote, and is missed when it goes by itself.
#[tokio::test]
async fn ssh_lives_as_long_as_its_remote() {
    let Some(server) = Server::start("").await else { return };
    let before = ssh_children(&server);
    assert_eq!(before.len(), 1, "one for each connection");
    let second = remote(&server.sshd, &server.subject().folder, PATIENT);
    second.connect().await.unwrap();
    assert_eq!(ssh_children(&server).len(), 2);
    drop(second);
    until("it has ended", || ssh_children(&server) == before).await;
    signal(before[0], Signal::KILL);
    assert_gone(server.subject().remote.list(&LocPath::root()).await);
    server.subject().remote.connect().await.unwrap();
    server.subject().remote.disconnect().await;
    until("it has ended in order", || ssh_children(&server).is_empty()).await;
}

/// How a remote whose connection is refused says so.
async fn refusal(sshd: &Sshd, url: &str) -> (OfflineReason, String) {
    let options = SftpOptions::with_command(&sshd.ssh_command()).unwrap();
    let (reason, message) = assert_gone(SftpRemote::new(url, OWNER, options).unwrap().connect().await);
    assert!(message.contains(' ') && !message.contains('\n'), "one sentence: {message:?}");
    (reason, message)
}

fn configure(sshd: &Sshd, lines: &str) {
    let config = std::fs::read_to_string(sshd.ssh_config()).unwrap();
    // The first value of an option is the one that counts.
    std::fs::write(sshd.ssh_config(), format!("{lines}\n{config}")).unwrap();
}

fn start(sftp: &str) -> Option<Sshd> {
    Sshd::with_sftp(sftp).inspect_err(|why| skipped(why)).ok()
}

#[tokio::test]
async fn each_refusal_of_ssh_is_one_sentence() {
    let Some(sshd) = start("") else { return };
    let url = format!("sftp://{HOST}/tmp");
    let (reason, message) = refusal(&sshd, "sftp://nowhere.invalid/tmp").await;
    // As there is a network or none.
    let expected = [OfflineReason::ServerGone, OfflineReason::NoNetwork];
    assert!(expected.contains(&reason) && message.contains("leads to no server"), "{message}");
    let (reason, message) = refusal(&sshd, &format!("sftp://nobody-such@{HOST}/tmp")).await;
    assert!(
        reason == OfflineReason::SignInNeeded && message.contains("does not let this user in"),
        "{message}"
    );
    configure(&sshd, "IdentityFile /nowhere");
    std::fs::rename(sshd.dir().join("id"), sshd.dir().join("id.away")).unwrap();
    let (reason, message) = refusal(&sshd, &url).await;
    assert!(
        reason == OfflineReason::SignInNeeded && message.contains("does not let this user in"),
        "{message}"
    );
    std::fs::rename(sshd.dir().join("id.away"), sshd.dir().join("id")).unwrap();
    // The key of the server that is known, and another one.
    configure(&sshd, "StrictHostKeyChecking yes");
    let (_, message) = refusal(&sshd, &format!("sftp://{HOST}/nowhere")).await;
    assert!(message.contains("is not there"), "{message}");
    let known = sshd.dir().join("known_hosts");
    let line = std::fs::read_to_string(&known).unwrap();
    let other = std::fs::read_to_string(sshd.dir().join("id.pub")).unwrap();
    let name = line.split_whitespace().next().unwrap();
    std::fs::write(&known, format!("{name} {other}")).unwrap();
    let (reason, message) = refusal(&sshd, &url).await;
    assert!(reason == OfflineReason::Error && message.contains("another host key"), "{message}");
    std::fs::write(&known, "").unwrap();
    let (reason, message) = refusal(&sshd, &url).await;
    assert!(reason == OfflineReason::Error && message.contains("not known here yet"), "{message}");
}

/// A program of some lines, where a server may run it.
fn script(dir: &Path, lines: &str) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let script = dir.join("script");
    std::fs::write(&script, format!("#!/bin/sh\n{lines}\n")).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    script
}

fn without_sftp(config: &str) -> String {
    config.lines().filter(|line| !line.starts_with("Subsystem")).map(|line| format!("{line}\n")).collect()
}

#[tokio::test]
async fn a_server_without_sftp_is_told() {
    let url = format!("sftp://{HOST}/tmp");
    let Some(mut sshd) = start("/nowhere/sftp-server") else { return };
    let (reason, message) = refusal(&sshd, &url).await;
    assert!(reason == OfflineReason::Error && message.contains("starts no SFTP server"), "{message}");
    sshd.reconfigure(without_sftp).unwrap();
    let (reason, message) = refusal(&sshd, &url).await;
    assert!(reason == OfflineReason::Error && message.contains("offers no SFTP"), "{message}");
}

/// As with a shell whose start-up file prints.
#[tokio::test]
async fn a_login_that_prints_is_told() {
    let Ok(sftp) = sftp_server() else { return skipped("sftp-server is missing") };
    let dir = tempfile::tempdir().unwrap();
    let chatty = script(dir.path(), &format!("echo Welcome to this machine\nexec {sftp}"));
    let Some(sshd) = start(chatty.to_str().unwrap()) else { return };
    let (reason, message) = refusal(&sshd, &format!("sftp://{HOST}/tmp")).await;
    assert!(reason == OfflineReason::Error && message.contains("Welcome to this machine"), "{message}");
}

/// The server shows a part of its tree as if it were all.
#[tokio::test]
async fn a_server_in_a_chroot_serves() {
    if !is_root() {
        return skipped("only root can set a chroot up");
    }
    let Some(mut sshd) = start("internal-sftp") else { return };
    // Every folder above it has to be root's alone.
    let top = tempfile::tempdir_in("/run").unwrap();
    std::fs::set_permissions(top.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::create_dir(top.path().join("srv")).unwrap();
    let line = format!("ChrootDirectory {}\n", top.path().display());
    sshd.reconfigure(|config| format!("{config}{line}")).unwrap();
    for url in ["/srv", "/~/srv"] {
        let options = SftpOptions::with_command(&sshd.ssh_command()).unwrap();
        let remote = SftpRemote::new(&format!("sftp://{HOST}{url}"), OWNER, options).unwrap();
        remote.connect().await.unwrap();
        remote.create_file(&path("a"), Bytes::arc(b"x"), &new_meta()).await.unwrap();
        let file = top.path().join("srv/a");
        assert_eq!(std::fs::read(&file).unwrap(), b"x");
        std::fs::remove_file(file).unwrap();
    }
}

#[tokio::test]
async fn folders_that_cannot_be_a_location_are_told() {
    let Some(server) = Server::start("").await else { return };
    let folder = server.subject().folder.display();
    server.subject().other_writes("file", b"x");
    let (_, message) = refusal(&server.sshd, &format!("sftp://{HOST}{folder}/nowhere")).await;
    assert!(message.contains("is not there"), "{message}");
    let (reason, message) = refusal(&server.sshd, &format!("sftp://{HOST}{folder}/file")).await;
    assert!(reason == OfflineReason::Error && message.contains("is not a folder"), "{message}");
    let missing = SftpOptions::with_command("/nowhere/ssh 'with words'").unwrap();
    let missing = SftpRemote::new("sftp://nas/", OWNER, missing).unwrap().connect().await;
    let (reason, message) = assert_gone(missing);
    assert!(reason == OfflineReason::Error && message.contains("/nowhere/ssh is not installed"), "{message}");
}

#[tokio::test]
async fn a_server_that_is_read_only_refuses_and_can_be_read() {
    let Some(server) = Server::start("").await else { return };
    let s = server.subject();
    s.other_writes("a", b"x");
    let Some(closed) = start(&format!("{} -R", sftp_server().unwrap())) else { return };
    let remote = remote(&closed, &s.folder, PATIENT);
    remote.connect().await.unwrap();
    let a = remote.stat(&path("a")).await.unwrap();
    assert_eq!(remote.read(&path("a"), &a.version, 0, 9).await.unwrap(), b"x");
    let refused = [
        remote.create_file(&path("b"), Bytes::arc(b"x"), &new_meta()).await.map(drop),
        remote.replace_file(&path("a"), &a.version, Bytes::arc(b"y"), &new_meta()).await.map(drop),
        remote.remove_file(&path("a"), &a.version).await,
        remote.create_folder(&path("d"), &new_meta()).await.map(drop),
        remote.rename(&path("a"), Some(&a.version), &path("c")).await.map(drop),
    ];
    for result in refused {
        assert!(matches!(result, Err(RemoteError::Forbidden(_))), "{result:?}");
    }
    assert_eq!(s.names("").await, [b"a"]);
    assert_eq!(s.other_reads("a"), b"x");
}

/// The server takes no more bytes in the middle of a file: the old one stays, and nothing is left.
#[tokio::test]
async fn a_full_server_keeps_what_it_has() {
    let Ok(sftp) = sftp_server() else { return skipped("sftp-server is missing") };
    let dir = tempfile::tempdir().unwrap();
    let limited = script(dir.path(), &format!("ulimit -f 2048\ntrap '' XFSZ\nexec {sftp}"));
    let Some(server) = Server::start(limited.to_str().unwrap()).await else { return };
    let s = server.subject();
    let a = s.create("a", b"old").await;
    let large = Bytes::arc(&vec![7; 3 << 20]);
    let full = s.remote.replace_file(&path("a"), &a.version, large.clone(), &new_meta()).await;
    assert!(matches!(full, Err(RemoteError::NoSpace(_))), "{full:?}");
    let full = s.remote.create_file(&path("b"), large, &new_meta()).await;
    assert!(matches!(full, Err(RemoteError::NoSpace(_))), "{full:?}");
    assert_eq!(s.other_reads("a"), b"old");
    s.create("c", b"small").await;
    assert_eq!(s.names("").await, [b"a", b"c"]);
    s.assert_nothing_left_over();
}

/// Times that lie ahead of the clock, and names that are no text.
#[tokio::test]
async fn times_in_the_future_are_times() {
    let Some(server) = Server::start("").await else { return };
    let s = server.subject();
    s.other_writes("a", b"x");
    let later = std::time::SystemTime::now() + Duration::from_secs(400 * 24 * 3600);
    std::fs::File::options().write(true).open(s.at("a")).unwrap().set_modified(later).unwrap();
    let a = s.stat("a").await;
    assert_eq!(s.read("a", &a).await, b"x");
    let b = s.remote.replace_file(&path("a"), &a.version, Bytes::arc(b"y"), &new_meta()).await.unwrap();
    assert_eq!(s.stat("a").await, b);
}
