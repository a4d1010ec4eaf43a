//! Rows go in and come out the same; what is not ours or is broken is told, never overwritten.

use std::fs;
use std::sync::Arc;

use super::*;
use crate::model::*;
use crate::store::rows::*;
use crate::store::rows_before::{Before1, History1};

mod findings;
mod samples;

use samples::*;

fn open(dir: &tempfile::TempDir) -> Sqlite {
    Sqlite::open(&path(dir)).unwrap()
}

fn path(dir: &tempfile::TempDir) -> std::path::PathBuf {
    dir.path().join("store.db")
}

fn temp() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_new_database_is_empty_and_sound() {
    let dir = temp();
    let mut db = open(&dir);
    assert_eq!(db.load().unwrap(), Rows::default());
    assert_eq!(db.committed().unwrap(), 0);
    assert!(db.verify().unwrap().is_empty());
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(path(&dir)).unwrap().permissions().mode() & 0o777, 0o600);
    let mode: String = db.connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    let synchronous: i64 = db.connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
    assert_eq!((mode.as_str(), synchronous), ("wal", 2));
}

#[test]
fn every_row_comes_back_as_it_was() {
    let dir = temp();
    let mut rows = odd_rows();
    let mut db = open(&dir);
    db.commit(&as_deltas(&rows), u64::MAX).unwrap();
    sort(&mut rows);
    let mut here = db.load().unwrap();
    sort(&mut here);
    assert_eq!(here, rows);
    drop(db);
    let mut db = open(&dir);
    let mut again = db.load().unwrap();
    sort(&mut again);
    assert_eq!(again, rows);
    assert_eq!(db.committed().unwrap(), u64::MAX);
}

#[test]
fn writing_twice_changes_nothing_and_none_takes_away() {
    let dir = temp();
    let rows = odd_rows();
    let deltas = as_deltas(&rows);
    let mut db = open(&dir);
    db.commit(&deltas, 1).unwrap();
    let once = db.load().unwrap();
    db.commit(&deltas, 2).unwrap();
    assert_eq!(db.load().unwrap(), once);

    // Less of the same item: nothing of the earlier row may shine through.
    let item = rows.items.iter().find(|i| i.sending.is_some()).unwrap();
    let mut bare = bare_item(item.id.0);
    bare.location = item.location;
    db.commit(&[Delta::Item(item.id, Some(Box::new(bare.clone())))], 3).unwrap();
    assert_eq!(db.load().unwrap().items.into_iter().find(|i| i.id == bare.id).unwrap(), bare);

    db.commit(&removals(&rows), 4).unwrap();
    let left = db.load().unwrap();
    assert_eq!(left, Rows { next_id: rows.next_id, ..Rows::default() });
    for table in ["base", "server", "intent", "setting", "before"] {
        let count: i64 =
            db.connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(count, 0, "{table}");
    }
}

