use std::os::unix::fs::PermissionsExt;

use super::*;

const BLOCK: u64 = 4096;

fn store() -> (tempfile::TempDir, DirFiles) {
    let dir = tempfile::tempdir().unwrap();
    let files = DirFiles::open(dir.path()).unwrap();
    (dir, files)
}

fn read(file: &dyn StoreFile, range: Range<u64>) -> Vec<u8> {
    let mut buf = vec![0; (range.end - range.start) as usize];
    let n = file.read_at(range.start, &mut buf).unwrap();
    buf.truncate(n);
    buf
}

#[test]
fn files_go_by_number() {
    let (dir, files) = store();
    for number in [1, 0x101, 0xff, u64::MAX] {
        files.create(number).unwrap().write_at(0, b"x").unwrap();
    }
    std::fs::write(dir.path().join("content/01/README"), "not ours").unwrap();
    std::fs::write(dir.path().join("content/01/000000000002"), "in the wrong folder").unwrap();
    assert_eq!(files.list().unwrap(), [1, 0xff, 0x101, u64::MAX]);
    let mode = |path: &str| std::fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("content/01/000000000101"), 0o600);
    assert_eq!(mode("content/01"), 0o700);
    assert_eq!(mode("content"), 0o700);

    assert_eq!(files.create(1).err().unwrap().kind(), ErrorKind::AlreadyExists);
    assert_eq!(files.open(9).err().unwrap().kind(), ErrorKind::NotFound);
    files.remove(1).unwrap();
    files.remove(1).unwrap();
    files.remove(9).unwrap();
    drop(files);
    let files = DirFiles::open(dir.path()).unwrap();
    assert_eq!(files.list().unwrap(), [0xff, 0x101, u64::MAX]);
    assert_eq!(read(files.open(0x101).unwrap().as_ref(), 0..9), b"x");
}

#[test]
fn holes_are_found_and_made() {
    let (_dir, files) = store();
    let file = files.create(1).unwrap();
    file.truncate(8 * BLOCK).unwrap();
    assert_eq!(file.disk_bytes().unwrap(), 0);
    assert_eq!(file.seek(0, true).unwrap(), None);
    file.write_at(2 * BLOCK, &[1; 3 * BLOCK as usize]).unwrap();
    assert_eq!(file.seek(0, true).unwrap(), Some(2 * BLOCK));
    assert_eq!(file.seek(2 * BLOCK, false).unwrap(), Some(5 * BLOCK));
    assert_eq!(file.seek(8 * BLOCK, false).unwrap(), None);
    assert_eq!(file.seek(u64::MAX, true).unwrap(), None);

    file.punch(3 * BLOCK..4 * BLOCK).unwrap();
    assert_eq!(file.seek(2 * BLOCK, false).unwrap(), Some(3 * BLOCK));
    assert_eq!(read(file.as_ref(), 3 * BLOCK..4 * BLOCK), [0; BLOCK as usize]);
    file.punch(7 * BLOCK..20 * BLOCK).unwrap();
    file.punch(5..5).unwrap();
    assert_eq!(file.len().unwrap(), 8 * BLOCK);
}

#[test]
fn zeros_stand_in_for_a_hole() {
    let (_dir, files) = store();
    let file = files.create(1).unwrap();
    file.write_at(0, &[1; 200_000]).unwrap();
    ours(file.as_ref()).unwrap().write_zeros(10..300_000).unwrap();
    assert_eq!(file.len().unwrap(), 200_000);
    assert_eq!(read(file.as_ref(), 0..200_000), [vec![1; 10], vec![0; 199_990]].concat());
}

#[test]
fn allocated_space_is_there() {
    let (_dir, files) = store();
    let file = files.create(1).unwrap();
    file.allocate(0..4 * BLOCK, true).unwrap();
    assert_eq!(file.len().unwrap(), 0);
    assert!(file.disk_bytes().unwrap() >= 4 * BLOCK);
    file.allocate(0..100, false).unwrap();
    file.allocate(3..3, false).unwrap();
    assert_eq!(file.len().unwrap(), 100);
}

/// Data, a hole, data and an odd end.
fn source(files: &DirFiles) -> Arc<dyn StoreFile> {
    let from = files.create(1).unwrap();
    from.write_at(0, &[1; 2 * BLOCK as usize]).unwrap();
    from.write_at(6 * BLOCK, &[2; BLOCK as usize + 77]).unwrap();
    from
}

