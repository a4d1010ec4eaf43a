//! The server's clock as seen from here, as far as it matters: could a change at this very moment still
//! get the time that a file has already?
//!
//! Times are whole seconds. A file made by the probe told which second it was there, at a moment that is
//! known here to within one round trip.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECOND: i128 = 1_000_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clock {
    /// Nanoseconds by which the server's clock is ahead of ours, at least and at most.
    ahead: (i128, i128),
}

impl Clock {
    /// As if both went alike.
    pub fn same() -> Clock {
        Clock { ahead: (0, 0) }
    }

    /// From the second that it was on the server at some moment between two of ours.
    pub fn seen(second: u32, before: Duration, after: Duration) -> Clock {
        let second = i128::from(second) * SECOND;
        let nanos = |at: Duration| i128::try_from(at.as_nanos()).unwrap_or(i128::MAX);
        Clock { ahead: (second - nanos(after), second + SECOND - nanos(before)) }
    }

    /// How long until no change can get the time `mtime`; zero where none can now, as where it lies in
    /// the past, or far ahead.
    pub fn until_past(&self, mtime: u32, now: Duration) -> Duration {
        let now = i128::try_from(now.as_nanos()).unwrap_or(i128::MAX);
        let (least, most) = (now + self.ahead.0, now + self.ahead.1);
        let (begin, end) = (i128::from(mtime) * SECOND, (i128::from(mtime) + 1) * SECOND);
        if end <= least || begin > most {
            return Duration::ZERO;
        }
        Duration::from_nanos(u64::try_from(end - least).unwrap_or(0))
    }
}

/// By this computer's clock.
pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_second_that_may_still_be_is_waited_for() {
        // It was second 100 there, between 5.0 and 5.2 here: now (7.0) it is between 101.8 and 103.
        let clock = Clock::seen(100, at(5000), at(5200));
        assert_eq!(clock.until_past(100, at(7000)), Duration::ZERO);
        assert_eq!(clock.until_past(101, at(7000)), at(200));
        assert_eq!(clock.until_past(103, at(7000)), at(2200));
        assert_eq!(clock.until_past(104, at(7000)), Duration::ZERO, "a time that lies ahead comes later");
    }
}
