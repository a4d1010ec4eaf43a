//! What people read: short, aligned, without anything that could steer a terminal.

use holdfast_engine::model::*;

use super::json::kind_word;
use super::table::{Align, table};
use super::time::local;

/// Bytes with a unit, three digits or so.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `1 file`, `2 files`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Control characters are written out.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

pub fn path(path: &Target) -> String {
    plain(&path.to_string())
}

fn lines(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().map(|line| line + "\n").collect()
}

pub fn status(status: &Status) -> String {
    let mount = match status.mount.is_empty() {
        true => "no mount".to_owned(),
        false => format!("mounted at {}", plain(&String::from_utf8_lossy(&status.mount))),
    };
    let mut text = format!("Holdfast {}, {mount}\n", status.version);
    if status.locations.is_empty() {
        text.push_str("No location yet; `holdfastctl location add NAME URL` adds one.\n");
        return text;
    }
    let rows: Vec<_> = status.locations.iter().map(status_row).collect();
    let columns = [
        ("LOCATION", Align::Left),
        ("LINK", Align::Left),
        ("HERE", Align::Left),
        ("CHANGES", Align::Right),
        ("CONFLICTS", Align::Right),
        ("PROBLEMS", Align::Right),
        ("LAST SYNC", Align::Left),
    ];
    text.push('\n');
    text.push_str(&table(&columns, &rows));
    text.extend(
        status
            .locations
            .iter()
            .filter(|location| !location.detail.is_empty())
            .map(|location| format!("{}: {}\n", location.name, plain(&location.detail))),
    );
    text
}

fn status_row(location: &LocationStatus) -> Vec<String> {
    let link = match location.link.reason() {
        "" => location.link.word().to_owned(),
        reason => format!("{} ({reason})", location.link.word()),
    };
    let here = format!("{} of {}", size(location.present_bytes), size(location.bytes));
    vec![
        location.name.clone(),
        link,
        if location.fetching {
            format!("{here}, fetching")
        } else {
            here
        },
        location.changes.to_string(),
        location.conflicts.to_string(),
        location.problems.to_string(),
        location.last_sync.map_or_else(|| "never".to_owned(), local),
    ]
}

pub fn locations(locations: &[LocationReport]) -> String {
    if locations.is_empty() {
        return String::new();
    }
    let rows: Vec<_> = locations
        .iter()
        .map(|location| {
            let settings: Vec<_> = location
                .settings
                .iter()
                .map(|(key, value)| format!("{key}={}", plain(value)))
                .collect();
            vec![location.name.clone(), plain(&location.url), settings.join(" ")]
        })
        .collect();
    let columns = [
        ("LOCATION", Align::Left),
        ("URL", Align::Left),
        ("SETTINGS", Align::Left),
    ];
    table(&columns, &rows)
}

pub fn pins(pins: &[PinReport]) -> String {
    if pins.is_empty() {
        return "Nothing is pinned.\n".into();
    }
    let rows: Vec<_> = pins
        .iter()
        .map(|pin| {
            vec![
                path(&pin.path),
                format!("{} of {}", pin.present_files, pin.files),
                format!("{} of {}", size(pin.present_bytes), size(pin.bytes)),
                pin.state.word().to_owned(),
            ]
        })
        .collect();
    let columns = [
        ("PATH", Align::Left),
        ("FILES HERE", Align::Right),
        ("BYTES HERE", Align::Right),
        ("STATE", Align::Left),
    ];
    table(&columns, &rows)
}

pub fn changes(changes: &[ChangeReport]) -> String {
    if changes.is_empty() {
        return "Nothing waits.\n".into();
    }
    let rows: Vec<_> = changes
        .iter()
        .map(|change| {
            let what = match &change.from {
                Some(from) => format!("{} -> {}", path(from), path(&change.path)),
                None => path(&change.path),
            };
            let state = match change.message.as_str() {
                "" => change.state.word().to_owned(),
                message => format!("{}: {}", change.state.word(), plain(message)),
            };
            vec![
                local(change.at),
                change.op.word().to_owned(),
                size(change.bytes),
                what,
                state,
            ]
        })
        .collect();
    let columns = [
        ("SINCE", Align::Left),
        ("WHAT", Align::Left),
        ("SIZE", Align::Right),
        ("PATH", Align::Left),
        ("STATE", Align::Left),
    ];
    table(&columns, &rows)
}

pub fn problems(problems: &[ProblemReport]) -> String {
    if problems.is_empty() {
        return "No problems.\n".into();
    }
    lines(problems.iter().map(|problem| {
        let help = match problem.needs {
            Needs::Retry => format!(" (`holdfastctl retry {}` tries again)", problem.id),
            Needs::Confirm | Needs::Unfinished => format!(" (`holdfastctl confirm {}` consents)", problem.id),
            needs => format!(" (needs: {})", needs.word()),
        };
        format!(
            "#{} {}: {}{help}",
            problem.id,
            path(&problem.path),
            plain(&problem.message)
        )
    }))
}

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
    let states_by_side = [
        ("original", &states.original),
        ("local", &states.local),
        ("server", &states.server),
    ];
    lines(
        states_by_side
            .into_iter()
            .map(|(word, one)| format!("  {word:<8}  {}", state(one, &states.path))),
    )
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
        let merge = if conflict.mergeable {
            "; the texts merge cleanly"
        } else {
            ""
        };
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
        format!(
            "{} ({}): {}{end}",
            path(&report.path),
            report.kind.word(),
            report.choice
        )
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

pub fn history(entries: &[HistoryReport]) -> String {
    if entries.is_empty() {
        return "Nothing was decided yet.\n".into();
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
                entry.items.to_string(),
                plain(&entry.what),
                undone.to_owned(),
            ]
        })
        .collect();
    let columns = [
        ("ID", Align::Right),
        ("AT", Align::Left),
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
    lines(
        entries
            .iter()
            .map(|entry| format!("{}  {}", local(entry.at), plain(&entry.what))),
    )
}

pub fn check(check: &CheckReport) -> String {
    if check.ok && check.findings.is_empty() {
        return "All is well.\n".into();
    }
    lines(check.findings.iter().map(|finding| plain(finding)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1_234_567), "1.2 MB");
        assert_eq!(size(999_999), "1.0 MB");
        assert_eq!(size(u64::MAX), "18.4 EB");
    }

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(plain("a\x1b[2Jb\n"), "a\\u{1b}[2Jb\\n");
    }

    #[test]
    fn a_conflict_in_words() {
        let at = |path: &[u8]| Target {
            location: "nas".into(),
            path: LocPath::parse(path).unwrap(),
        };
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
