//! What goes over the line to a server: how fast it is, who goes first, and how much may go.

use std::time::Duration;

use holdfast_engine::model::{Link, LocationStatus, OfflineReason};
use holdfast_engine::world::World;
use holdfast_testkit::Profile;
use holdfast_testkit::server::Line;

use super::place::{PROGRAM, Place, target};

const KIB: u64 = 1 << 10;

fn status(place: &Place) -> LocationStatus {
    place.world.run_until(place.handle().status()).unwrap().locations.remove(0)
}

fn pause(place: &Place, millis: u64) {
    place.world.run_until(place.world.sleep(Duration::from_millis(millis)));
}

fn set(place: &Place, key: &str, value: &str) {
    place.world.run_until(place.handle().location_set("nas", key, value)).unwrap();
}

fn pin(place: &Place, path: &str) {
    place.world.run_until(place.handle().pin(&target(path), false)).unwrap();
}

fn up(place: &Place) -> u64 {
    place.server.traffic().bytes_up
}

fn down(place: &Place) -> u64 {
    place.server.traffic().bytes_down
}

fn long(kib: u64) -> String {
    "0123456789abcdef".repeat((kib * KIB / 16) as usize)
}

/// So many bytes a second for each call.
fn with_rate(bytes_per_second: u64, files: &[(&str, u64)]) -> Place {
    let mut profile = Profile::posix();
    profile.bytes_per_second = bytes_per_second;
    let place = Place::of(profile, 7, |server| {
        for (name, kib) in files {
            server.user().write(*name, long(*kib));
        }
    });
    // What was written just now is settled.
    pause(&place, 30_000);
    place
}

#[test]
fn a_line_with_late_answers_is_slow_until_they_come_soon() {
    let place = with_rate(100_000_000, &[("a", 1)]);
    assert_eq!(status(&place).link, Link::Online);
    let latency = |millis: u64| {
        let latency = Duration::from_millis(millis);
        place.server.change_profile(|profile| profile.latency = latency..latency * 2);
    };
    latency(400);
    pause(&place, 60_000);
    let slow = status(&place);
    assert!(slow.link == Link::Slow && slow.detail.contains("slow"), "{slow:?}");
    assert_eq!(place.read("nas/a").len(), 100, "a slow one is one that is up");
    latency(1);
    pause(&place, 120_000);
    assert_eq!((status(&place).link, status(&place).detail), (Link::Online, String::new()));
    place.at_rest();
}

#[test]
fn a_line_that_carries_little_is_slow_and_has_little_under_way() {
    let place = with_rate(10 * KIB, &[("a", 2 * KIB), ("b", 2 * KIB)]);
    pin(&place, "");
    pause(&place, 200_000);
    assert_eq!(status(&place).link, Link::Slow);
    // What is under way is what a program has to stand behind.
    place.server.change_profile(|profile| profile.bytes_per_second = 100_000_000);
    pause(&place, 120_000);
    assert_eq!(status(&place).present_bytes, 4 * KIB * KIB);
    assert_eq!(status(&place).link, Link::Online);
    place.at_rest();
}

#[test]
fn replay_trickles_behind_what_a_program_waits_for_and_is_not_starved() {
    let place = with_rate(1_000_000, &[("read", 8 * KIB)]);
    let node = place.node("nas/read");
    let open = place.open(node, Default::default());
    place.put("nas", "written", &long(64 * KIB));
    while up(&place) == 0 {
        pause(&place, 100);
    }
    // A program reads on and on.
    let (before, began) = (up(&place), place.world.elapsed());
    let mut at = 0;
    let mut bytes = vec![0; 128 << 10];
    while at < 8 * KIB * KIB {
        at += place.op(|fs| fs.read(node, open.handle, at, &mut bytes)).unwrap() as u64;
    }
    let (sent, took) = (up(&place) - before, place.world.elapsed() - began);
    let pieces = took.as_secs() + 2;
    assert!(took > Duration::from_secs(5), "{took:?}");
    assert!(sent <= pieces * 64 * KIB, "{sent} bytes in {took:?}");
    assert!(sent >= 64 * KIB, "it is not starved");
    // And without it the line is replay's.
    let before = up(&place);
    pause(&place, 10_000);
    assert!(up(&place) - before > 5_000_000, "{}", up(&place) - before);
    place.wait(120);
    assert_eq!(place.there("written").map(|bytes| bytes.len() as u64), Some(64 * KIB * KIB));
    place.at_rest();
}

