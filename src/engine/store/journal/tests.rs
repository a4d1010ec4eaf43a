use super::*;
use crate::model::{HistoryId, ItemId, Kind, NodeId, RequestId, Time};
use crate::store::persist::Forget;
use crate::store::rows::{Delta, Node};
use crate::store::rows_before::{Before1, History1};

const BOOT: [u8; 16] = [7; 16];

fn open(dir: &Path) -> FileJournal {
    FileJournal::open(dir, BOOT).unwrap()
}

fn delta(id: u64) -> Step {
    let node = Node {
        id: NodeId(id),
        kind: Kind::File,
        mode: 0o644,
        uid: 1000,
        gid: 1000,
        rdev: 0,
        size: u64::MAX,
        atime: Time(i64::MIN),
        mtime: Time(i64::MAX),
        ctime: Time(-1),
        content: None,
        link_target: Some(vec![b'x'; 60].as_slice().into()),
        xattrs: std::sync::Arc::new(vec![(b"user.\xff".to_vec(), b"v".to_vec())]),
        listed: false,
        writing: true,
        replaced: None,
    };
    let note = Note {
        done: Some(RequestId { mount: 3, number: id }),
        forget: vec![Forget::Entry(NodeId(id), crate::model::Name::new(b"a").unwrap())],
    };
    Step { deltas: vec![Delta::Node(node.id, Some(Box::new(node))), Delta::NextId(id)], note }
}

fn write(dir: &Path, seqs: std::ops::RangeInclusive<u64>) {
    let mut journal = open(dir);
    journal.recover(0).unwrap();
    for seq in seqs {
        journal.append(seq, &delta(seq)).unwrap();
    }
}

fn recovered(dir: &Path, after: u64) -> Vec<u64> {
    let recovered = open(dir).recover(after).unwrap();
    assert!(recovered.notes.iter().all(|note| *note == delta(note.done.unwrap().number).note));
    let is_whole = |(seq, deltas)| (deltas == delta(seq).deltas).then_some(seq).unwrap();
    recovered.records.into_iter().map(is_whole).collect()
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn only_segment(dir: &Path) -> PathBuf {
    let names = files(dir);
    assert_eq!(names.len(), 1, "{names:?}");
    dir.join(&names[0])
}

#[test]
fn what_was_appended_outlives_the_engine() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 1..=5);
    assert_eq!(recovered(dir.path(), 0), [1, 2, 3, 4, 5]);
    assert_eq!(recovered(dir.path(), 3), [4, 5]);
    assert!(recovered(dir.path(), 5).is_empty());
}

#[test]
fn a_second_kill_finds_the_records_of_both_runs() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 1..=2);
    write(dir.path(), 3..=4);
    assert_eq!(files(dir.path()).len(), 2, "appends after a recovery go to a file of their own");
    assert_eq!(recovered(dir.path(), 0), [1, 2, 3, 4]);
}

#[test]
fn a_tail_cut_anywhere_costs_its_record_only() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 1..=2);
    let two = fs::read(only_segment(dir.path())).unwrap().len();
    write(dir.path(), 3..=3);
    let _ = fs::remove_dir_all(dir.path());
    write(dir.path(), 1..=3);
    let path = only_segment(dir.path());
    let whole = fs::read(&path).unwrap();
    for cut in two..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        assert_eq!(recovered(dir.path(), 0), [1, 2], "cut at {cut}");
        assert_eq!(fs::metadata(&path).unwrap().len(), two as u64);
    }
    // In the header: nothing was appended yet.
    for cut in 0..HEADER_BYTES {
        fs::write(&path, &whole[..cut]).unwrap();
        assert!(recovered(dir.path(), 0).is_empty());
        assert!(files(dir.path()).is_empty());
    }
}

#[test]
fn a_flipped_bit_ends_the_reading() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 1..=2);
    let path = only_segment(dir.path());
    let two = fs::metadata(&path).unwrap().len() as usize;
    fs::remove_file(&path).unwrap();
    write(dir.path(), 1..=4);
    let whole = fs::read(&path).unwrap();
    for at in two..two + 60 {
        let mut bad = whole.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, bad).unwrap();
        assert_eq!(recovered(dir.path(), 0), [1, 2], "flipped at {at}");
    }
}

