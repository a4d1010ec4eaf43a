//! How much of a location may be here.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{Ran, Random, Session, until};

const LONG: usize = 1 << 20;

fn presence(path: &Path) -> String {
    Ran::of(Command::new("getfattr").args(["--only-values", "-n", "user.holdfast.presence"]).arg(path))
        .done()
        .text()
}

fn pins(s: &Session) -> Vec<(String, String)> {
    let pins = s.json(&["pins"]);
    let word = |pin: &serde_json::Value, key: &str| pin[key].as_str().unwrap().to_owned();
    pins.as_array().unwrap().iter().map(|pin| (word(pin, "path"), word(pin, "state"))).collect()
}

#[test]
fn what_is_read_makes_room_for_what_is_read_later_and_pins_stay() {
    let Some(mut s) = Session::empty() else { return };
    if !crate::common::has_program("getfattr") {
        return crate::common::skip("getfattr is not here");
    }
    let mut random = Random::new(5);
    let files: Vec<(String, Vec<u8>)> = (0..8).map(|n| (format!("file{n}"), random.bytes(LONG))).collect();
    for (name, bytes) in &files {
        fs::write(s.there(name), bytes).unwrap();
    }
    s.ok(&["location", "add", "nas", &s.url()]);
    s.ok(&["location", "set", "nas", "limit", "3M"]);
    s.ok(&["pin", "nas:file0", "--wait"]);
    for (name, bytes) in &files {
        assert!(fs::read(s.here(name)).unwrap() == *bytes);
    }
    let content = s.store().join("content");
    let taken = || {
        let du = Ran::of(Command::new("du").args(["-s", "--block-size=1"]).arg(&content)).done().text();
        du.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    // Beside them lies what is set aside for a full disk.
    until("it is within its limit", || taken() < (3 << 20) + (9 << 20));
    assert_eq!(presence(&s.here("file0")), "present");
    let absent = || files.iter().filter(|(name, _)| presence(&s.here(name)) == "absent").count();
    until("what was used longest ago is gone", || absent() >= 5);
    // One thing after the other: the limit is kept from then on.
    s.ctl(&["pin", "nas:", "--wait"]).refused(1, &["limit"]);
    assert!(pins(&s).contains(&("nas:".into(), "over-limit".into())), "{:?}", pins(&s));
    for (name, bytes) in &files {
        assert!(fs::read(s.here(name)).unwrap() == *bytes, "what is over the limit can be used all the same");
    }
    s.write_here("new", "new");
    s.sync(0);
    s.stop();
    s.serve();
    s.ok(&["location", "set", "nas", "limit", "none"]);
    s.ok(&["pin", "nas:", "--wait"]);
    assert!(pins(&s).iter().all(|(_, state)| state == "present"), "{:?}", pins(&s));
    s.offline();
    for (name, bytes) in &files {
        assert!(fs::read(s.here(name)).unwrap() == *bytes);
    }
    s.online(0);
    s.must_agree();
}
