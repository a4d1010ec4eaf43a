//! Bringing content here.

use std::time::Duration;

use holdfast_engine::model::OfflineReason;
use holdfast_engine::world::World;
use holdfast_testkit::Profile;
use holdfast_testkit::server::Line;

use super::place::{Place, target};

#[test]
fn a_link_lost_under_a_fetch_leaves_nothing_to_wait_for() {
    for seed in 0..10 {
        let place = Place::of(Profile::posix(), seed, |server| {
            for n in 0..200 {
                server.user().write(format!("d{}/f{n}", n % 5), format!("{n}").repeat(300));
            }
        });
        let pin = |wait| {
            let handle = place.handle();
            async move { handle.pin(&target(""), wait).await }
        };
        let is_fetching = || place.world.run_until(place.handle().status()).unwrap().locations[0].fetching;
        let pause = |ms| place.world.run_until(place.world.sleep(Duration::from_millis(ms)));
        place.world.run_until(pin(false)).unwrap();
        while !is_fetching() {
            pause(1);
        }
        // A look and reads are under way when the line goes, at one moment or another.
        place.world.run_until(place.handle().sync(None, false, None)).unwrap();
        pause(seed);
        place.server.line(Line::Down(OfflineReason::ServerGone));
        place.wait(5);
        place.server.line(Line::Up);
        // Whatever the back-off has become.
        place.wait(120);
        let pinned = place.world.run_for(Duration::from_secs(600), pin(true));
        assert!(matches!(pinned, Some(Ok(()))), "seed {seed}: {pinned:?}");
        assert!(!is_fetching(), "seed {seed}");
    }
}

#[test]
fn a_folder_that_cannot_be_listed_ends_the_wait_for_its_pin() {
    let place = Place::with(|server| {
        server.user().write("papers/a", "a").write("papers/secret/x", "x");
        server.faults(|faults| _ = faults.forbidden.insert(b"papers/secret".to_vec()));
    });
    let pin = || {
        let handle = place.handle();
        place
            .world
            .run_for(Duration::from_secs(120), async move { handle.pin(&target("papers"), true).await })
    };
    let refused = pin().expect("it ends").expect_err("not all of it can be had");
    assert!(refused.text.contains("problems"), "{refused}");
    assert_eq!(place.problems().len(), 1);
    assert_eq!(place.read("nas/papers/a"), "a");
    place.server.faults(|faults| faults.forbidden.clear());
    assert_eq!(pin(), Some(Ok(())));
    place.sync();
    place.at_rest();
}
