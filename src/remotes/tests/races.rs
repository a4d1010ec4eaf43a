//! What happens when somebody comes between two calls, one point after the other: the helper is held
//! there while the other acts.

use std::future::Future;
use std::path::PathBuf;

use holdfast_engine::model::Meta;
use holdfast_engine::remote::RemoteError;
use holdfast_remotes::conformance::{Bytes, Fixture, Subject, assert_changed, new_meta, path};
use holdfast_remotes::folder::{Pretend, may_hold_theirs};

use crate::support::{OWNER, Plain, until};

const OURS: &[u8] = b"ours, new";
const THEIRS: &[u8] = b"theirs";

struct Gate(PathBuf);

impl Gate {
    fn arm(dir: &std::path::Path, point: &str) -> Gate {
        std::fs::write(dir.join(point), b"").unwrap();
        Gate(dir.join(format!("{point}.reached")))
    }

    async fn reached(&self) {
        until("the gate is reached", || self.0.exists()).await;
    }

    fn open(&self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

/// Runs a call, and what the other does at the point.
async fn at_point<T>(
    pretend: Pretend,
    point: &str,
    call: impl AsyncFn(&Subject, &Meta) -> T,
    other: impl AsyncFn(&Subject),
) -> (Plain, T) {
    let gates = tempfile::tempdir().unwrap();
    let pretend = Pretend { gate: Some(gates.path().to_owned()), ..pretend };
    let plain = Plain::new(pretend).await;
    let meta = plain.subject().create("a", b"original").await;
    let gate = Gate::arm(gates.path(), point);
    let other = async {
        gate.reached().await;
        other(plain.subject()).await;
        gate.open();
    };
    let result = both(call(plain.subject(), &meta), other).await;
    (plain, result)
}

async fn both<T>(call: impl Future<Output = T>, other: impl Future<Output = ()>) -> T {
    futures::future::join(call, other).await.0
}

async fn replace(s: &Subject, meta: &Meta) -> Result<Meta, RemoteError> {
    s.remote.replace_file(&path("a"), &meta.version, Bytes::arc(OURS), &new_meta()).await
}

async fn remove(s: &Subject, meta: &Meta) -> Result<(), RemoteError> {
    s.remote.remove_file(&path("a"), &meta.version).await
}

async fn rename(s: &Subject, meta: &Meta) -> Result<Meta, RemoteError> {
    s.remote.rename(&path("a"), Some(&meta.version), &path("b")).await
}

async fn create(s: &Subject, _: &Meta) -> Result<Meta, RemoteError> {
    s.remote.create_file(&path("new"), Bytes::arc(OURS), &new_meta()).await
}

fn by_rename(s: &Subject, to: &str) {
    s.other_writes("theirs", THEIRS);
    std::fs::rename(s.at("theirs"), s.at(to)).unwrap();
}

fn poor() -> Pretend {
    Pretend { no_rename_flags: true, ..Pretend::default() }
}

fn poorest() -> Pretend {
    Pretend { no_hard_links: true, ..poor() }
}

#[tokio::test]
async fn a_file_put_there_before_the_exchange_comes_back() {
    let (p, result) = at_point(Pretend::default(), "swap", replace, async |s| by_rename(s, "a")).await;
    let now = assert_changed(result).unwrap();
    assert_eq!(now, p.subject().stat("a").await);
    assert_eq!(p.subject().other_reads("a"), THEIRS);
    p.subject().assert_nothing_left_over();
}

#[tokio::test]
async fn a_write_before_the_exchange_comes_back() {
    let (p, result) =
        at_point(Pretend::default(), "swap", replace, async |s| s.other_writes("a", THEIRS)).await;
    assert_changed(result);
    assert_eq!(p.subject().other_reads("a"), THEIRS);
    p.subject().assert_nothing_left_over();
}

#[tokio::test]
async fn a_removal_before_the_exchange_stays() {
    let gone = async |s: &Subject| std::fs::remove_file(s.at("a")).unwrap();
    let (p, result) = at_point(Pretend::default(), "swap", replace, gone).await;
    assert!(matches!(result, Err(RemoteError::NotFound)), "{result:?}");
    assert!(p.subject().names("").await.is_empty());
    p.subject().assert_nothing_left_over();
}

/// Two of theirs, one before and one after the exchange: both are kept.
#[tokio::test]
async fn two_files_around_the_exchange_are_both_kept() {
    let gates = tempfile::tempdir().unwrap();
    let p = Plain::new(Pretend { gate: Some(gates.path().to_owned()), ..Pretend::default() }).await;
    let s = p.subject();
    let meta = s.create("a", b"original").await;
    let (before, after) = (Gate::arm(gates.path(), "swap"), Gate::arm(gates.path(), "swapped"));
    let others = async {
        before.reached().await;
        by_rename(s, "a");
        before.open();
        after.reached().await;
        s.other_writes("second", b"theirs, the second");
        std::fs::rename(s.at("second"), s.at("a")).unwrap();
        after.open();
    };
    let result = both(replace(s, &meta), others).await;
    let Err(RemoteError::Displaced { kept, now }) = result else { panic!("{result:?}") };
    assert!(may_hold_theirs(&kept, OWNER));
    let kept = String::from_utf8(kept.as_bytes().to_vec()).unwrap();
    let mut both = [s.other_reads("a"), s.other_reads(&kept)];
    both.sort();
    assert_eq!(both, [THEIRS.to_vec(), b"theirs, the second".to_vec()]);
    assert_eq!(*now, s.stat("a").await);
    let left = s.remote.leftovers(&path("")).await.unwrap();
    assert_eq!(left.len(), 1);
    // The engine fetches it, and clears it away.
    assert!(!s.read(&kept, &left[0].meta).await.is_empty());
    s.remote.remove_file(&path(&kept), &left[0].meta.version).await.unwrap();
    s.assert_nothing_left_over();
}

/// A file put there right after our exchange is newer than ours: it stays, and so does our success.
#[tokio::test]
async fn a_file_put_there_after_the_exchange_is_a_later_change() {
    let (p, result) = at_point(Pretend::default(), "swapped", replace, async |s| by_rename(s, "a")).await;
    let ours = result.unwrap();
    assert_ne!(
        ours.version,
        p.subject().stat("a").await.version,
        "what we are told is not what is there now"
    );
    assert_eq!(p.subject().other_reads("a"), THEIRS);
    p.subject().assert_nothing_left_over();
}

#[tokio::test]
async fn a_write_into_ours_after_the_exchange_is_a_later_change() {
    let (p, result) =
        at_point(Pretend::default(), "swapped", replace, async |s| s.other_writes("a", THEIRS)).await;
    let ours = result.unwrap();
    assert_ne!(ours.version, p.subject().stat("a").await.version);
    assert_eq!(p.subject().other_reads("a"), THEIRS);
}

#[tokio::test]
async fn without_exchange_a_write_before_the_rename_is_kept() {
    let (p, result) = at_point(poor(), "late", replace, async |s| s.other_writes("a", THEIRS)).await;
    let Err(RemoteError::Displaced { kept, now }) = result else { panic!("{result:?}") };
    let kept = String::from_utf8(kept.as_bytes().to_vec()).unwrap();
    assert_eq!(p.subject().other_reads(&kept), THEIRS);
    assert_eq!(p.subject().other_reads("a"), OURS);
    assert_eq!(*now, p.subject().stat("a").await);
}

#[tokio::test]
async fn without_exchange_what_comes_before_the_last_look_is_seen() {
    for pretend in [poor(), poorest()] {
        let (p, result) = at_point(pretend, "swap", replace, async |s| by_rename(s, "a")).await;
        assert_changed(result);
        assert_eq!(p.subject().other_reads("a"), THEIRS);
        p.subject().assert_nothing_left_over();
    }
}

#[tokio::test]
async fn a_file_put_there_before_a_removal_stays() {
    for pretend in [Pretend::default(), poor(), poorest()] {
        let (p, result) = at_point(pretend, "remove", remove, async |s| by_rename(s, "a")).await;
        assert_changed(result);
        assert_eq!(p.subject().other_reads("a"), THEIRS);
        p.subject().assert_nothing_left_over();
    }
}

#[tokio::test]
async fn a_file_put_there_before_a_move_stays() {
    let (p, result) = at_point(Pretend::default(), "rename", rename, async |s| by_rename(s, "a")).await;
    assert_changed(result);
    assert_eq!(p.subject().other_reads("a"), THEIRS);
    assert_eq!(p.subject().names("").await, [b"a"]);
}

#[tokio::test]
async fn a_file_that_comes_to_the_new_name_stays() {
    for pretend in [Pretend::default(), poor(), poorest()] {
        let (p, result) = at_point(pretend.clone(), "rename", rename, async |s| by_rename(s, "b")).await;
        assert_changed(result);
        assert_eq!(p.subject().other_reads("b"), THEIRS);
        assert_eq!(p.subject().other_reads("a"), b"original");
        let (p, result) = at_point(pretend, "swap", create, async |s| by_rename(s, "new")).await;
        assert_changed(result);
        assert_eq!(p.subject().other_reads("new"), THEIRS);
        p.subject().assert_nothing_left_over();
    }
}

#[tokio::test]
async fn a_link_to_a_file_put_there_meanwhile_is_taken_back() {
    let link = async |s: &Subject, m: &Meta| s.remote.create_link(&path("a"), &m.version, &path("b")).await;
    let (p, result) = at_point(Pretend::default(), "link", link, async |s| by_rename(s, "a")).await;
    assert_changed(result);
    assert_eq!(p.subject().names("").await, [b"a"]);
    assert_eq!(p.subject().other_reads("a"), THEIRS);
}
