//! A server that is cut off, falls silent, loses answers and starts anew in the middle of the work: it is
//! noticed, what is here is used, and the work goes on where it stopped, without anybody asking.

use std::fs;

use crate::common::{Far, Random, until};

const MIB: u64 = 1 << 20;

#[test]
fn a_large_fetch_goes_on_where_it_was_cut_off() {
    let Some(mut far) = Far::new() else { return };
    let size = 48 * MIB;
    let large = Random::new(11).bytes(size as usize);
    fs::write(far.s.there("large"), &large).unwrap();
    far.s.write_there("small", "small\n");
    far.s.ok(&["location", "add", "nas", &far.s.url()]);
    far.s.ok(&["pin", "nas:small", "--wait"]);
    far.set("limit-down", "12M");
    let before = far.relay.bytes().1;
    far.s.ok(&["pin", "nas:"]);
    // Cut off, silent, and switched off with a new start, each in the middle of it.
    until("some of it is here", || far.present() > 10 * MIB);
    far.relay.cut();
    far.is_back();
    until("more of it is here", || far.present() > 20 * MIB);
    far.relay.swallow();
    far.is_seen_to_be_gone();
    assert_eq!(far.s.read_here("small"), "small\n");
    far.relay.heal();
    far.is_back();
    until("most of it is here", || far.present() > 32 * MIB);
    far.sshd.kill();
    far.is_seen_to_be_gone();
    far.sshd.listen().expect("the server comes back");
    far.is_back();
    far.set("limit-down", "none");
    far.s.ok(&["pin", "nas:", "--wait"]);
    assert!(fs::read(far.s.here("large")).unwrap() == large);
    let came = far.relay.bytes().1 - before;
    println!("{came} bytes came for {size}");
    // What was on its way comes again each time. From the beginning each time, it would be more than
    // twice the file.
    assert!(came < size + 24 * MIB, "{came} bytes came for {size}");
    far.ends_well();
}

#[test]
fn a_replay_goes_on_where_it_was_cut_off() {
    let Some(mut far) = Far::new() else { return };
    far.s.write_there("small", "small\n");
    far.s.add_and_pin();
    far.set("limit-up", "12M");
    far.set("requests", "8");
    far.s.offline();
    let mut random = Random::new(12);
    let (files, bytes) = (96, 512 << 10);
    for n in 0..files {
        fs::write(far.s.here(&format!("f{n}")), random.bytes(bytes)).unwrap();
    }
    let before = far.relay.bytes().0;
    let there = || (0..files).filter(|n| far.s.there(&format!("f{n}")).exists()).count();
    far.s.ok(&["online", "nas"]);
    until("some are there", || there() > 20);
    far.relay.cut();
    far.is_back();
    until("more are there", || there() > 50);
    far.relay.swallow();
    far.is_seen_to_be_gone();
    assert_eq!(far.s.read_here("small"), "small\n");
    far.relay.heal();
    far.is_back();
    until("nearly all are there", || there() > 80);
    far.sshd.kill();
    far.is_seen_to_be_gone();
    far.sshd.listen().expect("the server comes back");
    far.is_back();
    far.set("limit-up", "none");
    far.s.sync(0);
    let (went, size) = (far.relay.bytes().0 - before, files as u64 * bytes as u64);
    println!("{went} bytes went for {size}");
    // What was under way, eight at the most, is sent again each time. All of it each time would be more
    // than twice as much.
    assert!(went < size + 3 * 8 * bytes as u64 + size / 10, "{went} bytes went for {size}");
    far.ends_well();
}

#[test]
fn a_large_file_that_is_cut_off_on_its_way_arrives_whole() {
    let Some(far) = Far::new() else { return };
    far.s.write_there("large", "old\n");
    far.s.add_and_pin();
    far.set("limit-up", "12M");
    let large = Random::new(13).bytes(24 << 20);
    let before = far.relay.bytes().0;
    fs::write(far.s.here("large"), &large).unwrap();
    until("it is on its way", || far.relay.bytes().0 > before + 8 * MIB);
    far.relay.cut();
    assert_eq!(far.s.read_there("large"), "old\n", "the old one stands until the new one is complete");
    until("it has arrived", || fs::read(far.s.there("large")).unwrap() == large);
    far.ends_well();
}

/// The server does what it is told, and nobody hears of it.
#[test]
fn answers_that_are_lost_are_no_conflicts() {
    let Some(far) = Far::new() else { return };
    for n in 0..8 {
        far.s.write_there(&format!("f{n}"), "old\n");
    }
    far.s.add_and_pin();
    far.relay.swallow_answers();
    for n in 0..8 {
        far.s.write_here(&format!("f{n}"), format!("new {n}\n"));
    }
    far.s.shell("rm f6; mv f7 moved; mkdir d; echo x > d/x").done();
    far.is_seen_to_be_gone();
    assert_eq!(far.s.read_here("f0"), "new 0\n");
    far.relay.heal();
    far.is_back();
    far.s.sync(0);
    assert_eq!(far.s.json(&["conflicts"]).as_array().map(Vec::len), Some(0));
    for n in 0..6 {
        assert_eq!(far.s.read_there(&format!("f{n}")), format!("new {n}\n"));
    }
    assert_eq!(far.s.read_there("moved"), "new 7\n");
    far.ends_well();
}

#[test]
fn a_server_that_freezes_while_nobody_asks_is_noticed() {
    let Some(far) = Far::new() else { return };
    far.s.write_there("small", "small\n");
    far.s.add_and_pin();
    far.sshd.freeze();
    far.is_seen_to_be_gone();
    assert_eq!(far.s.read_here("small"), "small\n");
    assert!(far.sshd.is_frozen(), "the server was to be frozen all the while");
    far.sshd.thaw();
    far.is_back();
    far.ends_well();
}