#[test]
fn appends_after_a_torn_tail_are_found() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 1..=3);
    let path = only_segment(dir.path());
    let length = fs::metadata(&path).unwrap().len();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 3).unwrap();
    write(dir.path(), 3..=6);
    assert_eq!(recovered(dir.path(), 0), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn another_boot_counts_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 1..=3);
    let mut journal = FileJournal::open(dir.path(), [8; 16]).unwrap();
    assert_eq!(journal.recover(0).unwrap(), Recovered::default());
    assert!(files(dir.path()).is_empty());
    journal.append(2, &delta(2)).unwrap();
    drop(journal);
    assert!(recovered(dir.path(), 0).is_empty());
}

#[test]
fn turns_over_and_forgets() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path());
    journal.segment_bytes = 1000;
    journal.recover(0).unwrap();
    for seq in 1..=40 {
        journal.append(seq, &delta(seq)).unwrap();
    }
    let before = files(dir.path()).len();
    assert!(before > 4);
    journal.forget(0).unwrap();
    assert_eq!(files(dir.path()).len(), before);
    journal.forget(20).unwrap();
    assert!(files(dir.path()).len() < before);
    let left = recovered(dir.path(), 0);
    assert!(left[0] <= 21, "only what is wholly committed goes");
    assert_eq!(recovered(dir.path(), 20), (21..=40).collect::<Vec<_>>());
    journal.forget(40).unwrap();
    assert_eq!(files(dir.path()).len(), KEPT_SEGMENTS);
    journal.append(41, &delta(41)).unwrap();
    drop(journal);
    assert_eq!(recovered(dir.path(), 40), [41]);
}

#[test]
fn recovered_segments_are_forgotten_too() {
    let dir = tempfile::tempdir().unwrap();
    (1..=4).for_each(|seq| write(dir.path(), seq..=seq));
    let mut journal = open(dir.path());
    journal.recover(0).unwrap();
    journal.forget(1).unwrap();
    assert_eq!(files(dir.path()).len(), 3);
    journal.forget(4).unwrap();
    assert_eq!(files(dir.path()).len(), KEPT_SEGMENTS);
    journal.append(5, &delta(5)).unwrap();
    drop(journal);
    assert_eq!(recovered(dir.path(), 4), [5]);
}

#[test]
fn notes_outlive_the_commit() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 1..=3);
    let mut journal = open(dir.path());
    journal.recover(0).unwrap();
    journal.forget(3).unwrap();
    drop(journal);
    let Recovered { records, notes } = open(dir.path()).recover(3).unwrap();
    assert!(records.is_empty());
    assert_eq!(notes, [1, 2, 3].map(|seq| delta(seq).note));
}

#[test]
fn records_of_the_first_format_are_read() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 1..=1);
    let path = only_segment(dir.path());
    let mut bytes = fs::read(&path).unwrap()[..HEADER_BYTES].to_vec();
    bytes[8..12].copy_from_slice(&WITHOUT_NOTES.to_le_bytes());
    let check = check_of(&[&bytes[..28]]);
    bytes[28..].copy_from_slice(&check);
    let payload = postcard::to_allocvec(&delta(1).deltas).unwrap();
    bytes.extend((payload.len() as u32).to_le_bytes());
    bytes.extend(1u64.to_le_bytes());
    let check = check_of(&[&bytes[HEADER_BYTES..], &payload]);
    bytes.extend(check.iter().chain(&payload));
    fs::write(&path, bytes).unwrap();
    let Recovered { records, notes } = open(dir.path()).recover(0).unwrap();
    assert_eq!(records, [(1, delta(1).deltas)]);
    assert_eq!(notes, [Note::default()]);
}

#[test]
fn a_missing_segment_ends_the_reading() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 1..=1);
    write(dir.path(), 2..=2);
    write(dir.path(), 3..=3);
    fs::remove_file(dir.path().join("journal-0002")).unwrap();
    assert_eq!(recovered(dir.path(), 0), [1]);
    assert_eq!(files(dir.path()), ["journal-0001"]);
}

