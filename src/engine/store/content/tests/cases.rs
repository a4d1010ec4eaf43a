use std::io::Read;

use super::*;
use crate::model::Digest;

#[test]
fn a_content_is_small_in_memory() {
    assert!(size_of::<Content>() <= 96, "{}", size_of::<Content>());
}

#[test]
fn an_overlay_of_a_sparse_file_costs_only_what_changed() {
    const SIZE: u64 = 4 << 30;
    let (files, contents) = contents();
    let image = contents.create(ContentId(1), 1).unwrap();
    image.write_at(0, b"first").unwrap();
    image.truncate(SIZE).unwrap();
    image.seal().unwrap();
    assert!(image.disk_bytes().unwrap() < 1 << 20);

    let copy = contents.derive(&image, ContentId(2), 2).unwrap();
    assert!(copy.write_at(3 << 30, b"in the middle").unwrap());
    let digest = copy.seal().unwrap();
    assert_ne!(Some(digest), image.digest());
    assert!(copy.disk_bytes().unwrap() <= 16 * 4096, "{}", copy.disk_bytes().unwrap());
    let ranges: Vec<_> = std::iter::once((3 << 30)..(3 << 30) + 13).collect();
    assert_eq!(copy.changed_ranges(), Some(ranges.clone()));
    assert_eq!(copy.source(Some(ContentId(1))).changed_ranges(), Some(ranges));
    assert_eq!(copy.data_ranges().unwrap().len(), 2);

    let again = reopened(&files, &[&image, &copy]).get(ContentId(2)).unwrap();
    let mut buf = [0; 15];
    again.read_at((3 << 30) - 1, &mut buf).unwrap();
    assert_eq!(&buf, b"\0in the middle\0");
    assert_eq!(again.read_at(SIZE - 1, &mut buf).unwrap(), 1);
    assert_eq!(again.digest(), Some(digest));
}

#[test]
fn copies_have_the_digest_of_what_they_copy() {
    let (_, contents) = contents();
    for (n, len) in
        [0, 1, BLOCK_LEN, BLOCK_LEN + 1, 1 << 20, (1 << 20) + 1, 5 * BLOCK_LEN + 9].into_iter().enumerate()
    {
        let n = n as u64 * 10;
        let data = bytes(n, len);
        let first = sealed(&contents, n + 1, &data);
        let same = contents.derive(&first, ContentId(n + 2), n + 2).unwrap();
        assert_eq!(same.seal().unwrap(), Digest::of(&data));
        let other = contents.derive(&same, ContentId(n + 3), n + 3).unwrap();
        other.write_at(0, b"!").unwrap();
        if len > 0 {
            other.write_at(0, &data[..1]).unwrap();
            assert_eq!(other.seal().unwrap(), Digest::of(&data));
        }
        assert_eq!(first.digest(), same.digest());
        let fetched = contents.expect(ContentId(n + 4), n + 4, len as u64);
        fetched.fill(0, &data).unwrap();
        assert_eq!(fetched.digest(), Some(Digest::of(&data)));
    }
}

#[test]
fn blocks_may_come_in_any_order() {
    let (_, contents) = contents();
    let data = bytes(7, 3 * BLOCK_LEN + 100);
    let content = contents.expect(ContentId(1), 1, data.len() as u64);
    assert_eq!(content.missing(0..u64::MAX), vec![0..data.len() as u64]);
    // The last block and a half: only the whole one is taken, the tail with the second call.
    let filled = content.fill(2 * BLOCK, &data[2 * BLOCK_LEN..3 * BLOCK_LEN + 50]).unwrap();
    assert_eq!(filled, Filled { new_bytes: BLOCK, completed: false });
    assert_eq!(content.fill(3 * BLOCK, &data[3 * BLOCK_LEN..]).unwrap().new_bytes, 100);
    assert_eq!(content.missing(10..BLOCK + 5), vec![0..2 * BLOCK]);
    let mut buf = [0; 200];
    content.read_at(3 * BLOCK - 100, &mut buf).unwrap();
    assert_eq!(buf, data[3 * BLOCK_LEN - 100..]);
    match content.read_at(BLOCK + 3, &mut buf) {
        Err(ContentError::NotHere { content: ContentId(1), range }) => assert_eq!(range, BLOCK..2 * BLOCK),
        other => panic!("{other:?}"),
    }
    assert!(matches!(content.fill(5, &data[5..]), Err(ContentError::Misfit { .. })));
    assert!(matches!(content.fill(3 * BLOCK, &data[..101]), Err(ContentError::Misfit { .. })));
    assert!(matches!(content.write_at(0, b"x"), Err(ContentError::Sealed { .. })));
    assert!(matches!(content.seal(), Err(ContentError::NotHere { .. })));
    let filled = content.fill(0, &data).unwrap();
    assert_eq!(filled, Filled { new_bytes: 2 * BLOCK, completed: true });
    assert_eq!(content.row().digest, Some(Digest::of(&data)));
    content.verify().unwrap();
}

