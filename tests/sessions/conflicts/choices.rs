//! What each choice leaves on both sides, for each kind; what loses is in the stash.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::kinds::{Case, State, What, moved_there, must_be, plain, session};
use crate::common::{Is, Session, all_have};

const RESOLVED: [(&str, Is); 5] =
    [("path", Is::Text), ("kind", Is::Text), ("choice", Is::Text), ("done", Is::Bool), ("message", Is::Text)];

const OWN: &str = "merged by hand\n";

/// What is to be there afterwards, on both sides; `None` where the choice is refused.
type Expected = Option<Vec<State>>;

fn states(states: &[&Option<State>]) -> Expected {
    Some(states.iter().filter_map(|s| (*s).clone()).collect())
}

fn newer(case: &Case) -> Expected {
    match (&case.local, &case.server) {
        (Some(_), Some(_)) if case.server_newer => states(&[&case.server]),
        (Some(_), Some(_)) => states(&[&case.local]),
        _ => None,
    }
}

/// The server's under a name beside the local one.
fn both(case: &Case) -> Expected {
    match (&case.local, &case.server) {
        (Some(local), Some(server)) => {
            let beside = State { path: beside(local.path), ..server.clone() };
            Some(vec![local.clone(), beside])
        }
        _ => states(&[&case.local, &case.server]),
    }
}

