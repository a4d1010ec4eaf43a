use super::*;

/// Blocks that the map knows and the disk does not: absent, fetched again, never wrong bytes.
#[test]
fn a_sum_without_its_block_is_no_presence() {
    let (files, contents) = contents();
    let data = bytes(3, 4 * BLOCK_LEN + 17);
    let content = contents.expect(ContentId(1), 1, data.len() as u64);
    content.fill(0, &data[..2 * BLOCK_LEN]).unwrap();
    let row = content.row();
    contents.sync(std::slice::from_ref(&content)).unwrap();
    content.fill(2 * BLOCK, &data[2 * BLOCK_LEN..4 * BLOCK_LEN]).unwrap();
    // All of the map is on the disk, and of the data of block 2 the first page.
    files.crash_keeping(|number, page| number & map::MAP != 0 || page == 2 * 64);

    let contents = Contents::new(files.clone(), vec![row]);
    let content = contents.get(ContentId(1)).unwrap();
    assert_eq!(content.missing(0..u64::MAX), vec![4 * BLOCK..data.len() as u64]);
    let mut buf = vec![0; data.len()];
    assert!(matches!(content.read_at(2 * BLOCK, &mut buf[..10]), Err(ContentError::NotHere { .. })));
    assert_eq!(content.missing(0..u64::MAX), vec![2 * BLOCK..3 * BLOCK, 4 * BLOCK..data.len() as u64]);
    // What seems to complete it does not: block 3 is compared first.
    content.fill(2 * BLOCK, &data[2 * BLOCK_LEN..3 * BLOCK_LEN]).unwrap();
    assert!(!content.fill(4 * BLOCK, &data[4 * BLOCK_LEN..]).unwrap().completed);
    assert_eq!(content.missing(0..u64::MAX), vec![3 * BLOCK..4 * BLOCK]);
    assert!(content.fill(0, &data).unwrap().completed);
    assert_eq!(read_all(&content).unwrap(), data);
}

/// Killed between the last block and its row: it is whole, and knows it once it is asked.
#[test]
fn what_came_whole_before_a_kill_is_whole() {
    let (files, contents) = contents();
    let data = bytes(3, 2 * BLOCK_LEN + 17);
    let content = contents.expect(ContentId(1), 1, data.len() as u64);
    let row = content.row();
    assert!(content.fill(0, &data).unwrap().completed);
    let digest = content.digest();

    let contents = Contents::new(files, vec![row]);
    let content = contents.get(ContentId(1)).unwrap();
    assert!(!content.is_whole() && content.missing(0..u64::MAX).is_empty());
    assert!(content.fill(0, &[]).unwrap().completed);
    assert!(content.is_whole() && content.digest() == digest);
    assert!(!content.complete_if_all_here().unwrap(), "it was before");
    assert_eq!(read_all(&content).unwrap(), data);
}

#[test]
fn verify_drops_what_a_crash_left() {
    let (files, contents) = contents();
    let data = bytes(3, 3 * BLOCK_LEN);
    let content = contents.expect(ContentId(1), 1, data.len() as u64);
    content.fill(0, &data[..2 * BLOCK_LEN]).unwrap();
    files.spoil(1, BLOCK + 5);
    content.verify().unwrap();
    assert_eq!(content.missing(0..u64::MAX), vec![BLOCK..3 * BLOCK]);
}

#[test]
fn a_freed_file_is_there_until_the_row_is_committed() {
    let (files, contents) = contents();
    let data = bytes(1, 2 * BLOCK_LEN);
    let content = contents.expect(ContentId(1), 1, data.len() as u64);
    content.fill(0, &data).unwrap();
    contents.sync(std::slice::from_ref(&content)).unwrap();
    let committed = content.row();
    let _freed = content.evict(2).unwrap();
    content.fill(0, &data[..BLOCK_LEN]).unwrap();
    files.crash_keeping(|_, _| true);

    let contents = Contents::new(files.clone(), vec![committed]);
    assert_eq!(read_all(&contents.get(ContentId(1)).unwrap()).unwrap(), data);
    let orphans = contents.orphans().unwrap();
    assert_eq!(orphans.iter().map(|orphan| orphan.number()).collect::<Vec<_>>(), vec![2]);
    orphans.into_iter().for_each(|orphan| contents.free(orphan).unwrap());
    assert_eq!(files.list().unwrap(), vec![1, 1 | map::MAP]);
}

