//! A link that goes, comes back and changes: what is noticed, how soon, and how often it is tried.

use std::time::Duration;

use holdfast_engine::model::{Link, OfflineReason};
use holdfast_engine::world::World;
use holdfast_testkit::server::Line;

use super::place::Place;

const GONE: Line = Line::Down(OfflineReason::ServerGone);

fn with_file() -> Place {
    Place::with(|server| _ = server.user().write("a", "one"))
}

fn link(place: &Place) -> Link {
    place.world.run_until(place.handle().status()).unwrap().locations[0].link
}

fn attempts(place: &Place) -> u64 {
    place.server.traffic().connects
}

fn pause(place: &Place, millis: u64) {
    place.world.run_until(place.world.sleep(Duration::from_millis(millis)));
}

/// Nobody asks for anything: it is noticed all the same.
#[test]
fn a_server_that_goes_or_freezes_is_noticed_within_seconds() {
    for line in [GONE, Line::Frozen] {
        let place = with_file();
        assert_eq!(place.read("nas/a"), "one");
        pause(&place, 60_000);
        assert_eq!(link(&place), Link::Online);
        place.server.line(line);
        pause(&place, 10_000);
        assert!(matches!(link(&place), Link::Offline(OfflineReason::ServerGone)), "{line:?}");
        assert_eq!(place.read("nas/a"), "one");
        place.server.line(Line::Up);
        pause(&place, 45_000);
        assert_eq!(link(&place), Link::Online, "{line:?}");
        place.at_rest();
    }
}

#[test]
fn attempts_in_a_long_outage_are_few_and_end_with_it() {
    let place = with_file();
    place.server.line(GONE);
    pause(&place, 10_000);
    let before = attempts(&place);
    pause(&place, 3_600_000);
    let in_an_hour = attempts(&place) - before;
    assert!((60..=100).contains(&in_an_hour), "{in_an_hour}");
    place.put("nas", "b", "written meanwhile");
    place.server.line(Line::Up);
    pause(&place, 65_000);
    assert_eq!(link(&place), Link::Online);
    assert_eq!(place.there("b").unwrap(), "written meanwhile");
    place.at_rest();
}

#[test]
fn a_hint_cuts_the_wait_short_and_a_flood_makes_no_storm() {
    let place = with_file();
    place.server.line(GONE);
    pause(&place, 600_000);
    let before = attempts(&place);
    for _ in 0..36_000 {
        place.handle().network_changed();
        pause(&place, 100);
    }
    let in_an_hour = attempts(&place) - before;
    assert!((100..=300).contains(&in_an_hour), "{in_an_hour}");
    pause(&place, 300_000);
    place.server.line(Line::Up);
    let before = attempts(&place);
    place.handle().network_changed();
    pause(&place, 2_000);
    assert_eq!(attempts(&place), before + 1);
    assert_eq!(link(&place), Link::Online);
}

/// From another network the server does not know the connection any more.
#[test]
fn a_link_that_is_up_is_proven_when_the_network_changes() {
    let place = with_file();
    for _ in 0..100 {
        place.handle().network_changed();
        pause(&place, 50);
    }
    assert_eq!((attempts(&place), link(&place)), (2, Link::Online), "one to add it and one to use it");
    place.server.line(Line::Frozen);
    place.handle().network_changed();
    pause(&place, 6_000);
    assert!(matches!(link(&place), Link::Offline(_)));
    // The attempt that is under way hangs as well, and is not waited for.
    place.server.line(Line::Up);
    place.handle().network_changed();
    pause(&place, 6_000);
    assert_eq!(link(&place), Link::Online);
    place.at_rest();
}

#[test]
fn who_asks_by_hand_is_served_at_once() {
    let place = with_file();
    let outage = || {
        place.server.line(GONE);
        pause(&place, 600_000);
        assert!(matches!(link(&place), Link::Offline(OfflineReason::ServerGone)));
        place.server.line(Line::Up);
    };
    outage();
    place.world.run_until(place.handle().sync(None, false, None)).unwrap();
    pause(&place, 500);
    assert_eq!(link(&place), Link::Online);
    outage();
    place.world.run_until(place.handle().online(None)).unwrap();
    pause(&place, 500);
    assert_eq!(link(&place), Link::Online);
    // By hand it stays, whatever the network does.
    place.offline();
    let before = attempts(&place);
    place.handle().network_changed();
    pause(&place, 60_000);
    assert_eq!((attempts(&place), link(&place)), (before, Link::Offline(OfflineReason::ByHand)));
}

/// A program whose call finds no connection does not keep that to itself.
#[test]
fn what_a_program_runs_into_is_known_to_all() {
    let place = with_file();
    place.server.line(GONE);
    let node = place.node("nas/a");
    let open = place.open(node, Default::default());
    let mut bytes = [0; 8];
    place.op(|fs| fs.read(node, open.handle, 0, &mut bytes)).unwrap_err();
    pause(&place, 1_500);
    assert!(matches!(link(&place), Link::Offline(OfflineReason::ServerGone)));
}

#[test]
fn a_server_that_breaks_each_connection_is_not_stormed() {
    let place = with_file();
    pause(&place, 60_000);
    let before = attempts(&place);
    for _ in 0..1800 {
        place.server.line(GONE);
        pause(&place, 100);
        place.server.line(Line::Up);
        pause(&place, 1_900);
    }
    let in_an_hour = attempts(&place) - before;
    assert!(in_an_hour <= 200, "{in_an_hour}");
}
