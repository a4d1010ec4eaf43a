//! Learning what changed on the server.

use holdfast_engine::fileops::SetAttr;
use holdfast_engine::model::{Choice, ConflictKind, LocPath};
use holdfast_testkit::Profile;

use super::place::{Place, target, writing};

#[test]
fn a_file_removed_under_its_writer_stays_here() {
    let place = Place::with(|server| {
        server.user().write("f", "one");
    });
    assert_eq!(place.read("nas/f"), "one");
    let node = place.node("nas/f");
    let open = place.open(node, writing());
    place.server.user().remove("f");
    place.server.user().write("z", "z");
    place.sync();
    place.write(node, open.handle, "MINE");
    place.fs().release(node, open.handle);
    place.wait(5);
    place.sync();
    assert_eq!(place.read("nas/f"), "MINE");
}

#[test]
fn a_file_removed_under_one_who_did_not_write_goes_when_it_is_closed() {
    let place = Place::with(|server| {
        server.user().write("f", "one").write("g", "g");
    });
    let node = place.node("nas/f");
    let open = place.open(node, writing());
    place.server.user().remove("f");
    place.sync();
    assert!(place.look("nas/f").is_ok());
    place.fs().release(node, open.handle);
    place.wait(5);
    assert!(place.look("nas/f").is_err());
    place.at_rest();
}

#[test]
fn a_third_file_at_the_place_of_a_conflict_is_no_part_of_it() {
    let place = Place::with(|server| {
        server.user().write("f", "one").write("k", "k").write("l", "l");
    });
    assert_eq!(place.read("nas/f"), "one");
    place.offline();
    place.rename("nas/f", "nas/x");
    place.server.user().rename("f", "y");
    place.online();
    place.server.user().write("f", "a third file");
    place.sync();
    place.node("nas/f");
    place.rename("nas/x", "nas/x2");
    for _ in 0..3 {
        place.sync();
        place.wait(5);
    }
    assert_eq!(place.there("f").as_deref(), Some("a third file"));
    assert_eq!(place.read("nas/f"), "a third file");
    assert_eq!(place.there("y").as_deref(), Some("one"));
}

#[test]
fn a_folder_that_we_move_while_it_is_listed_keeps_what_is_in_it() {
    for seed in 0..40 {
        let place = Place::of(Profile::posix(), seed, |server| {
            let user = server.user();
            user.mkdir("cur").mkdir("new").write("cur/1", "c1");
            user.write("new/2", "n2").write("z", "z");
            for i in 0..80 {
                user.mkdir(format!("q{i}")).mkdir(format!("q{i}/r"));
            }
        });
        let root = holdfast_engine::model::Target { location: "nas".into(), path: LocPath::root() };
        place.world.run_until(place.handle().pin(&root, true)).unwrap();
        place.sync();
        let before = place.node("nas/cur/1");
        place.rename("nas/cur", "nas/old");
        place.rename("nas/new", "nas/cur");
        place.sync();
        assert_eq!(place.look("nas/old/1").map(|a| a.node), Ok(before), "seed {seed}");
        assert!(place.look("nas/cur/2").is_ok(), "seed {seed}");
        place.at_rest();
    }
}

#[test]
fn a_folder_that_became_a_file_is_a_file() {
    let place = Place::with(|server| {
        server.user().mkdir("d").write("d/f", "x").write("g", "g");
    });
    assert_eq!(place.read("nas/d/f"), "x");
    let user = place.server.user();
    user.remove("d/f").remove("d").write("d", "now a file");
    place.sync();
    assert_eq!(place.read("nas/d"), "now a file");
    place.at_rest();
    user.remove("d").mkdir("d").write("d/n", "again a folder");
    place.sync();
    assert_eq!(place.read("nas/d/n"), "again a folder");
    place.at_rest();
}

#[test]
fn what_lies_in_a_folder_that_a_file_is_kept_over_is_asked_about() {
    let place = Place::with(|server| {
        server.user().write("g", "g");
    });
    place.offline();
    place.put("nas", "d", "MINE");
    place.server.user().mkdir("d").write("d/f", "theirs");
    place.online();
    assert_eq!(place.conflicts(), [(ConflictKind::CreateCreate, "nas:d".to_owned())]);
    assert!(place.resolve("d", &Choice::KeepLocal)[0].done);
    place.wait(10);
    place.sync();
    assert_eq!(place.problems(), Vec::<String>::new());
    assert_eq!(place.conflicts(), [(ConflictKind::DeleteEdit, "nas:d/f".to_owned())]);
    assert_eq!(place.there("d/f").as_deref(), Some("theirs"));
    assert!(place.resolve("d/f", &Choice::KeepLocal)[0].done);
    place.wait(10);
    place.at_rest();
    assert_eq!(place.there("d").as_deref(), Some("MINE"));
    assert_eq!(place.stashed(), ["theirs"]);
}

