//! Deciding, and taking decisions back.

use holdfast_engine::model::Choice;

use super::place::{Place, writing};

fn edited_on_both_sides() -> Place {
    let place = Place::with(|server| {
        server.user().write("f", "one").write("g", "g");
    });
    assert_eq!(place.read("nas/f"), "one");
    place.offline();
    place.save("nas/f", "MINE");
    place.server.user().save("f", "theirs");
    place.online();
    assert_eq!(place.conflicts().len(), 1);
    place.offline();
    place
}

#[test]
fn an_edit_after_a_decision_outlives_taking_it_back() {
    let place = edited_on_both_sides();
    assert!(place.resolve("f", &Choice::KeepLocal)[0].done);
    place.save("nas/f", "EDITED AFTER");
    place.world.run_until(place.handle().undo(None)).unwrap();
    assert!(place.stashed().contains(&"EDITED AFTER".to_owned()), "{:?}", place.stashed());
    assert_eq!(place.read("nas/f"), "MINE");
}

#[test]
fn an_edit_in_place_after_a_decision_outlives_taking_it_back() {
    let place = edited_on_both_sides();
    assert!(place.resolve("f", &Choice::KeepServer)[0].done);
    let node = place.node("nas/f");
    let open = place.open(node, writing());
    place.write(node, open.handle, "THEIRS, EDITED");
    place.fs().release(node, open.handle);
    place.world.run_until(place.handle().undo(None)).unwrap();
    assert!(place.stashed().contains(&"THEIRS, EDITED".to_owned()), "{:?}", place.stashed());
    assert_eq!(place.read("nas/f"), "MINE");
}

#[test]
fn a_refused_decision_changes_nothing() {
    let place = Place::with(|server| {
        server.user().mkdir("d").write("d/f", "one").write("z", "z");
    });
    assert_eq!(place.read("nas/d/f"), "one");
    place.offline();
    place.rename("nas/d/f", "nas/mine");
    place.save("nas/mine", "MINE");
    place.rmdir("nas", "d");
    place.put("nas", "d", "a file named d");
    place.server.user().write("d/f", "theirs").rename("d/f", "d/g");
    place.online();
    let before = place.conflicts();
    for choice in [Choice::KeepServer, Choice::KeepOriginal] {
        let reports = place.resolve("mine", &choice);
        let refused = reports.iter().any(|r| !r.done);
        if refused {
            assert_eq!(place.conflicts(), before, "{reports:?}");
            assert_eq!(place.read("nas/mine"), "MINE");
            assert_eq!(place.stashed(), Vec::<String>::new());
        } else {
            assert!(place.stashed().contains(&"MINE".to_owned()));
            return;
        }
    }
}

#[test]
fn what_made_way_for_a_decision_goes_back_with_it() {
    let place = Place::with(|server| {
        server.user().write("a", "one").write("g", "g");
    });
    assert_eq!(place.read("nas/a"), "one");
    place.offline();
    place.rename("nas/a", "nas/x");
    place.put("nas", "y", "in the way");
    place.server.user().rename("a", "y");
    place.online();
    let conflicts = place.conflicts();
    assert!(!conflicts.is_empty());
    place.offline();
    let done = place.resolve("x", &Choice::KeepServer);
    assert!(done[0].done, "{done:?}");
    assert_eq!(place.read("nas/y"), "one");
    place.world.run_until(place.handle().undo(None)).unwrap();
    assert_eq!(place.read("nas/y"), "in the way");
    assert_eq!(place.read("nas/x"), "one");
    assert_eq!(place.conflicts(), conflicts);
}
