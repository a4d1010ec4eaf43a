//! What the history says, in words.

use crate::model::{HistoryKind, LocationId};
use crate::store::Tx;
use crate::store::rows::{Counted, History};
use crate::store::tree::Tree;

/// One sentence. Of a reconnection it follows from what was counted.
pub fn what_was_done(tree: &Tree, history: &History) -> String {
    let location = history.location.and_then(|id| tree.location(id));
    match (history.kind, location) {
        (HistoryKind::Reconnection, Some(live)) => reconnected(&live.row.name, &history.counted),
        _ => history.what.clone(),
    }
}

/// A location goes: what is told of it stays, and can no longer be taken back.
pub fn part_from(tx: &mut Tx<'_>, location: LocationId) {
    let of_it =
        tx.tree().history().values().filter(|history| {
            history.location == Some(location) && history.kind == HistoryKind::Reconnection
        });
    let entries: Vec<History> = of_it.cloned().collect();
    for entry in entries {
        let what = what_was_done(tx.tree(), &entry);
        tx.release_history(entry.id, usize::MAX);
        tx.put_history(History { what, location: None, released: true, ..entry });
    }
}

fn reconnected(name: &str, counted: &Counted) -> String {
    let away = counted.away_seconds.map(|seconds| format!(" after {}", how_long(seconds)));
    let mut done = Vec::new();
    if counted.sent > 0 {
        done.push(format!("{} sent", some(counted.sent, "change")));
    }
    if counted.taken > 0 {
        let what = if counted.sent > 0 { counted.taken.to_string() } else { some(counted.taken, "change") };
        done.push(format!("{what} taken from the server"));
    }
    if counted.conflicts > 0 {
        done.push(some(counted.conflicts, "conflict"));
    }
    format!("{name} came back{}: {}", away.unwrap_or_default(), done.join(", "))
}

fn some(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn how_long(seconds: u64) -> String {
    match seconds {
        0 => "a moment".into(),
        1..60 => some(seconds, "second"),
        60..3600 => some(seconds / 60, "minute"),
        3600..86_400 => some(seconds / 3600, "hour"),
        _ => some(seconds / 86_400, "day"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_there_was_is_told() {
        let told = |away_seconds, sent, taken, conflicts| {
            reconnected("nas", &Counted { away_seconds, sent, taken, conflicts })
        };
        assert_eq!(
            told(Some(3 * 3600 + 59), 12, 5, 2),
            "nas came back after 3 hours: 12 changes sent, 5 taken from the server, 2 conflicts"
        );
        assert_eq!(told(None, 0, 1, 0), "nas came back: 1 change taken from the server");
        assert_eq!(told(Some(0), 1, 0, 1), "nas came back after a moment: 1 change sent, 1 conflict");
        assert_eq!(told(Some(90), 0, 0, 1), "nas came back after 1 minute: 1 conflict");
        assert_eq!(told(Some(200_000), 2, 0, 0), "nas came back after 2 days: 2 changes sent");
    }
}
