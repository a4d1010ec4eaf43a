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
