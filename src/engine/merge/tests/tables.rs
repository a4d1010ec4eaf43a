use super::super::text::{Labels, Limits, MarkerStyle, MergeError, RegionKind::*, Take, Which, merge};
use super::{merged, region};

#[test]
fn edits_apart_merge_cleanly() {
    let merge = merged(b"a\nb\nc\nd\ne\n", b"A\nb\nc\nd\ne\n", b"a\nb\nc\nx\ny\ne\n");
    assert_eq!(
        merge.regions(),
        [
            region(LocalOnly, 0..1, 0..1, 0..1),
            region(Same, 1..3, 1..3, 1..3),
            region(ServerOnly, 3..4, 3..4, 3..5),
            region(Same, 4..5, 4..5, 5..6),
        ]
    );
    assert_eq!(merge.conflict_count(), 0);
    assert_eq!(merge.clean_text().unwrap(), b"A\nb\nc\nx\ny\ne\n");
}

#[test]
fn edits_that_touch_are_a_conflict() {
    let merge = merged(b"a\nb\nc\nd\n", b"a\nB\nc\nd\n", b"a\nb\nC\nd\n");
    assert_eq!(
        merge.regions(),
        [region(Same, 0..1, 0..1, 0..1), region(Conflict, 1..3, 1..3, 1..3), region(Same, 3..4, 3..4, 3..4)]
    );
    assert_eq!(merge.clean_text(), None);
}

#[test]
fn an_insertion_beside_an_edit_is_a_conflict() {
    for (local, server) in [(&b"a\nnew\nb\nc\n"[..], &b"A\nb\nc\n"[..]), (b"a\nnew\nb\nc\n", b"a\nB\nc\n")] {
        let merge = merged(b"a\nb\nc\n", local, server);
        assert_eq!(merge.conflict_count(), 1, "{merge:?}");
    }
}

#[test]
fn one_line_between_edits_is_enough() {
    let merge = merged(b"a\nb\nc\n", b"A\nb\nc\n", b"a\nb\nC\n");
    assert_eq!(merge.clean_text().unwrap(), b"A\nb\nC\n");
}

#[test]
fn the_same_edit_on_both_sides_is_agreement() {
    let merge = merged(b"a\nb\nc\n", b"a\nX\nc\n", b"a\nX\nc\n");
    assert_eq!(
        merge.regions(),
        [region(Same, 0..1, 0..1, 0..1), region(BothSame, 1..2, 1..2, 1..2), region(Same, 2..3, 2..3, 2..3)]
    );
    assert_eq!(merge.clean_text().unwrap(), b"a\nX\nc\n");
}

#[test]
fn equal_edges_of_a_conflict_are_set_apart() {
    let merge = merged(b"a\nb\nc\n", b"a\nnew\nmine\nend\nc\n", b"a\nnew\ntheirs\nend\nc\n");
    assert_eq!(
        merge.regions(),
        [
            region(Same, 0..1, 0..1, 0..1),
            region(BothSame, 1..1, 1..2, 1..2),
            region(Conflict, 1..2, 2..3, 2..3),
            region(BothSame, 2..2, 3..4, 3..4),
            region(Same, 2..3, 4..5, 4..5),
        ]
    );
    assert_eq!(
        merge.render_marked(MarkerStyle::Diff3, Labels::default()),
        b"a\nnew\n<<<<<<< local\nmine\n||||||| original\nb\n=======\ntheirs\n>>>>>>> server\nend\nc\n"
    );
    assert_eq!(
        merge.render_marked(MarkerStyle::TwoSides, Labels { local: "me\r\nx", ..Labels::default() }),
        b"a\nnew\n<<<<<<< me  x\nmine\n=======\ntheirs\n>>>>>>> server\nend\nc\n"
    );
}

#[test]
fn both_append_to_a_list() {
    let merge = merged(b"a\n", b"a\nx\ny\n", b"a\nx\nz\n");
    assert_eq!(merge.render(|_, _| Take::LocalThenServer), b"a\nx\nx\ny\nz\n");
    let both = merge.render(|_, region| region.default_take().unwrap_or(Take::ServerThenLocal));
    assert_eq!(both, b"a\nx\nz\ny\n");
}