#[test]
fn a_changed_file_in_a_folder_that_became_a_file_is_asked_about() {
    let place = Place::with(|server| {
        server.user().mkdir("d").write("d/f", "x").write("g", "g");
    });
    assert_eq!(place.read("nas/d/f"), "x");
    place.offline();
    place.save("nas/d/f", "MINE");
    let user = place.server.user();
    user.remove("d/f").remove("d").write("d", "now a file");
    place.online();
    assert_eq!(place.conflicts().len(), 1, "{:?}", place.conflicts());
    assert_eq!(place.read("nas/d/f"), "MINE");
    assert_eq!(place.there("d").as_deref(), Some("now a file"));
    place.resolve("d/f", &holdfast_engine::model::Choice::KeepServer);
    place.wait(5);
    place.at_rest();
    assert_eq!(place.read("nas/d"), "now a file");
    assert_eq!(place.stashed(), ["MINE"]);
}

#[test]
fn an_ignored_file_keeps_a_folder_and_is_no_conflict() {
    let place = Place::with(|server| {
        server.user().mkdir("d").write("d/f", "x").write("g", "g");
    });
    place.node("nas/d/f");
    place.put("nas/d", ".DS_Store", "x");
    place.sync();
    place.server.user().remove("d/f").remove("d");
    place.sync();
    place.wait(5);
    place.at_rest();
    assert!(place.look("nas/d/f").is_err());
    assert_eq!(place.read("nas/d/.DS_Store"), "x");
    place.unlink("nas/d", ".DS_Store");
    place.wait(5);
    place.at_rest();
    assert!(place.look("nas/d").is_err());
}

#[test]
fn a_file_moved_there_and_edited_here_is_both() {
    let place = Place::with(|server| {
        let user = server.user();
        user.mkdir("A").mkdir("B").write("A/f", "one");
        user.write("B/g", "g").write("A/h", "h");
    });
    place.read("nas/A/f");
    place.read("nas/B/g");
    place.offline();
    place.save("nas/A/f", "MINE");
    place.wait(3);
    place.server.user().rename("A/f", "B/f");
    place.online();
    place.at_rest();
    assert_eq!(place.there("B/f").as_deref(), Some("MINE"));
    assert!(place.look("nas/A/f").is_err());
}

#[test]
fn a_move_seen_folder_by_folder_is_a_move() {
    let place = Place::with(|server| {
        let user = server.user();
        user.mkdir("A").mkdir("B").write("A/f", "one");
        user.write("B/g", "g").write("A/h", "h");
    });
    place.read("nas/A/f");
    place.read("nas/B/g");
    let node = place.node("nas/A/f");
    let open = place.open(node, writing());
    place.write(node, open.handle, "MINE");
    place.server.user().rename("A/f", "B/f");
    place.wait(5);
    place.fs().release(node, open.handle);
    place.wait(20);
    place.at_rest();
    assert_eq!(place.there("B/f").as_deref(), Some("MINE"));
    assert!(place.look("nas/A/f").is_err());
}

#[test]
fn a_file_moved_out_of_a_folder_that_then_went_is_a_move() {
    let place = Place::with(|server| {
        let user = server.user();
        user.mkdir("A").mkdir("B").write("A/f", "one").write("B/g", "g");
    });
    place.read("nas/A/f");
    place.read("nas/B/g");
    place.offline();
    place.save("nas/A/f", "MINE");
    let user = place.server.user();
    user.rename("A/f", "B/f").remove("A");
    place.online();
    place.at_rest();
    assert_eq!(place.there("B/f").as_deref(), Some("MINE"));
    assert!(place.look("nas/A").is_err());
}

#[test]
fn a_number_of_a_removed_file_given_to_a_new_one_is_no_move() {
    let mut profile = Profile::posix();
    profile.reuses_file_ids = true;
    let place = Place::of(profile, 5, |server| {
        server.user().write("a", "one").write("g", "g");
    });
    place.read("nas/a");
    place.offline();
    place.save("nas/a", "MINE");
    place.server.user().remove("a").write("b", "quite another file");
    place.online();
    assert_eq!(place.read("nas/b"), "quite another file");
    assert_eq!(place.read("nas/a"), "MINE");
    assert_eq!(place.conflicts().len(), 1);
}

#[test]
fn names_of_one_file_are_no_conflict_with_ourselves() {
    let place = Place::with(|server| {
        server.user().write("a", "one").link("a", "b");
    });
    let (a, b) = (place.node("nas/a"), place.node("nas/b"));
    place.offline();
    let mode = SetAttr { mode: Some(0o600), ..SetAttr::default() };
    place.fs().setattr(holdfast_engine::fileops::Caller::new(1000, 1000, 1), a, None, &mode).unwrap();
    let _ = b;
    place.save("nas/b", "MINE!!");
    place.online();
    place.at_rest();
    assert_eq!(place.there("b").as_deref(), Some("MINE!!"));
}

#[test]
fn an_emptied_pin_is_asked_about() {
    let place = Place::with(|server| {
        let user = server.user();
        user.mkdir("p").mkdir("rest");
        for i in 0..150 {
            user.write(format!("p/{i}"), "x");
        }
        for i in 0..600 {
            user.write(format!("rest/{i}"), "x");
        }
    });
    place.node("nas/rest/1");
    place.node("nas/p/1");
    place.world.run_until(place.handle().pin(&target("p"), false)).unwrap();
    place.wait(20);
    place.sync();
    for i in 0..150 {
        place.server.user().remove(format!("p/{i}"));
    }
    place.sync();
    assert!(place.look("nas/p/1").is_ok());
    let problems = place.problems();
    assert!(problems.iter().any(|p| p.contains("no longer lists")), "{problems:?}");
}
