//! Sending what was changed here.

use holdfast_engine::fileops::XattrMode;
use holdfast_engine::model::{Choice, ConflictKind};

use super::place::{PROGRAM, Place, writing};
use holdfast_testkit::Profile;
use holdfast_testkit::server::Window;

#[test]
fn a_file_moved_over_another_is_fetched_before_its_last_copy_goes() {
    let place = Place::with(|server| {
        server.user().write("a", "old a").write("b", "precious b");
    });
    place.node("nas/a");
    place.node("nas/b");
    place.rename("nas/b", "nas/a");
    place.put("nas", "other", "other");
    place.wait(30);
    place.at_rest();
    assert_eq!(place.there("a").as_deref(), Some("precious b"));
    assert_eq!(place.there("b"), None);
    assert_eq!(place.there("other").as_deref(), Some("other"));
    assert_eq!(place.read("nas/a"), "precious b");
}

#[test]
fn what_was_moved_aside_is_fetched_before_it_is_replaced() {
    let place = Place::with(|server| {
        server.user().write("a", "old a");
    });
    place.node("nas/a");
    place.rename("nas/a", "nas/a~");
    place.put("nas", "a", "new a");
    place.put("nas", "other", "other");
    place.wait(30);
    place.at_rest();
    assert_eq!(place.there("a").as_deref(), Some("new a"));
    assert_eq!(place.there("a~").as_deref(), Some("old a"));
    assert_eq!(place.there("other").as_deref(), Some("other"));
}

#[test]
fn a_file_open_for_writing_keeps_its_bytes_on_the_server() {
    let place = Place::with(|server| {
        server.user().write("a", "old a").write("b", "precious b");
    });
    place.node("nas/a");
    let b = place.node("nas/b");
    place.rename("nas/b", "nas/a");
    let open = place.open(b, writing());
    place.sync();
    place.fs().release(b, open.handle);
    place.wait(30);
    assert_eq!(place.read("nas/a"), "precious b");
    place.at_rest();
    assert_eq!(place.there("a").as_deref(), Some("precious b"));
}

#[test]
fn a_name_taken_on_the_server_does_not_cost_what_was_moved_there() {
    let place = Place::with(|server| {
        server.user().write("x", "precious x").write("q", "q");
    });
    place.node("nas/x");
    place.offline();
    place.rename("nas/x", "nas/y");
    place.server.user().write("y", "their new y");
    place.online();
    assert_eq!(place.read("nas/y"), "precious x");
    assert_eq!(place.conflicts(), [(ConflictKind::CreateCreate, "nas:y".to_owned())]);
    let done = place.resolve("y", &Choice::KeepLocal);
    assert!(done[0].done, "{done:?}");
    place.wait(10);
    place.at_rest();
    assert_eq!(place.there("y").as_deref(), Some("precious x"));
    assert_eq!(place.stashed(), ["their new y"]);
}

#[test]
fn a_folder_that_never_gets_empty_is_a_problem_and_no_loop() {
    let place = Place::with(|server| {
        server.user().mkdir("d").write("d/f", "x").write("g", "g");
    });
    place.node("nas/d/f");
    place.server.user().write("d/.holdfast-00000000-n00112233445566778899", "another owner's");
    place.unlink("nas/d", "f");
    place.rmdir("nas", "d");
    let before = place.server.traffic().calls;
    place.wait(30);
    assert!(place.server.traffic().calls < before + 100);
    assert_eq!(place.problems().len(), 1, "{:?}", place.problems());
}

#[test]
fn an_attribute_whose_sending_was_cut_off_is_sent_again() {
    let place = Place::with(|server| {
        server.user().write("f", "one").write("g", "g");
    });
    assert_eq!(place.read("nas/f"), "one");
    let node = place.node("nas/f");
    place.server.faults(|faults| faults.breaks = 1000);
    place.op(|fs| fs.setxattr(PROGRAM, node, b"user.note", b"mine", XattrMode::Any)).unwrap();
    place.wait(5);
    place.server.faults(|faults| faults.breaks = 0);
    place.online();
    place.at_rest();
    assert_eq!(place.fs().getxattr(place.node("nas/f"), b"user.note").as_deref(), Ok(&b"mine"[..]));
    let there = place.server.files().into_iter().find(|(path, ..)| path.as_bytes() == b"f");
    let attributes = there.and_then(|(_, meta, _)| meta.xattrs).expect("this server keeps attributes");
    assert_eq!(*attributes, [(b"user.note".to_vec(), b"mine".to_vec())]);
}

#[test]
fn what_is_displaced_goes_to_the_stash_and_what_is_there_counts() {
    let mut profile = Profile::posix();
    profile.window = Window::Keeps;
    let place = Place::of(profile, 5, |server| {
        server.user().write("f", "one").write("g", "g");
    });
    assert_eq!(place.read("nas/f"), "one");
    place.server.race_at("f", |user| _ = user.save("f", "theirs, at that moment"));
    place.save("nas/f", "MINE");
    place.wait(10);
    place.at_rest();
    assert_eq!(place.there("f").as_deref(), Some("MINE"));
    assert_eq!(place.stashed(), ["theirs, at that moment"]);
    assert!(place.server.user().temporaries().is_empty());
    place.save("nas/f", "MORE");
    place.wait(10);
    place.at_rest();
    assert_eq!(place.there("f").as_deref(), Some("MORE"));
}

#[test]
fn what_is_displaced_and_written_to_once_more_is_kept_twice_and_cleared_away() {
    let mut profile = Profile::posix();
    profile.window = Window::Keeps;
    let place = Place::of(profile, 5, |server| {
        server.user().write("f", "one").write("g", "g");
    });
    assert_eq!(place.read("nas/f"), "one");
    place.server.race_at("f", |user| _ = user.save("f", "theirs, at that moment"));
    for number in 0..20 {
        // Whoever has it open goes on in the file that was displaced.
        let name = format!(".holdfast-abcdef01-{number}");
        place.server.race_at(&name.clone(), move |user| _ = user.save(&name, "theirs, a moment later"));
    }
    place.save("nas/f", "MINE");
    place.wait(10);
    place.sync();
    place.at_rest();
    assert_eq!(place.there("f").as_deref(), Some("MINE"));
    let mut stashed = place.stashed();
    stashed.sort();
    assert_eq!(stashed, ["theirs, a moment later", "theirs, at that moment"]);
    assert!(place.server.user().temporaries().is_empty());
}

#[test]
fn names_made_together_are_one_file_there() {
    let place = Place::with(|_| {});
    place.offline();
    place.put("nas", "b", "one file");
    let (root, node) = (place.node("nas"), place.node("nas/b"));
    for name in [&b"a"[..], b"c"] {
        place.op(|fs| fs.link(PROGRAM, node, root, name)).expect("it can have another name");
    }
    place.online();
    place.at_rest();
    let files: Vec<_> = place.server.files().into_iter().map(|(_, meta, _)| meta.file_id).collect();
    assert_eq!(files.len(), 3);
    assert!(files[0].is_some() && files.iter().all(|id| *id == files[0]), "{files:?}");
}
