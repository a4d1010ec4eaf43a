//! Several at once: old or new, never half; nobody's bytes are lost; nothing is left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::StreamExt;
use holdfast_engine::model::LocPath;
use holdfast_engine::remote::{RemoteError, Source};

use super::{Bytes, Subject, new_meta, path};

const ROUNDS: usize = 200;

/// Somebody reads a file over and over while it is replaced: every reading is one whole content,
/// and the path is never without one.
pub async fn readers_see_old_or_new(s: &Subject) {
    const SIZE: usize = 32 << 10;
    if !s.capabilities.atomic_replace {
        eprintln!("SKIPPED: a file is absent while it is replaced here, as the caveat says");
        assert!(s.capabilities.caveat.contains("absent"));
        return;
    }
    let mut now = s.create("a", &[0; SIZE]).await;
    let (stop, read) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let reader = std::thread::spawn({
        let (stop, read, file) = (stop.clone(), read.clone(), s.at("a"));
        move || {
            while !stop.load(Ordering::Relaxed) {
                let bytes = std::fs::read(&file).expect("the path is never absent");
                assert_eq!(bytes.len(), SIZE);
                assert!(bytes.iter().all(|b| *b == bytes[0]), "one content, whole");
                read.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    for round in 0..ROUNDS {
        let bytes = [round as u8; SIZE];
        now = s.remote.replace_file(&path("a"), &now.version, Bytes::arc(&bytes), &new_meta()).await.unwrap();
    }
    // At least once, on however slow a machine.
    while read.load(Ordering::Relaxed) == 0 && !reader.is_finished() {
        tokio::task::yield_now().await;
    }
    stop.store(true, Ordering::Relaxed);
    reader.join().unwrap();
    s.assert_nothing_left_over();
}

/// We replace, remove and rename while somebody else puts a new file at the same path. With an
/// exchange theirs is always somewhere: at the path, or kept where we are told.
pub async fn nobody_loses_a_race(s: &Subject) {
    if !s.capabilities.exchange {
        eprintln!("SKIPPED: without an exchange a window remains, as the caveat says");
        assert!(!s.capabilities.caveat.is_empty());
        return;
    }
    for round in 0..ROUNDS {
        let theirs = format!("theirs of round {round}").into_bytes();
        let now = s.remote.create_file(&path("a"), Bytes::arc(b"first"), &new_meta()).await.unwrap();
        s.other_writes("b", &theirs);
        let (from, to) = (s.at("b"), s.at("a"));
        let other = tokio::task::spawn_blocking(move || std::fs::rename(from, to).unwrap());
        let ours = match round % 3 {
            0 => s
                .remote
                .replace_file(&path("a"), &now.version, Bytes::arc(b"ours"), &new_meta())
                .await
                .map(drop),
            1 => s.remote.remove_file(&path("a"), &now.version).await,
            _ => s.remote.rename(&path("a"), Some(&now.version), &path("c")).await.map(drop),
        };
        other.await.unwrap();
        let kept = match ours {
            Ok(()) | Err(RemoteError::Changed { .. } | RemoteError::NotFound) => None,
            Err(RemoteError::Displaced { kept, .. }) => {
                Some(String::from_utf8(kept.as_bytes().to_vec()).unwrap())
            }
            Err(e) => panic!("{e}"),
        };
        let places = ["a", "c"].into_iter().map(str::to_owned).chain(kept);
        let found = places.filter_map(|name| std::fs::read(s.at(&name)).ok()).any(|bytes| bytes == theirs);
        assert!(found, "round {round}: the other's bytes are gone");
        for entry in std::fs::read_dir(&s.folder).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
}

pub async fn a_thousand_at_once(s: &Subject) {
    const COUNT: usize = 1000;
    let at = |i: usize| path(&format!("f{i:04}"));
    let create = |i: usize| async move {
        let bytes = format!("content of {i}").into_bytes();
        s.remote.create_file(&at(i), Bytes::arc(&bytes), &new_meta()).await.unwrap()
    };
    let made: Vec<_> = futures::future::join_all((0..COUNT).map(create)).await;
    let listing = s.remote.list(&LocPath::root()).await.unwrap();
    assert_eq!(listing.entries.len(), COUNT);
    let read = |i: usize| {
        let version = made[i].version.clone();
        async move { s.remote.read(&at(i), &version, 0, 100).await.unwrap() }
    };
    let contents = futures::future::join_all((0..COUNT).map(read)).await;
    for (i, bytes) in contents.iter().enumerate() {
        assert_eq!(*bytes, format!("content of {i}").into_bytes());
    }
    let remove = |i: usize| s_remove(s, at(i), &made[i].version);
    futures::stream::iter((0..COUNT).map(remove)).buffer_unordered(COUNT).collect::<Vec<_>>().await;
    assert!(s.names("").await.is_empty());
    s.assert_nothing_left_over();
}

async fn s_remove(s: &Subject, at: LocPath, version: &holdfast_engine::model::Version) {
    s.remote.remove_file(&at, version).await.unwrap();
}

/// A source that never gives its second piece.
struct Stalls {
    asked: tokio::sync::mpsc::UnboundedSender<()>,
    go_on: std::sync::Mutex<std::sync::mpsc::Receiver<()>>,
}

impl Source for Stalls {
    fn size(&self) -> u64 {
        3 << 20
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        if offset > 0 {
            let _ = self.asked.send(());
            // Until the test is over.
            let _ = self.go_on.lock().unwrap().recv();
            return Err(std::io::Error::other("given up"));
        }
        buf.fill(1);
        Ok(buf.len())
    }

    #[allow(clippy::single_range_in_vec_init)]
    fn data_ranges(&self) -> Vec<std::ops::Range<u64>> {
        vec![0..self.size()]
    }

    fn changed_ranges(&self) -> Option<Vec<std::ops::Range<u64>>> {
        None
    }
}

/// A call whose future is dropped, and one whose source fails, clear their temporary file away.
pub async fn given_up_uploads_leave_nothing(s: &Subject) {
    let (asked, mut asked_rx) = tokio::sync::mpsc::unbounded_channel();
    let (go_on, go_on_rx) = std::sync::mpsc::channel();
    let source = Arc::new(Stalls { asked, go_on: std::sync::Mutex::new(go_on_rx) });
    {
        let (at, meta) = (path("a"), new_meta());
        let upload = s.remote.create_file(&at, source.clone(), &meta);
        tokio::select! {
            done = upload => panic!("{done:?}"),
            _ = asked_rx.recv() => {}
        }
    }
    drop(go_on);
    let failed = s.remote.create_file(&path("b"), source, &new_meta()).await;
    assert!(matches!(failed, Err(RemoteError::Io(_))), "{failed:?}");
    // Clearing away is under way behind our back; it ends.
    while !s.remote.leftovers(&LocPath::root()).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(s.names("").await.is_empty());
    s.assert_nothing_left_over();
}
