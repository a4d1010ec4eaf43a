//! The shapes of the contract, key by key.

use super::*;
use holdfast_engine::model::{HistoryId, HistoryKind};

fn target(path: &[u8]) -> Target {
    Target { location: "nas".into(), path: LocPath::parse(path).unwrap() }
}

const AT: Time = Time(1_795_341_600_000_000_000);

fn file() -> StateReport {
    StateReport {
        kind: Kind::File,
        size: 12,
        mode: 0o100_644,
        mtime: AT,
        version: "opaque".into(),
        confidence: Confidence::Sure,
        digest: None,
        path: target(b"papers/a.txt"),
        here: true,
        link_target: None,
        content: None,
    }
}

#[test]
fn a_status() {
    let report = Status {
        version: "0.1.0".into(),
        mount: b"/home/u/Holdfast".to_vec(),
        locations: vec![LocationStatus {
            name: "nas".into(),
            url: "sftp://h/d".into(),
            link: Link::Online,
            detail: String::new(),
            confidence: Confidence::Sure,
            pins: 2,
            files: 1200,
            bytes: 1,
            present_bytes: 1,
            changes: 0,
            conflicts: 0,
            problems: 0,
            fetching: false,
            last_sync: None,
        }],
    };
    assert_eq!(
        status(&report).to_string(),
        r#"{"version":"0.1.0","mount":"/home/u/Holdfast","locations":[{"name":"nas","url":"sftp://h/d","link":"online","reason":"","detail":"","confidence":"sure","pins":2,"files":1200,"bytes":1,"present_bytes":1,"changes":0,"conflicts":0,"problems":0,"fetching":false,"last_sync":null}]}"#
    );
}

#[test]
fn a_pin() {
    let report = PinReport {
        path: target(b"papers"),
        files: 10,
        bytes: 1,
        present_files: 10,
        present_bytes: 1,
        bytes_per_second: 0,
        state: PinState::OverLimit,
    };
    assert_eq!(
        pin(&report).to_string(),
        r#"{"path":"nas:papers","files":10,"bytes":1,"present_files":10,"present_bytes":1,"bytes_per_second":0,"state":"over-limit"}"#
    );
}

#[test]
fn changes() {
    let write = ChangeReport {
        id: 1,
        path: target(b"a"),
        op: Op::Write,
        from: None,
        at: AT,
        bytes: 12,
        state: RecordState::Waiting,
        message: String::new(),
    };
    assert_eq!(
        change(&write).to_string(),
        r#"{"id":1,"path":"nas:a","op":"write","at":"2026-11-22T10:00:00Z","bytes":12,"state":"waiting"}"#
    );
    let moved = ChangeReport {
        op: Op::Move,
        from: Some(target(b"b\xff")),
        state: RecordState::Problem,
        message: "no".into(),
        ..write
    };
    assert_eq!(
        change(&moved).to_string(),
        format!(
            r#"{{"id":1,"path":"nas:a","op":"move","from":"nas:b{}","from_b64":"bmFzOmL/","at":"2026-11-22T10:00:00Z","bytes":12,"state":"problem","message":"no"}}"#,
            char::REPLACEMENT_CHARACTER
        )
    );
}

#[test]
fn a_problem() {
    let report = ProblemReport {
        id: ProblemId(1),
        path: target(b""),
        message: "the server is full".into(),
        needs: Needs::SignIn,
    };
    assert_eq!(
        problem(&report).to_string(),
        r#"{"id":1,"path":"nas:","message":"the server is full","needs":"sign-in"}"#
    );
}

#[test]
fn a_conflict() {
    let report = ConflictReport {
        id: ConflictId(1),
        kind: ConflictKind::EditDelete,
        since: AT,
        mergeable: false,
        states: StatesReport {
            path: target(b"papers/a.txt"),
            original: Some(StateReport { here: false, digest: Some(Digest([0; 32])), ..file() }),
            local: Some(file()),
            server: None,
        },
    };
    let state = |digest: &str, here: bool| {
        format!(
            r#"{{"type":"file","size":12,"mode":420,"mtime":"2026-11-22T10:00:00.000000000Z","version":"opaque","confidence":"sure","digest":{digest},"path":"nas:papers/a.txt","here":{here}}}"#
        )
    };
    let zeros = format!("\"blake3:{}\"", "0".repeat(64));
    assert_eq!(
        conflict(&report).to_string(),
        format!(
            r#"{{"id":1,"path":"nas:papers/a.txt","kind":"edit/delete","since":"2026-11-22T10:00:00Z","mergeable":false,"original":{},"local":{},"server":null}}"#,
            state(&zeros, false),
            state("null", true)
        )
    );
    assert_eq!(states(&report.states)["server"], Value::Null);
    assert_eq!(states(&report.states)["path"], "nas:papers/a.txt");
}

#[test]
fn decisions() {
    let report = ResolveReport {
        path: target(b"a"),
        kind: ConflictKind::Type,
        choice: "keep local".into(),
        done: true,
        message: String::new(),
    };
    assert_eq!(
        resolved(&report).to_string(),
        r#"{"path":"nas:a","kind":"type","choice":"keep local","done":true,"message":""}"#
    );
    let entry = StashReport {
        id: StashId(1),
        path: target(b"a"),
        side: Side::Server,
        size: 12,
        digest: None,
        at: AT,
        why: "local was kept".into(),
    };
    assert_eq!(
        stash(&entry).to_string(),
        r#"{"id":1,"path":"nas:a","side":"server","size":12,"digest":null,"at":"2026-11-22T10:00:00Z","why":"local was kept"}"#
    );
}

#[test]
fn the_history() {
    let entry = HistoryReport {
        id: HistoryId(4),
        at: AT,
        what: "nas came back: 1 change sent".into(),
        items: 1,
        undone: false,
        can_undo: true,
        kind: HistoryKind::Reconnection,
        location: Some("nas".into()),
        left_out: 0,
    };
    assert_eq!(
        history(&entry).to_string(),
        r#"{"id":4,"at":"2026-11-22T10:00:00Z","what":"nas came back: 1 change sent","items":1,"undone":false,"can_undo":true,"kind":"reconnection","location":"nas","left_out":0}"#
    );
    assert_eq!(history(&HistoryReport { location: None, ..entry })["location"], Value::Null);
}

#[test]
fn a_check_and_an_event() {
    let report = CheckReport { ok: true, findings: Vec::new() };
    assert_eq!(check(&report).to_string(), r#"{"ok":true,"findings":[]}"#);
    let revised = Revised { revision: 3, event: Event::Unpinned(target(b"a")) };
    assert_eq!(event(&revised).to_string(), r#"{"event":"unpinned","revision":3,"path":"nas:a"}"#);
}
