//! How fast a folder is as a location: plain, and mounted from a server by sshfs.
//!
//! `cargo bench -p holdfast-remotes [-- plain | sshfs | million]`

#![allow(
    clippy::unwrap_used,
    dead_code,
    unused_imports,
    reason = "a bench that fails ends; it borrows from the tests"
)]

#[path = "../tests/sshfs.rs"]
mod sshfs;
#[path = "../tests/support.rs"]
mod support;

use std::time::Instant;

use futures::StreamExt;
use holdfast_engine::model::LocPath;
use holdfast_remotes::conformance::{Bytes, Fixture, Subject, new_meta, path};
use holdfast_remotes::folder::Pretend;

use support::Plain;

async fn timed<T>(what: &str, work: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let done = work.await;
    println!("{what}: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    done
}

pub async fn all(s: &Subject) {
    const FILES: usize = 10_000;
    for i in 0..FILES {
        s.other_writes(&format!("{i:05}"), &[1; 4096]);
    }
    let listing = timed("list 10,000 entries", s.remote.list(&LocPath::root())).await.unwrap();
    let listing =
        timed("list them again", async { s.remote.list(&LocPath::root()).await.or(Ok::<_, ()>(listing)) })
            .await
            .unwrap();
    let read = futures::stream::iter(&listing.entries)
        .map(|e| async move {
            let at = LocPath::root().join(&e.name);
            s.remote.read(&at, &e.meta.version, 0, 4096).await.unwrap().len()
        })
        .buffer_unordered(256)
        .collect::<Vec<_>>();
    timed("read 10,000 files of 4 KiB, 256 in flight", read).await;
    s.remote.create_folder(&path("d"), &holdfast_remotes::conformance::new_folder()).await.unwrap();
    let create = (0..1000).map(|i| async move {
        let at = path(&format!("d/{i:04}"));
        s.remote.create_file(&at, Bytes::arc(&[2; 4096]), &new_meta()).await.unwrap()
    });
    let made = timed("create 1,000 files of 4 KiB at once", futures::future::join_all(create)).await;
    let replace = made.iter().enumerate().map(|(i, meta)| async move {
        let at = path(&format!("d/{i:04}"));
        s.remote.replace_file(&at, &meta.version, Bytes::arc(&[3; 4096]), &new_meta()).await.unwrap()
    });
    timed("replace them at once", futures::future::join_all(replace)).await;
    const LARGE: usize = 512 << 20;
    let source = Bytes::arc(&vec![7; LARGE]);
    let large =
        timed("upload 512 MiB", s.remote.create_file(&path("large"), source, &new_meta())).await.unwrap();
    let ranges = futures::stream::iter((0..LARGE as u64).step_by(8 << 20))
        .map(|at| {
            let version = large.version.clone();
            async move { s.remote.read(&path("large"), &version, at, 8 << 20).await.unwrap().len() }
        })
        .buffer_unordered(4)
        .collect::<Vec<_>>();
    timed("read 512 MiB, 4 ranges in flight", ranges).await;
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let wants = |name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
    if wants("plain") {
        println!("a plain folder");
        all(Plain::new(Pretend::default()).await.subject()).await;
    }
    if wants("sshfs")
        && let Some(fixture) = sshfs::fixture().await
    {
        println!("over sshfs");
        all(fixture.subject()).await;
    }
    if wants("million") {
        million().await;
    }
}

/// Memory for a folder of a million names.
async fn million() {
    let p = Plain::new(Pretend::default()).await;
    let s = p.subject();
    for i in 0..1_000_000 {
        let _ = std::fs::File::create(s.at(&format!("{i:07}"))).unwrap();
    }
    let listing = timed("list 1,000,000 entries", s.remote.list(&LocPath::root())).await.unwrap();
    assert_eq!(listing.entries.len(), 1_000_000);
    let peak = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("engine's side: {}", peak.lines().find(|l| l.starts_with("VmHWM")).unwrap());
    for pid in holdfast_testkit::process::children(std::process::id()) {
        let peak = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        println!("helper: {}", peak.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default());
    }
}
