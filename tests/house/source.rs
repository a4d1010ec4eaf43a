//! Reads the sources: all files, and their code without comments, texts and tests.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub struct Source {
    /// Below the root, with `/`.
    pub path: String,
    pub text: String,
}

impl Source {
    /// What the compiler sees, with comments and the insides of texts blanked out.
    pub fn code(&self) -> String {
        code(&self.text)
    }

    /// `code` up to the tests at the end of the file.
    pub fn code_without_tests(&self) -> String {
        let code = self.code();
        match code.find("#[cfg(test)]\nmod ") {
            Some(at) => code[..at].to_owned(),
            None => code,
        }
    }

    /// Tests and benches may look around.
    pub fn is_test(&self) -> bool {
        let mut parts = self.path.split('/').rev();
        parts.next() == Some("tests.rs") || parts.any(|folder| matches!(folder, "tests" | "benches"))
    }
}

/// All Rust files below these folders of the root, in the order of their paths.
pub fn rust_files(folders: &[&str]) -> Vec<Source> {
    let mut paths = Vec::new();
    folders.iter().for_each(|f| collect(&root().join(f), &mut paths));
    paths.sort();
    let sources: Vec<Source> = paths
        .iter()
        .filter(|p| p.extension().is_some_and(|e| e == "rs"))
        .map(|path| Source {
            path: path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned(),
            text: fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())),
        })
        .collect();
    assert!(!sources.is_empty(), "no sources below {folders:?}");
    sources
}

/// Every file below a folder.
pub fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            collect(&entry.path(), into);
        } else {
            into.push(entry.path());
        }
    }
}

/// Blanks out comments and what stands between quotes; lines keep their numbers.
///
/// Knows line and block comments, ordinary, byte and raw texts and character literals. That is all
/// the checks need; it is no parser.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let kept = code.chars().next_back().is_some_and(|p| p.is_alphanumeric() || p == '_');
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = (!kept).then(|| raw_text(rest)).flatten() {
            length
        } else if c == '"' {
            quoted(rest)
        } else if c == '\'' {
            character(rest)
        } else {
            0
        };
        if skip == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.extend(rest[..skip].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[skip..];
        }
    }
    code
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// The length of `r"…"`, `r#"…"#`, `br"…"` where one begins here.
fn raw_text(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let start = rest.len() - after.len() + hashes + 1;
    after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len()))
}

fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of a character literal; 0 for a lifetime.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((at, c))) => {
            let from = at + c.len_utf8();
            rest[from..].find('\'').map_or(0, |end| from + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

#[test]
fn code_holds_no_comments_and_texts() {
    let lines = |text: &str| code(text).split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    assert_eq!(lines("a(); // crate::b\nc(\"crate::d\");"), "a(); c( );");
    assert_eq!(lines("/* x /* y */ z */ let a = r#\"say \"crate::x\" twice\"#;"), "let a = ;");
    assert_eq!(
        lines(r#"let q = '"'; let e = '\''; fn f<'a>(x: &'a str) {} "x\"y" end"#),
        "let q = ; let e = ; fn f<'a>(x: &'a str) {} end"
    );
    assert_eq!(code("\"a\nb\" // c\nd"), "  \n       \nd");
}
