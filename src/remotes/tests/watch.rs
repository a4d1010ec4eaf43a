//! Hints of changes by others.

use std::collections::HashSet;

use async_channel::Receiver;
use holdfast_engine::model::LocPath;
use holdfast_engine::remote::Hint;
use holdfast_remotes::conformance::{Fixture, path};
use holdfast_remotes::folder::Pretend;

use crate::support::Plain;

/// Takes hints until each of the folders has been named.
async fn hinted(hints: &Receiver<Hint>, folders: &[&str]) {
    let mut missing: HashSet<LocPath> = folders.iter().map(|f| path(f)).collect();
    while !missing.is_empty() {
        match hints.recv().await.expect("the watch goes on") {
            Hint::Folder(folder) => drop(missing.remove(&folder)),
            Hint::Everything => return,
        }
    }
}

#[tokio::test]
async fn changes_by_others_are_hinted_at() {
    let p = Plain::new(Pretend::default()).await;
    let s = p.subject();
    assert!(s.capabilities.watches);
    std::fs::create_dir_all(s.at("d/e")).unwrap();
    let hints = s.remote.watch(&LocPath::root()).await.unwrap();
    s.other_writes("a", b"x");
    hinted(&hints, &[""]).await;
    s.other_writes("d/e/f", b"x");
    hinted(&hints, &["d/e"]).await;
    // A folder that comes is watched, and so is what comes with it.
    std::fs::create_dir_all(s.at("new/deep")).unwrap();
    hinted(&hints, &["", "new"]).await;
    s.other_writes("new/deep/g", b"x");
    hinted(&hints, &["new/deep"]).await;
    // After a move the hints bear the new name.
    std::fs::rename(s.at("new"), s.at("d/moved")).unwrap();
    hinted(&hints, &["", "d"]).await;
    s.other_writes("d/moved/deep/g", b"changed");
    hinted(&hints, &["d/moved/deep"]).await;
    std::fs::remove_file(s.at("d/moved/deep/g")).unwrap();
    hinted(&hints, &["d/moved/deep"]).await;
}

#[tokio::test]
async fn temporary_names_make_no_hints() {
    let p = Plain::new(Pretend::default()).await;
    let s = p.subject();
    std::fs::create_dir(s.at("d")).unwrap();
    std::fs::create_dir(s.at("last")).unwrap();
    let hints = s.remote.watch(&LocPath::root()).await.unwrap();
    s.other_writes("d/.holdfast-somebody-n1", b"x");
    s.other_writes("last/a", b"x");
    // Events come in their order.
    assert_eq!(hints.recv().await.unwrap(), Hint::Folder(path("last")));
}

#[tokio::test]
async fn a_mount_of_a_server_gives_no_hints() {
    let p = Plain::new(Pretend { fs_type: Some("nfs4".into()), ..Pretend::default() }).await;
    assert!(!p.subject().capabilities.watches);
    assert!(p.subject().remote.watch(&LocPath::root()).await.is_none());
}

#[tokio::test]
async fn hints_end_with_the_connection() {
    let p = Plain::new(Pretend::default()).await;
    let hints = p.subject().remote.watch(&LocPath::root()).await.unwrap();
    p.subject().remote.disconnect().await;
    while hints.recv().await.is_ok() {}
}