#[test]
fn flattening_can_be_done_again() {
    let data = bytes(1, 8 * BLOCK_LEN);
    for stage in 0..3 {
        let (files, contents) = contents();
        let first = sealed(&contents, 1, &data);
        let over = contents.derive(&first, ContentId(2), 2).unwrap();
        over.write_at(5, &bytes(2, BLOCK_LEN)).unwrap();
        over.punch(3 * BLOCK..4 * BLOCK + 7).unwrap();
        over.truncate(6 * BLOCK + 5).unwrap();
        over.truncate(7 * BLOCK + 5).unwrap();
        let top = contents.derive(&over, ContentId(3), 3).unwrap();
        top.write_at(6 * BLOCK, b"top").unwrap();
        let (expected, above) = (read_all(&over).unwrap(), read_all(&top).unwrap());
        let rows = [&first, &over, &top].map(|content| content.row());
        contents.sync(&[first.clone(), over.clone(), top.clone()]).unwrap();

        let flattened = contents.flatten(ContentId(2)).unwrap().unwrap();
        assert_eq!(read_all(&over).unwrap(), expected);
        let contents = match stage {
            0 => contents,
            _ => {
                files.crash_keeping(|_, _| stage == 1);
                let again = Contents::new(files.clone(), rows.to_vec());
                let over = again.get(ContentId(2)).unwrap();
                assert_eq!(read_all(&over).unwrap(), expected);
                over.verify().unwrap();
                again
            }
        };
        let flattened = match stage {
            0 => flattened,
            _ => contents.flatten(ContentId(2)).unwrap().unwrap(),
        };
        assert_eq!((flattened.row.file, flattened.gone), (1, ContentId(1)));
        let after = Contents::new(files.clone(), vec![flattened.row.clone(), rows[2].clone()]);
        let freed = contents.finish(flattened).unwrap().freed;
        contents.free(freed).unwrap();
        assert!(contents.get(ContentId(1)).is_none());
        for contents in [contents, after] {
            let over = contents.get(ContentId(2)).unwrap();
            assert_eq!(over.row().over, None);
            assert_eq!(read_all(&over).unwrap(), expected);
            over.verify().unwrap();
            let top = contents.get(ContentId(3)).unwrap();
            assert_eq!(read_all(&top).unwrap(), above);
            assert_eq!(contents.orphans().unwrap(), vec![]);
        }
    }
}

#[test]
fn nothing_is_flattened_that_two_lie_over() {
    let (_, contents) = contents();
    let first = sealed(&contents, 1, &bytes(1, 8 * BLOCK_LEN));
    let two = contents.derive(&first, ContentId(2), 2).unwrap();
    contents.derive(&first, ContentId(3), 3).unwrap();
    two.seal().unwrap();
    assert!(contents.flatten(ContentId(2)).unwrap().is_none());
    assert!(contents.flatten(ContentId(1)).unwrap().is_none());
}

#[test]
fn what_lies_under_is_synced_too() {
    let (files, contents) = contents();
    let data = bytes(1, 8 * BLOCK_LEN);
    let first = sealed(&contents, 1, &data);
    let over = contents.derive(&first, ContentId(2), 2).unwrap();
    let rows = [&first, &over].map(|content| content.row());
    contents.sync(&[over]).unwrap();
    files.crash();
    let contents = Contents::new(files, rows.to_vec());
    assert!(read_all(&contents.get(ContentId(2)).unwrap()).unwrap() == data);
}

#[test]
fn flattening_over_an_overlay_keeps_what_was_cut_off_away() {
    let (files, contents) = contents();
    let first = sealed(&contents, 1, &bytes(1, 8 * BLOCK_LEN));
    let middle = contents.derive(&first, ContentId(2), 2).unwrap();
    middle.write_at(5 * BLOCK, &bytes(2, 2 * BLOCK_LEN)).unwrap();
    let top = contents.derive(&middle, ContentId(3), 3).unwrap();
    top.truncate(6 * BLOCK + 10).unwrap();
    top.truncate(8 * BLOCK).unwrap();
    top.write_at(7, b"top").unwrap();
    top.seal().unwrap();
    let expected = read_all(&top).unwrap();
    assert!(expected[6 * BLOCK_LEN + 10..].iter().all(|byte| *byte == 0));

    let flattened = contents.flatten(ContentId(3)).unwrap().unwrap();
    let over = flattened.row.over.map(|over| (over.content, over.limit));
    assert_eq!(over, Some((ContentId(1), 6 * BLOCK + 10)));
    let after = Contents::new(files, vec![first.row(), flattened.row.clone()]);
    let freed = contents.finish(flattened).unwrap().freed;
    contents.free(freed).unwrap();
    for contents in [contents, after] {
        let top = contents.get(ContentId(3)).unwrap();
        assert!(read_all(&top).unwrap() == expected);
        top.verify().unwrap();
    }
}

/// The row was committed while a program was still writing.
#[test]
fn a_mutable_content_outlives_the_loss_of_its_file() {
    let data = bytes(1, 8 * BLOCK_LEN);
    for over in [false, true] {
        let (files, contents) = contents();
        let first = sealed(&contents, 1, &data);
        contents.sync(std::slice::from_ref(&first)).unwrap();
        let content = match over {
            true => contents.derive(&first, ContentId(2), 2).unwrap(),
            false => contents.create(ContentId(2), 2).unwrap(),
        };
        content.write_at(100, b"lost").unwrap();
        let rows = [&first, &content].map(|content| content.row());
        files.crash();
        let contents = Contents::new(files.clone(), rows.to_vec());
        let content = contents.get(ContentId(2)).unwrap();
        let mut expected = if over { data.clone() } else { vec![0; 104] };
        expected[100..104].fill(0);
        assert!(read_all(&content).unwrap() == expected);
        content.descriptor().unwrap();
        content.write_at(200, b"goes on").unwrap();
        expected.resize(expected.len().max(207), 0);
        expected[200..207].copy_from_slice(b"goes on");
        content.seal().unwrap();
        let again = reopened(&files, &[&first, &content]);
        assert!(read_all(&again.get(ContentId(2)).unwrap()).unwrap() == expected);
    }
}
