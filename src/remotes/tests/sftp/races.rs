//! What happens when somebody comes between two requests, one point after the other.

use std::path::PathBuf;
use std::sync::Arc;

use holdfast_engine::model::{LocPath, Meta, Time};
use holdfast_engine::remote::{NewMeta, Remote, RemoteError};
use holdfast_remotes::conformance::{Bytes, Subject, assert_changed, new_meta, path};
use holdfast_remotes::sftp::{SftpOptions, SftpRemote};
use holdfast_testkit::sshd::sftp_server;

use super::EXTENSIONS;
use crate::support::{OWNER, PATIENT, is_root, skipped};

const OURS: &[u8] = b"ours, new";

/// A folder with the file `a`, behind a server at which the other acts.
struct Raced {
    s: Subject,
    a: Meta,
    _top: tempfile::TempDir,
}

/// `specs`: point and action of each.
async fn raced(server: &str, specs: &[(&str, &str)]) -> Option<Raced> {
    raced_by(server, specs, false).await
}

async fn raced_by(server: &str, specs: &[(&str, &str)], pretend_no_order: bool) -> Option<Raced> {
    let top = tempfile::tempdir().unwrap();
    let folder: PathBuf = top.path().canonicalize().unwrap();
    let specs: Vec<String> =
        specs.iter().map(|(point, action)| format!("{point} {action} {}", folder.display())).collect();
    let program = env!("CARGO_BIN_EXE_holdfast-hostile-sftp");
    let command = [program, "relay", &specs.join(";"), server].map(str::to_owned).to_vec();
    std::fs::write(folder.join("a"), "original").unwrap();
    // Long ago, so that nobody waits for a second to be over.
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_500_000_000);
    std::fs::File::options().write(true).open(folder.join("a")).unwrap().set_modified(long_ago).unwrap();
    let options = SftpOptions { deadline: PATIENT, command, pretend_no_order };
    let remote = SftpRemote::new(&format!("sftp://raced{}", folder.display()), OWNER, options).unwrap();
    let capabilities = remote.connect().await.unwrap();
    let a = remote.stat(&path("a")).await.unwrap();
    let s = Subject {
        remote: Arc::new(remote),
        capabilities,
        folder,
        owner: OWNER.into(),
        obeys_modes: !is_root(),
    };
    Some(Raced { s, a, _top: top })
}

/// OpenSSH's server as it is, and with nothing but version 3.
fn servers() -> Option<(String, String)> {
    let program = sftp_server().inspect_err(|why| skipped(why)).ok()?;
    Some((program.to_owned(), format!("{program} -P {EXTENSIONS}")))
}

impl Raced {
    async fn replace(&self) -> Result<Meta, RemoteError> {
        self.s.remote.replace_file(&path("a"), &self.a.version, Bytes::arc(OURS), &new_meta()).await
    }

    fn at_path(&self) -> String {
        String::from_utf8(self.s.other_reads("a")).unwrap()
    }

    fn theirs_stay(&self, result: Result<Meta, RemoteError>, theirs: &str) {
        assert_changed(result);
        assert_eq!(self.at_path(), theirs);
        self.s.assert_nothing_left_over();
    }
}

/// The last point before the swap, whichever way it is done.
#[tokio::test]
async fn what_comes_before_the_swap_stays() {
    let Some((full, plain)) = servers() else { return };
    for (server, point) in [(&full, "hardlink"), (&plain, "rename")] {
        let Some(r) = raced(server, &[(point, "file")]).await else { return };
        r.theirs_stay(r.replace().await, "theirs, file");
        let Some(r) = raced(server, &[(point, "write")]).await else { return };
        r.theirs_stay(r.replace().await, "theirs");
    }
}

#[tokio::test]
async fn a_removal_before_the_swap_stays() {
    let Some((full, plain)) = servers() else { return };
    for (server, point) in [(full, "hardlink"), (plain, "rename")] {
        let Some(r) = raced(&server, &[(point, "remove")]).await else { return };
        let result = r.replace().await;
        assert!(matches!(result, Err(RemoteError::NotFound)), "{result:?}");
        assert!(r.s.names("").await.is_empty());
        r.s.assert_nothing_left_over();
    }
}

