//! A day's work on a real tree: pinned, left, worked in by git, tar, sqlite and editors while somebody
//! else works on the server; then all of it is replayed, exactly the expected conflicts are found and
//! decided, and both sides are the same to the last bit of mode.
//!
//! On a plain folder, and on a real server that freezes and dies meanwhile (`network`). What takes
//! minutes runs with `HOLDFAST_LONG=1` only.

#[path = "../common/mod.rs"]
mod common;

mod hand;
mod network;
mod source;
mod storm;
mod story;
mod three;

use std::time::Instant;

use common::{Session, long, skip, tree};
use network::Network;

/// Says how long a part took; no outcome depends on it.
fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let since = Instant::now();
    let value = work();
    println!("{what}: {:.1} s", since.elapsed().as_secs_f64());
    value
}

#[test]
fn a_days_work_on_a_real_tree() {
    if !long() {
        return skip("the work on a real tree runs with HOLDFAST_LONG=1 only");
    }
    let Some(s) = Session::empty() else { return };
    fill_with_many(&s);
    a_day(&s, None);
}

#[test]
fn a_days_work_while_the_server_of_a_mount_freezes_and_dies() {
    let Some((s, network)) = Network::sshfs() else { return };
    source::make(&s.there("src"), 24, 480);
    a_day(&s, Some(network));
}

#[test]
fn a_days_work_while_the_server_of_sftp_freezes_and_dies() {
    let Some((s, network)) = Network::sftp() else { return };
    source::make(&s.there("src"), 24, 480);
    a_day(&s, Some(network));
}

#[test]
fn a_days_work_on_a_real_tree_while_the_server_freezes_and_dies() {
    if !long() {
        return skip("the work on a real tree runs with HOLDFAST_LONG=1 only");
    }
    let Some((s, network)) = Network::sshfs() else { return };
    fill_with_many(&s);
    a_day(&s, Some(network));
}

fn fill_with_many(s: &Session) {
    let made = source::fill(&s.there("src"));
    let count = tree(&s.there("")).len();
    println!("{count} files and folders, from {made}");
    assert!(count >= 20_000, "only {count}");
}

/// Where there is a network, its server freezes and dies in the middle of the fetch and of the replay.
fn a_day(s: &Session, mut network: Option<Network>) {
    timed("pin", || match &mut network {
        Some(network) => network.pin(s),
        None => s.add_and_pin(),
    });
    timed("compare", || s.must_agree());
    s.offline();
    let plan = story::Plan::of(s);
    timed("work here", || plan.work_here(s));
    timed("work there", || plan.work_there(s));
    println!("{} changes wait", s.json(&["changes"]).as_array().map_or(0, Vec::len));

    timed("replay", || {
        if let Some(network) = &mut network {
            network.replay(s);
        }
        s.online(4);
    });
    // By neither way over the network are there lasting numbers of files.
    let moves_are_seen = network.is_none();
    let expected = plan.conflicts(moves_are_seen);
    let expected: Vec<(&str, &str)> = expected.iter().map(|(p, k)| (p.as_str(), *k)).collect();
    println!("{} conflicts", expected.len());
    s.must_conflict(&expected);

    timed("decide", || plan.decide(s));
    timed("replay what was decided", || s.sync(0));
    plan.must_have_come_out(s, moves_are_seen);
    timed("compare", || s.must_agree());

    // The next round does nothing.
    let before = story::stamps(&s.there(""));
    timed("sync, nothing changed", || s.sync(0));
    let after = story::stamps(&s.there(""));
    let touched: Vec<_> = after.iter().filter(|(path, stamp)| before.get(*path) != Some(stamp)).collect();
    assert!(touched.is_empty() && before.len() == after.len(), "touched: {touched:?}");
    assert_eq!(s.json(&["changes"]).as_array().map(Vec::len), Some(0));
}
