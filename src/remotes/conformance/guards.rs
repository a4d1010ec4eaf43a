//! Nothing is changed unless it is what the caller thinks it is.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use holdfast_engine::model::{Time, Version};
use holdfast_engine::remote::{RemoteError, SetMeta};

use super::{Bytes, LONG_AGO, Subject, assert_changed, new_meta, path};

/// A file that had a version, and then was changed by somebody.
async fn stale(s: &Subject, at: &str) -> Version {
    let before = s.create(at, b"ours").await;
    s.other_writes(at, b"theirs, newer");
    before.version
}

fn assert_theirs(s: &Subject, at: &str) {
    assert_eq!(s.other_reads(at), b"theirs, newer");
    s.assert_nothing_left_over();
}

pub async fn create_over_something(s: &Subject) {
    s.other_writes("a", b"theirs, newer");
    std::fs::create_dir(s.at("d")).unwrap();
    let now = assert_changed(s.remote.create_file(&path("a"), Bytes::arc(b"x"), &new_meta()).await);
    assert_eq!(now.map(|m| m.size), Some(13));
    assert_changed(s.remote.create_file(&path("d"), Bytes::arc(b"x"), &new_meta()).await);
    assert_changed(s.remote.create_file(&path("a"), Bytes::arc(&[0; 1 << 20]), &new_meta()).await);
    assert_changed(s.remote.create_folder(&path("a"), &new_meta()).await);
    assert_changed(s.remote.create_folder(&path("d"), &new_meta()).await);
    if s.capabilities.symlinks {
        assert_changed(s.remote.create_symlink(&path("a"), b"x").await);
    }
    assert_theirs(s, "a");
}

pub async fn replace_another_version(s: &Subject) {
    let old = stale(s, "a").await;
    let now = assert_changed(s.remote.replace_file(&path("a"), &old, Bytes::arc(b"x"), &new_meta()).await);
    assert_eq!(now, Some(s.stat("a").await));
    assert_changed(s.remote.replace_file(&path("a"), &old, Bytes::arc(&[0; 2 << 20]), &new_meta()).await);
    let foreign = Version::new(b"of another kind");
    assert_changed(s.remote.replace_file(&path("a"), &foreign, Bytes::arc(b"x"), &new_meta()).await);
    assert_theirs(s, "a");
}

/// A mode that somebody set leaves size and time as they were.
pub async fn another_mode(s: &Subject) {
    if !s.capabilities.modes {
        eprintln!("SKIPPED: modes are not kept here");
        return;
    }
    let old = s.create("a", b"ours").await.version;
    std::fs::set_permissions(s.at("a"), Permissions::from_mode(0o600)).unwrap();
    let set = SetMeta { mode: Some(0o755), ..SetMeta::default() };
    assert_changed(s.remote.set_meta(&path("a"), Some(&old), &set).await);
    assert_changed(s.remote.replace_file(&path("a"), &old, Bytes::arc(b"x"), &new_meta()).await);
    assert_eq!(std::fs::metadata(s.at("a")).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(s.other_reads("a"), b"ours");
}

pub async fn remove_another_version(s: &Subject) {
    let old = stale(s, "a").await;
    assert_changed(s.remote.remove_file(&path("a"), &old).await);
    assert_theirs(s, "a");
}

pub async fn rename_another_version_or_over_something(s: &Subject) {
    let old = stale(s, "a").await;
    assert_changed(s.remote.rename(&path("a"), Some(&old), &path("b")).await);
    assert_theirs(s, "a");
    let c = s.create("c", b"ours").await;
    assert_changed(s.remote.rename(&path("c"), Some(&c.version), &path("a")).await);
    assert_eq!(s.other_reads("c"), b"ours");
    std::fs::create_dir(s.at("d")).unwrap();
    std::fs::create_dir(s.at("e")).unwrap();
    assert_changed(s.remote.rename(&path("d"), None, &path("e")).await);
    assert_changed(s.remote.rename(&path("d"), None, &path("a")).await);
    assert_eq!(s.names("").await, [b"a", b"c", b"d", b"e"]);
    assert_theirs(s, "a");
}

pub async fn link_and_attributes_of_another_version(s: &Subject) {
    let old = stale(s, "a").await;
    if s.capabilities.hard_links {
        assert_changed(s.remote.create_link(&path("a"), &old, &path("b")).await);
        assert_eq!(s.names("").await, [b"a"]);
    }
    let set = SetMeta { mode: Some(0o600), mtime: Some(LONG_AGO), xattrs: None };
    assert_changed(s.remote.set_meta(&path("a"), Some(&old), &set).await);
    assert!(s.stat("a").await.mtime > Time(LONG_AGO.0 + 1));
    assert_theirs(s, "a");
}

pub async fn read_another_version(s: &Subject) {
    let old = stale(s, "a").await;
    assert_changed(s.remote.read(&path("a"), &old, 0, 100).await);
    std::fs::remove_file(s.at("a")).unwrap();
    std::os::unix::fs::symlink("elsewhere", s.at("a")).unwrap();
    assert_changed(s.remote.read(&path("a"), &old, 0, 100).await);
}

#[track_caller]
fn assert_not_found<T: std::fmt::Debug>(result: Result<T, RemoteError>) {
    assert!(matches!(result, Err(RemoteError::NotFound)), "{result:?}");
}

pub async fn what_is_not_there(s: &Subject) {
    let gone = s.create("a", b"x").await.version;
    std::fs::remove_file(s.at("a")).unwrap();
    assert_not_found(s.remote.stat(&path("a")).await);
    assert_not_found(s.remote.list(&path("a")).await);
    assert_not_found(s.remote.read(&path("a"), &gone, 0, 1).await);
    assert_not_found(s.remote.replace_file(&path("a"), &gone, Bytes::arc(b"y"), &new_meta()).await);
    assert_not_found(s.remote.remove_file(&path("a"), &gone).await);
    assert_not_found(s.remote.remove_folder(&path("a")).await);
    assert_not_found(s.remote.rename(&path("a"), Some(&gone), &path("b")).await);
    assert_not_found(s.remote.set_meta(&path("a"), Some(&gone), &SetMeta::default()).await);
    assert_not_found(s.remote.create_file(&path("no/a"), Bytes::arc(b"y"), &new_meta()).await);
    assert_not_found(s.remote.create_folder(&path("no/a"), &new_meta()).await);
    s.create("file", b"x").await;
    assert_not_found(s.remote.list(&path("file")).await);
    assert_not_found(s.remote.create_file(&path("file/a"), Bytes::arc(b"y"), &new_meta()).await);
    assert_eq!(s.names("").await, [b"file"]);
    s.assert_nothing_left_over();
}

pub async fn folders_that_hold_something(s: &Subject) {
    std::fs::create_dir(s.at("d")).unwrap();
    s.other_writes("d/a", b"theirs, newer");
    let kept = s.remote.remove_folder(&path("d")).await;
    assert!(matches!(kept, Err(RemoteError::NotEmpty)), "{kept:?}");
    assert_theirs(s, "d/a");
    let folder = s.stat("d").await;
    let refused = s.remote.remove_file(&path("d"), &folder.version).await;
    assert!(refused.is_err());
    assert_changed(s.remote.remove_folder(&path("d/a")).await);
    assert_theirs(s, "d/a");
}
