//! How much of a location may be here, and what goes for it.

use holdfast_engine::model::PinState;

use super::place::Place;

const LONG: usize = 300_000;

fn long(letter: u8) -> Vec<u8> {
    vec![letter; LONG]
}

/// Four files of 300,000 bytes, none of them here.
fn with_files() -> Place {
    Place::with(|server| {
        for letter in *b"abcd" {
            server.user().write((letter as char).to_string(), long(letter));
        }
    })
}

fn limit(place: &Place, limit: &str) {
    place.world.run_until(place.handle().location_set("nas", "limit", limit)).unwrap();
}

/// Which of the files are wholly here; each of them takes a while to be read.
fn here(place: &Place) -> String {
    let store = place.handle().store().clone();
    let is_here = |name: &char| {
        let node = place.node(&format!("nas/{name}"));
        let content = store.read().node(node).and_then(|live| live.row.content);
        content.and_then(|id| store.contents().get(id)).is_none_or(|content| content.is_whole())
    };
    "abcd".chars().filter(is_here).collect()
}

#[track_caller]
fn read(place: &Place, names: &str) {
    for name in names.bytes() {
        assert!(place.bytes(&format!("nas/{}", name as char)) == long(name));
        place.wait(3);
    }
}

#[track_caller]
fn counted(place: &Place) -> u64 {
    let store = place.handle().store().clone();
    let location = store.read().locations().next().map(|live| live.row.id).unwrap();
    let all: u64 = store.contents().all().iter().map(|content| content.own_bytes()).sum();
    assert_eq!(store.contents().bytes_here(location), all);
    all
}

fn pins(place: &Place) -> Vec<PinState> {
    place.world.run_until(place.handle().pins()).unwrap().into_iter().map(|pin| pin.state).collect()
}

#[test]
fn what_was_used_longest_ago_goes_first() {
    let place = with_files();
    limit(&place, "700000");
    read(&place, "ab");
    assert_eq!(here(&place), "ab");
    assert_eq!(counted(&place), 2 * LONG as u64);
    read(&place, "ac");
    assert_eq!(here(&place), "ac");
    read(&place, "d");
    assert_eq!(here(&place), "cd");
    read(&place, "b");
    assert_eq!(here(&place), "bd");
    limit(&place, "none");
    read(&place, "abcd");
    assert_eq!(here(&place), "abcd");
    limit(&place, "400K");
    place.wait(3);
    assert_eq!(here(&place), "d");
    counted(&place);
    place.at_rest();
}

#[test]
fn the_order_outlives_the_engine() {
    let mut place = with_files();
    read(&place, "badc");
    place.handle().store().close().unwrap();
    place.restart(false);
    place.wait(10);
    assert_eq!(here(&place), "abcd");
    counted(&place);
    limit(&place, "700000");
    place.wait(3);
    assert_eq!(here(&place), "cd");
    read(&place, "c");
    limit(&place, "400K");
    place.wait(3);
    assert_eq!(here(&place), "c");
}

#[test]
fn what_is_open_stays_until_it_is_closed() {
    let place = with_files();
    limit(&place, "700000");
    let a = place.node("nas/a");
    let open = place.open(a, Default::default());
    let mut some = vec![0; LONG];
    place.op(|fs| fs.read(a, open.handle, 0, &mut some)).unwrap();
    read(&place, "bcd");
    assert_eq!(here(&place), "ad");
    place.fs().release(a, open.handle);
    read(&place, "bc");
    assert_eq!(here(&place), "bc");
}

#[test]
fn pins_stay_and_what_does_not_fit_is_shown() {
    let place = with_files();
    limit(&place, "700000");
    place.pin("a");
    read(&place, "bcd");
    assert_eq!(here(&place), "ad", "the pin counts, and stays");
    assert_eq!(pins(&place), [PinState::Present]);
    let refused = place.world.run_until(place.handle().pin(&super::place::target(""), true));
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("limit"), "{text}");
    assert_eq!(here(&place).len(), 2, "what fits is here");
    assert_eq!(pins(&place), [PinState::OverLimit, PinState::Present]);
    read(&place, "abcd");
    limit(&place, "2M");
    place.wait(5);
    assert_eq!(here(&place), "abcd");
    assert_eq!(pins(&place), [PinState::Present, PinState::Present]);
    limit(&place, "700000");
    place.wait(120);
    assert_eq!(here(&place), "abcd", "a limit takes nothing from a pin");
    assert_eq!(pins(&place), [PinState::OverLimit, PinState::OverLimit]);
    place.world.run_until(place.handle().unpin(&super::place::target(""))).unwrap();
    place.wait(60);
    assert_eq!(here(&place).len(), 2);
    assert_eq!(pins(&place), [PinState::Present]);
    counted(&place);
    place.at_rest();
}

#[test]
fn changes_stay_until_they_are_sent() {
    let place = with_files();
    limit(&place, "700000");
    read(&place, "a");
    place.offline();
    for name in ["one", "two", "three"] {
        place.put("nas", name, &"x".repeat(LONG));
    }
    place.change("nas/a", 7, b"changed");
    place.wait(120);
    let status = || place.world.run_until(place.handle().status()).unwrap().locations[0].changes;
    assert_eq!(status(), 4);
    assert!(counted(&place) > 4 * LONG as u64, "changes, and the original of one");
    assert_eq!(place.bytes("nas/one"), "x".repeat(LONG).into_bytes());
    assert_eq!(&place.bytes("nas/a")[..20], b"aaaaaaachangedaaaaaa");
    place.online();
    place.wait(60);
    assert!(counted(&place) <= 700_000, "what is sent may go");
    assert_eq!(place.bytes("nas/one"), "x".repeat(LONG).into_bytes());
    assert_eq!(&place.bytes("nas/a")[..20], b"aaaaaaachangedaaaaaa");
    place.at_rest();
}

#[test]
fn on_a_full_disk_what_may_go_makes_room_for_a_write() {
    let place = with_files();
    read(&place, "abc");
    place.pin("b");
    place.offline();
    place.disk.set_full(true);
    place.put("nas", "new", &"n".repeat(200_000));
    assert_eq!(here(&place), "b", "neither pinned nor changed: all of it went");
    place.online();
    assert_eq!(place.server.user().content("new").unwrap().len(), 200_000);
    read(&place, "abcd");
    counted(&place);
    place.disk.set_full(false);
    place.at_rest();
}
