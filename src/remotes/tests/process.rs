//! The helper as a process: it dies, hangs, waits for the one before it, and ends with its engine.

use std::process::{Command, Stdio};
use std::time::Duration;

use holdfast_engine::model::LocPath;
use holdfast_engine::remote::{Remote, RemoteError};
use holdfast_remotes::conformance::{Bytes, Fixture, new_meta, path};
use holdfast_remotes::folder::Pretend;
use holdfast_testkit::connect;
use holdfast_testkit::process::{Signal, children, descendants, signal};

use crate::support::{Dirs, Plain, helper, is_root, skipped, until};

/// The helper that holds this location's lock.
fn helper_pid(dirs: &Dirs) -> u32 {
    let lock = std::fs::read_dir(dirs.top.path().join("locks")).unwrap().next().unwrap().unwrap().path();
    let holds = |pid: &u32| {
        let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        fds.filter_map(|fd| std::fs::read_link(fd.path()).ok()).any(|to| to == lock)
    };
    children(std::process::id()).into_iter().find(holds).expect("one child holds the lock")
}

#[track_caller]
fn assert_gone<T: std::fmt::Debug>(result: Result<T, RemoteError>) -> String {
    match result {
        Err(RemoteError::Gone { message, .. }) => message,
        other => panic!("expected Gone, got {other:?}"),
    }
}

#[tokio::test]
async fn a_killed_helper_is_gone_and_the_next_connect_starts_another() {
    let p = Plain::new(Pretend::default()).await;
    let s = p.subject();
    s.create("a", b"x").await;
    signal(helper_pid(&p.dirs), Signal::KILL);
    // Until it has been noticed, a call may still be sent; it then ends with the pipe.
    assert_gone(s.remote.stat(&path("a")).await);
    assert_gone(s.remote.list(&LocPath::root()).await);
    s.remote.connect().await.unwrap();
    assert_eq!(s.stat("a").await.size, 1);
}

#[tokio::test]
async fn connect_notices_by_itself_that_the_helper_was_killed() {
    let p = Plain::new(Pretend::default()).await;
    signal(helper_pid(&p.dirs), Signal::KILL);
    p.subject().remote.connect().await.unwrap();
    p.subject().create("a", b"x").await;
}

#[tokio::test]
async fn a_stopped_helper_is_killed_within_the_deadline() {
    let dirs = Dirs::new();
    let mut options = dirs.options(Pretend::default());
    options.deadline = Duration::from_secs(2);
    let remote = dirs.remote(options);
    connect(&remote).await;
    let pid = helper_pid(&dirs);
    signal(pid, Signal::STOP);
    let message = assert_gone(remote.stat(&LocPath::root()).await);
    assert!(message.contains("does not answer"), "{message}");
    connect(&remote).await;
    assert_ne!(helper_pid(&dirs), pid);
}

/// As where a helper hangs in the kernel and cannot be ended.
#[tokio::test]
async fn connect_says_that_an_earlier_helper_hangs() {
    let dirs = Dirs::new();
    let first = dirs.remote(dirs.options(Pretend::default()));
    first.connect().await.unwrap();
    let mut options = dirs.options(Pretend::default());
    options.deadline = Duration::from_secs(2);
    let second = dirs.remote(options);
    // On a slow machine the wait itself may be taken for silence.
    while !assert_gone(second.connect().await).contains("earlier helper") {}
    first.stat(&LocPath::root()).await.unwrap();
}

#[tokio::test]
async fn a_successor_waits_until_its_predecessor_is_gone() {
    let dirs = Dirs::new();
    let first = dirs.remote(dirs.options(Pretend::default()));
    first.connect().await.unwrap();
    let first_pid = helper_pid(&dirs);
    let second = dirs.remote(dirs.options(Pretend::default()));
    let mut connecting = std::pin::pin!(second.connect());
    // It has begun, and is not done while the first lives.
    tokio::select! {
        _ = &mut connecting => panic!("two helpers at once"),
        () = until("the second helper runs", || {
            let ours = children(std::process::id());
            ours.iter().any(|pid| *pid != first_pid && waits_for_lock(*pid, &dirs))
        }) => {}
    }
    signal(first_pid, Signal::KILL);
    connecting.await.unwrap();
    second.stat(&LocPath::root()).await.unwrap();
}

/// Whether a process has opened the lock of these folders.
fn waits_for_lock(pid: u32, dirs: &Dirs) -> bool {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    fds.filter_map(|fd| std::fs::read_link(fd.path()).ok())
        .any(|to| to.starts_with(dirs.top.path().join("locks")))
}

