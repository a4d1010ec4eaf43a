//! Which crate may depend on which, by what `cargo metadata` says.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::none;
use crate::source::root;

/// Our crates from the top down; an arrow may lead only to a crate with a lower number.
const LEVELS: [(&str, u8); 9] = [
    ("holdfast", 3),
    ("holdfastctl", 3),
    ("holdfast-host", 2),
    ("holdfast-bus", 1),
    ("holdfast-mount", 1),
    ("holdfast-remotes", 1),
    ("holdfast-testkit", 1),
    ("holdfast-engine", 0),
    ("xtask", 0),
];

/// Only tests may use it.
const FOR_TESTS: &str = "holdfast-testkit";
/// Stands apart: uses none of ours, and none of ours uses it.
const APART: &str = "xtask";

/// Beginnings of package names that must not be in a tree.
const NOT_IN_ENGINE: [&str; 9] =
    ["gtk", "glib", "gio", "libadwaita", "zbus", "fuser", "tokio", "reqwest", "hyper"];
const NOT_IN_CTL: [&str; 8] = ["gtk", "glib", "gio", "gdk", "gobject", "libadwaita", "sourceview", "pango"];

struct Graph {
    names: BTreeMap<String, String>,
    /// By package id: (id, whether it is a dependency for tests only).
    arrows: BTreeMap<String, Vec<(String, bool)>>,
}

impl Graph {
    fn read() -> Graph {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version", "1"])
            .current_dir(root())
            .output()
            .expect("cargo can be started");
        assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata speaks JSON");
        let text = |value: &Value| value.as_str().expect("a text in cargo metadata").to_owned();
        let list = |value: &Value| value.as_array().expect("a list in cargo metadata").clone();

        let packages = list(&metadata["packages"]);
        let names = packages.iter().map(|p| (text(&p["id"]), text(&p["name"]))).collect();
        let arrows = list(&metadata["resolve"]["nodes"])
            .iter()
            .map(|node| {
                let deps = list(&node["deps"]);
                let to = |d: &Value| {
                    let for_tests = list(&d["dep_kinds"]).iter().all(|k| k["kind"] == "dev");
                    (text(&d["pkg"]), for_tests)
                };
                (text(&node["id"]), deps.iter().map(to).collect())
            })
            .collect();
        Graph { names, arrows }
    }

    fn id(&self, name: &str) -> &str {
        let found = self.names.iter().find(|(id, n)| *n == name && is_ours(id));
        found.map_or_else(|| panic!("there is no package {name} in the workspace"), |(id, _)| id)
    }

    /// Everything that is built into `name`, and by which way it came there.
    fn tree(&self, name: &str) -> BTreeMap<String, String> {
        let start = self.id(name);
        let mut ways = BTreeMap::from([(start.to_owned(), name.to_owned())]);
        let mut open = vec![start.to_owned()];
        while let Some(id) = open.pop() {
            for (to, for_tests) in &self.arrows[&id] {
                if !for_tests && !ways.contains_key(to) {
                    ways.insert(to.clone(), format!("{} -> {}", ways[&id], self.names[to]));
                    open.push(to.clone());
                }
            }
        }
        ways.into_iter().map(|(id, way)| (self.names[&id].clone(), way)).collect()
    }
}

/// Packages of the workspace have ids that are paths.
fn is_ours(id: &str) -> bool {
    id.starts_with("path+") || id.contains("(path+")
}

fn forbidden(tree: &BTreeMap<String, String>, beginnings: &[&str]) -> Vec<String> {
    tree.iter()
        .filter(|(name, _)| beginnings.iter().any(|b| name.starts_with(b)))
        .map(|(_, w)| w.clone())
        .collect()
}

#[test]
fn the_engine_knows_no_window_no_bus_no_mount_and_no_network() {
    let tree = Graph::read().tree("holdfast-engine");
    assert!(tree.contains_key("rusqlite"), "the tree was not read: it holds only {:?}", tree.keys());
    none(&forbidden(&tree, &NOT_IN_ENGINE), "these must not be in the engine's dependencies");
}

#[test]
fn the_command_line_needs_no_gtk() {
    let tree = Graph::read().tree("holdfastctl");
    assert!(tree.contains_key("holdfast-engine"), "the tree was not read: it holds only {:?}", tree.keys());
    none(&forbidden(&tree, &NOT_IN_CTL), "these must not be in holdfastctl's dependencies");
}

#[test]
fn arrows_between_our_crates_run_downward() {
    let graph = Graph::read();
    let ours: BTreeMap<&str, &str> =
        graph.names.iter().filter(|(id, _)| is_ours(id)).map(|(id, n)| (id.as_str(), n.as_str())).collect();
    let level: BTreeMap<&str, u8> = LEVELS.into_iter().collect();
    let mut findings = Vec::new();
    for (id, from) in &ours {
        if !level.contains_key(from) {
            findings.push(format!("{from} has no place in the order of crates; give it one in this test"));
            continue;
        }
        for (to, for_tests) in &graph.arrows[*id] {
            let Some(to) = ours.get(to.as_str()) else { continue };
            let down = level.get(to).is_some_and(|l| *l < level[from]);
            let fine = match *to {
                APART => false,
                // With a feature on that only its own tests need.
                to if to == *from => *for_tests,
                FOR_TESTS => *for_tests,
                _ => down && *from != APART,
            };
            if !fine {
                findings.push(format!("{from} -> {to}"));
            }
        }
    }
    none(&findings, "arrows between crates must run downward (src/ARCHITECTURE.md)");
    let seen: BTreeSet<&str> = ours.values().copied().collect();
    let gone: Vec<String> = level.keys().filter(|n| !seen.contains(*n)).map(ToString::to_string).collect();
    none(&gone, "these crates are in the order but not in the workspace");
}

#[test]
fn a_forbidden_package_would_be_found() {
    let tree = BTreeMap::from([
        ("holdfast-engine".to_owned(), "holdfast-engine".to_owned()),
        ("tokio-util".to_owned(), "holdfast-engine -> x -> tokio-util".to_owned()),
        ("globset".to_owned(), "holdfast-engine -> globset".to_owned()),
    ]);
    assert_eq!(forbidden(&tree, &NOT_IN_ENGINE), ["holdfast-engine -> x -> tokio-util"]);
}
