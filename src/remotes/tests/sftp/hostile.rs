//! Servers that lie: each ends in an error that says what is wrong, in bounded memory, and nothing hangs.

use std::time::Duration;

use holdfast_engine::model::{Kind, LocPath, OfflineReason, Version};
use holdfast_engine::remote::{Listing, Remote, RemoteError};
use holdfast_remotes::conformance::{Bytes, new_meta, path};
use holdfast_remotes::sftp::{SftpOptions, SftpRemote};

use crate::support::{OWNER, PATIENT};

/// Far above what any of it takes on any machine.
const LIMIT: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(300);
/// Of the one file that such a server has.
const VERSION: &[u8] = b"f.s5.m14d1120d7b160000.p1a4";

fn hostile(lie: &str, deadline: Duration) -> SftpRemote {
    let command = vec![env!("CARGO_BIN_EXE_holdfast-hostile-sftp").into(), lie.into()];
    let options = SftpOptions { deadline, command };
    SftpRemote::new("sftp://liar/srv", OWNER, options).unwrap()
}

/// Connects; where that fails for the short deadline on a slow machine, once more.
async fn connected(lie: &str, deadline: Duration) -> SftpRemote {
    let remote = hostile(lie, deadline);
    loop {
        match remote.connect().await {
            Ok(_) => return remote,
            Err(RemoteError::Gone { reason: OfflineReason::ServerGone, .. }) if deadline == SHORT => {}
            Err(error) => panic!("{lie}: {error}"),
        }
    }
}

async fn ends<T>(lie: &str, call: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, call).await.unwrap_or_else(|_| panic!("{lie}: it hangs"))
}

async fn list(lie: &str, deadline: Duration) -> Result<Listing, RemoteError> {
    let remote = connected(lie, deadline).await;
    ends(lie, remote.list(&LocPath::root())).await
}

async fn read(lie: &str, deadline: Duration) -> Result<Vec<u8>, RemoteError> {
    let remote = connected(lie, deadline).await;
    ends(lie, remote.read(&path("file"), &Version::new(VERSION), 0, 100)).await
}

#[track_caller]
fn message<T: std::fmt::Debug>(lie: &str, result: Result<T, RemoteError>) -> String {
    let message = match result {
        Err(error) => error.to_string(),
        Ok(value) => panic!("{lie}: {value:?}"),
    };
    assert!(message.contains(' ') && !message.chars().any(char::is_control), "{lie}: {message:?}");
    message
}

#[tokio::test]
async fn without_a_lie_all_is_well() {
    let listing = list("", PATIENT).await.unwrap();
    assert_eq!(listing.entries.len(), 1);
    assert_eq!(listing.entries[0].meta.version, Version::new(VERSION));
    assert_eq!(read("", PATIENT).await.unwrap(), b"hello");
    let remote = connected("", PATIENT).await;
    let refused = remote.create_file(&path("new"), Bytes::arc(b"x"), &new_meta()).await;
    assert!(matches!(refused, Err(RemoteError::Forbidden(_))), "{refused:?}");
}

#[tokio::test]
async fn what_is_no_sftp_is_told_by_its_words() {
    for (lie, words) in
        [("text", "Welcome to nas!"), ("version-2", "version 2"), ("mad-extensions", "no SFTP server")]
    {
        let remote = hostile(lie, PATIENT);
        let message = message(lie, ends(lie, remote.connect()).await);
        assert!(message.contains(words), "{lie}: {message}");
    }
    let message = message("silent", ends("silent", hostile("silent", SHORT).connect()).await);
    assert!(message.contains("does not answer"), "{message}");
}

/// What breaks the protocol ends the session, whoever it was for.
#[tokio::test]
async fn broken_messages_end_the_session() {
    for lie in [
        "twice",
        "wrong-id",
        "mad-length",
        "no-length",
        "cut",
        "short",
        "garbage",
        "wrong-kind",
        "flood",
        "mad-count",
    ] {
        let remote = hostile(lie, PATIENT);
        let calls = async {
            remote.connect().await?;
            for _ in 0..4 {
                remote.list(&LocPath::root()).await?;
                remote.stat(&path("file")).await?;
            }
            Ok(())
        };
        let result = ends(lie, calls).await;
        assert!(matches!(result, Err(RemoteError::Gone { .. })), "{lie}: {result:?}");
        message(lie, result);
        // And it stays so until somebody connects.
        assert!(remote.stat(&path("file")).await.is_err(), "{lie}");
    }
}

#[tokio::test]
async fn listings_without_an_end_are_given_up() {
    for lie in ["endless", "repeats", "empty-names"] {
        let found = list(lie, PATIENT).await;
        assert!(matches!(found, Err(RemoteError::Io(_))), "{lie}: {:?}", found.map(|l| l.entries.len()));
    }
}

#[tokio::test]
async fn names_are_checked() {
    let listing = list("names", PATIENT).await.unwrap();
    let mut names: Vec<_> = listing.entries.iter().map(|e| e.name.as_bytes().to_vec()).collect();
    names.sort();
    assert_eq!(names, [&b"good"[..], b"\xff\xfe"]);
    // Neither taken nor absent; "." and ".." are the folder's own.
    assert_eq!(listing.refused.len(), 6, "{:?}", listing.refused);
}

#[tokio::test]
async fn sizes_and_kinds_are_checked() {
    let listing = list("huge", PATIENT).await.unwrap();
    assert!(listing.entries.is_empty());
    assert_eq!(listing.refused[0].0, b"file");
    let result = read("fifo", PATIENT).await;
    assert!(matches!(result, Err(RemoteError::Changed { .. })), "a pipe is never opened: {result:?}");
}

#[tokio::test]
async fn bytes_that_were_not_asked_for_are_not_taken() {
    for lie in ["more-data", "no-data", "grows", "changing-handles"] {
        message(lie, read(lie, PATIENT).await);
    }
}

#[tokio::test]
async fn handles_are_bytes_of_any_length() {
    for lie in ["long-handles", "empty-handles"] {
        assert_eq!(read(lie, PATIENT).await.unwrap(), b"hello", "{lie}");
    }
}

#[tokio::test]
async fn answers_in_another_order_find_who_asked() {
    let remote = connected("reorder", PATIENT).await;
    let calls = (0..50).map(|i| {
        let remote = &remote;
        async move {
            match i % 2 {
                0 => remote.stat(&path("file")).await.map(|meta| meta.kind == Kind::File),
                _ => remote
                    .read(&path("file"), &Version::new(VERSION), 0, 100)
                    .await
                    .map(|bytes| bytes == b"hello"),
            }
        }
    });
    let results = ends("reorder", futures::future::join_all(calls)).await;
    assert!(results.iter().all(|r| *r == Ok(true)), "{results:?}");
}

/// One request is never answered, however many others are.
#[tokio::test]
async fn requests_without_an_answer_end_the_session() {
    for lie in ["never", "drip"] {
        let result = read(lie, SHORT).await;
        assert!(matches!(result, Err(RemoteError::Gone { .. })), "{lie}: {result:?}");
    }
    let result = list("never-lists", SHORT).await;
    assert!(matches!(result, Err(RemoteError::Gone { .. })), "{result:?}");
    let remote = connected("never", SHORT).await;
    let (file, version) = (path("file"), Version::new(VERSION));
    let stuck = remote.read(&file, &version, 0, 100);
    let others = async { while remote.stat(&file).await.is_ok() {} };
    let (result, ()) = ends("never, among others", futures::future::join(stuck, others)).await;
    assert!(matches!(result, Err(RemoteError::Gone { .. })), "{result:?}");
}
