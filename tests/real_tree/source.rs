//! The tree that is worked on: the sources of crates that cargo has here, else made ones.

use std::fs;
use std::path::{Path, PathBuf};

/// Fills a folder with folders of sources, of many files in all. Where they are from.
pub fn fill(to: &Path) -> &'static str {
    const FILES: usize = 21_000;
    fs::create_dir_all(to).expect("a folder");
    let mut count = 0;
    let mut crates = crates();
    crates.sort();
    for from in crates {
        if count >= FILES {
            break;
        }
        let name = from.file_name().expect("a name");
        if !to.join(name).exists() {
            count += copy(&from, &to.join(name));
        }
    }
    if count >= FILES {
        return "the sources of crates";
    }
    make(to, 150, FILES - count);
    if count > 0 { "the sources of crates, and made ones" } else { "made files" }
}

/// Fills a folder with so many folders of made sources, of so many files in all: always the same.
pub fn make(to: &Path, folders: usize, files: usize) {
    for n in 0..files {
        let folder = to.join(format!("made-{:03}/src/m{}", n % folders, n / folders % 7));
        fs::create_dir_all(&folder).expect("a folder");
        let text = format!("// {n}\nfn f{n}() {{}}\n").repeat(n % 97 + 3);
        fs::write(folder.join(format!("f{n}.rs")), text).expect("a file");
    }
}

fn crates() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let registries = home.map(|h| h.join("registry/src")).and_then(|r| fs::read_dir(r).ok());
    registries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|registry| fs::read_dir(registry.path()).ok())
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}

/// Files copied, with their modes.
fn copy(from: &Path, to: &Path) -> usize {
    fs::create_dir_all(to).expect("a folder");
    let mut count = 0;
    for entry in fs::read_dir(from).expect("a source can be listed").flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => count += copy(&path, &target),
            Ok(kind) if kind.is_file() => {
                fs::copy(&path, &target).expect("a source can be copied");
                count += 1;
            }
            _ => {}
        }
    }
    count
}
