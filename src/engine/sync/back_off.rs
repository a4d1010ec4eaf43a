//! When a connection that failed or broke is tried again. Pure: reads no clock, draws no chance.
//!
//! The pause doubles from failure to failure, and is forgotten once a connection has held. A hint that
//! routes or addresses changed cuts it short, but however many come, attempts stay apart and few.

use std::time::Duration;

/// First and longest pause.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A connection that held for so long was none that breaks at once.
const HELD: Duration = Duration::from_secs(10);
/// An address comes in several steps: one hint rarely comes alone.
const GATHER: Duration = Duration::from_millis(500);
/// Between two attempts, whatever hints come.
const APART: Duration = Duration::from_secs(2);
/// So many attempts may follow hints at once, and one more after each of these spans.
const HINTED: u32 = 6;
const ONE_MORE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct BackOff {
    pause: Duration,
    attempted: Option<Duration>,
    connected: Option<Duration>,
    /// The attempt that a hint has brought about and that has not begun.
    due: Option<Duration>,
    /// Attempts that hints may still bring about, as of a moment.
    left: u32,
    counted: Duration,
}

impl BackOff {
    pub fn new() -> BackOff {
        let counted = Duration::ZERO;
        BackOff { pause: PAUSE.0, attempted: None, connected: None, due: None, left: HINTED, counted }
    }

    pub fn attempt(&mut self, now: Duration) {
        self.attempted = Some(now);
        self.connected = None;
        self.due = None;
    }

    pub fn connected(&mut self, now: Duration) {
        self.connected = Some(now);
    }

    /// The attempt failed, or the connection that it made broke: how long to wait. `chance` keeps many
    /// who lost the same server from coming back at one moment.
    pub fn failed(&mut self, now: Duration, chance: u64) -> Duration {
        if self.connected.take().is_some_and(|since| now.saturating_sub(since) >= HELD) {
            self.pause = PAUSE.0;
        }
        let pause = self.pause;
        self.pause = (self.pause * 2).min(PAUSE.1);
        let less = (pause / 3).mul_f64(chance as f64 / u64::MAX as f64);
        (pause - less).max(PAUSE.0)
    }

    /// Somebody asked, or there is a reason to hope: begins anew.
    pub fn forget(&mut self) {
        self.pause = PAUSE.0;
    }

    /// Routes or addresses changed: when to try.
    pub fn hinted(&mut self, now: Duration) -> Duration {
        if let Some(due) = self.due {
            return due;
        }
        let mut at = now + GATHER;
        if let Some(attempted) = self.attempted {
            at = at.max(attempted + APART);
        }
        while self.left < HINTED && self.counted + ONE_MORE <= now {
            self.left += 1;
            self.counted += ONE_MORE;
        }
        if self.left == HINTED {
            self.counted = now;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                // In a flood the pauses between go on growing.
                if left >= HINTED / 2 {
                    self.forget();
                }
            }
            None => {
                self.counted += ONE_MORE;
                at = at.max(self.counted);
            }
        }
        self.due = Some(at);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn pauses_double_within_bounds() {
        for chance in [0, u64::MAX / 2, u64::MAX] {
            let mut back_off = BackOff::new();
            let pauses: Vec<Duration> = (0..12).map(|_| back_off.failed(s(0), chance)).collect();
            assert!(pauses.iter().all(|p| (PAUSE.0..=PAUSE.1).contains(p)), "{pauses:?}");
            assert!(pauses[11] >= PAUSE.1 * 2 / 3 && pauses[4] > pauses[1], "{pauses:?}");
        }
    }

    #[test]
    fn only_a_connection_that_held_ends_it() {
        let mut back_off = BackOff::new();
        for _ in 0..10 {
            back_off.failed(s(0), 0);
        }
        back_off.connected(s(100));
        assert_eq!(back_off.failed(s(101), 0), PAUSE.1, "one that breaks at once is a failure");
        back_off.connected(s(200));
        assert_eq!(back_off.failed(s(300), 0), PAUSE.0);
    }

    #[test]
    fn a_flood_of_hints_is_no_storm() {
        let mut back_off = BackOff::new();
        let (mut now, mut attempts, mut last) = (Duration::ZERO, 0_u32, None);
        while now < s(3600) {
            if back_off.hinted(now) <= now {
                assert!(last.is_none_or(|last| now - last >= APART));
                back_off.attempt(now);
                (attempts, last) = (attempts + 1, Some(now));
            }
            now += Duration::from_millis(10);
        }
        assert!((100..=3600 / 30 + HINTED + 1).contains(&attempts), "{attempts}");
    }

    #[test]
    fn after_quiet_a_hint_counts_at_once() {
        let mut back_off = BackOff::new();
        back_off.attempt(s(10));
        assert_eq!(back_off.hinted(s(11)), s(12), "apart from the last");
        for hour in 1..10 {
            let now = s(3600 * hour);
            back_off.attempt(now - s(60));
            assert_eq!(back_off.hinted(now), now + GATHER);
            assert_eq!(back_off.hinted(now + GATHER / 2), now + GATHER, "one for all that come together");
        }
    }
}