#[test]
fn what_was_evicted_must_come_back_the_same() {
    let (files, contents) = contents();
    for (id, len) in [(1, 1000), (2, 2 * BLOCK_LEN + 1)] {
        let data = bytes(id, len);
        let content = contents.expect(ContentId(id), id * 10, len as u64);
        content.fill(0, &data).unwrap();
        contents.sync(std::slice::from_ref(&content)).unwrap();
        let freed = content.evict(id * 10 + 1).unwrap();
        assert_eq!(content.present_bytes(), 0);
        assert!(!content.row().whole && content.digest().is_some());
        assert!(matches!(read_all(&content), Err(ContentError::NotHere { .. })));
        contents.free(freed).unwrap();
        assert_eq!(content.disk_bytes().unwrap(), 0);

        let mut other = data.clone();
        other[len - 1] ^= 1;
        assert!(matches!(content.fill(0, &other), Err(ContentError::Differs { .. })));
        assert_eq!(content.present_bytes(), 0);
        assert!(content.fill(0, &data).unwrap().completed);
        assert_eq!(read_all(&content).unwrap(), data);
    }
    assert_eq!(contents.orphans().unwrap(), vec![]);
    assert_eq!(files.list().unwrap().len(), 3);
}

#[test]
fn a_spoiled_byte_is_found() {
    let (files, contents) = contents();
    for (id, len) in [(1, 1000), (2, 2 * BLOCK_LEN + 1), (3, 6 * BLOCK_LEN)] {
        let data = bytes(id, len);
        let content = sealed(&contents, id, &data);
        let over = contents.derive(&content, ContentId(id + 100), id + 100).unwrap();
        over.write_at(10, b"changed").unwrap();
        over.seal().unwrap();
        let again = || reopened(&files, &[&content, &over]);
        again().get(ContentId(id)).unwrap().verify().unwrap();
        again().get(ContentId(id + 100)).unwrap().verify().unwrap();

        let at = len as u64 - 1;
        files.spoil(id, at);
        let block = at / BLOCK * BLOCK;
        let content = again().get(ContentId(id)).unwrap();
        let is_found = |error| match error {
            Err(ContentError::Corrupt { content, offset }) => content == ContentId(id) && offset == block,
            _ => false,
        };
        assert!(is_found(content.verify()));
        let mut byte = [0];
        assert!(is_found(content.read_at(at, &mut byte).map(drop)));
        assert!(is_found(content.read_at(block, &mut byte).map(drop)), "the whole block is suspect");
        if len > COPIED_WHOLE as usize {
            let over = again().get(ContentId(id + 100)).unwrap();
            assert!(is_found(over.verify()) && is_found(over.read_at(at, &mut byte).map(drop)));
            files.spoil(id + 100, 10);
            assert!(
                matches!(over.verify(), Err(ContentError::Corrupt { content, offset: 0 }) if content == over.id())
            );
        }
    }
}

#[test]
fn a_lost_map_is_damage_and_not_silence() {
    let (files, contents) = contents();
    let content = sealed(&contents, 1, &bytes(1, 2 * BLOCK_LEN));
    files.remove(1 | map::MAP).unwrap();
    let again = reopened(&files, &[&content]).get(ContentId(1)).unwrap();
    assert!(matches!(read_all(&again), Err(ContentError::Corrupt { .. })));
    assert!(matches!(again.verify(), Err(ContentError::Corrupt { .. })));
}

