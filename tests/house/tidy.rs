//! What no file may hold, and what every file must.

use std::fs;
use std::path::PathBuf;

use crate::none;
use crate::source::{Source, collect, root, rust_files};

const MAX_LINES: usize = 500;

/// What may lie at the top, beside hidden files and what git ignores.
const TOP: [&str; 10] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "data",
    "meson.build",
    "po",
    "resources",
    "src",
    "tests",
];

fn all() -> Vec<Source> {
    rust_files(&["src", "tests"])
}

/// Path and number of each line of code that holds one of the words.
fn lines_with(sources: &[Source], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        for (n, line) in source.code().lines().enumerate() {
            for word in words.iter().filter(|w| line.contains(*w)) {
                found.push(format!("{}:{}: {word}", source.path, n + 1));
            }
        }
    }
    found
}

#[test]
fn nothing_is_left_to_do_or_to_debug() {
    none(&lines_with(&all(), &["todo!", "unimplemented!", "dbg!"]), "not in what is committed");
}

#[test]
fn an_ignored_test_says_why() {
    none(&lines_with(&all(), &["#[ignore]"]), "write `#[ignore = \"why\"]`");
}

#[test]
fn each_file_says_what_it_is_for() {
    let says = |s: &Source| {
        let only_main = s.path.ends_with("/main.rs") && !s.code().lines().any(|l| l.starts_with("mod "));
        s.text.starts_with("//! ") || s.is_test() || only_main
    };
    let silent: Vec<String> = all().iter().filter(|s| !says(s)).map(|s| s.path.clone()).collect();
    none(&silent, "a file begins with a `//!` line that says what it is for");
}

#[test]
fn no_file_is_too_long() {
    let length = |s: &Source| s.text.lines().count();
    let sources = rust_files(&["src"]);
    let long: Vec<String> = sources
        .iter()
        .filter(|s| length(s) > MAX_LINES)
        .map(|s| format!("{}: {} lines", s.path, length(s)))
        .collect();
    none(&long, "split it");
}

#[test]
fn the_top_holds_only_what_was_agreed() {
    let ignored = fs::read_to_string(root().join(".gitignore")).expect("there is a .gitignore");
    let ignored: Vec<&str> = ignored.lines().map(|l| l.trim().trim_matches('/')).collect();
    let names = fs::read_dir(root()).expect("the root can be listed").flatten();
    let strange: Vec<String> = names
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|n| !n.starts_with('.') && !TOP.contains(&n.as_str()) && !ignored.contains(&n.as_str()))
        .collect();
    none(&strange, "the top of the repository is kept short");
}

#[test]
fn names_on_the_bus_are_the_agreed_ones() {
    let mut paths: Vec<PathBuf> = Vec::new();
    ["src", "data", "resources"].iter().for_each(|f| collect(&root().join(f), &mut paths));
    let mut strange = Vec::new();
    for path in paths {
        // What is no text holds no names that a person wrote.
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let wrong = bus_names(&text).into_iter().filter(|name| !is_agreed(name));
        strange.extend(
            wrong.map(|name| format!("{}: {name}", path.strip_prefix(root()).unwrap_or(&path).display())),
        );
    }
    none(&strange, "programs rely on the names on the bus");
}

/// Everything in a text that looks like one of our names: `app.holdfast…`, `/app/holdfast…`.
fn bus_names(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for beginning in ["app.holdfast", "/app/holdfast"] {
        for (at, _) in text.match_indices(beginning) {
            let rest = &text[at..];
            let end =
                rest.find(|c: char| !(c.is_ascii_alphanumeric() || "._/-".contains(c))).unwrap_or(rest.len());
            names.push(rest[..end].trim_end_matches(['.', '/', '-']));
        }
    }
    names
}

fn is_agreed(name: &str) -> bool {
    const ID: &str = "app.holdfast.Holdfast";
    const PATH: &str = "/app/holdfast/Holdfast";
    const INTERFACES: &str = "app.holdfast.Engine1";
    let of_the_id = |rest: &str| {
        let files = [
            ".desktop",
            ".service",
            ".xml",
            ".metainfo.xml",
            ".gschema.xml",
            ".svg",
            "-symbolic.svg",
            "-symbolic",
        ];
        let rest = rest.strip_prefix(".Engine").unwrap_or(rest);
        rest.is_empty() || files.contains(&rest)
    };
    name.strip_prefix(ID).is_some_and(of_the_id)
        || name.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        || name.strip_prefix(INTERFACES).is_some_and(|rest| {
            rest.is_empty()
                || rest == ".xml"
                || rest.starts_with('.') && rest[1..].starts_with(|c: char| c.is_ascii_uppercase())
        })
}

#[test]
fn a_wrong_name_on_the_bus_would_be_found() {
    let text = "\"app.holdfast.Holdfast.Engine\" \"/app/holdfast/Holdfast/Engine\" `app.holdfast.Engine1.Pins`. \"app.holdfast.engine\" /app/holdfast/Engine";
    let wrong: Vec<&str> = bus_names(text).into_iter().filter(|n| !is_agreed(n)).collect();
    assert_eq!(wrong, ["app.holdfast.engine", "/app/holdfast/Engine"]);
}
