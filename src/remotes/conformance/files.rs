//! Contents, folders, moves and links, as long as nobody else interferes.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use holdfast_engine::model::{Kind, LocPath};
use holdfast_engine::remote::RemoteError;

use super::{Bytes, Holes, PatchedBytes, Subject, new_folder, new_meta, path};

fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

pub async fn created_files_are_read_back(s: &Subject) {
    let made = s.create("a", b"hello").await;
    assert_eq!((made.kind, made.size), (Kind::File, 5));
    assert_eq!(s.other_reads("a"), b"hello");
    assert_eq!(s.stat("a").await, made, "what a change returns is what is there");
    let listing = s.remote.list(&LocPath::root()).await.unwrap();
    assert_eq!(listing.entries.len(), 1);
    assert_eq!(listing.entries[0].meta, made, "and what is listed");
    assert_eq!(s.read("a", &made).await, b"hello");
    let middle = s.remote.read(&path("a"), &made.version, 1, 3).await.unwrap();
    assert_eq!(middle, b"ell");
    let end = s.remote.read(&path("a"), &made.version, 4, 100).await.unwrap();
    assert_eq!(end, b"o");
    assert!(s.remote.read(&path("a"), &made.version, 5, 100).await.unwrap().is_empty());
    s.assert_nothing_left_over();
}

pub async fn empty_files(s: &Subject) {
    let made = s.create("empty", b"").await;
    assert_eq!(made.size, 0);
    assert_eq!(s.other_reads("empty"), b"");
    assert!(s.remote.read(&path("empty"), &made.version, 0, 10).await.unwrap().is_empty());
    let full =
        s.remote.replace_file(&path("empty"), &made.version, Bytes::arc(b"x"), &new_meta()).await.unwrap();
    s.remote.replace_file(&path("empty"), &full.version, Bytes::arc(b""), &new_meta()).await.unwrap();
    assert_eq!(s.other_reads("empty"), b"");
    s.assert_nothing_left_over();
}

pub async fn replaced_files(s: &Subject) {
    std::fs::create_dir(s.at("d")).unwrap();
    s.other_writes("d/a", b"first");
    let first = s.stat("d/a").await;
    let second =
        s.remote.replace_file(&path("d/a"), &first.version, Bytes::arc(b"second!"), &new_meta()).await;
    let second = second.unwrap();
    assert_ne!(first.version, second.version);
    assert_eq!(s.stat("d/a").await, second);
    let third = s.remote.replace_file(&path("d/a"), &second.version, Bytes::arc(b"third"), &new_meta()).await;
    assert_eq!(s.read("d/a", &third.unwrap()).await, b"third");
    assert_eq!(s.names("d").await, [b"a"]);
    s.assert_nothing_left_over();
}

pub async fn large_files_in_ranges(s: &Subject) {
    let bytes = noise((20 << 20) + 12_345);
    let made = s.create("large", &bytes).await;
    assert_eq!(made.size, bytes.len() as u64);
    assert!(s.other_reads("large") == bytes, "the other user sees every byte");
    assert!(s.read("large", &made).await == bytes, "and so do we");
    let replaced =
        s.remote.replace_file(&path("large"), &made.version, Bytes::arc(&bytes[1..]), &new_meta()).await;
    assert_eq!(replaced.unwrap().size, bytes.len() as u64 - 1);
    assert!(s.other_reads("large") == bytes[1..]);
    s.assert_nothing_left_over();
}

pub async fn sparse_files(s: &Subject) {
    const SIZE: u64 = 64 << 20;
    let source = Holes { size: SIZE, data_at: vec![0, 32 << 20] };
    let made = s.remote.create_file(&path("sparse"), Arc::new(source), &new_meta()).await.unwrap();
    assert_eq!(made.size, SIZE);
    let seen = std::fs::metadata(s.at("sparse")).unwrap();
    assert_eq!(seen.len(), SIZE);
    assert!(seen.blocks() * 512 < SIZE / 2, "holes are not written");
    let at = async |offset: u64| s.remote.read(&path("sparse"), &made.version, offset, 2).await.unwrap();
    assert_eq!(at(0).await, [1, 1]);
    assert_eq!(at(32 << 20).await, [1, 1]);
    assert_eq!(at(16 << 20).await, [0, 0]);
    assert_eq!(at(SIZE - 1).await, [0]);
    s.assert_nothing_left_over();
}

