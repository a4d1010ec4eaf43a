//! Rows with values that are seldom right.

use super::*;

pub fn name(bytes: &[u8]) -> Name {
    Name::new(bytes).unwrap()
}

pub fn state(parent: Option<u64>, bytes: &[u8], kind: Kind) -> State {
    State {
        parent: parent.map(ItemId),
        name: name(bytes),
        meta: Meta {
            kind,
            mode: 0o755,
            size: 10,
            mtime: Time(1),
            link_target: None,
            xattrs: None,
            version: Version::new(b"v"),
            file_id: None,
        },
        content: None,
    }
}

pub fn bare_item(id: u64) -> Item {
    Item::new(ItemId(id), LocationId(1))
}

pub fn plain_item(id: u64) -> Item {
    let file = format!("IMG_{id:08}.jpeg");
    let mut base = state(Some(1), file.as_bytes(), Kind::File);
    base.meta.xattrs = Some(Arc::default());
    base.meta.version = Version::new(b"0123456789abcdef");
    base.meta.file_id = Some(id);
    Item {
        entry: Some(Entry { parent: NodeId(1), name: base.name.clone(), node: NodeId(id) }),
        base: Some(Box::new(base)),
        ..bare_item(id)
    }
}

pub fn node(id: u64, kind: Kind) -> Node {
    Node {
        id: NodeId(id),
        kind,
        mode: 0o644,
        uid: 1000,
        gid: 1000,
        rdev: 0,
        size: 0,
        atime: Time(1_700_000_000_123_456_789),
        mtime: Time(1_700_000_000_123_456_789),
        ctime: Time(1_700_000_000_123_456_789),
        content: None,
        link_target: None,
        xattrs: Arc::default(),
        listed: false,
        writing: false,
        replaced: None,
    }
}

pub fn node_delta(id: u64) -> Delta {
    Delta::Node(NodeId(id), Some(Box::new(node(id, Kind::File))))
}

fn odd_state() -> State {
    State {
        parent: Some(ItemId(u64::MAX)),
        name: name(b"\xff\xfe\n-\x01\"'%"),
        meta: Meta {
            kind: Kind::Special(0o010_000),
            mode: u32::MAX,
            size: u64::MAX,
            mtime: Time(i64::MIN),
            link_target: Some(b"../\xf0\0x".as_slice().into()),
            xattrs: Some(Arc::new(vec![(b"user.\xff".to_vec(), vec![0, 255]), (b"user.z".to_vec(), vec![])])),
            version: Version::new(b""),
            file_id: Some(1 << 63),
        },
        content: Some(ContentId(u64::MAX)),
    }
}