#[tokio::test]
async fn a_helper_ends_with_the_pipe_of_its_engine() {
    let command = helper();
    let mut child = Command::new(command.program)
        .args(command.args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

/// The engine is killed while its pipe lives on in another process: the kernel's signal ends the helper.
#[tokio::test]
async fn a_helper_ends_with_its_engine() {
    let command = helper();
    let quoted: Vec<_> = std::iter::once(command.program.into_os_string())
        .chain(command.args)
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    // The shell stands for the engine; `sleep` holds the pipe open beyond its end.
    let script = format!("sleep 1000 | {{ exec 3<&0; {} <&3 & wait; }}", quoted.join(" "));
    let mut engine = Command::new("/bin/sh").args(["-c", &script]).stdout(Stdio::null()).spawn().unwrap();
    let mut all = Vec::new();
    until("the helper runs", || {
        all = descendants(engine.id());
        all.iter().any(|pid| name(*pid).starts_with("holdfast-remote"))
    })
    .await;
    let helper = *all.iter().find(|pid| name(**pid).starts_with("holdfast-remote")).unwrap();
    let parent = parent(helper);
    // Until the helper has asked the kernel for the signal; it does so before it starts its threads.
    until("the helper has its threads", || {
        std::fs::read_dir(format!("/proc/{helper}/task")).is_ok_and(|tasks| tasks.count() > 32)
    })
    .await;
    signal(parent, Signal::KILL);
    until("the helper is gone", || !name(helper).starts_with("holdfast-remote")).await;
    for pid in all {
        if name(pid) == "sleep" {
            signal(pid, Signal::KILL);
        }
    }
    let _ = engine.kill();
    let _ = engine.wait();
}

/// Empty once it has ended, also before its parent has taken note.
fn name(pid: u32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    if status.contains("State:\tZ") {
        return String::new();
    }
    status.lines().next().and_then(|l| l.strip_prefix("Name:\t")).unwrap_or_default().to_owned()
}

fn parent(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|l| l.strip_prefix("PPid:\t")).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_gone_and_not_empty() {
    let dirs = Dirs::new();
    let remote = dirs.remote(dirs.options(Pretend::default()));
    remote.connect().await.unwrap();
    std::fs::rename(dirs.root(), dirs.top.path().join("elsewhere")).unwrap();
    // At most a moment later: one look at the root serves for a fifth of a second.
    let message = loop {
        match remote.list(&LocPath::root()).await {
            Err(RemoteError::Gone { message, .. }) => break message,
            Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(other) => panic!("{other:?}"),
        }
    };
    assert!(message.contains("not there"), "{message}");
    std::fs::create_dir(dirs.root()).unwrap();
    assert_gone(remote.stat(&LocPath::root()).await);
    // Another folder on the same device: the engine looks at what it holds and decides.
    remote.connect().await.unwrap();
    assert!(remote.list(&LocPath::root()).await.unwrap().entries.is_empty());
}

#[tokio::test]
async fn an_unmounted_folder_is_gone_and_not_empty() {
    if !is_root() {
        return skipped("only root may mount a file system here");
    }
    let dirs = Dirs::new();
    let tool = |name: &str, args: &[&str]| {
        Command::new(name)
            .args(args)
            .arg(dirs.root())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
    };
    if !tool("mount", &["-t", "tmpfs", "none"]) {
        return skipped("no tmpfs can be mounted here");
    }
    let remote = dirs.remote(dirs.options(Pretend::default()));
    remote.connect().await.unwrap();
    let identity = remote.identity().unwrap();
    assert!(identity.starts_with("tmpfs|"), "{identity}");
    remote.create_file(&path("a"), Bytes::arc(b"x"), &new_meta()).await.unwrap();
    // The helper holds nothing open for longer than a moment.
    until("it can be unmounted", || tool("umount", &[])).await;
    let message = assert_gone(remote.list(&LocPath::root()).await);
    assert!(message.contains("not mounted"), "{message}");
    assert_gone(remote.stat(&path("a")).await);
    assert_gone(remote.create_file(&path("a"), Bytes::arc(b"x"), &new_meta()).await);
    assert_gone(remote.connect().await);
    assert_eq!(
        std::fs::read_dir(dirs.root()).unwrap().count(),
        0,
        "nothing was written into the mount point"
    );
    let mut options = dirs.options(Pretend::default());
    options.expected_identity = Some(identity);
    let later = dirs.remote(options);
    assert_gone(later.connect().await);
    let anything = dirs.remote(dirs.options(Pretend::default()));
    anything.connect().await.unwrap();
}

#[tokio::test]
async fn what_is_mounted_below_is_refused_and_not_entered() {
    if !is_root() {
        return skipped("only root may mount a file system here");
    }
    let p = Plain::new(Pretend::default()).await;
    let s = p.subject();
    std::fs::create_dir(s.at("below")).unwrap();
    let below = s.at("below");
    let mount = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&below).status();
    if !mount.is_ok_and(|s| s.success()) {
        return skipped("no tmpfs can be mounted here");
    }
    let listing = s.remote.list(&LocPath::root()).await;
    let inside = s.remote.list(&path("below")).await;
    let made = s.remote.create_file(&path("below/a"), Bytes::arc(b"x"), &new_meta()).await;
    assert!(Command::new("umount").arg(&below).status().unwrap().success());
    let listing = listing.unwrap();
    assert!(listing.entries.is_empty());
    assert_eq!(listing.refused, [(b"below".to_vec(), "another file system is mounted there".to_owned())]);
    assert!(matches!(inside, Err(RemoteError::Forbidden(_))), "{inside:?}");
    assert!(matches!(made, Err(RemoteError::Forbidden(_))), "{made:?}");
}

#[tokio::test]
async fn a_helper_that_cannot_be_started_is_a_sentence() {
    let dirs = Dirs::new();
    let command = holdfast_remotes::folder::HelperCommand { program: "/nowhere/helper".into(), args: vec![] };
    let options = dirs.options(Pretend::default());
    let remote = holdfast_remotes::folder::FolderRemote::new(&dirs.root(), "me", command, options).unwrap();
    let message = assert_gone(remote.connect().await);
    assert!(message.contains("cannot be started"), "{message}");
}
