//! What people read: short, aligned, without anything that could steer a terminal.

mod decided;

pub use decided::{conflicts, history, resolved, stash, states, undone, why};

use super::table::{Align, table};
use super::time::local;
use holdfast_engine::model::*;

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
        if location.fetching { format!("{here}, fetching") } else { here },
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
            let settings: Vec<_> =
                location.settings.iter().map(|(key, value)| format!("{key}={}", plain(value))).collect();
            vec![location.name.clone(), plain(&location.url), settings.join(" ")]
        })
        .collect();
    let columns = [("LOCATION", Align::Left), ("URL", Align::Left), ("SETTINGS", Align::Left)];
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
            vec![local(change.at), change.op.word().to_owned(), size(change.bytes), what, state]
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
        format!("#{} {}: {}{help}", problem.id, path(&problem.path), plain(&problem.message))
    }))
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
}