#[tokio::test]
async fn a_write_between_the_second_name_and_the_replacement_stays() {
    let Some((full, _)) = servers() else { return };
    let Some(r) = raced(&full, &[("posix-rename", "write")]).await else { return };
    r.theirs_stay(r.replace().await, "theirs");
}

/// Where the server does not keep the order, requests go one by one: what comes before the last look
/// stays, and a write after it is kept beside.
#[tokio::test]
async fn one_by_one_nothing_that_can_be_seen_is_lost() {
    let Some((full, _)) = servers() else { return };
    for action in ["file", "write"] {
        let Some(r) = raced_by(&full, &[("hardlink", action)], true).await else { return };
        assert_changed(r.replace().await);
        assert!(r.at_path().starts_with("theirs"));
        r.s.assert_nothing_left_over();
    }
    let Some(r) = raced_by(&full, &[("posix-rename", "write")], true).await else { return };
    let result = r.replace().await;
    let Err(RemoteError::Displaced { kept, now }) = result else { panic!("{result:?}") };
    let kept = String::from_utf8(kept.as_bytes().to_vec()).unwrap();
    assert_eq!((r.s.other_reads(&kept), r.at_path()), (b"theirs".to_vec(), "ours, new".into()));
    assert_eq!(*now, r.s.stat("a").await);
}

/// Newer than ours: it stays, and so does our success.
#[tokio::test]
async fn what_comes_after_the_swap_is_a_later_change() {
    let Some((full, _)) = servers() else { return };
    for action in ["file", "write"] {
        let Some(r) = raced(&full, &[("after-posix-rename", action)]).await else { return };
        let ours = r.replace().await.unwrap();
        assert_ne!(ours.version, r.s.stat("a").await.version, "what we are told is not what is there now");
        assert!(r.at_path().starts_with("theirs"));
        r.s.assert_nothing_left_over();
    }
}

/// One before the swap, and another while the first is put back: both are kept.
#[tokio::test]
async fn two_files_around_the_swap_are_both_kept() {
    let Some((full, _)) = servers() else { return };
    let specs = [("hardlink", "first"), ("hardlink", "the-second")];
    let Some(r) = raced(&full, &specs).await else { return };
    let result = r.replace().await;
    let Err(RemoteError::Displaced { kept, now }) = result else { panic!("{result:?}") };
    let kept = String::from_utf8(kept.as_bytes().to_vec()).unwrap();
    let mut both = [r.at_path(), String::from_utf8(r.s.other_reads(&kept)).unwrap()];
    both.sort();
    assert_eq!(both, ["theirs, first", "theirs, the-second"]);
    assert_eq!(*now, r.s.stat("a").await);
    // The engine fetches it, and clears it away.
    let left = r.s.remote.leftovers(&LocPath::root()).await.unwrap();
    assert_eq!(left.len(), 1);
    r.s.remote.remove_file(&path(&kept), &left[0].meta.version).await.unwrap();
    r.s.assert_nothing_left_over();
}

#[tokio::test]
async fn a_file_put_there_before_a_removal_or_a_move_stays() {
    let Some((full, plain)) = servers() else { return };
    for server in [full, plain] {
        let Some(r) = raced(&server, &[("rename", "file")]).await else { return };
        let result = r.s.remote.remove_file(&path("a"), &r.a.version).await;
        r.theirs_stay(result.map(|()| r.a.clone()), "theirs, file");
        let Some(r) = raced(&server, &[("rename", "file")]).await else { return };
        let moved = r.s.remote.rename(&path("a"), Some(&r.a.version), &path("b")).await;
        r.theirs_stay(moved, "theirs, file");
        assert_eq!(r.s.names("").await, [b"a"]);
    }
}