#[test]
fn what_is_pinned_waits_for_what_a_program_wants() {
    let place = with_rate(500_000, &[("a", 20 * KIB), ("read", 2 * KIB)]);
    let node = place.node("nas/read");
    let open = place.open(node, Default::default());
    pin(&place, "a");
    pause(&place, 8_000);
    let mut bytes = vec![0; 2 << 20];
    let need = match place.fs().read(node, open.handle, 0, &mut bytes) {
        Err(holdfast_engine::fileops::OpError::NotHere(need)) => need,
        other => panic!("{other:?}"),
    };
    let coming = {
        // All that was under way when the program came: it is not called back.
        let before = down(&place);
        let began = place.world.elapsed();
        place.world.run_until(place.fs().provide(PROGRAM, &need)).unwrap();
        (down(&place) - before, place.world.elapsed() - began)
    };
    let (came, took) = coming;
    let window = 12 * KIB * KIB;
    assert!(came <= window + 2 * KIB * KIB + (took.as_secs() + 1) * KIB * KIB, "{came} in {took:?}");
    place.op(|fs| fs.read(node, open.handle, 0, &mut bytes)).unwrap();
    place.wait(300);
    assert_eq!(status(&place).present_bytes, 20 * KIB * KIB, "and then goes on");
    place.at_rest();
}

/// From a moment on, however often it is looked, no more went than the limit and a moment's worth.
#[track_caller]
fn stays_within(place: &Place, bytes: impl Fn(&Place) -> u64, rate: u64, seconds: u64) {
    let (before, began) = (bytes(place), place.world.elapsed());
    for _ in 0..seconds * 10 {
        pause(place, 100);
        let time = (place.world.elapsed() - began).as_secs_f64();
        let most = (rate as f64 * (time + 0.1)) as u64 + rate / 4;
        let went = bytes(place) - before;
        assert!(went <= most, "{went} bytes after {time} s");
    }
    let least = rate * seconds * 8 / 10;
    let went = bytes(place) - before;
    assert!(went >= least, "{went} bytes in {seconds} s are less than it may");
}

#[test]
fn limits_bound_both_directions_and_count_at_once() {
    let place = with_rate(100_000_000, &[("a", 4 * KIB), ("b", 4 * KIB), ("c", 1)]);
    for key in ["limit-down", "limit-up"] {
        let bad = place.world.run_until(place.handle().location_set("nas", key, "1K"));
        assert!(bad.unwrap_err().text.contains("at least 16K"));
        set(&place, key, "128K");
    }
    pin(&place, "");
    stays_within(&place, down, 128 * KIB, 20);
    set(&place, "limit-down", "256K/s");
    stays_within(&place, down, 256 * KIB, 5);
    assert_eq!(status(&place).link, Link::Online, "what we hold up ourselves is no slow line");
    // Both directions at once, each within its own.
    place.put("nas", "up", &long(2 * KIB));
    pause(&place, 2_000);
    stays_within(&place, up, 128 * KIB, 10);
    set(&place, "limit-up", "none");
    pause(&place, 2_000);
    assert_eq!(place.there("up").map(|bytes| bytes.len() as u64), Some(2 * KIB * KIB));
    set(&place, "limit-down", "none");
    pause(&place, 2_000);
    assert_eq!(status(&place).present_bytes, 8 * KIB * KIB + KIB + 2 * KIB * KIB);
    place.at_rest();
}

#[test]
fn a_limit_outlives_the_engine_and_loses_nothing() {
    let mut place = with_rate(100_000_000, &[("a", KIB)]);
    set(&place, "limit-down", "64K");
    set(&place, "limit-up", "64K");
    place.pin("a");
    place.put("nas", "b", &long(KIB));
    pause(&place, 6_000);
    // What the old one had under way ends with its connection.
    place.server.line(Line::Down(OfflineReason::ServerGone));
    place.restart(false);
    place.server.line(Line::Up);
    pause(&place, 3_000);
    stays_within(&place, up, 64 * KIB, 10);
    place.wait(120);
    assert_eq!(place.there("b"), Some(long(KIB)));
    place.at_rest();
}

#[test]
fn no_more_calls_are_under_way_than_the_server_is_to_bear() {
    for most in [1, 3] {
        let mut profile = Profile::sshfs_like();
        profile.bytes_per_second = 100_000;
        let place = Place::of(profile, 3, |server| {
            for n in 0..60 {
                server.user().write(format!("d{}/f{n}", n % 7), long(8));
            }
        });
        set(&place, "requests", &most.to_string());
        let before = place.server.traffic().most_at_once;
        place.server.forget_traffic();
        pin(&place, "");
        place.put("nas", "new", &long(64));
        place.sync();
        place.pin("");
        assert_eq!(place.read("nas/d0/f0").len(), 100);
        let at_once = place.server.traffic().most_at_once;
        assert!(at_once <= most, "{at_once} of {most}; {before} without a cap");
        place.at_rest();
    }
}
