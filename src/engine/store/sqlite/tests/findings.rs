//! A sound store has no findings; each thing put out of order has its own.

use super::*;

/// A location with a folder in it and a file in that.
fn sound() -> (tempfile::TempDir, Sqlite) {
    let dir = temp();
    let mut db = open(&dir);
    let mut root = bare_item(10);
    root.entry = Some(Entry { parent: NodeId::ROOT, name: name(b"nas"), node: NodeId(20) });
    root.base = Some(Box::new(samples::state(None, b"nas", Kind::Folder)));
    let mut folder = bare_item(11);
    folder.entry = Some(Entry { parent: NodeId(20), name: name(b"d"), node: NodeId(21) });
    folder.base = Some(Box::new(samples::state(Some(10), b"d", Kind::Folder)));
    let mut file = bare_item(12);
    file.entry = Some(Entry { parent: NodeId(21), name: name(b"f"), node: NodeId(22) });
    file.base =
        Some(Box::new(State { content: Some(ContentId(30)), ..samples::state(Some(11), b"f", Kind::File) }));
    let mut here = node(22, Kind::File);
    here.content = Some(ContentId(31));
    let content = |id: u64, over: Option<u64>| ContentRow {
        id: ContentId(id),
        file: id,
        size: 100,
        over: over.map(|id| Over { content: ContentId(id), limit: 100 }),
        changed: over.map(|_| 10..20).into_iter().collect(),
        whole: true,
        sealed: true,
        digest: Some(Digest([0; 32])),
    };
    let location = Location {
        id: LocationId(1),
        name: "nas".into(),
        url: "sftp://nas".into(),
        root: ItemId(10),
        by_hand: false,
        settings: vec![("a".into(), "b".into())],
        last_sync: None,
        brake: None,
    };
    let rows = Rows {
        items: vec![root, folder, file],
        nodes: vec![node(20, Kind::Folder), node(21, Kind::Folder), here],
        contents: vec![content(30, None), content(31, Some(30))],
        locations: vec![location],
        stash: vec![],
        history: vec![],
        befores: vec![],
        next_id: 40,
    };
    db.commit(&as_deltas(&rows), 1).unwrap();
    (dir, db)
}

#[test]
fn a_sound_store_has_none() {
    let (_dir, mut db) = sound();
    assert_eq!(db.verify().unwrap(), Vec::<String>::new());
}

#[test]
fn each_disorder_is_told() {
    let cases = [
        (
            "INSERT INTO before VALUES (9, 1, x'0c00000000')",
            "History 9 does not exist, and what was before it does.",
        ),
        ("DELETE FROM location", "Item 10 belongs to location 1, which does not exist."),
        ("DELETE FROM location", "Setting a is of location 1, which does not exist."),
        ("UPDATE location SET root = 5", "Location 1 (nas) has item 5 as its root, which does not exist."),
        (
            "UPDATE item SET location = 2 WHERE id = 10",
            "The root of location 1 (nas) is item 10 of location 2.",
        ),
        ("DELETE FROM node WHERE id = 22", "Item 12 is entered here as node 22, which does not exist."),
        ("DELETE FROM node WHERE id = 21", "Item 12 lies here in node 21, which does not exist."),
        ("UPDATE item SET parent = 22 WHERE id = 11", "Item 11 lies here in node 22, which is no folder."),
        (
            "UPDATE base SET parent = 5 WHERE item = 12",
            "Item 12 lies in base in item 5, which does not exist.",
        ),
        ("DELETE FROM base WHERE item = 11", "Item 12 lies in base in item 11, which is no folder there."),
        (
            "UPDATE item SET location = 2 WHERE id = 11",
            "Item 12 lies in base in item 11 of another location.",
        ),
        ("DELETE FROM content WHERE id = 31", "Node 22 has content 31, which does not exist."),
        ("DELETE FROM content WHERE id = 30", "Item 12 has in base content 30, which does not exist."),
        ("DELETE FROM content WHERE id = 30", "Content 31 lies over content 30, which does not exist."),
        ("UPDATE node SET replaced = 9 WHERE id = 22", "Node 22 replaces content 9, which does not exist."),
        ("UPDATE content SET over = 31, over_limit = 1 WHERE id = 30", "Content 30 lies over itself."),
        ("UPDATE content SET size = 15", "Content 31 has a changed range past its end."),
        (
            "UPDATE content SET digest = NULL WHERE id = 30",
            "Content 30 is whole and sealed, and its digest is not known.",
        ),
        ("UPDATE content SET file = 1", "Contents 30, 31 have one file, 1."),
        (
            "UPDATE item SET parent = 20, name = x'64' WHERE id = 12",
            "Items 11, 12 are all entered here at one place in node 20.",
        ),
        (
            "UPDATE base SET parent = 10, name = x'64' WHERE item = 12",
            "Items 11, 12 are all in base at one place in item 10.",
        ),
        ("UPDATE item SET node = 20 WHERE id = 11", "Folder node 20 is entered 2 times."),
        ("UPDATE item SET parent = 21 WHERE id = 11", "Node 21 is a folder that lies in itself."),
        ("UPDATE base SET parent = 11 WHERE item = 11", "Item 11 is in base a folder that lies in itself."),
        (
            "INSERT INTO location SELECT 2, name, url, root, by_hand, last_sync, brake, brake_needs, brake_message FROM location",
            "Locations 1, 2 have one name, nas.",
        ),
        (
            "UPDATE item SET conflict = 3, conflict_kind = 'type', conflict_since = 0 WHERE id > 10",
            "Items 11, 12 have one conflict, 3.",
        ),
        (
            "UPDATE item SET problem = 3, problem_needs = 'retry', problem_message = '' WHERE id > 10",
            "Items 11, 12 have one problem, 3.",
        ),
        (
            "UPDATE item SET server = 'gone'; DELETE FROM base WHERE item = 12",
            "Item 12 is gone from the server and was never there.",
        ),
        (
            "UPDATE item SET local_only = 1 WHERE id = 12",
            "Item 12 lives only here and is known on the server.",
        ),
        ("UPDATE node SET content = 30 WHERE id = 21", "Node 21 has content and is a folder."),
        (
            "UPDATE node SET kind = 'symlink', content = NULL WHERE id = 22",
            "Node 22 is a symbolic link that leads nowhere.",
        ),
        (
            "UPDATE meta SET value = 30 WHERE key = 'next_id'",
            "Content 31 has a number that was not handed out yet.",
        ),
        (
            "UPDATE node SET id = -1 WHERE id = 22",
            "Node 18446744073709551615 has a number that was not handed out yet.",
        ),
    ];
    for (sql, expected) in cases {
        let (_dir, mut db) = sound();
        db.connection.execute_batch(sql).unwrap();
        let findings = db.verify().unwrap();
        assert!(findings.iter().any(|finding| finding == expected), "{sql}: {findings:#?}");
    }
}