#[test]
fn what_was_cut_off_does_not_come_back() {
    let (_, contents) = contents();
    let data = bytes(1, 1_500_000);
    let first = sealed(&contents, 1, &data);
    for (id, content) in [
        (2, contents.derive(&first, ContentId(2), 2).unwrap()),
        (3, {
            let plain = contents.create(ContentId(3), 3).unwrap();
            plain.write_at(0, &data).unwrap();
            plain
        }),
    ] {
        content.write_at(900_000, &[1; 100_000]).unwrap();
        content.truncate(950_000).unwrap();
        content.truncate(1_400_000).unwrap();
        content.write_at(1_450_000, b"end").unwrap();
        let all = read_all(&content).unwrap();
        assert_eq!(all.len(), 1_450_003, "{id}");
        assert_eq!(all[..900_000], data[..900_000]);
        assert!(all[900_000..950_000].iter().all(|byte| *byte == 1));
        assert!(all[950_000..1_450_000].iter().all(|byte| *byte == 0));
        assert_eq!(&all[1_450_000..], b"end");
    }
}

/// A random writer must not make a row of a million ranges.
#[test]
fn ranges_stay_bounded() {
    let (_, contents) = contents();
    let len = 40 * BLOCK_LEN;
    let mut data = bytes(1, len);
    let first = sealed(&contents, 1, &data);
    let over = contents.derive(&first, ContentId(2), 2).unwrap();
    for n in 0..3000usize {
        let at = n * 7919 * 13 % (len - 10);
        over.write_at(at as u64, &[n as u8; 10]).unwrap();
        data[at..at + 10].fill(n as u8);
        if n % 5 == 0 {
            let at = n * 104_729 % (len - 300);
            over.punch(at as u64..at as u64 + 300).unwrap();
            data[at..at + 300].fill(0);
        }
    }
    assert!(over.row().changed.len() <= overlay::MANY_RANGES + 40);
    assert_eq!(read_all(&over).unwrap(), data);
    assert_eq!(over.seal().unwrap(), Digest::of(&data));
}

#[test]
fn descriptors_show_all_of_it() {
    let (files, contents) = contents();
    let mut data = bytes(1, 1_300_000);
    let first = sealed(&contents, 1, &data);
    let empty = contents.expect(ContentId(3), 3, 0);
    let over = contents.derive(&first, ContentId(2), 2).unwrap();
    over.write_at(700_000, b"changed").unwrap();
    data[700_000..700_007].copy_from_slice(b"changed");
    over.truncate(1_200_000).unwrap();
    over.truncate(1_250_000).unwrap();
    data.truncate(1_200_000);
    data.resize(1_250_000, 0);
    for (content, expected) in [(&over, &data), (&empty, &Vec::new())] {
        let mut all = Vec::new();
        std::fs::File::from(content.descriptor().unwrap()).read_to_end(&mut all).unwrap();
        assert!(all == *expected);
    }
    let fetched = contents.expect(ContentId(4), 4, 10);
    assert!(matches!(fetched.descriptor(), Err(ContentError::NotHere { .. })));
    assert_eq!(contents.orphans().unwrap(), vec![]);
    assert_eq!(files.list().unwrap().len(), 3);
}

#[test]
fn a_full_disk_leaves_the_old_bytes() {
    let (files, contents) = contents();
    let data = bytes(1, 100_000);
    let content = contents.create(ContentId(1), 1).unwrap();
    content.write_at(0, &data).unwrap();
    files.set_capacity(110_000);
    assert!(matches!(content.write_at(100_000, &data), Err(ContentError::Full)));
    assert!(matches!(content.allocate(0..200_000, false), Err(ContentError::Full)));
    assert_eq!(read_all(&content).unwrap(), data);
    content.write_at(50, b"over").unwrap();
    files.set_capacity(u64::MAX);
    assert!(content.allocate(0..200_000, false).unwrap());
    assert_eq!(content.size(), 200_000);
    assert!(!content.allocate(0..300_000, true).unwrap());
}

