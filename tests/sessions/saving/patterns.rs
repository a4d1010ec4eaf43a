//! The ways in which programs save a file.

use std::fs;

use crate::common::{Session, has_program, skip};

const OLD: &str = "the old text\n";
const NEW: &str = "the new text, and more of it\n";
const THEIRS: &str = "what somebody else wrote meanwhile\n";

/// A way to save `doc.txt`, as shell lines; `$NEW` is a file outside with the new text.
struct Way {
    name: &'static str,
    needs: Option<&'static str>,
    lines: &'static str,
    /// What else it leaves on the server, in the order of names.
    leaves: &'static [&'static str],
}

const WAYS: [Way; 17] = [
    way("truncate and write", "cat \"$NEW\" > doc.txt"),
    way("write and rename", "cat \"$NEW\" > .doc.tmp; mv .doc.tmp doc.txt"),
    way("write, sync and rename", "cat \"$NEW\" > .doc.tmp; sync .doc.tmp; mv .doc.tmp doc.txt; sync ."),
    Way {
        leaves: &["doc.txt~"],
        ..way("aside first, backup kept", "mv doc.txt doc.txt~; cat \"$NEW\" > doc.txt")
    },
    way("aside first, backup removed", "mv doc.txt doc.txt~; cat \"$NEW\" > doc.txt; rm doc.txt~"),
    Way {
        leaves: &["doc.bak"],
        ..way(
            "aside over an older backup",
            "echo older > doc.bak; mv doc.txt doc.bak; cat \"$NEW\" > doc.txt",
        )
    },
    way(
        "aside, write and rename, remove",
        "mv doc.txt doc.txt~; cat \"$NEW\" > doc.txt.new; mv doc.txt.new doc.txt; rm -f doc.txt~",
    ),
    way("remove and make anew", "rm doc.txt; cat \"$NEW\" > doc.txt"),
    way("twice in a row", "echo x > t; mv t doc.txt; cat \"$NEW\" > t; mv t doc.txt"),
    Way {
        leaves: &["doc.txt~"],
        ..way(
            "as emacs",
            "ln -s me@here.1:2 '.#doc.txt'; cp -p doc.txt doc.txt~; cat \"$NEW\" > doc.txt; rm '.#doc.txt'",
        )
    },
    way(
        "as LibreOffice",
        "echo ',me,here' > '.~lock.doc.txt#'; cat \"$NEW\" > lu123abc.tmp; mv lu123abc.tmp doc.txt; rm '.~lock.doc.txt#'",
    ),
    way("as gedit", "cat \"$NEW\" > .goutputstream-AB12CD; mv .goutputstream-AB12CD doc.txt"),
    way("cp -p", "cp -p \"$NEW\" doc.txt"),
    way("sed -i", "sed -i -e 's/old text/new text, and more of it/' doc.txt"),
    needs("rsync", way("rsync", "rsync --checksum \"$NEW\" doc.txt")),
    needs("rsync", way("rsync --inplace", "rsync --checksum --inplace \"$NEW\" doc.txt")),
    needs(
        "vim",
        Way {
            leaves: &["doc.txt~"],
            ..way(
                "vim with a backup",
                "vim -u NONE -N -es -c 'set backup backupcopy=no backupskip=' -c \"silent %s/old text/new text, and more of it/\" -c wq doc.txt < /dev/null",
            )
        },
    ),
];

const fn way(name: &'static str, lines: &'static str) -> Way {
    Way { name, needs: None, lines, leaves: &[] }
}

const fn needs(program: &'static str, way: Way) -> Way {
    Way { needs: Some(program), ..way }
}

fn ways() -> impl Iterator<Item = (usize, &'static Way)> {
    WAYS.iter()
        .filter(|way| match way.needs {
            Some(program) if !has_program(program) => {
                skip(&format!("there is no {program} for the way `{}`", way.name));
                false
            }
            _ => true,
        })
        .enumerate()
}

/// One folder for each way, pinned.
fn session() -> Option<Session> {
    let files: Vec<(String, &str)> = ways().map(|(n, _)| (format!("w{n}/doc.txt"), OLD)).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (p.as_str(), *t)).collect();
    let s = Session::pinned(&files)?;
    fs::write(s.base().join("new"), NEW).unwrap();
    Some(s)
}

