//! Reconnections in the history, and taking them back: both sides are as they were before, and what
//! either had made meanwhile is set aside.

use holdfast_engine::handle::Error;
use holdfast_engine::model::{Choice, HistoryId, HistoryKind, HistoryReport, SyncOutcome};

use super::place::{Place, writing};

fn with_files() -> Place {
    let place = Place::with(|server| {
        server.user().mkdir("d").write("a", "one").write("b", "bee").write("d/c", "sea").write("e", "eh");
    });
    for path in ["nas/a", "nas/b", "nas/d/c", "nas/e"] {
        place.read(path);
    }
    place
}

fn history(place: &Place) -> Vec<HistoryReport> {
    place.world.run_until(place.handle().history()).unwrap()
}

fn undo(place: &Place, id: Option<HistoryId>) -> Result<HistoryReport, Error> {
    place.world.run_until(place.handle().undo(id))
}

/// Takes the newest back, and brings both sides together.
#[track_caller]
fn take_back(place: &Place) -> HistoryReport {
    let entry = undo(place, None).unwrap();
    assert!(entry.undone && !entry.can_undo, "{entry:?}");
    assert_eq!(place.sync(), SyncOutcome::Clean);
    entry
}

/// The only reconnection.
#[track_caller]
fn the_one(place: &Place) -> HistoryReport {
    let mut all = history(place);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// Both sides have this.
#[track_caller]
fn both(place: &Place, files: &[(&str, Option<&str>)]) {
    for (path, content) in files {
        assert_eq!(place.there(path).as_deref(), *content, "{path} on the server");
        let here = place.look(&format!("nas/{path}")).ok().map(|_| place.read(&format!("nas/{path}")));
        assert_eq!(here.as_deref(), *content, "{path} here");
    }
}

#[test]
fn a_reconnection_that_does_nothing_is_not_told_and_the_first_is_none() {
    let place = with_files();
    assert_eq!(history(&place), []);
    place.offline();
    place.online();
    assert_eq!(history(&place), []);
    place.save("nas/a", "online");
    place.server.user().save("b", "theirs");
    place.wait(100);
    assert_eq!(history(&place), [], "the link was up all the time");
}

#[test]
fn what_was_done_is_told_in_words_and_numbers() {
    let place = with_files();
    place.offline();
    place.save("nas/a", "MINE");
    place.put("nas", "new", "NEW");
    place.save("nas/e", "MINE");
    place.server.user().save("b", "theirs");
    place.server.user().save("e", "theirs");
    place.wait(3 * 3600);
    place.online();
    let told = the_one(&place);
    assert_eq!(told.what, "nas came back after 3 hours: 2 changes sent, 1 taken from the server, 1 conflict");
    assert_eq!((told.items, told.can_undo, told.undone), (3, true, false));
    assert_eq!((told.kind, told.location.as_deref()), (HistoryKind::Reconnection, Some("nas")));
    // It is over: what comes later is no part of it.
    place.save("nas/a", "LATER");
    place.wait(20);
    assert_eq!(the_one(&place), told);
    // What is to go is here. The conflict is left to be decided.
    assert_eq!(place.read("nas/b"), "theirs");
    undo(&place, None).unwrap();
    assert_eq!(place.conflicts().len(), 1);
    place.sync();
    both(&place, &[("a", Some("one")), ("b", Some("bee")), ("new", None)]);
    assert_eq!(place.there("e").as_deref(), Some("theirs"));
    assert_eq!(place.read("nas/e"), "MINE");
    assert!(place.resolve("e", &Choice::KeepServer)[0].done);
    place.at_rest();
}

#[test]
fn what_was_sent_comes_back() {
    let place = with_files();
    place.offline();
    place.save("nas/a", "MINE");
    place.put("nas", "new", "NEW");
    place.unlink("nas", "b");
    place.rename("nas/d/c", "nas/moved");
    place.rmdir("nas", "d");
    place.online();
    both(&place, &[("a", Some("MINE")), ("b", None), ("new", Some("NEW")), ("moved", Some("sea"))]);
    let entry = take_back(&place);
    assert_eq!((entry.items, entry.left_out), (5, 0));
    let before =
        [("a", Some("one")), ("b", Some("bee")), ("d/c", Some("sea")), ("new", None), ("moved", None)];
    both(&place, &before);
    let mut stashed = place.stashed();
    stashed.sort();
    assert_eq!(stashed, ["MINE", "NEW"]);
    place.at_rest();
}

#[test]
fn what_was_taken_goes_back() {
    let place = with_files();
    place.pin("");
    place.offline();
    let user = place.server.user();
    user.save("a", "THEIRS").write("new", "THEIR NEW").remove("b").rename("d/c", "moved").mkdir("f");
    user.write("f/g", "THEIR G");
    place.online();
    place.wait(10);
    both(&place, &[("a", Some("THEIRS")), ("b", None), ("new", Some("THEIR NEW")), ("moved", Some("sea"))]);
    let entry = take_back(&place);
    assert_eq!(entry.left_out, 0, "{entry:?}");
    both(
        &place,
        &[("a", Some("one")), ("b", Some("bee")), ("d/c", Some("sea")), ("new", None), ("f/g", None)],
    );
    assert!(place.look("nas/f").is_err());
    let mut stashed = place.stashed();
    stashed.sort();
    assert_eq!(stashed, ["THEIR G", "THEIR NEW", "THEIRS"]);
    place.at_rest();
}

#[test]
fn folders_go_back_with_all_that_is_in_them() {
    let place = Place::with(|server| {
        let user = server.user();
        user.mkdir("x")
            .mkdir("x/y")
            .write("x/y/f", "eff")
            .write("x/g", "gee")
            .mkdir("z")
            .write("z/h", "aitch");
    });
    place.pin("");
    place.wait(5);
    place.offline();
    // Swapped names, a folder moved into another, one that goes.
    place.rename("nas/x/g", "nas/spare");
    place.rename("nas/z/h", "nas/x/g");
    place.rename("nas/spare", "nas/z/h");
    place.rename("nas/x/y", "nas/z/y");
    place.unlink("nas/z/y", "f");
    place.rmdir("nas/z", "y");
    place.online();
    both(&place, &[("x/g", Some("aitch")), ("z/h", Some("gee")), ("x/y/f", None)]);
    let entry = take_back(&place);
    assert_eq!(entry.left_out, 0);
    both(&place, &[("x/g", Some("gee")), ("z/h", Some("aitch")), ("x/y/f", Some("eff"))]);
    place.at_rest();
}

#[test]
fn what_somebody_did_since_is_not_lost() {
    let place = with_files();
    place.offline();
    place.save("nas/a", "MINE");
    place.save("nas/b", "MY BEE");
    place.put("nas", "new", "NEW");
    place.online();
    place.offline();
    // Each of them moves on: there, here, there.
    place.server.user().save("a", "A THIRD PARTY'S");
    place.save("nas/b", "MY LATER BEE");
    place.server.user().save("new", "THEIR NEW");
    undo(&place, None).unwrap();
    assert_eq!(place.read("nas/a"), "one");
    place.online();
    let conflicts: Vec<_> = place.conflicts().into_iter().map(|(_, path)| path).collect();
    assert_eq!(conflicts, ["nas:a", "nas:new"]);
    assert_eq!(place.there("a").as_deref(), Some("A THIRD PARTY'S"));
    assert_eq!(place.there("new").as_deref(), Some("THEIR NEW"));
    both(&place, &[("b", Some("bee"))]);
    let mut stashed = place.stashed();
    stashed.sort();
    assert_eq!(stashed, ["MINE", "MY LATER BEE", "NEW"]);
    for path in ["a", "new"] {
        assert!(place.resolve(path, &Choice::KeepServer)[0].done);
    }
    place.at_rest();
}

#[test]
fn it_is_taken_back_once_and_can_be_made_undone_again() {
    let place = with_files();
    place.offline();
    place.save("nas/a", "MINE");
    place.online();
    let entry = the_one(&place);
    place.offline();
    undo(&place, Some(entry.id)).unwrap();
    let again = undo(&place, Some(entry.id)).unwrap_err().to_string();
    assert!(again.contains("taken back already"), "{again}");
    assert!(undo(&place, None).unwrap_err().to_string().contains("nothing"));
    place.online();
    both(&place, &[("a", Some("one"))]);
    // The change that took it back was sent by a reconnection of its own.
    assert_eq!(history(&place).len(), 2);
    take_back(&place);
    both(&place, &[("a", Some("MINE"))]);
    place.at_rest();
}

#[test]
fn what_a_kill_leaves_in_the_middle_is_true() {
    for writes in (0..60).step_by(3) {
        let mut place = with_files();
        place.offline();
        for path in ["nas/a", "nas/b", "nas/d/c", "nas/e"] {
            place.save(path, "MINE");
        }
        place.disk.kill_after(writes);
        let online = place.world.run_for(std::time::Duration::from_secs(20), place.handle().online(None));
        drop(online);
        place.restart(false);
        place.online();
        let entries = history(&place);
        let sent: u64 = entries.iter().map(|entry| entry.items).sum();
        assert_eq!(sent, 4, "killed after {writes}: {entries:?}");
        for entry in &entries {
            undo(&place, Some(entry.id)).unwrap();
        }
        place.sync();
        both(&place, &[("a", Some("one")), ("b", Some("bee")), ("d/c", Some("sea")), ("e", Some("eh"))]);
        place.at_rest();
    }
}

#[test]
fn what_a_program_has_open_or_is_not_here_stays_and_is_counted() {
    let place = with_files();
    place.offline();
    place.save("nas/a", "MINE");
    place.save("nas/b", "MINE");
    place.server.user().save("e", "THEIRS");
    place.online();
    assert_eq!(the_one(&place).items, 3);
    let node = place.node("nas/a");
    let open = place.open(node, writing());
    // The server's new version of `e` was not fetched: nobody else would have it.
    let entry = undo(&place, None).unwrap();
    assert_eq!(entry.left_out, 2);
    place.fs().release(node, open.handle);
    place.sync();
    both(&place, &[("a", Some("MINE")), ("b", Some("bee")), ("e", Some("THEIRS"))]);
    place.at_rest();
}

#[test]
fn what_stands_in_the_way_stays_and_is_not_replaced() {
    let place = with_files();
    place.offline();
    place.unlink("nas", "a");
    place.save("nas/b", "MINE");
    place.online();
    place.put("nas", "a", "ANOTHER");
    place.sync();
    let entry = take_back(&place);
    assert_eq!(entry.left_out, 1);
    both(&place, &[("a", Some("ANOTHER")), ("b", Some("bee"))]);
    place.at_rest();
}

#[test]
fn it_outlives_a_restart_and_goes_after_ten_and_after_a_week() {
    let mut place = with_files();
    for round in 0..12 {
        place.offline();
        place.save("nas/a", &format!("round {round}"));
        place.online();
    }
    place.wait(5);
    let undoable = |place: &Place| history(place).iter().filter(|entry| entry.can_undo).count();
    assert_eq!((history(&place).len(), undoable(&place)), (12, 10));
    let refused = undo(&place, history(&place).last().map(|h| h.id)).unwrap_err().to_string();
    assert!(refused.contains("room"), "{refused}");
    place.restart(false);
    place.sync();
    assert_eq!((history(&place).len(), undoable(&place)), (12, 10));
    let entry = take_back(&place);
    assert_eq!(entry.left_out, 0);
    both(&place, &[("a", Some("round 10"))]);
    place.wait(8 * 24 * 3600);
    place.save("nas/b", "so that it looks");
    place.wait(5);
    assert_eq!(undoable(&place), 0);
    place.at_rest();
}

#[test]
fn it_goes_first_when_a_limit_is_reached() {
    let long = |letter: u8| String::from_utf8(vec![letter; 300_000]).unwrap();
    let place = Place::with(|server| {
        server.user().write("a", long(b'a')).write("b", long(b'b')).write("c", long(b'c'));
    });
    let limit = |limit: &str| {
        place.world.run_until(place.handle().location_set("nas", "limit", limit)).unwrap();
    };
    place.bytes("nas/a");
    place.bytes("nas/b");
    place.offline();
    place.save("nas/a", &long(b'A'));
    place.rename("nas/b", "nas/bee");
    place.online();
    let here = || {
        let store = place.handle().store().clone();
        let location = store.read().locations().next().map(|live| live.row.id).unwrap();
        store.contents().bytes_here(location)
    };
    assert_eq!(here(), 900_000, "the original is kept");
    limit("700000");
    place.wait(5);
    assert_eq!(here(), 600_000);
    let entry = the_one(&place);
    assert!(!entry.can_undo && !entry.undone, "{entry:?}");
    place.offline();
    assert_eq!(place.bytes("nas/a").len() + place.bytes("nas/bee").len(), 600_000, "they stayed");
    place.online();
    place.at_rest();
}

#[test]
fn a_file_that_only_moved_can_make_room() {
    let place = with_files();
    place.offline();
    place.rename("nas/a", "nas/moved");
    place.online();
    let freed = place.world.run_until(place.handle().evict(&super::place::target("moved"))).unwrap();
    assert_eq!(freed, 3);
    let entry = take_back(&place);
    assert_eq!(entry.left_out, 0, "its bytes are not needed for that");
    both(&place, &[("a", Some("one")), ("moved", None)]);
    place.at_rest();
}

#[test]
fn a_decision_in_a_reconnection_is_taken_back_apart() {
    let place = with_files();
    place.offline();
    place.save("nas/a", "MINE");
    place.save("nas/b", "MINE");
    place.server.user().save("a", "theirs");
    place.online();
    assert!(place.resolve("a", &Choice::KeepServer)[0].done);
    place.sync();
    let entries = history(&place);
    let kinds: Vec<_> = entries.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [HistoryKind::Decision, HistoryKind::Reconnection]);
    undo(&place, Some(entries[1].id)).unwrap();
    place.sync();
    both(&place, &[("a", Some("theirs")), ("b", Some("bee"))]);
    place.at_rest();
}

#[test]
fn the_words_outlive_the_location() {
    let place = with_files();
    place.offline();
    place.save("nas/a", "MINE");
    place.online();
    let what = the_one(&place).what;
    place.world.run_until(place.handle().location_remove("nas", false)).unwrap();
    let entry = the_one(&place);
    assert_eq!((entry.what, entry.can_undo, entry.location), (what, false, None));
}
