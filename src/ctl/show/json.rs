//! The JSON of the contract. Keys may be added; what stands does not change its meaning.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use holdfast_engine::handle::{Event, Revised};
use holdfast_engine::model::*;
use serde_json::{Map, Value, json};

use super::time::{nanoseconds, seconds};

/// An object that begins with the pairs of `value`.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => Map::from_iter([("value".to_owned(), other)]),
    }
}

/// Bytes as text, and beside it as base64 under `KEY_b64` where they are not UTF-8.
fn put_bytes(map: &mut Map<String, Value>, key: &str, bytes: &[u8]) {
    map.insert(key.to_owned(), String::from_utf8_lossy(bytes).into());
    if std::str::from_utf8(bytes).is_err() {
        map.insert(format!("{key}_b64"), STANDARD.encode(bytes).into());
    }
}

pub fn put_path(map: &mut Map<String, Value>, key: &str, path: &Target) {
    put_bytes(map, key, &path.to_bytes());
}

/// An object whose path stands first, after `id` where there is one.
fn with_path(id: Option<u64>, path: &Target, rest: Value) -> Value {
    let mut map = Map::new();
    if let Some(id) = id {
        map.insert("id".into(), id.into());
    }
    put_path(&mut map, "path", path);
    map.extend(object(rest));
    map.into()
}

pub fn array<T>(reports: &[T], one: impl Fn(&T) -> Value) -> Value {
    reports.iter().map(one).collect()
}

pub fn status(status: &Status) -> Value {
    let mut map = object(json!({ "version": status.version }));
    put_bytes(&mut map, "mount", &status.mount);
    map.insert("locations".into(), array(&status.locations, location));
    map.into()
}

pub fn location(location: &LocationStatus) -> Value {
    json!({
        "name": location.name,
        "url": location.url,
        "link": location.link.word(),
        "reason": location.link.reason(),
        "detail": location.detail,
        "confidence": confidence(location.confidence),
        "pins": location.pins,
        "files": location.files,
        "bytes": location.bytes,
        "present_bytes": location.present_bytes,
        "changes": location.changes,
        "conflicts": location.conflicts,
        "problems": location.problems,
        "fetching": location.fetching,
        "last_sync": location.last_sync.map(seconds),
    })
}

pub fn location_report(location: &LocationReport) -> Value {
    let settings: Map<String, Value> =
        location.settings.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
    json!({ "name": location.name, "url": location.url, "settings": settings })
}

pub fn pin(pin: &PinReport) -> Value {
    with_path(
        None,
        &pin.path,
        json!({
            "files": pin.files,
            "bytes": pin.bytes,
            "present_files": pin.present_files,
            "present_bytes": pin.present_bytes,
            "bytes_per_second": pin.bytes_per_second,
            "state": pin.state.word(),
        }),
    )
}

pub fn change(change: &ChangeReport) -> Value {
    let mut map = object(with_path(Some(change.id), &change.path, json!({ "op": change.op.word() })));
    if let Some(from) = &change.from {
        put_path(&mut map, "from", from);
    }
    map.extend(object(json!({
        "at": seconds(change.at),
        "bytes": change.bytes,
        "state": change.state.word(),
    })));
    if change.state == RecordState::Problem || !change.message.is_empty() {
        map.insert("message".into(), change.message.clone().into());
    }
    map.into()
}

pub fn problem(problem: &ProblemReport) -> Value {
    with_path(
        Some(problem.id.0),
        &problem.path,
        json!({ "message": problem.message, "needs": problem.needs.word() }),
    )
}

pub fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Folder => "folder",
        Kind::Symlink => "symlink",
        Kind::Special(_) => "special",
    }
}

fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Sure => "sure",
        Confidence::Guessed => "guessed",
    }
}

fn state(state: &Option<StateReport>) -> Value {
    let Some(state) = state else {
        return Value::Null;
    };
    let mut map = object(json!({
        "type": kind_word(state.kind),
        "size": state.size,
        "mode": state.mode & 0o7777,
        "mtime": nanoseconds(state.mtime),
        "version": state.version,
        "confidence": confidence(state.confidence),
        "digest": state.digest.map(|digest| digest.to_text()),
    }));
    put_path(&mut map, "path", &state.path);
    if let Some(target) = &state.link_target {
        put_bytes(&mut map, "link_target", target);
    }
    map.insert("here".into(), state.here.into());
    map.into()
}

fn three_states(states: &StatesReport) -> Value {
    json!({
        "original": state(&states.original),
        "local": state(&states.local),
        "server": state(&states.server),
    })
}

pub fn states(states: &StatesReport) -> Value {
    with_path(None, &states.path, three_states(states))
}

pub fn conflict(conflict: &ConflictReport) -> Value {
    let mut map = object(with_path(
        Some(conflict.id.0),
        &conflict.states.path,
        json!({
            "kind": conflict.kind.word(),
            "since": seconds(conflict.since),
            "mergeable": conflict.mergeable,
        }),
    ));
    map.extend(object(three_states(&conflict.states)));
    map.into()
}

pub fn resolved(report: &ResolveReport) -> Value {
    with_path(
        None,
        &report.path,
        json!({
            "kind": report.kind.word(),
            "choice": report.choice,
            "done": report.done,
            "message": report.message,
        }),
    )
}

pub fn stash(entry: &StashReport) -> Value {
    with_path(
        Some(entry.id.0),
        &entry.path,
        json!({
            "side": entry.side.word(),
            "size": entry.size,
            "digest": entry.digest.map(|digest| digest.to_text()),
            "at": seconds(entry.at),
            "why": entry.why,
        }),
    )
}

pub fn history(entry: &HistoryReport) -> Value {
    json!({
        "id": entry.id.0,
        "at": seconds(entry.at),
        "what": entry.what,
        "items": entry.items,
        "undone": entry.undone,
        "can_undo": entry.can_undo,
        "kind": entry.kind.word(),
        "location": entry.location,
        "left_out": entry.left_out,
    })
}

pub fn why(entry: &WhyReport) -> Value {
    json!({ "at": seconds(entry.at), "what": entry.what })
}

pub fn check(check: &CheckReport) -> Value {
    json!({ "ok": check.ok, "findings": check.findings })
}

pub fn event(revised: &Revised) -> Value {
    let (word, value) = match &revised.event {
        Event::Location(report) => ("location", json!({ "location": location(report) })),
        Event::LocationRemoved(name) => ("location-removed", json!({ "name": name })),
        Event::Pin(report) => ("pin", json!({ "pin": pin(report) })),
        Event::Unpinned(path) => ("unpinned", with_path(None, path, json!({}))),
        Event::Change(report) => ("change", json!({ "change": change(report) })),
        Event::ChangeDone(id) => ("change-done", json!({ "id": id })),
        Event::Conflict(report) => ("conflict", json!({ "conflict": conflict(report) })),
        Event::ConflictClosed(id) => ("conflict-closed", json!({ "id": id.0 })),
        Event::Problem(report) => ("problem", json!({ "problem": problem(report) })),
        Event::ProblemClosed(id) => ("problem-closed", json!({ "id": id.0 })),
        Event::Lost => ("lost", json!({})),
    };
    let mut map = object(json!({ "event": word, "revision": revised.revision }));
    map.extend(object(value));
    map.into()
}

#[cfg(test)]
mod tests;
