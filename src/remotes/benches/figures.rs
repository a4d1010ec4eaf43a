//! How fast locations are: a plain folder, one mounted from a server by sshfs, one over SFTP.
//!
//! `cargo bench -p holdfast-remotes [-- plain | sshfs | sftp | in-flight | million]`

#![allow(
    clippy::unwrap_used,
    dead_code,
    unused_imports,
    reason = "a bench that fails ends; it borrows from the tests"
)]

#[path = "../tests/sftp/mod.rs"]
mod sftp;
#[path = "../tests/sshfs.rs"]
mod sshfs;
#[path = "../tests/support.rs"]
mod support;

use std::time::Instant;

use futures::StreamExt;
use holdfast_engine::model::{Kind, LocPath, Meta};
use holdfast_engine::remote::Remote;
use holdfast_remotes::conformance::{Bytes, Fixture, Subject, new_meta, path};
use holdfast_remotes::folder::Pretend;
use holdfast_remotes::sftp::{SftpOptions, SftpRemote};

use support::{OWNER, Plain};

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
    if wants("sftp") {
        println!("over SFTP");
        over_sftp().await;
    }
    if wants("in-flight") {
        in_flight().await;
    }
    if wants("million") {
        million().await;
    }
}

async fn over_sftp() {
    if let Some(fixture) = sftp::Server::start("").await {
        all(fixture.subject()).await;
    }
}

/// A tree that is there already, by `HOLDFAST_FIGURES_URL` and `HOLDFAST_SSH_COMMAND`: how much the
/// number of calls in flight matters, as on a slow line.
async fn in_flight() {
    let Ok(url) = std::env::var("HOLDFAST_FIGURES_URL") else {
        return println!("set HOLDFAST_FIGURES_URL");
    };
    let command = std::env::var("HOLDFAST_SSH_COMMAND").unwrap_or_else(|_| "ssh".into());
    let options = SftpOptions::with_command(&command).unwrap();
    let remote = SftpRemote::new(&url, OWNER, options).unwrap();
    for in_flight in [32, 64, 128, 256, 512] {
        timed("connect", remote.connect()).await.unwrap();
        let files = timed(&format!("list all, {in_flight} in flight"), walk(&remote, in_flight)).await;
        let read = futures::stream::iter(&files)
            .map(|(at, meta)| remote.read(at, &meta.version, 0, 1 << 20))
            .buffer_unordered(in_flight)
            .collect::<Vec<_>>();
        let read = timed(&format!("read {} files, {in_flight} in flight", files.len()), read).await;
        assert!(read.iter().all(Result::is_ok));
    }
}

/// All files below the root.
async fn walk(remote: &SftpRemote, in_flight: usize) -> Vec<(LocPath, Meta)> {
    let (mut files, mut open) = (Vec::new(), vec![LocPath::root()]);
    while !open.is_empty() {
        let lists = open.drain(..).map(|folder| async move {
            let listing = remote.list(&folder).await.unwrap();
            listing.entries.into_iter().map(|e| (folder.join(&e.name), e.meta)).collect::<Vec<_>>()
        });
        let found = futures::stream::iter(lists).buffer_unordered(in_flight).collect::<Vec<_>>().await;
        for (at, meta) in found.into_iter().flatten() {
            match meta.kind {
                Kind::Folder => open.push(at),
                _ => files.push((at, meta)),
            }
        }
    }
    files
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
