//! What befalls the server, the way there and the engine.

use std::thread;
use std::time::Duration;

use crate::common::{Far, Random, kernel_sends_again};

#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Every connection ends.
    Cut,
    /// Nothing gets through, and nobody is told.
    Silence,
    /// What is asked is done, and no answer comes.
    LostAnswers,
    /// The server stands still, and then does what it was asked before.
    Freeze,
    /// The server is switched off, and comes back.
    Off,
    EngineKilled,
    EngineKilledWhileFrozen,
}

impl Fault {
    pub const ALL: [Fault; 7] = [
        Fault::Cut,
        Fault::EngineKilled,
        Fault::LostAnswers,
        Fault::Off,
        Fault::EngineKilledWhileFrozen,
        Fault::Silence,
        Fault::Freeze,
    ];

    /// Befalls it, and is over when this returns; what comes of it is not waited for. `seen`: it lasts
    /// until the engine has noticed it, and else for a moment, in which it may or may not.
    pub fn strike(self, far: &mut Far, random: &mut Random, seen: bool) {
        let lasts = |far: &Far, random: &mut Random| {
            if seen {
                far.s.ctl(&["sync", "nas"]);
                far.is_seen_to_be_gone();
            } else {
                thread::sleep(Duration::from_millis(random.below(400)));
            }
        };
        match self {
            Fault::Cut => far.relay.cut(),
            Fault::Silence => {
                far.relay.swallow();
                lasts(far, random);
                far.relay.heal();
            }
            Fault::LostAnswers => {
                far.relay.swallow_answers();
                lasts(far, random);
                far.relay.heal();
            }
            Fault::Freeze => {
                far.sshd.freeze();
                lasts(far, random);
                far.sshd.thaw();
            }
            Fault::Off => {
                far.sshd.kill();
                lasts(far, random);
                far.sshd.listen().expect("the server comes back");
            }
            // Elsewhere programs lose what they have open.
            Fault::EngineKilled if kernel_sends_again() => {
                far.s.kill();
                far.s.serve();
            }
            Fault::EngineKilledWhileFrozen if kernel_sends_again() => {
                far.sshd.freeze();
                far.s.kill();
                far.s.serve();
                lasts(far, random);
                far.sshd.thaw();
            }
            Fault::EngineKilled | Fault::EngineKilledWhileFrozen => far.relay.cut(),
        }
    }
}
