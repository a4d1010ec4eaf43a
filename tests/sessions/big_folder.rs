//! A pinned folder with very many entries.

use std::collections::BTreeSet;
use std::fs;

use crate::common::{Session, long};

#[test]
fn a_folder_with_very_many_entries() {
    let Some(s) = Session::empty() else { return };
    let count: usize = if long() { 100_000 } else { 10_000 };
    fs::create_dir(s.there("many")).unwrap();
    for n in 0..count {
        fs::write(s.there(&format!("many/file-{n:06}")), n.to_string()).unwrap();
    }
    s.add_and_pin();
    let names = |folder: std::path::PathBuf| -> BTreeSet<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(names(s.here("many")).len(), count);
    let pins = s.json(&["pins"]);
    assert_eq!(pins[0]["present_files"], count);
    assert_eq!(pins[0]["state"], "present");

    s.offline();
    for n in (0..count).step_by(100) {
        fs::rename(s.here(&format!("many/file-{n:06}")), s.here(&format!("many/moved-{n:06}"))).unwrap();
        fs::remove_file(s.here(&format!("many/file-{:06}", n + 1))).unwrap();
        fs::write(s.here(&format!("many/new-{n:06}")), "new").unwrap();
    }
    // A listing is right while it changes.
    let expected = count - count / 100 + count / 100;
    assert_eq!(names(s.here("many")).len(), expected);
    for n in (50..count).step_by(100) {
        s.write_there(&format!("many/file-{n:06}"), "theirs");
    }
    s.online(0);
    assert_eq!(names(s.there("many")), names(s.here("many")));
    for n in (0..count).step_by(100) {
        assert_eq!(s.read_there(&format!("many/moved-{n:06}")), n.to_string());
        assert_eq!(s.read_there(&format!("many/new-{n:06}")), "new");
        assert_eq!(s.read_here(&format!("many/file-{:06}", n + 50)), "theirs");
    }
    s.sync(0);
    s.must_agree();
}