#[test]
fn a_commit_is_all_or_nothing() {
    let dir = temp();
    let mut db = open(&dir);
    db.commit(&[Delta::NextId(5)], 1).unwrap();
    // The second row breaks a rule of the table.
    db.connection
        .execute_batch(
            "CREATE TRIGGER t BEFORE INSERT ON node WHEN new.id = 2 BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .unwrap();
    let deltas = [node_delta(1), node_delta(2), Delta::NextId(9)];
    assert!(db.commit(&deltas, 2).is_err());
    assert_eq!(db.committed().unwrap(), 1);
    let rows = db.load().unwrap();
    assert!(rows.nodes.is_empty());
    assert_eq!(rows.next_id, 5);
    db.connection.execute_batch("DROP TRIGGER t").unwrap();
    db.commit(&deltas, 2).unwrap();
    assert_eq!(db.load().unwrap().nodes.len(), 2);
}

#[test]
fn what_happened_is_found_by_item_and_by_place() {
    let dir = temp();
    let mut db = open(&dir);
    let rows: Vec<_> = [(3, 7, "nas:a"), (1, 7, "nas:b"), (2, 8, "nas:a"), (4, 9, "nas:\u{fffd}")]
        .map(|(seq, item, target)| Happened {
            seq,
            item: ItemId(item),
            at: Time(-5),
            target: target.as_bytes().to_vec(),
            what: "It was seen.".into(),
        })
        .into();
    let deltas: Vec<_> = rows.iter().map(|row| Delta::Happened(Box::new(row.clone()))).collect();
    db.commit(&deltas, 1).unwrap();
    let seqs = |db: &mut Sqlite, item: Option<u64>, target: &str| -> Vec<u64> {
        db.happened(item.map(ItemId), target.as_bytes()).unwrap().into_iter().map(|row| row.seq).collect()
    };
    assert_eq!(seqs(&mut db, Some(7), ""), [1, 3]);
    assert_eq!(seqs(&mut db, None, "nas:a"), [2, 3]);
    assert_eq!(seqs(&mut db, Some(7), "nas:a"), [1, 2, 3]);
    assert!(seqs(&mut db, None, "nas").is_empty());
    assert_eq!(db.happened(Some(ItemId(8)), b"").unwrap(), [rows[2].clone()]);
}

#[test]
fn tables_are_as_the_code_names_them() {
    let dir = temp();
    let db = open(&dir);
    for table in [
        &schema::LOCATION,
        &schema::SETTING,
        &schema::ITEM,
        &schema::BASE,
        &schema::SERVER,
        &schema::INTENT,
        &schema::NODE,
        &schema::CONTENT,
        &schema::STASH,
        &schema::HISTORY,
        &schema::BEFORE,
        &schema::HAPPENED,
    ] {
        let mut statement = db.connection.prepare("SELECT name FROM pragma_table_info(?)").unwrap();
        let there: Vec<String> =
            statement.query_map([table.name], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(there, table.columns(), "{}", table.name);
    }
}

#[test]
fn what_is_not_ours_is_named_and_left_alone() {
    let dir = temp();
    let check = |content: &[u8], expected: &str| {
        fs::write(path(&dir), content).unwrap();
        match Sqlite::open(&path(&dir)) {
            Err(StoreError::Foreign { detail, .. }) => assert!(detail.contains(expected), "{detail}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(fs::read(path(&dir)).unwrap(), content);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was made beside it");
    };
    check(b"My notes\nof today\n", "text file");
    check(&[0x7f, b'E', b'L', b'F', 0, 0, 0, 9], "no SQLite database");
    check(&[0; 8192], "no SQLite database");

    let other = dir.path().join("other.db");
    Connection::open(&other)
        .unwrap()
        .execute_batch("PRAGMA application_id = 77; CREATE TABLE t (x)")
        .unwrap();
    let bytes = fs::read(&other).unwrap();
    fs::remove_file(&other).unwrap();
    check(&bytes, "another program (application id 77)");

    fs::remove_file(path(&dir)).unwrap();
    fs::create_dir(path(&dir)).unwrap();
    assert!(matches!(Sqlite::open(&path(&dir)), Err(StoreError::Foreign { .. })));
}

#[test]
fn a_newer_database_is_refused_and_left_alone() {
    let dir = temp();
    open(&dir).connection.pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(path(&dir)).unwrap();
    assert!(matches!(
        Sqlite::open(&path(&dir)),
        Err(StoreError::TooNew { found: 99, known, .. }) if known == schema::STEPS.len() as i64
    ));
    assert_eq!(fs::read(path(&dir)).unwrap(), before);
    Connection::open(path(&dir)).unwrap().pragma_update(None, "user_version", -1).unwrap();
    assert!(matches!(Sqlite::open(&path(&dir)), Err(StoreError::Damaged(_))));
}

#[test]
fn a_database_cut_off_anywhere_is_damaged() {
    let dir = temp();
    let mut db = open(&dir);
    db.commit(&as_deltas(&odd_rows()), 1).unwrap();
    drop(db);
    let whole = fs::read(path(&dir)).unwrap();
    let lengths = [0, 1, 15, 16, 17, 67, 99, 100, 101, 512, 4095, 4096, 4097, 8192, whole.len() - 1];
    for length in lengths {
        fs::write(path(&dir), &whole[..length]).unwrap();
        let opened = Sqlite::open(&path(&dir));
        assert!(matches!(opened, Err(StoreError::Damaged(_))), "{length}: {opened:?}");
        drop(opened);
        let _ = fs::remove_file(dir.path().join("store.db-wal"));
        assert_eq!(fs::read(path(&dir)).unwrap(), &whole[..length], "left as it was");
    }
}

#[test]
fn overwritten_pages_never_panic() {
    let dir = temp();
    let mut db = open(&dir);
    db.commit(&as_deltas(&odd_rows()), 1).unwrap();
    drop(db);
    let whole = fs::read(path(&dir)).unwrap();
    let pages = whole.len() / 4096;
    let mut noticed = 0;
    for page in 0..pages {
        for (at, fill) in [(0, 0xff), (0, 0), (8, 0x5a), (2000, 0x77), (4000, 0xff)] {
            let mut bad = whole.clone();
            let from = page * 4096 + at;
            // The first hundred bytes are the header, looked at elsewhere.
            let from = from.max(100);
            bad[from..(from + 80).min((page + 1) * 4096)].fill(fill);
            fs::write(path(&dir), bad).unwrap();
            match Sqlite::open(&path(&dir)) {
                Ok(mut db) => match (db.load(), db.verify()) {
                    (Ok(_), Ok(findings)) => noticed += usize::from(!findings.is_empty()),
                    (Err(StoreError::Damaged(_)), Ok(findings)) => {
                        assert!(!findings.is_empty(), "what load cannot read, verify tells");
                        noticed += 1;
                    }
                    (load, verify) => panic!("page {page} at {at}: {load:?} {verify:?}"),
                },
                Err(StoreError::Damaged(_)) => noticed += 1,
                Err(other) => panic!("page {page} at {at}: {other:?}"),
            }
            let _ = fs::remove_file(dir.path().join("store.db-wal"));
            let _ = fs::remove_file(dir.path().join("store.db-shm"));
        }
    }
    assert!(noticed > pages, "{noticed} of {}", pages * 5);
}

/// A power cut leaves any part of the log's tail.
#[test]
fn a_log_cut_off_anywhere_gives_whole_commits() {
    let dir = temp();
    let mut db = open(&dir);
    for seq in 1..=4 {
        let nodes: Vec<_> = (0..60).map(|n| node_delta(seq * 100 + n)).collect();
        db.commit(&nodes, seq).unwrap();
    }
    let log = fs::read(dir.path().join("store.db-wal")).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for length in (0..=log.len()).rev().step_by(1009) {
        let copy = temp();
        fs::copy(path(&dir), path(&copy)).unwrap();
        fs::write(copy.path().join("store.db-wal"), &log[..length]).unwrap();
        let mut db = open(&copy);
        let seq = db.committed().unwrap();
        assert_eq!(db.load().unwrap().nodes.len() as u64, seq * 60, "log of {length} bytes");
        assert!(!db.verify().unwrap().iter().any(|finding| finding.contains("database")));
        seen.insert(seq);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[test]
fn a_log_without_its_database_is_damage() {
    let dir = temp();
    fs::write(dir.path().join("store.db-wal"), b"something").unwrap();
    assert!(matches!(Sqlite::open(&path(&dir)), Err(StoreError::Damaged(_))));
    assert!(!path(&dir).exists());
}

#[test]
fn a_creation_that_was_cut_off_is_begun_again() {
    let dir = temp();
    fs::write(dir.path().join("store.db.new"), b"half").unwrap();
    fs::write(dir.path().join("store.db.new-wal"), b"half").unwrap();
    let mut db = open(&dir);
    assert_eq!(db.load().unwrap(), Rows::default());
    drop(db);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn an_older_database_is_brought_up_to_date_or_stays_as_it_is() {
    let dir = temp();
    let mut db = open(&dir);
    db.commit(&as_deltas(&odd_rows()), 1).unwrap();
    drop(db);

    let mut failing = schema::STEPS.to_vec();
    failing.push(|t| t.execute_batch("ALTER TABLE node ADD COLUMN colour TEXT"));
    let good = failing.clone();
    failing.push(|t| t.execute_batch("INSERT INTO no_such_table VALUES (1)"));
    assert!(Sqlite::open_with(&path(&dir), &failing).is_err());
    let mut db = open(&dir);
    assert!(db.load().is_ok(), "still of this version");
    drop(db);

    let mut db = Sqlite::open_with(&path(&dir), &good).unwrap();
    let version: i64 = db.connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version as usize, schema::STEPS.len() + 1);
    db.connection.execute_batch("UPDATE node SET colour = 'red'").unwrap();
    assert_eq!(db.load().unwrap().nodes.len(), odd_rows().nodes.len());
    drop(db);
    assert!(matches!(Sqlite::open(&path(&dir)), Err(StoreError::TooNew { .. })));
}

/// A store of the first version, as it was written then.
#[test]
fn what_was_before_a_decision_outlives_the_step_to_rows_of_its_own() {
    let dir = temp();
    let old = Sqlite::open_with(&path(&dir), &schema::STEPS[..1]).unwrap();
    let row = |id| Some(Box::new(bare_item(id)));
    let befores = [(9, row(9)), (4, None), (9, row(9))].map(|(item, row)| Before1 {
        item: ItemId(item),
        row,
        node: None,
        after: None,
    });
    let blob = postcard::to_allocvec(&befores[..]).unwrap();
    let put = |id: i64, what: &str, before: &[u8]| {
        let sql = "INSERT INTO history (id, at, what, undone, before) VALUES (?, 7, ?, 0, ?)";
        old.connection.execute(sql, (id, what, before)).unwrap();
    };
    put(3, "3 conflicts decided: keep local", &blob);
    put(5, "nas:a put back from the stash", &[0]);
    drop(old);

    let rows = open(&dir).load().unwrap();
    let history = History1 {
        id: HistoryId(3),
        at: Time(7),
        what: "3 conflicts decided: keep local".into(),
        undone: false,
        before: befores.into(),
    };
    let (history, expected) = history.into_now();
    assert_eq!(rows.befores, expected);
    assert_eq!((history.kind, history.items), (HistoryKind::Decision, 3));
    assert_eq!(history.location, Some(LocationId(1)));
    assert_eq!(rows.history[0], history);
    assert_eq!(rows.history[1].kind, HistoryKind::Restored);
    assert_eq!(rows.history.len(), 2);
    let numbers: Vec<u64> = rows.befores.iter().map(|(id, _)| id.number).collect();
    assert_eq!(numbers, [0, 1, 2]);
}