pub fn odd_rows() -> Rows {
    let long = Name::new(&[0xe9; 255]).unwrap();
    let problem =
        Problem { id: ProblemId(u64::MAX - 1), needs: Needs::SignIn, message: "a\0b \u{1f4be}\n".into() };
    let full = Item {
        id: ItemId(u64::MAX),
        location: LocationId(u64::MAX),
        entry: Some(Entry { parent: NodeId(u64::MAX), name: long.clone(), node: NodeId(1 << 63) }),
        base: Some(Box::new(odd_state())),
        server: ServerSide::At(Box::new(state(None, b"-", Kind::Symlink))),
        pending: Some(Pending { aspects: Aspects::all(), first_at: Time(i64::MIN), last_at: Time(i64::MAX) }),
        sending: Some(Box::new(Intent {
            aspects: Aspects::CONTENT | Aspects::PLACE,
            result: Some(Box::new(odd_state())),
            digest: Some(Digest([255; 32])),
            from: Some((ItemId(0), long)),
        })),
        conflict: Some(Box::new(Conflict {
            id: ConflictId(u64::MAX),
            kind: ConflictKind::MoveDelete,
            since: Time(-1),
        })),
        problem: Some(Box::new(problem.clone())),
        pinned: true,
        local_only: true,
    };
    let mut items = vec![full, bare_item(0), plain_item(3), plain_item(1 << 63)];
    for (i, kind) in ConflictKind::ALL.into_iter().enumerate() {
        let id = 100 + i as u64;
        items.push(Item {
            conflict: Some(Box::new(Conflict { id: ConflictId(id), kind, since: Time(0) })),
            server: ServerSide::Gone,
            sending: Some(Box::new(Intent {
                aspects: Aspects::empty(),
                result: None,
                digest: None,
                from: None,
            })),
            pending: Some(Pending { aspects: Aspects::empty(), first_at: Time(0), last_at: Time(0) }),
            ..bare_item(id)
        });
    }
    for (i, needs) in
        [Needs::Retry, Needs::Confirm, Needs::Space, Needs::Name, Needs::Unfinished].into_iter().enumerate()
    {
        let id = 200 + i as u64;
        let problem = Problem { id: ProblemId(id), needs, message: String::new() };
        items.push(Item { problem: Some(Box::new(problem)), ..bare_item(id) });
    }
    let nodes = vec![
        node(1, Kind::Folder),
        Node {
            id: NodeId(u64::MAX),
            kind: Kind::Special(0o020_000),
            mode: u32::MAX,
            uid: u32::MAX,
            gid: u32::MAX,
            rdev: u32::MAX,
            size: u64::MAX,
            atime: Time(i64::MIN),
            mtime: Time(i64::MAX),
            ctime: Time(0),
            content: Some(ContentId(0)),
            link_target: Some(b"\xff".as_slice().into()),
            xattrs: Arc::new(vec![(b"user.a".to_vec(), vec![7; 3000])]),
            listed: true,
            writing: true,
            replaced: Some(ContentId(u64::MAX)),
        },
    ];
    let contents = vec![
        ContentRow {
            id: ContentId(u64::MAX),
            file: u64::MAX,
            size: u64::MAX,
            over: Some(Over { content: ContentId(1), limit: u64::MAX }),
            changed: vec![0..1, 2..4096, 1 << 62..u64::MAX],
            whole: false,
            sealed: true,
            digest: Some(Digest([1; 32])),
        },
        ContentRow {
            id: ContentId(1),
            file: 0,
            size: 0,
            over: None,
            changed: vec![],
            whole: true,
            sealed: false,
            digest: None,
        },
    ];
    let locations = vec![
        Location {
            id: LocationId(u64::MAX),
            name: "nas".into(),
            url: "dav://h\u{e9}te/\0".into(),
            root: ItemId(u64::MAX),
            by_hand: true,
            settings: vec![("b".into(), "1".into()), ("a".into(), "".into()), ("b".into(), "2".into())],
            last_sync: Some(Time(i64::MIN)),
            brake: Some(problem),
        },
        Location {
            id: LocationId(1),
            name: "x".into(),
            url: String::new(),
            root: ItemId(0),
            by_hand: false,
            settings: vec![],
            last_sync: None,
            brake: None,
        },
    ];
    let stash = Side::ALL
        .into_iter()
        .enumerate()
        .map(|(i, side)| Stashed {
            id: StashId(u64::MAX - i as u64),
            location: LocationId(9),
            target: b"nas:a/\xff".to_vec(),
            side,
            kind: Kind::Symlink,
            mode: 0o777,
            mtime: Time(-1),
            size: u64::MAX,
            content: (i > 0).then_some(ContentId(1)),
            link_target: (i == 0).then(|| b"t".as_slice().into()),
            at: Time(3),
            why: "It lost.".into(),
            kept: i == 1,
        })
        .collect();
    let before = Before {
        item: ItemId(5),
        row: Some(Box::new(items[0].clone())),
        node: Some(Box::new(nodes[1].clone())),
        after: None,
        did: Did::SENT | Did::TAKEN,
    };
    let history = vec![
        History {
            id: HistoryId(1),
            at: Time(i64::MAX),
            what: "w".into(),
            undone: true,
            kind: HistoryKind::Reconnection,
            location: Some(LocationId(u64::MAX)),
            items: u64::MAX,
            counted: Counted { away_seconds: Some(u64::MAX), sent: 1, taken: u64::MAX, conflicts: 3 },
            released: true,
            left_out: u64::MAX,
        },
        History {
            id: HistoryId(2),
            at: Time(0),
            what: String::new(),
            undone: false,
            kind: HistoryKind::Decision,
            location: None,
            items: 0,
            counted: Counted::default(),
            released: false,
            left_out: 0,
        },
    ];
    let bare = Before { row: None, node: None, did: Did::empty(), ..before.clone() };
    let befores = vec![
        (BeforeId { history: HistoryId(1), number: 0 }, before),
        (BeforeId { history: HistoryId(1), number: u64::MAX }, bare),
    ];
    Rows { items, nodes, contents, locations, stash, history, befores, next_id: u64::MAX }
}

pub fn as_deltas(rows: &Rows) -> Vec<Delta> {
    let mut deltas = vec![Delta::NextId(rows.next_id)];
    deltas.extend(rows.items.iter().map(|row| Delta::Item(row.id, Some(Box::new(row.clone())))));
    deltas.extend(rows.nodes.iter().map(|row| Delta::Node(row.id, Some(Box::new(row.clone())))));
    deltas.extend(rows.contents.iter().map(|row| Delta::Content(row.id, Some(Box::new(row.clone())))));
    deltas.extend(rows.locations.iter().map(|row| Delta::Location(row.id, Some(Box::new(row.clone())))));
    deltas.extend(rows.stash.iter().map(|row| Delta::Stash(row.id, Some(Box::new(row.clone())))));
    deltas.extend(rows.history.iter().map(|row| Delta::History(row.id, Some(Box::new(row.clone())))));
    deltas.extend(rows.befores.iter().map(|(id, row)| Delta::Before(*id, Some(Box::new(row.clone())))));
    deltas
}

pub fn removals(rows: &Rows) -> Vec<Delta> {
    as_deltas(rows)
        .into_iter()
        .map(|delta| match delta {
            Delta::Item(id, _) => Delta::Item(id, None),
            Delta::Node(id, _) => Delta::Node(id, None),
            Delta::Content(id, _) => Delta::Content(id, None),
            Delta::Location(id, _) => Delta::Location(id, None),
            Delta::Stash(id, _) => Delta::Stash(id, None),
            Delta::History(id, _) => Delta::History(id, None),
            Delta::Before(id, _) => Delta::Before(id, None),
            other => other,
        })
        .collect()
}

pub fn sort(rows: &mut Rows) {
    rows.items.sort_by_key(|row| row.id);
    rows.nodes.sort_by_key(|row| row.id);
    rows.contents.sort_by_key(|row| row.id);
    rows.locations.sort_by_key(|row| row.id);
    rows.stash.sort_by_key(|row| row.id);
    rows.history.sort_by_key(|row| row.id);
    rows.befores.sort_by_key(|(id, _)| *id);
}
