//! The three states, conflicts, and what was decided.

use holdfast_engine::model::*;

use super::{count, lines, path, plain, size};
use crate::show::json::kind_word;
use crate::show::table::{Align, table};
use crate::show::time::local;

/// One state in words.
fn state(state: &Option<StateReport>, path_told: &Target) -> String {
    let Some(state) = state else {
        return "is not there".into();
    };
    let mut text = match state.kind {
        Kind::File => format!("file of {}", size(state.size)),
        Kind::Symlink => match &state.link_target {
            Some(target) => format!("link to {}", plain(&String::from_utf8_lossy(target))),
            None => "link".into(),
        },
        kind => kind_word(kind).to_owned(),
    };
    if state.kind != Kind::Folder {
        text.push_str(&format!(", changed {}", local(state.mtime)));
    }
    text.push_str(&format!(", mode {:04o}", state.mode & 0o7777));
    if state.path != *path_told {
        text.push_str(&format!(", at {}", path(&state.path)));
    }
    if !state.here {
        text.push_str(", not here yet");
    }
    text
}

fn three_states(states: &StatesReport) -> String {
    let states_by_side =
        [("original", &states.original), ("local", &states.local), ("server", &states.server)];
    lines(states_by_side.into_iter().map(|(word, one)| format!("  {word:<8}  {}", state(one, &states.path))))
}

pub fn states(states: &StatesReport) -> String {
    format!("{}\n{}", path(&states.path), three_states(states))
}

/// A kind of conflict as a sentence.
fn conflict_words(kind: ConflictKind) -> &'static str {
    match kind {
        ConflictKind::EditEdit => "edited here and on the server",
        ConflictKind::EditDelete => "edited here, deleted on the server",
        ConflictKind::DeleteEdit => "deleted here, edited on the server",
        ConflictKind::CreateCreate => "made here and on the server",
        ConflictKind::MoveMove => "moved here and, elsewhere, on the server",
        ConflictKind::MoveDelete => "moved here, deleted on the server",
        ConflictKind::DeleteMove => "deleted here, moved on the server",
        ConflictKind::Type => "of another type here than on the server",
        ConflictKind::Cycle => "moved so that folders would lie in each other",
        ConflictKind::Name => "its name cannot be used on the other side",
        ConflictKind::Metadata => "its attributes were changed here and on the server",
    }
}

pub fn conflicts(conflicts: &[ConflictReport]) -> String {
    if conflicts.is_empty() {
        return "No conflicts.\n".into();
    }
    let one = |conflict: &ConflictReport| {
        let merge = if conflict.mergeable { "; the texts merge cleanly" } else { "" };
        format!(
            "#{} {}\n  {} ({}), since {}{merge}\n{}",
            conflict.id,
            path(&conflict.states.path),
            conflict_words(conflict.kind),
            conflict.kind.word(),
            local(conflict.since),
            three_states(&conflict.states)
        )
    };
    conflicts.iter().map(one).collect::<Vec<_>>().join("\n")
}

pub fn resolved(reports: &[ResolveReport], dry_run: bool) -> String {
    if reports.is_empty() {
        return "No conflict matches.\n".into();
    }
    let mut text = lines(reports.iter().map(|report| {
        let end = match (report.done, report.message.as_str()) {
            (_, message) if !message.is_empty() => format!(": {}", plain(message)),
            (true, _) => String::new(),
            (false, _) if dry_run => " (not done)".into(),
            (false, _) => ": still open".into(),
        };
        format!("{} ({}): {}{end}", path(&report.path), report.kind.word(), report.choice)
    }));
    if reports.len() > 1 {
        let conflicts = count(reports.len() as u64, "conflict", "conflicts");
        let done = reports.iter().filter(|report| report.done).count();
        text.push_str(&match dry_run {
            true => format!("{conflicts} would be decided.\n"),
            false => format!("{done} of {conflicts} decided.\n"),
        });
    }
    text
}

pub fn stash(entries: &[StashReport]) -> String {
    if entries.is_empty() {
        return "The stash is empty.\n".into();
    }
    let rows: Vec<_> = entries
        .iter()
        .map(|entry| {
            vec![
                entry.id.to_string(),
                local(entry.at),
                entry.side.word().to_owned(),
                size(entry.size),
                path(&entry.path),
                plain(&entry.why),
            ]
        })
        .collect();
    let columns = [
        ("ID", Align::Right),
        ("SINCE", Align::Left),
        ("SIDE", Align::Left),
        ("SIZE", Align::Right),
        ("PATH", Align::Left),
        ("WHY", Align::Left),
    ];
    table(&columns, &rows)
}

/// What was taken back, and how much of it was not.
pub fn undone(entry: &HistoryReport) -> String {
    let what = plain(&entry.what);
    let left = match entry.left_out {
        0 => String::new(),
        1 => format!("\n1 of {} items stays as it is: {LEFT_OUT}", entry.items),
        n => format!("\n{n} of {} items stay as they are: {LEFT_OUT}", entry.items),
    };
    format!("Taken back: {what}{left}\n")
}

const LEFT_OUT: &str = "what is to go or to come back is not here, is open in a program, waits in a conflict, or \
                        something else stands in its place.";

pub fn history(entries: &[HistoryReport]) -> String {
    if entries.is_empty() {
        return "Nothing was decided yet, and no location came back.\n".into();
    }
    let rows: Vec<_> = entries
        .iter()
        .map(|entry| {
            let undone = match (entry.undone, entry.can_undo) {
                (true, _) => "taken back",
                (false, true) => "can be taken back",
                (false, false) => "",
            };
            vec![
                entry.id.to_string(),
                local(entry.at),
                entry.kind.word().to_owned(),
                entry.location.as_deref().map(plain).unwrap_or_default(),
                entry.items.to_string(),
                plain(&entry.what),
                undone.to_owned(),
            ]
        })
        .collect();
    let columns = [
        ("ID", Align::Right),
        ("AT", Align::Left),
        ("KIND", Align::Left),
        ("LOCATION", Align::Left),
        ("ITEMS", Align::Right),
        ("WHAT", Align::Left),
        ("", Align::Left),
    ];
    table(&columns, &rows)
}

pub fn why(entries: &[WhyReport]) -> String {
    if entries.is_empty() {
        return "Nothing is known of it.\n".into();
    }
    lines(entries.iter().map(|entry| format!("{}  {}", local(entry.at), plain(&entry.what))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_in_words() {
        let at = |path: &[u8]| Target { location: "nas".into(), path: LocPath::parse(path).unwrap() };
        let report = ConflictReport {
            id: ConflictId(3),
            kind: ConflictKind::MoveDelete,
            since: Time::ZERO,
            mergeable: false,
            states: StatesReport {
                path: at(b"b"),
                original: Some(StateReport {
                    kind: Kind::Folder,
                    size: 0,
                    mode: 0o755,
                    mtime: Time::ZERO,
                    version: String::new(),
                    confidence: Confidence::Sure,
                    digest: None,
                    path: at(b"a"),
                    here: true,
                    link_target: None,
                    content: None,
                }),
                local: None,
                server: None,
            },
        };
        let text = conflicts(&[report]);
        assert!(text.starts_with("#3 nas:b\n  moved here, deleted on the server (move/delete), since "));
        assert!(text.contains("  original  folder, mode 0755, at nas:a\n  local     is not there\n"));
    }
}
