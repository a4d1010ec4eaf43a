//! What of a run is drawn before it begins.

use crate::rng::Rng;
use crate::server::Profile;

/// Drawn from the seed alone.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub profile: Profile,
    pub server: &'static str,
    pub headstrong: bool,
    /// Nobody else works at the server.
    pub lone: bool,
    pub steps: u32,
    /// Lost answers, broken calls, the line down or frozen.
    pub bad_line: bool,
    pub kills: bool,
    pub crashes: bool,
    pub full_disk: bool,
    /// The second user gets in between look and swap.
    pub races: bool,
    pub first_files: u64,
    /// Not pinned, and with a limit on what may be here.
    pub limited: bool,
}

impl Plan {
    pub fn draw(seed: u64) -> Plan {
        let mut rng = Rng::of(seed, "plan");
        let all = Profile::all();
        let (server, profile) = all[rng.index(all.len())].clone();
        let headstrong = rng.chance(250);
        let lone = rng.chance(400);
        let mut half = || rng.chance(500);
        Plan {
            seed,
            server,
            profile: if headstrong { profile.headstrong() } else { profile },
            headstrong,
            lone,
            bad_line: half(),
            kills: half(),
            crashes: half() && half(),
            full_disk: half() && half(),
            races: !lone && half() && half(),
            steps: 20 + rng.below(40) as u32,
            first_files: rng.below(7),
            limited: rng.chance(200),
        }
    }

    /// In a few words, for a person.
    pub fn words(&self) -> String {
        let mut words = vec![self.server, if self.lone { "lone" } else { "shared" }];
        for (is, word) in [
            (self.headstrong, "headstrong"),
            (self.bad_line, "bad line"),
            (self.kills, "kills"),
            (self.crashes, "crashes"),
            (self.full_disk, "full disk"),
            (self.races, "races"),
            (self.limited, "limited"),
        ] {
            if is {
                words.push(word);
            }
        }
        words.join(", ")
    }
}