#[test]
fn a_failed_append_leaves_the_journal_usable() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path());
    journal.recover(0).unwrap();
    journal.append(1, &delta(1)).unwrap();
    let path = only_segment(dir.path());

    // Neither the write nor the cut succeeds.
    let unwritable = File::open(&path).unwrap();
    let current = journal.current.as_mut().unwrap();
    let good = std::mem::replace(&mut current.file, unwritable);
    let end = current.end;
    assert!(journal.append(2, &delta(2)).is_err());
    assert!(journal.append(2, &delta(2)).is_err());

    // Half a record has come onto the disk meanwhile.
    good.write_all_at(&[9; 30], end).unwrap();
    journal.current.as_mut().unwrap().file = good;
    journal.append(2, &delta(2)).unwrap();
    drop(journal);
    assert_eq!(recovered(dir.path(), 0), [1, 2]);
}

#[test]
fn no_append_before_the_recovery() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).append(1, &delta(1)).unwrap();
    assert!(open(dir.path()).append(2, &delta(2)).is_err());
}

#[test]
fn records_out_of_order_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 1..=3);
    let mut journal = open(dir.path());
    journal.recover(0).unwrap();
    assert!(journal.append(3, &delta(3)).is_err(), "the next start would stop at it");
    journal.append(4, &delta(4)).unwrap();
    drop(journal);
    assert_eq!(recovered(dir.path(), 0), [1, 2, 3, 4]);
}

#[test]
fn a_newer_format_of_this_boot_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 1..=1);
    let path = only_segment(dir.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = FORMAT as u8 + 1;
    let check = check_of(&[&bytes[..28]]);
    bytes[28..36].copy_from_slice(&check);
    fs::write(&path, bytes).unwrap();
    assert!(matches!(open(dir.path()).recover(0), Err(StoreError::TooNew { found: 3, known: 2, .. })));
    assert!(path.exists());
}

/// An engine that was killed just before it was replaced by this one.
#[test]
fn what_the_format_before_holds_is_understood() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 1..=1);
    let path = only_segment(dir.path());
    let mut bytes = fs::read(&path).unwrap()[..HEADER_BYTES].to_vec();
    bytes[8] = 1;
    let check = check_of(&[&bytes[..28]]);
    bytes[28..36].copy_from_slice(&check);
    let history = || History1 {
        id: HistoryId(7),
        at: Time(3),
        what: "1 conflict decided: keep local".into(),
        undone: false,
        before: vec![Before1 { item: ItemId(5), row: None, node: None, after: None }],
    };
    let old = vec![Delta1::History(HistoryId(7), Some(Box::new(history()))), Delta1::NextId(9)];
    let payload = postcard::to_allocvec(&old).unwrap();
    let mut record = (payload.len() as u32).to_le_bytes().to_vec();
    record.extend(1_u64.to_le_bytes());
    record.extend(check_of(&[&record, &payload]));
    bytes.extend(record);
    bytes.extend(payload);
    fs::write(&path, bytes).unwrap();
    let (now, befores) = history().into_now();
    let (id, before) = befores[0].clone();
    let expected = vec![
        Delta::History(HistoryId(7), Some(Box::new(now))),
        Delta::Before(id, Some(Box::new(before))),
        Delta::NextId(9),
    ];
    let expected = Step { deltas: expected, note: Note::default() };
    let mut journal = open(dir.path());
    assert_eq!(journal.recover(0).unwrap().records, [(1, expected.deltas.clone())]);
    // What is written now goes into a segment of its own.
    journal.append(2, &expected).unwrap();
    drop(journal);
    let both = [(1, expected.deltas.clone()), (2, expected.deltas)];
    assert_eq!(open(dir.path()).recover(0).unwrap().records, both);
}

#[test]
fn a_good_record_that_says_nothing_known_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 1..=1);
    let path = only_segment(dir.path());
    let mut bytes = fs::read(&path).unwrap()[..HEADER_BYTES].to_vec();
    let mut record = vec![0; RECORD_HEAD_BYTES];
    record.extend([1, 0xee]);
    record[0] = 2;
    record[4] = 1;
    let check = check_of(&[&record[..12], &record[RECORD_HEAD_BYTES..]]);
    record[12..20].copy_from_slice(&check);
    bytes.extend(record);
    fs::write(&path, bytes).unwrap();
    assert!(matches!(open(dir.path()).recover(0), Err(StoreError::Damaged(_))));
}
