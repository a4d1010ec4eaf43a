//! How fast and how large what is kept is: the journal, the database, the trees in memory.
//!
//! `cargo bench -p holdfast-engine --bench store [-- FILES]`, a million files unless told.

// A bench measures time; nothing here is part of the engine.
#![allow(clippy::disallowed_methods)]

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use holdfast_engine::model::{
    ContentId, Digest, ItemId, Kind, LocationId, Meta, Name, NodeId, State, Time, Version,
};
use holdfast_engine::store::content::Contents;
use holdfast_engine::store::files::DirFiles;
use holdfast_engine::store::journal::FileJournal;
use holdfast_engine::store::persist::{Database, Journal, Step};
use holdfast_engine::store::rows::{ContentRow, Delta, Entry, Item, Node, Rows};
use holdfast_engine::store::sqlite::Sqlite;
use holdfast_engine::store::tree::Tree;

type Failure = Box<dyn std::error::Error>;

/// Files in a folder.
const IN_A_FOLDER: u64 = 100;

fn main() -> Result<(), Failure> {
    let files = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let files: u64 = files.map_or(Ok(1_000_000), |files| files.parse())?;
    let folder = std::env::temp_dir().join(format!("store-bench-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let outcome = journal(&folder).and_then(|()| database(&folder, files));
    fs::remove_dir_all(&folder)?;
    outcome
}

fn journal(folder: &std::path::Path) -> Result<(), Failure> {
    const RECORDS: u64 = 200_000;
    let mut journal = FileJournal::open(&folder.join("journal"), [7; 16])?;
    journal.recover(0)?;
    let step = Step { deltas: vec![item_delta(2), node_delta(2)], ..Step::default() };
    let start = Instant::now();
    for seq in 1..=RECORDS {
        journal.append(seq, &step)?;
        if seq % 10_000 == 0 {
            journal.forget(seq)?;
        }
    }
    println!("journal: an item and a node appended: {:?}", start.elapsed() / RECORDS as u32);
    Ok(())
}

fn database(folder: &std::path::Path, files: u64) -> Result<(), Failure> {
    let path = folder.join("store.db");
    let mut db = Sqlite::open(&path)?;
    let mut seq = 0;
    let mut put = |db: &mut Sqlite, what: &str, deltas: &mut dyn Iterator<Item = Delta>| {
        let start = Instant::now();
        loop {
            let part: Vec<Delta> = deltas.take(50_000).collect();
            if part.is_empty() {
                println!("database: {what}: {:?}", start.elapsed());
                return Ok::<_, Failure>(());
            }
            seq += 1;
            db.commit(&part, seq)?;
        }
    };
    let all = |id| [item_delta(id), node_delta(id), content_delta(id)];
    put(&mut db, &format!("{files} files put in"), &mut (2..2 + files).flat_map(all))?;
    let scattered = |n: u64| node_delta(2 + n * 97 % files);
    put(&mut db, "10,000 nodes of them changed", &mut (0..10_000).map(scattered))?;
    put(&mut db, "one node of them changed", &mut std::iter::once(node_delta(2)))?;
    drop(db);
    let mut db = Sqlite::open(&path)?;
    let start = Instant::now();
    let findings = db.verify()?;
    println!("database: verified, with {} findings: {:?}", findings.len(), start.elapsed());
    println!("database: {} MB", fs::metadata(&path)?.len() / 1_000_000);

    let before = resident()?;
    let start = Instant::now();
    let mut rows: Rows = db.load()?;
    println!("memory: rows loaded: {:?}, {:.0} bytes a file", start.elapsed(), each(before, files)?);
    let contents = Contents::new(Arc::new(DirFiles::open(folder)?), std::mem::take(&mut rows.contents));
    let tree = Tree::load(rows, (0, 0), Time::ZERO);
    println!("memory: trees and contents: {:?}, {:.0} bytes a file", start.elapsed(), each(before, files)?);
    drop((tree, contents));
    Ok(())
}

fn each(before: f64, files: u64) -> Result<f64, Failure> {
    Ok((resident()? - before) / files as f64)
}

/// Bytes.
fn resident() -> Result<f64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().next().ok_or("no VmRSS")?.parse::<f64>()? * 1024.0)
}

fn folder_of(id: u64) -> u64 {
    2 + (id - 2) / IN_A_FOLDER * IN_A_FOLDER
}

/// The first of each hundred is the folder of the others.
fn kind_of(id: u64) -> Kind {
    if folder_of(id) == id { Kind::Folder } else { Kind::File }
}

fn item_delta(id: u64) -> Delta {
    let name = Name::new(format!("IMG_{id:08}.jpeg").as_bytes()).expect("letters and digits");
    let kind = kind_of(id);
    let parent = if kind == Kind::Folder { 1 } else { folder_of(id) };
    let meta = Meta {
        kind,
        mode: 0o644,
        size: 4096,
        mtime: Time(1_700_000_000_123_456_789),
        link_target: None,
        xattrs: None,
        version: Version::new(b"0123456789abcdef01234567"),
        file_id: Some(id),
    };
    let content = (kind == Kind::File).then_some(ContentId(id));
    let base = State { parent: Some(ItemId(parent)), name: name.clone(), meta, content };
    let item = Item {
        entry: Some(Entry { parent: NodeId(parent), name, node: NodeId(id) }),
        base: Some(Box::new(base)),
        ..Item::new(ItemId(id), LocationId(1))
    };
    Delta::Item(item.id, Some(Box::new(item)))
}

fn node_delta(id: u64) -> Delta {
    let time = Time(1_700_000_000_123_456_789);
    let node = Node {
        id: NodeId(id),
        kind: kind_of(id),
        mode: 0o644,
        uid: 1000,
        gid: 1000,
        rdev: 0,
        size: 4096,
        atime: time,
        mtime: time,
        ctime: time,
        content: (kind_of(id) == Kind::File).then_some(ContentId(id)),
        link_target: None,
        xattrs: Arc::default(),
        listed: kind_of(id) == Kind::Folder,
        writing: false,
        replaced: None,
    };
    Delta::Node(node.id, Some(Box::new(node)))
}

fn content_delta(id: u64) -> Delta {
    let row = ContentRow {
        id: ContentId(id),
        file: id,
        size: 4096,
        over: None,
        changed: Vec::new(),
        whole: true,
        sealed: true,
        digest: Some(Digest([7; 32])),
    };
    Delta::Content(row.id, Some(Box::new(row)))
}