/// Nothing is overwritten by what is new or moved.
#[tokio::test]
async fn what_comes_to_a_new_name_stays() {
    let Some((full, plain)) = servers() else { return };
    for server in [full, plain] {
        let Some(r) = raced(&server, &[("rename", "file")]).await else { return };
        std::fs::remove_file(r.s.at("a")).unwrap();
        let made = r.s.remote.create_file(&path("a"), Bytes::arc(OURS), &new_meta()).await;
        r.theirs_stay(made, "theirs, file");
        let Some(r) = raced(&server, &[("rename", "file")]).await else { return };
        std::fs::rename(r.s.at("a"), r.s.at("b")).unwrap();
        let moved = r.s.remote.rename(&path("b"), Some(&r.a.version), &path("a")).await;
        r.theirs_stay(moved, "theirs, file");
        assert_eq!(r.s.other_reads("b"), b"original");
    }
}

#[tokio::test]
async fn a_link_to_a_file_put_there_meanwhile_is_taken_back() {
    let Some((full, _)) = servers() else { return };
    let Some(r) = raced(&full, &[("hardlink", "file")]).await else { return };
    let linked = r.s.remote.create_link(&path("a"), &r.a.version, &path("b")).await;
    r.theirs_stay(linked, "theirs, file");
    assert_eq!(r.s.names("").await, [b"a"]);
}

fn now() -> Time {
    Time::ZERO + std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap()
}

/// Times are whole seconds: what is read in the second of its last change is read once that is over.
#[tokio::test]
async fn a_change_within_the_same_second_is_not_missed() {
    let Some((full, plain)) = servers() else { return };
    for server in [full, plain] {
        let Some(r) = raced(&server, &[]).await else { return };
        r.s.other_writes("a", b"1");
        let first = r.s.stat("a").await;
        let (at, remote) = (path("a"), &r.s.remote);
        let read = remote.read(&at, &first.version, 0, 9);
        let write = async { r.s.other_writes("a", b"2") };
        let (read, ()) = futures::future::join(read, write).await;
        // On a slow machine the second may have passed before, and then it shows.
        if r.s.stat("a").await.version == first.version {
            assert_eq!(read.unwrap(), b"2", "the bytes that this version ended with");
        }
    }
}

/// And what is sent with the time of this very second appears once that is over.
#[tokio::test]
async fn a_change_right_after_ours_is_not_missed() {
    let Some((full, plain)) = servers() else { return };
    for server in [full, plain] {
        let Some(r) = raced(&server, &[]).await else { return };
        let meta = NewMeta { mtime: now(), ..new_meta() };
        let made = r.s.remote.create_file(&path("new"), Bytes::arc(b"1"), &meta).await.unwrap();
        r.s.other_writes("new", b"2");
        assert_ne!(r.s.stat("new").await.version, made.version);
        let meta = NewMeta { mtime: now(), ..new_meta() };
        let made = r.s.remote.replace_file(&path("a"), &r.a.version, Bytes::arc(b"1"), &meta).await.unwrap();
        r.s.other_writes("a", b"2");
        assert_ne!(r.s.stat("a").await.version, made.version);
    }
}

/// As another engine's may be: whoever has seen the one must see that it is no longer there.
#[tokio::test]
async fn what_replaces_a_version_of_the_same_size_and_second_is_told_apart() {
    let Some((full, plain)) = servers() else { return };
    for server in [full, plain] {
        let Some(r) = raced(&server, &[]).await else { return };
        let meta = NewMeta { mtime: r.a.mtime, mode: r.a.mode, ..new_meta() };
        let new = Bytes::arc(b"ORIGINAL");
        let now = r.s.remote.replace_file(&path("a"), &r.a.version, new, &meta).await.unwrap();
        assert_ne!(now.version, r.a.version);
        assert_eq!(now.mtime, Time::new(r.a.mtime.secs() + 1, 0));
        assert_eq!(now.version, r.s.stat("a").await.version);
        assert_eq!(r.at_path(), "ORIGINAL");
    }
}
