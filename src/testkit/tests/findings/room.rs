//! The disk of the store is full, or a location is over its limit.

use holdfast_engine::fileops::{OpError, OpenMode};

use super::place::{Place, writing};

#[test]
fn on_a_full_disk_only_new_writes_fail_and_room_can_be_made() {
    let place = Place::with(|server| {
        server.user().write("old", "old");
    });
    assert_eq!(place.read("nas/old"), "old");
    place.offline();
    place.put("nas", "new", "new");
    place.disk.set_full(true);
    let folder = place.node("nas");
    let made = place.op(|fs| fs.create(super::place::PROGRAM, folder, b"more", 0o644, writing()));
    assert_eq!(made.err(), Some(OpError::NoSpace));
    let old = place.node("nas/old");
    let emptied = OpenMode { truncate: true, ..writing() };
    let opened = place.op(|fs| fs.open(super::place::PROGRAM, old, emptied));
    assert_eq!(opened.err(), Some(OpError::NoSpace), "what it holds would be gone and nothing in its place");
    assert_eq!(place.read("nas/old"), "old");
    place.rename("nas/new", "nas/newer");
    place.unlink("nas", "newer");
    let made = place.op(|fs| fs.create(super::place::PROGRAM, folder, b"more", 0o644, writing()));
    assert_eq!(made.err(), Some(OpError::NoSpace), "what is set aside is for removals");
    place.disk.set_full(false);
    place.put("nas", "more", "more");
    place.online();
    place.at_rest();
    assert_eq!(place.there("more").as_deref(), Some("more"));
    assert_eq!(place.there("newer"), None);
}

#[test]
fn a_file_closed_on_a_full_disk_is_sent_once_there_is_room() {
    let place = Place::with(|_| {});
    place.offline();
    let folder = place.node("nas");
    let (file, open) =
        place.op(|fs| fs.create(super::place::PROGRAM, folder, b"a", 0o644, writing())).unwrap();
    place.write(file.node, open.handle, "a");
    place.disk.set_full(true);
    // What is set aside is used up by others.
    assert!(place.handle().store().room.give_back());
    place.disk.files.fill_up();
    place.fs().release(file.node, open.handle);
    place.disk.set_full(false);
    place.online();
    place.at_rest();
    assert_eq!(place.there("a").as_deref(), Some("a"));
}

#[test]
fn a_location_goes_on_by_itself_when_there_is_room_again() {
    let place = Place::with(|server| {
        server.user().write("a", "a");
    });
    place.pin("");
    place.disk.set_full(true);
    server_changes(&place);
    place.wait(60);
    let calls = place.server.traffic().calls;
    place.wait(600);
    assert!(place.server.traffic().calls < calls + 100, "it waits for room and does not ask again and again");
    assert_eq!(place.read("nas/a"), "a", "what is here stays");
    let refused = place.world.run_until(place.handle().sync(None, true, None));
    assert!(refused.unwrap_err().to_string().contains("full"), "and not a word of being offline");
    place.disk.set_full(false);
    place.wait(5);
    assert_eq!(place.read("nas/b"), "new there");
    place.at_rest();
}

fn server_changes(place: &Place) {
    for n in 0..40 {
        place.server.user().write(format!("other {n}"), "x".repeat(5000));
    }
    place.server.user().write("b", "new there");
}
