//! Large files that are changed in place, and the originals under them.

use std::time::Duration;

use holdfast_engine::model::Side;
use holdfast_engine::store::persist::Files;

use super::place::{Place, target};

const SIZE: usize = (1 << 20) + 300_000;

fn image() -> Vec<u8> {
    (0..SIZE).map(|at| (at * 31 / 7) as u8).collect()
}

fn with_image() -> Place {
    let place = Place::with(|server| {
        server.user().write("image", image());
    });
    place.pin("");
    place
}

/// Content files and maps; the reserve is one more.
fn files(place: &Place) -> usize {
    place.disk.files.list().unwrap().len() - 1
}

#[test]
fn what_was_changed_in_place_takes_its_original_over_once_it_is_sent() {
    let place = with_image();
    let mut expected = image();
    let before = files(&place);
    for round in 0..4_u8 {
        let at = usize::from(round) * 300_000;
        expected[at..at + 5].fill(round);
        place.change("nas/image", at as u64, &[round; 5]);
        place.wait(20);
        place.at_rest();
        assert_eq!(files(&place), before, "no file is left of the rounds before");
        assert!(place.bytes("nas/image") == expected);
        assert!(place.server.user().content("image").unwrap() == expected);
    }
    assert!(place.handle().store().contents().laid_over().is_empty());
}

#[test]
fn an_original_that_is_needed_is_left_alone() {
    let place = with_image();
    place.offline();
    place.change("nas/image", 7, b"changed");
    place.wait(20);
    let store = place.handle().store().clone();
    assert_eq!(store.contents().laid_over().len(), 1);
    let (handle, image_at) = (place.handle(), target("image"));
    let original = handle.open_state(&image_at, Side::Original);
    let original = place.world.run_until(original).unwrap();
    place.online();
    place.wait(20);
    place.at_rest();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::fs::File::from(original), &mut bytes).unwrap();
    assert!(bytes == image(), "whoever has it open reads all of it");
    assert_eq!(store.contents().laid_over().len(), 1, "it may still be open");
}

#[test]
fn an_end_in_the_middle_loses_nothing() {
    let mut expected = image();
    expected[300_000..300_007].copy_from_slice(b"changed");
    let mut flattened_before_the_end = 0;
    for machine in [false, true] {
        for writes in 0..14 {
            let mut place = with_image();
            let before = files(&place);
            place.change("nas/image", 300_000, b"changed");
            place.handle().store().flush().unwrap();
            place.disk.kill_after(writes);
            place.world.run_until_idle(Duration::from_secs(20));
            let laid_over = place.handle().store().contents().laid_over();
            flattened_before_the_end += usize::from(laid_over.is_empty());
            assert!(place.bytes("nas/image") == expected, "what cannot be written down has not happened");
            place.restart(machine);
            assert!(place.bytes("nas/image") == expected, "{writes} writes before the end");
            place.wait(30);
            place.sync();
            place.wait(20);
            place.at_rest();
            assert!(place.bytes("nas/image") == expected, "{writes} writes before the end");
            assert!(place.server.user().content("image").unwrap() == expected);
            // What was sent after the end can be taken back, for as long as there is room for that.
            place.world.run_until(place.handle().location_set("nas", "limit", "1K")).unwrap();
            place.wait(20);
            assert!(place.bytes("nas/image") == expected, "{writes} writes before the end");
            assert_eq!(files(&place), before, "{writes} writes before the end");
        }
    }
    assert!(
        (2..26).contains(&flattened_before_the_end),
        "{flattened_before_the_end} of 28: ends are in the middle"
    );
}
