//! Names are bytes, and what a server says is input.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use holdfast_engine::model::{Kind, LocPath};
use holdfast_engine::remote::{RemoteError, SetMeta};

use super::{Bytes, Subject, name, new_meta, path};

pub async fn any_bytes(s: &Subject) {
    let long = [b'x'; 255];
    let odd: [&[u8]; 8] =
        [b"a\nb", &long, b"\xff\xfe\x80", b"-rf", b" ", b"\\", b"\xc3\xbc \xe2\x98\x83", b".holdfast"];
    for bytes in odd {
        let root = LocPath::root();
        let at = root.join(&name(bytes));
        let made = s.remote.create_file(&at, Bytes::arc(bytes), &new_meta()).await.unwrap();
        assert_eq!(std::fs::read(s.folder.join(OsStr::from_bytes(bytes))).unwrap(), bytes);
        assert_eq!(s.remote.read(&at, &made.version, 0, 300).await.unwrap(), bytes);
        let replaced =
            s.remote.replace_file(&at, &made.version, Bytes::arc(b"2"), &new_meta()).await.unwrap();
        assert_eq!(s.remote.stat(&at).await.unwrap(), replaced);
    }
    let mut expected: Vec<_> = odd.iter().map(|n| n.to_vec()).collect();
    expected.sort();
    assert_eq!(s.names("").await, expected);
    for bytes in odd {
        let at = LocPath::root().join(&name(bytes));
        let meta = s.remote.stat(&at).await.unwrap();
        s.remote.remove_file(&at, &meta.version).await.unwrap();
    }
    s.assert_nothing_left_over();
}

pub async fn many_names(s: &Subject) {
    const COUNT: usize = 3000;
    for i in 0..COUNT {
        s.other_writes(&format!("{i:05}"), b"x");
    }
    let names = s.names("").await;
    assert_eq!(names.len(), COUNT);
    assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "each once");
}

pub async fn temporary_names_are_hidden(s: &Subject) {
    s.other_writes(".holdfast-somebody-1", b"x");
    s.other_writes(&format!(".holdfast-{}-n0123456789abcdef0123", s.owner), b"x");
    s.other_writes("seen", b"x");
    assert_eq!(s.names("").await, [b"seen"]);
    let listing = s.remote.list(&LocPath::root()).await.unwrap();
    assert!(listing.refused.is_empty());
}

pub async fn leftovers_of_ours_only(s: &Subject) {
    std::fs::create_dir(s.at("d")).unwrap();
    let ours = format!(".holdfast-{}-n0123456789abcdef0123", s.owner);
    s.other_writes(&format!("d/{ours}"), b"x");
    let left = s.remote.leftovers(&path("d")).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].name, name(ours.as_bytes()));
    s.other_writes("d/.holdfast-somebody-n0123456789abcdef0123", b"x");
    assert_eq!(s.remote.leftovers(&path("d")).await.unwrap().len(), 1);
    let kept = s.remote.remove_folder(&path("d")).await;
    assert!(matches!(kept, Err(RemoteError::NotEmpty)), "another's temporary file is theirs: {kept:?}");
    std::fs::remove_file(s.at("d/.holdfast-somebody-n0123456789abcdef0123")).unwrap();
    s.other_writes(&format!("d/{ours}"), b"x");
    s.remote.remove_folder(&path("d")).await.unwrap();
    assert!(s.names("").await.is_empty());
}

/// A folder outside, to which a link on the server leads, is never entered and never changed.
pub async fn links_are_never_followed(s: &Subject) {
    let outside = tempdir_beside(s);
    std::fs::write(outside.join("secret"), b"secret").unwrap();
    symlink(&outside, s.at("out")).unwrap();
    symlink(outside.join("secret"), s.at("file")).unwrap();
    std::fs::create_dir(s.at("d")).unwrap();
    symlink("..", s.at("d/up")).unwrap();

    assert_eq!(s.stat("out").await.kind, Kind::Symlink);
    assert_eq!(s.stat("file").await.kind, Kind::Symlink);
    let through = ["out", "d/up", "d/up/d"];
    for folder in through {
        assert!(s.remote.list(&path(folder)).await.is_err(), "{folder}");
    }
    assert!(s.remote.stat(&path("out/secret")).await.is_err());
    let version = s.create("own", b"x").await.version;
    assert!(s.remote.read(&path("out/secret"), &version, 0, 9).await.is_err());
    let link = s.stat("file").await;
    assert!(s.remote.read(&path("file"), &link.version, 0, 9).await.is_err());
    assert!(s.remote.create_file(&path("out/new"), Bytes::arc(b"x"), &new_meta()).await.is_err());
    assert!(s.remote.create_folder(&path("out/new"), &new_meta()).await.is_err());
    assert!(s.remote.create_symlink(&path("out/new"), b"x").await.is_err());
    assert!(s.remote.rename(&path("own"), Some(&version), &path("out/new")).await.is_err());
    assert!(s.remote.remove_folder(&path("out")).await.is_err());
    let _ = s
        .remote
        .set_meta(&path("file"), Some(&link.version), &SetMeta { mode: Some(0o600), ..SetMeta::default() })
        .await;

    assert_eq!(std::fs::read(outside.join("secret")).unwrap(), b"secret");
    assert_ne!(std::fs::metadata(outside.join("secret")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    // Replacing and removing touch the link alone.
    let link = s.stat("file").await;
    s.remote.remove_file(&path("file"), &link.version).await.unwrap();
    assert_eq!(std::fs::read(outside.join("secret")).unwrap(), b"secret");
    std::fs::remove_dir_all(outside).unwrap();
}

fn tempdir_beside(s: &Subject) -> std::path::PathBuf {
    let mut beside = s.folder.clone().into_os_string();
    beside.push(".outside");
    std::fs::create_dir(&beside).unwrap();
    beside.into()
}

pub async fn special_files_are_refused(s: &Subject) {
    let fifo = s.at("pipe");
    let made = rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    );
    made.unwrap();
    s.other_writes("file", b"x");
    let listing = s.remote.list(&LocPath::root()).await.unwrap();
    assert_eq!(listing.entries.len(), 1);
    assert_eq!(listing.refused.len(), 1);
    assert_eq!(listing.refused[0].0, b"pipe");
    assert!(listing.refused[0].1.contains(' '), "a sentence: {:?}", listing.refused[0].1);
    let version = s.stat("file").await.version;
    assert!(s.remote.read(&path("pipe"), &version, 0, 1).await.is_err(), "and nothing hangs on it");
}

pub async fn forbidden_folders_are_errors(s: &Subject) {
    if !s.obeys_modes {
        eprintln!("SKIPPED: to this server's user nothing is forbidden");
        return;
    }
    std::fs::create_dir(s.at("closed")).unwrap();
    s.other_writes("closed/a", b"x");
    std::fs::set_permissions(s.at("closed"), std::fs::Permissions::from_mode(0o000)).unwrap();
    let listing = s.remote.list(&path("closed")).await;
    let stat = s.remote.stat(&path("closed/a")).await;
    let create = s.remote.create_file(&path("closed/b"), Bytes::arc(b"x"), &new_meta()).await;
    let whole = s.names("").await;
    std::fs::set_permissions(s.at("closed"), std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(listing, Err(RemoteError::Forbidden(_))), "{listing:?}");
    assert!(matches!(stat, Err(RemoteError::Forbidden(_))), "{stat:?}");
    assert!(matches!(create, Err(RemoteError::Forbidden(_))), "{create:?}");
    assert_eq!(whole, [b"closed"]);
}
