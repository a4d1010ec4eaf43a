//! Which module of the engine may know which.

use std::collections::BTreeMap;

use crate::none;
use crate::source::{Source, root, rust_files};

/// The engine's modules from the top down; an import may lead only to one with a lower number.
const LEVELS: [(&str, u8); 12] = [
    ("engine", 7),
    ("handle", 6),
    ("sync", 5),
    ("conflict", 4),
    ("pins", 4),
    ("reconcile", 4),
    ("fileops", 3),
    ("store", 2),
    // Pure text merging: knows the words and nothing else, but whoever decides may use it.
    ("merge", 1),
    ("remote", 1),
    ("world", 1),
    ("model", 0),
];

/// Stands alone: may import these only, whatever the levels say.
const ALONE: (&str, &[&str]) = ("merge", &["model"]);

/// Imports between modules of one level, each with its reason.
const SIDEWAYS: [(&str, &str, &str); 1] =
    [("conflict", "reconcile", "a decision rebases an item and has it settled like any other change")];

const ENGINE: &str = "src/engine/";

/// The names by which a module is known below the crate: by the folder or file it lies in.
fn module(path: &str) -> &str {
    let below = path.strip_prefix(ENGINE).unwrap_or(path);
    below.split('/').next().unwrap_or(below).trim_end_matches(".rs")
}

/// How many modules deep a file's own module is: `sync/plan.rs` is 2, `sync/mod.rs` 1.
fn depth(path: &str) -> usize {
    let below = path.strip_prefix(ENGINE).unwrap_or(path);
    below.trim_end_matches(".rs").trim_end_matches("/mod").split('/').count()
}

/// Every first name after `crate::`, or after as many `super::` as lead to the crate.
fn imports(code: &str, depth: usize) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if !code[..at].ends_with('$') && !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            first_names(&code[at + "crate::".len()..], &mut found);
        }
    }
    let up = "super::".repeat(depth);
    for (at, _) in code.match_indices(&up) {
        let rest = &code[at + up.len()..];
        if !code[..at].ends_with("super::") && !rest.starts_with("super::") {
            first_names(rest, &mut found);
        }
    }
    found
}

/// `a::b` gives `a`; `{a::{b, c}, d}` gives `a` and `d`.
fn first_names(path: &str, into: &mut Vec<String>) {
    let Some(group) = path.strip_prefix('{') else {
        into.push(path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        return;
    };
    let mut nested = 0;
    let mut at_start = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => nested += 1,
            '}' if nested == 0 => return,
            '}' => nested -= 1,
            ',' if nested == 0 => at_start = true,
            c if at_start && nested == 0 && !c.is_whitespace() => {
                first_names(&group[at..], into);
                at_start = false;
            }
            _ => {}
        }
    }
}

/// What the crate's root hands on (`pub use store::Thing`), so that `crate::Thing` counts as `store`.
fn handed_on(root_code: &str) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for (at, _) in root_code.match_indices("pub use ") {
        let statement = root_code[at + "pub use ".len()..].split(';').next().unwrap_or_default();
        let Some((module, rest)) = statement.split_once("::") else {
            continue;
        };
        for name in rest.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|n| !n.is_empty()) {
            names.insert(name.to_owned(), module.trim().to_owned());
        }
    }
    names
}

fn findings(sources: &[Source], handed_on: &BTreeMap<String, String>) -> Vec<String> {
    let level: BTreeMap<&str, u8> = LEVELS.into_iter().collect();
    let mut findings = Vec::new();
    for source in sources.iter().filter(|s| s.path != format!("{ENGINE}lib.rs") && !s.is_test()) {
        let from = module(&source.path);
        if !level.contains_key(from) {
            findings.push(format!(
                "{}: module `{from}` has no place in the order; give it one in this test",
                source.path
            ));
            continue;
        }
        for name in imports(&source.code_without_tests(), depth(&source.path)) {
            let to = handed_on.get(&name).unwrap_or(&name).as_str();
            if to == from {
                continue;
            }
            let down = level.get(to).is_some_and(|l| *l < level[from]);
            let alone = from == ALONE.0 && !ALONE.1.contains(&to);
            let agreed = SIDEWAYS.iter().any(|(f, t, _)| *f == from && *t == to);
            if alone || !(down || agreed) {
                findings.push(format!("{}: {from} -> {to}", source.path));
            }
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

fn engine() -> Vec<Source> {
    rust_files(&["src/engine"])
}

#[test]
fn imports_inside_the_engine_run_downward() {
    let lib = Source {
        path: format!("{ENGINE}lib.rs"),
        text: std::fs::read_to_string(root().join(ENGINE).join("lib.rs")).expect("the engine has a lib.rs"),
    };
    let found = findings(&engine(), &handed_on(&lib.code()));
    none(&found, "imports between the engine's modules must run downward (src/ARCHITECTURE.md)");
}

#[test]
fn the_engine_reads_no_environment() {
    let reads = |s: &Source| {
        let code = s.code_without_tests();
        ["env::var", "env::vars", "home_dir", "current_dir", "temp_dir"]
            .into_iter()
            .find(|w| code.contains(w))
            .map(|w| format!("{}: `{w}`", s.path))
    };
    let found: Vec<String> = engine().iter().filter(|s| !s.is_test()).filter_map(reads).collect();
    none(&found, "the engine is handed its folders and settings; it looks for none");
}

#[test]
fn upward_imports_would_be_found() {
    let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    let sources = [
        source(
            "src/engine/store/mod.rs",
            "//! crate::sync is fine in a comment\nuse crate::{model::Name, sync::{Plan, x}};",
        ),
        source("src/engine/store/rows.rs", "use super::Row;\nuse super::super::handle::Handle;"),
        source(
            "src/engine/store/deep/x.rs",
            "fn f() { crate::model::y(); }\n#[cfg(test)]\nmod tests { use crate::sync::Z; }",
        ),
        source("src/engine/pins/mod.rs", "use crate::Handle;"),
        source("src/engine/merge.rs", "use super::world::World;\nuse crate::model::X;"),
        source("src/engine/reconcile/mod.rs", "use crate::conflict::F;"),
        source("src/engine/new.rs", ""),
        source("src/engine/tests/all.rs", "use crate::sync::Z;"),
    ];
    let handed_on = handed_on("pub mod store;\npub use handle::{Error, Handle};");
    assert_eq!(
        findings(&sources, &handed_on),
        [
            "src/engine/merge.rs: merge -> world",
            "src/engine/new.rs: module `new` has no place in the order; give it one in this test",
            "src/engine/pins/mod.rs: pins -> handle",
            "src/engine/reconcile/mod.rs: reconcile -> conflict",
            "src/engine/store/mod.rs: store -> sync",
            "src/engine/store/rows.rs: store -> handle",
        ]
    );
}