#[test]
fn deleted_here_and_edited_there_is_a_conflict() {
    let merge = merged(b"a\nb\nc\n", b"a\nc\n", b"a\nB\nc\n");
    assert_eq!(merge.regions()[1], region(Conflict, 1..2, 1..1, 1..2));
}

#[test]
fn no_original_text() {
    assert_eq!(merged(b"", b"", b"").regions(), []);
    assert_eq!(merged(b"", b"", b"").clean_text().unwrap(), b"");
    assert_eq!(merged(b"", b"x\n", b"").clean_text().unwrap(), b"x\n");
    assert_eq!(merged(b"", b"x\n", b"y\n").regions(), [region(Conflict, 0..0, 0..1, 0..1)]);
}

#[test]
fn line_endings_are_kept_and_count() {
    let merge = merged(b"a\r\nb\r\nc\r\n", b"A\r\nb\r\nc\r\n", b"a\r\nb\r\nC\r\n");
    assert_eq!(merge.clean_text().unwrap(), b"A\r\nb\r\nC\r\n");
    // A lone \r does not end a line.
    let merge = merged(b"a\rb\n", b"A\rb\n", b"a\rB\n");
    assert_eq!(merge.line_count(Which::Original), 1);
    assert_eq!(merge.conflict_count(), 1);
    // All endings changed here, one line there: every line changed here.
    assert_eq!(merged(b"a\nb\n", b"a\r\nb\r\n", b"a\nB\n").conflict_count(), 1);
}

#[test]
fn a_missing_last_ending_is_kept_and_counts() {
    assert_eq!(merged(b"a\nb\nc", b"A\nb\nc", b"a\nb\nC").clean_text().unwrap(), b"A\nb\nC");
    let merge = merged(b"a\nb\nc", b"A\nb\nc\n", b"a\nb\nc");
    assert_eq!(merge.clean_text().unwrap(), b"A\nb\nc\n");
    // Appended behind a line that had no ending: that line changed.
    let merge = merged(b"a\r\nb", b"a\r\nb\r\nx", b"a\r\nb\r\ny");
    assert_eq!(
        merge.regions(),
        [
            region(Same, 0..1, 0..1, 0..1),
            region(BothSame, 1..1, 1..2, 1..2),
            region(Conflict, 1..2, 2..3, 2..3)
        ]
    );
    let both = merge.render(|_, region| region.default_take().unwrap_or(Take::LocalThenServer));
    assert_eq!(both, b"a\r\nb\r\nx\r\ny");
    assert_eq!(
        merge.render_marked(MarkerStyle::TwoSides, Labels::default()),
        b"a\r\nb\r\n<<<<<<< local\r\nx\r\n=======\r\ny\r\n>>>>>>> server\r\n"
    );
}

#[test]
fn bytes_that_are_no_utf8_are_text() {
    let merge = merged(b"\xff\nb\nc\n", b"\xfe\nb\nc\n", b"\xff\nb\n\x80\n");
    assert_eq!(merge.clean_text().unwrap(), b"\xfe\nb\n\x80\n");
}

#[test]
fn lines_and_bytes() {
    let merge = merged(b"a\nbb\nccc", b"a\nbb\nccc", b"a\nbb\nccc");
    assert_eq!(merge.line_count(Which::Server), 3);
    assert_eq!(merge.byte_range(Which::Local, 1..3), 2..8);
    assert_eq!(merge.part(Which::Server, &merge.regions()[0]), b"a\nbb\nccc");
}

#[test]
fn what_is_not_merged() {
    let limits = Limits { max_bytes: 8, max_lines: 2 };
    let error = |original, local, server| merge(original, local, server, limits).unwrap_err();
    assert_eq!(error(b"", b"a\0", b""), MergeError::NotText { which: Which::Local, at: 1 });
    assert_eq!(
        error(b"123456789", b"", b""),
        MergeError::TooLarge { which: Which::Original, size_bytes: 9, max_bytes: 8 }
    );
    for three_lines in [&b"\n\n\n"[..], b"\n\na"] {
        assert_eq!(
            error(b"", b"", three_lines),
            MergeError::TooManyLines { which: Which::Server, max_lines: 2 }
        );
    }
    assert!(merge(b"1234567\n", b"\n\n", b"\na", limits).is_ok());
}
