//! An engine that answers with fixed values and notes what it was asked.

use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use async_trait::async_trait;
use holdfast_bus::{Answer, Commands};
use holdfast_engine::handle::{Error, Revised};
use holdfast_engine::model::*;

pub struct Fake {
    pub asked: Mutex<Vec<String>>,
    pub events: (Sender<Revised>, Receiver<Revised>),
    /// `pin --wait` waits for this.
    pub present: (Sender<()>, Receiver<()>),
    pub conflict_count: u64,
}

impl Fake {
    pub fn new() -> Fake {
        Fake {
            asked: Mutex::new(Vec::new()),
            events: async_channel::unbounded(),
            present: async_channel::unbounded(),
            conflict_count: 3,
        }
    }

    fn note(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }

    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

pub fn target(bytes: &[u8]) -> Target {
    Target { location: "nas".into(), path: LocPath::parse(bytes).unwrap() }
}

pub fn state() -> StateReport {
    StateReport {
        kind: Kind::File,
        size: 12,
        mode: 0o644,
        mtime: Time::new(1_700_000_000, 5),
        version: "v1".into(),
        confidence: Confidence::Sure,
        digest: Some(Digest([7; 32])),
        path: target(b"papers/\xff.txt"),
        here: true,
        link_target: None,
        content: Some(ContentId(4)),
    }
}

pub fn states() -> StatesReport {
    StatesReport {
        path: target(b"papers/\xff.txt"),
        original: Some(state()),
        local: Some(StateReport {
            kind: Kind::Symlink,
            digest: None,
            link_target: Some(b"else\xfe".to_vec()),
            content: None,
            ..state()
        }),
        server: None,
    }
}

pub fn location() -> LocationStatus {
    LocationStatus {
        name: "nas".into(),
        url: "sftp://host/dir".into(),
        link: Link::Offline(OfflineReason::ServerGone),
        detail: "the server does not answer".into(),
        confidence: Confidence::Guessed,
        pins: 2,
        files: 3,
        bytes: 4,
        present_bytes: 5,
        changes: 6,
        conflicts: 7,
        problems: 8,
        fetching: true,
        last_sync: Some(Time(9)),
    }
}

pub fn conflict(id: u64) -> ConflictReport {
    ConflictReport {
        id: ConflictId(id),
        kind: ConflictKind::EditDelete,
        since: Time(11),
        mergeable: true,
        states: states(),
    }
}

pub fn pin() -> PinReport {
    PinReport {
        path: target(b"papers"),
        files: 10,
        bytes: 20,
        present_files: 5,
        present_bytes: 6,
        bytes_per_second: 7,
        state: PinState::OverLimit,
    }
}

pub fn change() -> ChangeReport {
    ChangeReport {
        id: 1,
        path: target(b"b"),
        op: Op::Move,
        from: Some(target(b"a")),
        at: Time(12),
        bytes: 13,
        state: RecordState::Problem,
        message: "no".into(),
    }
}

pub fn problem() -> ProblemReport {
    ProblemReport { id: ProblemId(3), path: target(b""), message: "emptied".into(), needs: Needs::Confirm }
}

pub fn history() -> HistoryReport {
    HistoryReport {
        id: HistoryId(2),
        at: Time(1),
        what: "kept local".into(),
        items: 4,
        undone: false,
        can_undo: true,
        kind: HistoryKind::Reconnection,
        location: Some("nas".into()),
        left_out: 1,
    }
}

pub fn stash() -> StashReport {
    StashReport {
        id: StashId(6),
        path: target(b"a"),
        side: Side::Server,
        size: 3,
        digest: Some(Digest([1; 32])),
        at: Time(2),
        why: "lost".into(),
    }
}

fn file_with(bytes: &[u8]) -> OwnedFd {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file.into()
}

#[async_trait]
impl Commands for Fake {
    async fn status(&self) -> Answer<Status> {
        Ok(Status { version: "0".into(), mount: b"/m\xff".to_vec(), locations: vec![location()] })
    }
    async fn location_add(&self, name: &str, url: &str) -> Answer<()> {
        self.note(format!("add {name} {url}"));
        Err(Error::refused("it is there already"))
    }
    async fn location_list(&self) -> Answer<Vec<LocationReport>> {
        Ok(vec![LocationReport {
            name: "nas".into(),
            url: "u".into(),
            settings: vec![("miss".into(), "wait".into())],
        }])
    }
    async fn location_remove(&self, name: &str, discard: bool) -> Answer<()> {
        self.note(format!("remove {name} {discard}"));
        Ok(())
    }
    async fn location_set(&self, name: &str, key: &str, value: &str) -> Answer<()> {
        self.note(format!("set {name} {key} {value}"));
        Err(Error::usage("no such setting"))
    }
    async fn pin(&self, path: &Target, wait: bool) -> Answer<()> {
        self.note(format!("pin {path} {wait}"));
        if wait {
            let _ = self.present.1.recv().await;
        }
        Ok(())
    }
    async fn unpin(&self, path: &Target) -> Answer<()> {
        self.note(format!("unpin {path}"));
        Ok(())
    }
    async fn pins(&self) -> Answer<Vec<PinReport>> {
        Ok(vec![pin()])
    }
    async fn evict(&self, _: &Target) -> Answer<u64> {
        Ok(99)
    }
    async fn offline(&self, location: Option<&str>) -> Answer<()> {
        self.note(format!("offline {location:?}"));
        Ok(())
    }
    async fn online(&self, location: Option<&str>) -> Answer<()> {
        self.note(format!("online {location:?}"));
        Err(Error::offline("no network"))
    }
    async fn sync(
        &self,
        location: Option<&str>,
        wait: bool,
        timeout: Option<Duration>,
    ) -> Answer<SyncOutcome> {
        self.note(format!("sync {location:?} {wait} {timeout:?}"));
        Ok(SyncOutcome::NeedsPerson)
    }
    async fn problems(&self, _: Option<&Target>) -> Answer<Vec<ProblemReport>> {
        Ok(vec![problem()])
    }
    async fn retry(&self, id: ProblemId) -> Answer<()> {
        self.note(format!("retry {id}"));
        Ok(())
    }
    async fn confirm(&self, id: ProblemId) -> Answer<()> {
        self.note(format!("confirm {id}"));
        Ok(())
    }
    async fn changes(&self, under: Option<&Target>) -> Answer<Vec<ChangeReport>> {
        self.note(format!("changes {under:?}"));
        Ok(vec![change()])
    }
    async fn conflicts(&self, _: Option<&Target>) -> Answer<Vec<ConflictReport>> {
        Ok((1..=self.conflict_count).map(conflict).collect())
    }
    async fn states(&self, _: &Target) -> Answer<StatesReport> {
        Ok(states())
    }
    async fn open_state(&self, _: &Target, side: Side) -> Answer<OwnedFd> {
        Ok(file_with(side.word().as_bytes()))
    }
    async fn add_content(&self, from: OwnedFd) -> Answer<ContentId> {
        let mut bytes = Vec::new();
        std::fs::File::from(from).read_to_end(&mut bytes).unwrap();
        Ok(ContentId(bytes.len() as u64))
    }
    async fn resolve(
        &self,
        selection: &Selection,
        choice: &Choice,
        dry_run: bool,
    ) -> Answer<Vec<ResolveReport>> {
        self.note(format!("resolve {selection:?} {choice:?} {dry_run}"));
        Ok(vec![ResolveReport {
            path: target(b"a"),
            kind: ConflictKind::Cycle,
            choice: choice.words().into(),
            done: !dry_run,
            message: String::new(),
        }])
    }
    async fn why(&self, _: &Target) -> Answer<Vec<WhyReport>> {
        Ok(vec![WhyReport { at: Time(1), what: "written here".into() }])
    }
    async fn stash_list(&self, _: Option<&Target>) -> Answer<Vec<StashReport>> {
        Ok(vec![stash()])
    }
    async fn stash_open(&self, _: StashId) -> Answer<OwnedFd> {
        Ok(file_with(b"stashed"))
    }
    async fn stash_restore(&self, _: StashId, to: Option<&Target>) -> Answer<Target> {
        Ok(to.cloned().unwrap_or(target(b"old\xff")))
    }
    async fn stash_drop(&self, id: StashId) -> Answer<()> {
        self.note(format!("drop {id}"));
        Ok(())
    }
    async fn history(&self) -> Answer<Vec<HistoryReport>> {
        Ok(vec![history()])
    }
    async fn undo(&self, id: Option<HistoryId>) -> Answer<HistoryReport> {
        self.note(format!("undo {id:?}"));
        Ok(history())
    }
    async fn check(&self, repair: bool) -> Answer<CheckReport> {
        Ok(CheckReport { ok: repair, findings: vec!["one".into()] })
    }
    async fn target_in_mount(&self, below: &[u8]) -> Answer<Target> {
        Ok(target(below.strip_prefix(b"nas/").unwrap()))
    }
    async fn subscribe(&self) -> Answer<Receiver<Revised>> {
        Ok(self.events.1.clone())
    }
}