#[test]
fn many_contents_need_few_open_files() {
    let (_, contents) = contents();
    let all: Vec<_> = (1..2000).map(|id| sealed(&contents, id, &id.to_le_bytes())).collect();
    contents.sync(&all).unwrap();
    for content in &all {
        assert_eq!(read_all(content).unwrap(), content.id().0.to_le_bytes());
    }
    assert!(contents.store.handles.count() <= 512);
}

#[test]
fn readers_and_a_writer_at_once() {
    let (_, contents) = contents();
    // Every 8 bytes are equal among themselves, whoever wrote them last.
    let first = sealed(&contents, 1, &vec![1; 6 * BLOCK_LEN]);
    let over = contents.derive(&first, ContentId(2), 2).unwrap();
    std::thread::scope(|scope| {
        for reader in 0..3u64 {
            let over = over.clone();
            scope.spawn(move || {
                let mut buf = vec![0; 3 * BLOCK_LEN];
                for n in 0..200u64 {
                    let at = (n * 7919 + reader * 31) % 300_000 * 8;
                    let got = over.read_at(at, &mut buf).unwrap();
                    for word in buf[..got].as_chunks::<8>().0 {
                        assert!(word.iter().all(|byte| *byte == word[0]), "{word:?}");
                    }
                }
            });
        }
        scope.spawn(|| {
            for n in 0..600u64 {
                let at = n * 104_729 % 190_000 * 8;
                over.write_at(at, &[n as u8; 8]).unwrap();
                match n % 10 {
                    3 => drop(over.truncate(at)),
                    7 => drop(over.punch(at..at + 80)),
                    _ => {}
                }
            }
            over.seal().unwrap();
        });
    });
    over.verify().unwrap();
}

/// The same on a real disk: holes, copies, descriptors.
#[test]
fn files_of_a_folder_do_as_those_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let files = Arc::new(crate::store::files::DirFiles::open(dir.path()).unwrap());
    let contents = Contents::new(files.clone(), Vec::new());
    let mut data = bytes(1, 7 * BLOCK_LEN + 3);
    data[2 * BLOCK_LEN..4 * BLOCK_LEN].fill(0);
    let first = contents.expect(ContentId(1), 1, data.len() as u64);
    first.fill(4 * BLOCK, &data[4 * BLOCK_LEN..]).unwrap();
    assert!(first.fill(0, &data).unwrap().completed);
    assert_eq!(first.seek(0, false).unwrap(), Some(2 * BLOCK));

    let over = contents.derive(&first, ContentId(2), 2).unwrap();
    over.write_at(10, b"changed").unwrap();
    data[10..17].copy_from_slice(b"changed");
    over.punch(5 * BLOCK - 9..6 * BLOCK).unwrap();
    data[5 * BLOCK_LEN - 9..6 * BLOCK_LEN].fill(0);
    over.truncate(7 * BLOCK).unwrap();
    over.truncate(9 * BLOCK + 1).unwrap();
    data.truncate(7 * BLOCK_LEN);
    data.resize(9 * BLOCK_LEN + 1, 0);
    assert_eq!(over.seal().unwrap(), Digest::of(&data));
    let whole = |content: &Content| {
        let mut all = Vec::new();
        std::fs::File::from(content.descriptor().unwrap()).read_to_end(&mut all).unwrap();
        all
    };
    assert!(whole(&over) == data && read_all(&over).unwrap() == data);
    contents.sync(std::slice::from_ref(&over)).unwrap();

    let flattened = contents.flatten(ContentId(2)).unwrap().unwrap();
    let again = Contents::new(files.clone(), vec![flattened.row.clone()]);
    let freed = contents.finish(flattened).unwrap().freed;
    contents.free(freed).unwrap();
    for contents in [contents, again] {
        let over = contents.get(ContentId(2)).unwrap();
        over.verify().unwrap();
        assert!(whole(&over) == data && read_all(&over).unwrap() == data);
    }
    assert_eq!(files.list().unwrap(), vec![1, 1 | map::MAP]);
}