/// What a row itself may not say: told by `verify`, and a reason for `load` to stop.
#[test]
fn each_broken_row_is_told_and_not_loaded() {
    let cases = [
        ("UPDATE item SET name = x'612f62' WHERE id = 12", "table item, row 12, column name"),
        ("UPDATE item SET name = x'' WHERE id = 12", "table item, row 12, column name"),
        ("UPDATE base SET name = x'2e2e' WHERE item = 12", "table base, row 12, column name"),
        ("UPDATE base SET kind = 'door' WHERE item = 12", "table base, row 12, column kind"),
        ("UPDATE base SET xattrs = x'ff' WHERE item = 12", "table base, row 12, column xattrs"),
        ("UPDATE base SET xattrs = x'0000' WHERE item = 12", "table base, row 12, column xattrs"),
        ("UPDATE base SET mode = -1 WHERE item = 12", "table base, row 12, column mode"),
        ("UPDATE item SET pending = 4096, first_at = 0, last_at = 0", "table item, row 10, column pending"),
        ("UPDATE item SET server = 'at' WHERE id = 12", "table item, row 12, column server"),
        ("DELETE FROM item WHERE id = 12", "table base has a row of item 12"),
        ("UPDATE node SET uid = 4294967296 WHERE id = 22", "table node, row 22, column uid"),
        ("UPDATE content SET digest = x'00' WHERE id = 31", "table content, row 31, column digest"),
        ("UPDATE content SET changed = x'020a14140a' WHERE id = 31", "table content, row 31, column changed"),
        ("UPDATE location SET name = CAST(x'ff' AS TEXT)", "table location, row 1, column name"),
        (
            "PRAGMA ignore_check_constraints = 1; UPDATE node SET listed = 7 WHERE id = 22",
            "table node, row 22, column listed",
        ),
        (
            "PRAGMA ignore_check_constraints = 1; UPDATE item SET node = NULL WHERE id = 12",
            "table item, row 12, column node",
        ),
        (
            "INSERT INTO history VALUES (5, 0, '', 0, 'party', NULL, 0, NULL, 0, 0, 0, 0, 0)",
            "table history, row 5, column kind",
        ),
        ("INSERT INTO before VALUES (5, 0, x'01')", "table before, row 5, column before"),
        ("DROP TABLE stash", "no such table: stash"),
        ("DELETE FROM meta WHERE key = 'next_id'", "table meta has no row next_id"),
    ];
    for (sql, expected) in cases {
        let (_dir, mut db) = sound();
        db.connection.execute_batch(sql).unwrap();
        match db.load() {
            Err(StoreError::Damaged(what)) => assert!(what.contains(expected), "{sql}: {what}"),
            other => panic!("{sql}: {other:?}"),
        }
        let findings = db.verify().unwrap();
        let expected = expected[1..].to_owned();
        assert!(findings.iter().any(|finding| finding.contains(&expected)), "{sql}: {findings:#?}");
    }
}

#[test]
fn many_of_a_sort_are_counted() {
    let (_dir, mut db) = sound();
    let deltas: Vec<_> = (1000..1250).map(node_delta).collect();
    db.commit(&deltas, 2).unwrap();
    let findings = db.verify().unwrap();
    assert_eq!(findings.len(), 101);
    assert_eq!(findings[100], "There are 150 more like the last.");
}
