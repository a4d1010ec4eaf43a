//! `far MILLISECONDS`: a real SSH server on loopback that is so long away, there and back.
//!
//! For `cargo xtask bench`. Says `ready PORT CONFIG KEY` when it serves: what `ssh -F` takes, and the
//! person's key. Ends when its input ends.

use std::io::Read;
use std::time::Duration;

use holdfast_testkit::relay::Relay;
use holdfast_testkit::sshd::Sshd;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let round_trip = std::env::args().nth(1).unwrap_or_default().parse()?;
    let mut server = Sshd::start()?;
    // Some programs sign in many times at once.
    server.reconfigure(|config| format!("{config}MaxStartups 200\nMaxSessions 200\n"))?;
    let relay = Relay::far(server.port(), Duration::from_millis(round_trip))?;
    server.reach_by(relay.port())?;
    let key = server.dir().join("id");
    println!("ready {} {} {}", relay.port(), server.ssh_config().display(), key.display());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