/// With `DATE` for the day.
fn beside(path: &'static str) -> &'static str {
    match path {
        "ee/report.txt" => "ee/report (server DATE).txt",
        "em/lines" => "em/lines (server DATE)",
        "cc/new.tar.gz" => "cc/new.tar (server DATE).gz",
        "mm/here.txt" => "mm/here (server DATE).txt",
        "ty/a.txt" => "ty/a (server DATE).txt",
        "me/run.sh" => "me/run (server DATE).sh",
        other => panic!("no name beside {other}"),
    }
}

/// Some bytes in place of what is here, else of what is there.
fn bytes(case: &Case, text: &'static str) -> Expected {
    let like = case.local.as_ref().or(case.server.as_ref())?;
    let mode = match like.what {
        What::File { mode, .. } => mode,
        _ => 0o644,
    };
    Some(vec![State { path: like.path, what: What::File { text, mode } }])
}

fn merged(case: &Case) -> Expected {
    bytes(case, case.merged?)
}

/// Who loses bytes that the original did not have.
fn losers<'a>(case: &'a Case, of: &[&'a Option<State>]) -> Vec<&'static str> {
    let original = case.original.as_ref().and_then(State::text);
    of.iter().filter_map(|s| s.as_ref()?.text()).filter(|text| Some(*text) != original).collect()
}

/// Decides each conflict by its own command and looks at both sides, the stash and the conflicts left.
#[track_caller]
fn each(choice: &[&str], expected: impl Fn(&Case) -> Expected, lost: impl Fn(&Case) -> Vec<&'static str>) {
    try_each(&plain(), choice, &expected, &lost);
    try_each(&moved_there(), choice, &expected, &lost);
}

#[track_caller]
fn try_each(
    cases: &[Case],
    choice: &[&str],
    expected: impl Fn(&Case) -> Expected,
    lost: impl Fn(&Case) -> Vec<&'static str>,
) {
    let Some(s) = session(cases) else { return };
    for case in cases {
        let path = format!("nas:{}", case.path);
        let args: Vec<&str> = ["resolve", &path].iter().chain(choice).copied().collect();
        // What is previewed is what happens.
        let preview = s.json(&[&args[..], &["--dry-run"]].concat());
        let outcome = expected(case);
        let code = if outcome.is_some() { 0 } else { 4 };
        let reports = s.json_code(&args, code);
        all_have(&reports, &RESOLVED);
        let [report] = reports.as_array().expect("an array").as_slice() else {
            panic!("one report: {reports}");
        };
        assert_eq!(report["path"], path.as_str());
        assert_eq!(report["kind"], case.kind);
        assert_eq!(report["done"], outcome.is_some(), "{choice:?} of {path}: {report}");
        assert_eq!(preview[0]["done"], false, "{preview}");
        assert_eq!(
            preview[0]["message"].as_str().is_some_and(str::is_empty),
            outcome.is_some(),
            "preview of {choice:?} of {path}: {preview}"
        );
        if outcome.is_none() {
            assert!(report["message"].as_str().is_some_and(|m| m.len() > 10), "{report}");
        }
    }
    let refused: Vec<(&str, &str)> =
        cases.iter().filter(|c| expected(c).is_none()).map(|c| (c.path, c.kind)).collect();
    s.sync(if refused.is_empty() { 0 } else { 4 });
    s.must_conflict(&refused);
    for case in cases {
        match expected(case) {
            Some(left) => {
                must_hold_only(&s.here(""), case, &left, &format!("here, {choice:?} of {}", case.kind));
                must_hold_only(&s.there(""), case, &left, &format!("there, {choice:?} of {}", case.kind));
            }
            None => must_be_untouched(&s, case),
        }
        for text in lost(case) {
            must_be_stashed(&s, text, case);
        }
    }
    s.sync(if refused.is_empty() { 0 } else { 4 });
    if refused.is_empty() {
        s.must_agree();
    }
}

/// The folder of a case holds these states and nothing else.
#[track_caller]
fn must_hold_only(root: &Path, case: &Case, left: &[State], whose: &str) {
    let folder = case.path.split_once('/').expect("a folder").0;
    let names = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(root.join(folder)).expect("it can be listed");
        let mut names: Vec<PathBuf> = entries.flatten().map(|e| folder.join(e.file_name())).collect();
        names.sort();
        names
    };
    let found = names(Path::new(folder));
    let dated: Vec<PathBuf> =
        found.iter().map(|path| PathBuf::from(without_date(path.to_str().expect("text")))).collect();
    let mut expected: Vec<PathBuf> = left.iter().map(|s| PathBuf::from(s.path)).collect();
    expected.sort();
    assert_eq!(dated, expected, "{whose}: in the folder {folder}");
    for state in left {
        let at = dated.iter().position(|path| path == Path::new(state.path)).expect("just compared");
        let real: &'static str = Box::leak(found[at].to_str().expect("text").to_owned().into_boxed_str());
        must_be(root, &State { path: real, what: state.what.clone() }, whose);
    }
}

/// `a (server 2026-11-24).txt` as `a (server DATE).txt`.
fn without_date(path: &str) -> String {
    const MARK: &str = " (server ";
    let Some(at) = path.find(MARK).map(|at| at + MARK.len()) else {
        return path.to_owned();
    };
    let date = path.get(at..at + 10).unwrap_or_default();
    let is_date = date.bytes().enumerate().all(|(n, c)| match n {
        4 | 7 => c == b'-',
        _ => c.is_ascii_digit(),
    });
    assert!(is_date, "no date in {path}");
    path.replacen(date, "DATE", 1)
}

#[track_caller]
fn must_be_untouched(s: &Session, case: &Case) {
    if let Some(state) = &case.local {
        must_be(&s.here(""), state, "refused, here");
    }
    if let Some(state) = &case.server {
        must_be(&s.there(""), state, "refused, on the server");
    }
}

#[track_caller]
fn must_be_stashed(s: &Session, text: &str, case: &Case) {
    let stash = s.json(&["stash", "list"]);
    let ids =
        |v: &Value| v.as_array().into_iter().flatten().filter_map(|e| e["id"].as_u64()).collect::<Vec<_>>();
    let found = ids(&stash).into_iter().any(|id| s.ok(&["stash", "cat", &id.to_string()]) == text);
    assert!(found, "{text:?} of {} ({}) is in no entry of the stash: {stash}", case.path, case.kind);
}

#[test]
fn keep_local() {
    each(&["--keep", "local"], |c| states(&[&c.local]), |c| losers(c, &[&c.server]));
}

#[test]
fn keep_server() {
    each(&["--keep", "server"], |c| states(&[&c.server]), |c| losers(c, &[&c.local]));
}

#[test]
fn keep_original() {
    each(&["--keep", "original"], |c| states(&[&c.original]), |c| losers(c, &[&c.local, &c.server]));
}

#[test]
fn keep_newest() {
    let lost = |c: &Case| match newer(c) {
        None => Vec::new(),
        Some(_) if c.server_newer => losers(c, &[&c.local]),
        Some(_) => losers(c, &[&c.server]),
    };
    each(&["--keep", "newest"], newer, lost);
}

#[test]
fn keep_both() {
    each(&["--keep", "both"], both, |_| Vec::new());
}

#[test]
fn stash_local() {
    each(&["--stash", "local"], |c| states(&[&c.server]), |c| losers(c, &[&c.local]));
}

#[test]
fn stash_server() {
    each(&["--stash", "server"], |c| states(&[&c.local]), |c| losers(c, &[&c.server]));
}

#[test]
fn stash_both() {
    each(&["--stash", "both"], |c| states(&[&c.original]), |c| losers(c, &[&c.local, &c.server]));
}

#[test]
fn merge() {
    let lost = |c: &Case| match c.merged {
        Some(_) => losers(c, &[&c.local, &c.server]),
        None => Vec::new(),
    };
    each(&["--merge"], merged, lost);
}

#[test]
fn with_a_file_of_ones_own() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), OWN).expect("it can be written");
    let path = file.path().to_str().expect("text").to_owned();
    each(&["--with", &path], |c| bytes(c, OWN), |c| losers(c, &[&c.local, &c.server]));
}

#[test]
fn put_off() {
    let cases = plain();
    let Some(s) = session(&cases) else { return };
    for case in &cases {
        let path = format!("nas:{}", case.path);
        let report = s.json_code(&["resolve", &path, "--later"], 4);
        assert_eq!(report[0]["done"], false, "{report}");
    }
    s.sync(4);
    let expected: Vec<(&str, &str)> = cases.iter().map(|c| (c.path, c.kind)).collect();
    s.must_conflict(&expected);
    cases.iter().for_each(|case| must_be_untouched(&s, case));
}