fn save(s: &Session, n: usize, way: &Way) {
    let new = s.base().join("new");
    s.shell(&format!("NEW='{}'; cd w{n}; {}", new.display(), way.lines)).done();
    assert_eq!(s.read_here(&format!("w{n}/doc.txt")), NEW, "{}", way.name);
}

#[track_caller]
fn must_be_one_update(s: &Session, n: usize, way: &Way) {
    assert_eq!(s.read_there(&format!("w{n}/doc.txt")), NEW, "{}", way.name);
    let mut names: Vec<String> = fs::read_dir(s.there(&format!("w{n}")))
        .unwrap()
        .flatten()
        .map(|e| e.file_name().into_string().unwrap())
        .filter(|name| name != "doc.txt")
        .collect();
    names.sort();
    assert_eq!(names, way.leaves, "{}", way.name);
}

#[test]
fn offline_it_is_one_write() {
    let Some(s) = session() else { return };
    s.offline();
    for (n, way) in ways() {
        save(&s, n, way);
        let changes = s.json(&["changes", &format!("nas:w{n}/doc.txt")]);
        let ops: Vec<&str> = changes.as_array().unwrap().iter().filter_map(|c| c["op"].as_str()).collect();
        assert_eq!(ops, ["write"], "{}: {changes}", way.name);
    }
    s.online(0);
    for (n, way) in ways() {
        must_be_one_update(&s, n, way);
    }
    s.must_agree();
}

#[test]
fn online_it_is_one_update() {
    let Some(s) = session() else { return };
    for (n, way) in ways() {
        save(&s, n, way);
    }
    s.sync(0);
    for (n, way) in ways() {
        must_be_one_update(&s, n, way);
    }
    s.must_agree();
}

#[test]
fn with_an_edit_of_somebody_else_it_is_one_conflict() {
    let Some(s) = session() else { return };
    s.offline();
    for (n, way) in ways() {
        save(&s, n, way);
        let there = s.there(&format!("w{n}/doc.txt"));
        // They save in their ways too.
        if n % 2 == 0 {
            fs::write(&there, THEIRS).unwrap();
        } else {
            fs::write(there.with_extension("tmp"), THEIRS).unwrap();
            fs::rename(there.with_extension("tmp"), &there).unwrap();
        }
    }
    s.online(4);
    let expected: Vec<(String, &str)> = ways().map(|(n, _)| (format!("w{n}/doc.txt"), "edit/edit")).collect();
    let expected: Vec<(&str, &str)> = expected.iter().map(|(p, k)| (p.as_str(), *k)).collect();
    s.must_conflict(&expected);
    for (n, way) in ways() {
        let path = format!("nas:w{n}/doc.txt");
        for (state, text) in [("original", OLD), ("local", NEW), ("server", THEIRS)] {
            assert_eq!(s.ok(&["cat", &path, "--state", state]), text, "{}", way.name);
        }
    }
    s.ok(&["resolve", "--under", "nas:", "--keep", "local"]);
    s.sync(0);
    for (n, way) in ways() {
        must_be_one_update(&s, n, way);
    }
    s.must_agree();
}

#[test]
fn locks_and_half_files_never_reach_the_server() {
    let Some(s) = Session::pinned(&[("a.odt", OLD)]) else {
        return;
    };
    let lines = "touch '.~lock.a.odt#' .goutputstream-XY '~$a.docx' .a.odt.swp .nfs0001 .DS_Store Thumbs.db; mkfifo pipe";
    s.shell(lines).done();
    s.write_here("a.odt", NEW);
    s.sync(0);
    let names: Vec<String> =
        fs::read_dir(s.there("")).unwrap().flatten().map(|e| e.file_name().into_string().unwrap()).collect();
    assert_eq!(names, ["a.odt"]);
    assert_eq!(s.json(&["changes"]).as_array().map(Vec::len), Some(0));
    // They are still here, and what gets another name is sent.
    s.shell("test -e '.~lock.a.odt#' && test -p pipe && mv .goutputstream-XY kept.txt").done();
    s.sync(0);
    assert!(s.there("kept.txt").is_file());
}
