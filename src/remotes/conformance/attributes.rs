//! Modes, times, extended attributes, and what a version says.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;
use std::time::Duration;

use holdfast_engine::model::Time;
use holdfast_engine::remote::{NewMeta, SetMeta};

use super::{Bytes, LONG_AGO, Subject, new_meta, path};

pub async fn modes_without_set_uid(s: &Subject) {
    s.other_writes("a", b"x");
    std::fs::set_permissions(s.at("a"), std::fs::Permissions::from_mode(0o6755)).unwrap();
    assert_eq!(s.stat("a").await.mode, 0o755, "set-uid and set-gid never come from a server");
    if !s.capabilities.modes {
        eprintln!("SKIPPED: modes are not kept here");
        return;
    }
    let wanted = NewMeta { mode: 0o4640, ..new_meta() };
    let made = s.remote.create_file(&path("b"), Bytes::arc(b"x"), &wanted).await.unwrap();
    assert_eq!(made.mode, 0o640);
    let mode = |name: &str| std::fs::metadata(s.at(name)).unwrap().mode() & 0o7777;
    assert_eq!(mode("b"), 0o640);
    let set = SetMeta { mode: Some(0o4600), ..SetMeta::default() };
    let changed = s.remote.set_meta(&path("b"), Some(&made.version), &set).await.unwrap();
    assert_eq!((changed.mode, mode("b")), (0o600, 0o600));
    assert_eq!(s.stat("b").await, changed);
    let folder = s.remote.create_folder(&path("d"), &NewMeta { mode: 0o1750, ..new_meta() }).await.unwrap();
    assert_eq!((folder.mode, mode("d")), (0o1750, 0o1750));
    let set = SetMeta { mode: Some(0o700), ..SetMeta::default() };
    s.remote.set_meta(&path("d"), None, &set).await.unwrap();
    assert_eq!(mode("d"), 0o700);
}

fn cut(time: Time, step: Duration) -> i64 {
    time.0.div_euclid(step.as_nanos() as i64)
}

pub async fn times(s: &Subject) {
    if !s.capabilities.set_times {
        eprintln!("SKIPPED: times cannot be set here");
        return;
    }
    let step = s.capabilities.time_step;
    let odd = Time(LONG_AGO.0 + 123_456_789);
    let made =
        s.remote.create_file(&path("a"), Bytes::arc(b"x"), &NewMeta { mtime: odd, ..new_meta() }).await;
    let made = made.unwrap();
    assert_eq!(cut(made.mtime, step), cut(odd, step));
    let set = SetMeta { mtime: Some(Time(odd.0 + 10_000_000_000)), ..SetMeta::default() };
    let changed = s.remote.set_meta(&path("a"), Some(&made.version), &set).await.unwrap();
    assert_eq!(changed.mtime.secs(), odd.secs() + 10);
    assert_ne!(changed.version, made.version);
    let seen = std::fs::metadata(s.at("a")).unwrap();
    assert_eq!(seen.mtime(), odd.secs() + 10);
    let replaced =
        s.remote.replace_file(&path("a"), &changed.version, Bytes::arc(b"y"), &new_meta()).await.unwrap();
    assert_eq!(replaced.mtime.secs(), LONG_AGO.secs());
    // Long before 1970 is a time, too, where it can be represented.
    let old = SetMeta { mtime: Some(Time::new(-3600, 0)), ..SetMeta::default() };
    if let Ok(meta) = s.remote.set_meta(&path("a"), Some(&replaced.version), &old).await {
        assert_eq!(s.stat("a").await, meta);
    }
}

pub async fn extended(s: &Subject) {
    if !s.capabilities.xattrs {
        let made = s.create("a", b"x").await;
        assert_eq!(made.xattrs, None);
        eprintln!("SKIPPED: extended attributes are not kept here");
        return;
    }
    let some = |list: &[(&str, &[u8])]| {
        Some(Arc::new(list.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.to_vec())).collect::<Vec<_>>()))
    };
    let long = [7u8; 2000];
    let first = some(&[("user.a", b"1"), ("user.b", &long), ("user.empty", b"")]);
    let wanted = NewMeta { xattrs: first.clone(), ..new_meta() };
    let made = s.remote.create_file(&path("f"), Bytes::arc(b"x"), &wanted).await.unwrap();
    assert_eq!(made.xattrs, first);
    assert_eq!(s.stat("f").await.xattrs, first);
    let second = some(&[("user.a", b"2"), ("user.c", b"3")]);
    let set = SetMeta { xattrs: second.clone(), ..SetMeta::default() };
    let changed = s.remote.set_meta(&path("f"), Some(&made.version), &set).await.unwrap();
    assert_eq!(changed.xattrs, second);
    let listing = s.remote.list(&path("")).await.unwrap();
    assert_eq!(listing.entries[0].meta, changed);
    let privileged = NewMeta { xattrs: some(&[("trusted.x", b"1"), ("user.x", b"1")]), ..new_meta() };
    let replaced =
        s.remote.replace_file(&path("f"), &changed.version, Bytes::arc(b"y"), &privileged).await.unwrap();
    assert_eq!(replaced.xattrs, some(&[("user.x", b"1")]));
}

pub async fn versions_tell_changes_apart(s: &Subject) {
    let first = s.create("a", b"1").await;
    assert_eq!(s.stat("a").await.version, first.version);
    s.other_writes("a", b"22");
    let second = s.stat("a").await;
    assert_ne!(first.version, second.version);
    std::fs::rename(s.at("a"), s.at("b")).unwrap();
    s.other_writes("a", b"333");
    let third = s.stat("a").await;
    assert_ne!(second.version, third.version);
    if s.capabilities.file_ids {
        assert_eq!(s.stat("b").await.file_id, second.file_id);
        assert_ne!(third.file_id, second.file_id);
    }
    std::fs::remove_file(s.at("a")).unwrap();
    std::os::unix::fs::symlink("b", s.at("a")).unwrap();
    let link = s.stat("a").await;
    assert_ne!(link.version, third.version);
}

pub async fn folder_versions_stay(s: &Subject) {
    std::fs::create_dir(s.at("d")).unwrap();
    let before = s.stat("d").await;
    s.create("d/a", b"x").await;
    s.other_writes("d/b", b"x");
    std::fs::remove_file(s.at("d/b")).unwrap();
    assert_eq!(s.stat("d").await.version, before.version, "what happens in a folder is not the folder");
}