pub async fn only_changed_ranges(s: &Subject) {
    let mut bytes = noise(3 << 20);
    s.create("disk", &bytes).await;
    for (start, end, len) in
        [(1 << 20, (1 << 20) + 10, 3 << 20), (0, 1, 2 << 20), ((2 << 20) - 5, 3 << 20, 3 << 20)]
    {
        bytes.resize(len, 0);
        for byte in &mut bytes[start..end] {
            *byte = byte.wrapping_add(1);
        }
        let changed = start as u64..end as u64;
        let now = s.stat("disk").await;
        let source = Arc::new(PatchedBytes { bytes: bytes.clone(), changed });
        let done = s.remote.replace_file(&path("disk"), &now.version, source, &new_meta()).await.unwrap();
        assert_eq!(done.size, bytes.len() as u64);
        assert!(s.other_reads("disk") == bytes, "range {start}..{end}");
    }
    s.assert_nothing_left_over();
}

pub async fn folders_come_and_go(s: &Subject) {
    let made = s.remote.create_folder(&path("d"), &new_folder()).await.unwrap();
    assert_eq!((made.kind, made.size), (Kind::Folder, 0));
    s.remote.create_folder(&path("d/e"), &new_folder()).await.unwrap();
    s.create("d/e/f", b"deep").await;
    assert_eq!(s.other_reads("d/e/f"), b"deep");
    assert_eq!(s.names("d").await, [b"e"]);
    let deep = s.stat("d/e/f").await;
    s.remote.remove_file(&path("d/e/f"), &deep.version).await.unwrap();
    s.remote.remove_folder(&path("d/e")).await.unwrap();
    s.remote.remove_folder(&path("d")).await.unwrap();
    assert!(s.names("").await.is_empty());
    assert_eq!(s.stat("").await.kind, Kind::Folder);
}

pub async fn moves(s: &Subject) {
    let a = s.create("a", b"content").await;
    s.remote.create_folder(&path("d"), &new_folder()).await.unwrap();
    let b = s.remote.rename(&path("a"), Some(&a.version), &path("d/b")).await.unwrap();
    assert_eq!(b.size, 7);
    assert_eq!(s.stat("d/b").await, b);
    if s.capabilities.file_ids {
        assert_eq!(a.file_id, b.file_id);
    }
    s.remote.rename(&path("d"), None, &path("e")).await.unwrap();
    assert_eq!(s.names("").await, [b"e"]);
    assert_eq!(s.other_reads("e/b"), b"content");
    s.assert_nothing_left_over();
}

pub async fn links(s: &Subject) {
    if s.capabilities.symlinks {
        let made = s.remote.create_symlink(&path("l"), b"../else where\n").await.unwrap();
        assert_eq!(made.kind, Kind::Symlink);
        assert_eq!(made.link_target.as_deref(), Some(&b"../else where\n"[..]));
        assert_eq!(made.size, 14);
        assert_eq!(s.stat("l").await, made);
        let moved = s.remote.rename(&path("l"), Some(&made.version), &path("m")).await.unwrap();
        s.remote.remove_file(&path("m"), &moved.version).await.unwrap();
    }
    let a = s.create("a", b"shared").await;
    let linked = s.remote.create_link(&path("a"), &a.version, &path("b")).await;
    if s.capabilities.hard_links {
        let b = linked.unwrap();
        assert_eq!(s.stat("a").await.version, b.version);
        assert_eq!(std::fs::metadata(s.at("b")).unwrap().nlink(), 2);
    } else {
        assert!(matches!(linked, Err(RemoteError::Unsupported(_))));
        assert_eq!(s.names("").await, [b"a"]);
    }
    s.assert_nothing_left_over();
}

pub async fn ends(s: &Subject) {
    s.create("a", b"x").await;
    s.remote.disconnect().await;
    let gone = s.remote.stat(&path("a")).await;
    assert!(matches!(gone, Err(RemoteError::Gone { .. })), "{gone:?}");
    assert_eq!(s.remote.connect().await.unwrap(), s.capabilities);
    assert_eq!(s.remote.connect().await.unwrap(), s.capabilities, "twice does no harm");
    assert_eq!(s.stat("a").await.size, 1);
    s.assert_nothing_left_over();
}