#[test]
fn a_copy_keeps_bytes_and_holes() {
    let (_dir, files) = store();
    let from = source(&files);
    let len = from.len().unwrap();
    let to = files.create(2).unwrap();
    files.copy(from.as_ref(), to.as_ref(), 0..len).unwrap();
    assert_eq!(to.len().unwrap(), len);
    assert_eq!(read(from.as_ref(), 0..len), read(to.as_ref(), 0..len));
    assert_eq!(to.seek(2 * BLOCK, true).unwrap(), Some(6 * BLOCK), "the hole is a hole");
}

#[test]
fn a_copy_of_any_range_makes_it_equal_and_leaves_the_rest() {
    let (_dir, files) = store();
    let from = source(&files);
    let len = from.len().unwrap();
    let edges = [0, 1, BLOCK, 2 * BLOCK, 3 * BLOCK + 5, 6 * BLOCK, 6 * BLOCK + 9, len, len + 3, 9 * BLOCK];
    let mut number = 10;
    for (i, &start) in edges.iter().enumerate() {
        for &end in &edges[i..] {
            for before in [0, 7, 5 * BLOCK, 10 * BLOCK] {
                number += 1;
                let to = files.create(number).unwrap();
                to.write_at(0, &vec![9; before as usize]).unwrap();
                files.copy(from.as_ref(), to.as_ref(), start..end).unwrap();
                files.remove(number).unwrap();

                let copied = end.min(len).max(start);
                let grown = if copied > start { copied } else { 0 };
                assert_eq!(to.len().unwrap(), before.max(grown));
                let mut expected = vec![9; before as usize];
                expected.resize(before.max(grown) as usize, 0);
                let theirs = read(from.as_ref(), 0..len);
                for at in start..end.min(expected.len() as u64) {
                    expected[at as usize] = theirs.get(at as usize).copied().unwrap_or(0);
                }
                assert!(read(to.as_ref(), 0..20 * BLOCK) == expected, "{start}..{end} over {before}");
            }
        }
    }
}

#[test]
fn a_copy_by_hand_is_the_same() {
    let (_dir, files) = store();
    let from = source(&files);
    let to = files.create(2).unwrap();
    copy::copy_by_hand(ours(from.as_ref()).unwrap(), ours(to.as_ref()).unwrap(), 5..7 * BLOCK).unwrap();
    assert_eq!(read(from.as_ref(), 5..7 * BLOCK), read(to.as_ref(), 5..7 * BLOCK));
}

#[test]
fn a_sync_covers_the_names_until_then() {
    let (_dir, files) = store();
    let few: Vec<_> = (1..=3).map(|n| files.create(n).unwrap()).collect();
    assert!(files.names[1].waiting().is_some());
    files.sync(&few[..1]).unwrap();
    assert!(files.names[1].waiting().is_none() && files.folders.waiting().is_none());
    assert!(files.names[2].waiting().is_some(), "not asked for");
    files.sync(&few).unwrap();
    assert!(files.names[3].waiting().is_none());
    let many: Vec<_> = (0x100..0x140).map(|n| files.create(n).unwrap()).collect();
    files.sync(&many).unwrap();
    assert!(files.names.iter().all(|names| names.waiting().is_none()));
    files.sync(&[]).unwrap();
}

#[test]
fn a_name_made_during_a_sync_waits_for_the_next() {
    let names = Unsynced::new();
    names
        .sync_with(|| {
            names.mark();
            Ok(())
        })
        .unwrap();
    assert!(names.waiting().is_some());
    assert!(names.sync_with(|| Err(ErrorKind::Other.into())).is_err());
    assert!(names.waiting().is_some());
}

#[test]
fn a_descriptor_is_for_reading_and_outlives_the_name() {
    let (_dir, files) = store();
    let file = files.create(1).unwrap();
    file.write_at(0, b"abc").unwrap();
    files.remove(1).unwrap();
    let handed = File::from(file.descriptor().unwrap());
    let mut buf = [0; 8];
    assert_eq!(handed.read_at(&mut buf, 1).unwrap(), 2);
    assert!(handed.write_at(b"x", 0).is_err());
}

#[test]
fn space_is_told_in_bytes() {
    let (_dir, files) = store();
    let (total, free, block) = files.space().unwrap();
    assert!(total >= free && block >= 512);
}

#[test]
fn the_number_of_the_clone_call_is_right() {
    assert_eq!(copy::FICLONERANGE, 0x4020_940d);
}
