//! How fast the line to a server is, from what goes over it anyway. Pure: reads no clock.
//!
//! The time there and back is taken only while nothing large is under way, or it would be our own
//! queue that is measured; the throughput only of large pieces, for the time that they are under way and
//! that nothing here held them up.

use std::time::Duration;

/// Slow from here on, and no longer below.
const LATE: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(200));
/// The same in bytes a second.
const SCANTY: (u64, u64) = (64 << 10, 128 << 10);
/// Fewer answers than this say nothing.
const ANSWERS: u32 = 3;
/// Fewer bytes than this say nothing.
const ENOUGH_BYTES: u64 = 512 << 10;
/// Less than this is too short to measure.
const ENOUGH_TIME: Duration = Duration::from_millis(1);
/// What stood still, as a server that froze does, counts for no more than this.
const LONGEST: Duration = Duration::from_secs(2);

#[derive(Default, Debug)]
pub struct Measure {
    round_trip: Duration,
    answers: u32,
    is_late: bool,
    bytes: u64,
    time: Duration,
    rate: Option<u64>,
    is_scanty: bool,
    under_way: usize,
    since: Duration,
}

impl Measure {
    pub fn is_slow(&self) -> bool {
        self.is_late || self.is_scanty
    }

    /// Bytes a second, where that is known.
    pub fn rate(&self) -> Option<u64> {
        self.rate
    }

    /// In a sentence; empty where it is not slow.
    pub fn sentence(&self) -> String {
        match (self.is_scanty, self.rate) {
            (true, Some(rate)) => format!("the connection is slow: it carries {} KiB a second", rate >> 10),
            _ if self.is_late => {
                format!("the connection is slow: an answer takes {} ms", self.round_trip.as_millis())
            }
            _ => String::new(),
        }
    }

    /// A question that is nothing but that was answered.
    pub fn answered(&mut self, took: Duration) {
        if self.under_way > 0 {
            return;
        }
        let took = took.min(LONGEST);
        self.round_trip = match self.answers {
            0 => took,
            _ => (self.round_trip * 3 + took) / 4,
        };
        self.answers = self.answers.saturating_add(1);
        let bound = if self.is_late { LATE.1 } else { LATE.0 };
        self.is_late = self.answers >= ANSWERS && self.round_trip > bound;
    }

    pub fn begin(&mut self, now: Duration) {
        self.tick(now);
        self.under_way += 1;
    }

    pub fn end(&mut self, now: Duration) {
        self.tick(now);
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// A large piece came or went.
    pub fn carried(&mut self, now: Duration, bytes: u64) {
        self.tick(now);
        self.bytes += bytes;
        if self.bytes < ENOUGH_BYTES || self.time < ENOUGH_TIME {
            return;
        }
        let rate = (self.bytes as f64 / self.time.as_secs_f64()) as u64;
        self.rate = Some(rate);
        let bound = if self.is_scanty { SCANTY.1 } else { SCANTY.0 };
        self.is_scanty = rate < bound;
        self.forget_window();
    }

    /// We held something up ourselves: the span says nothing about the line.
    pub fn held(&mut self, now: Duration) {
        self.tick(now);
        self.forget_window();
    }

    fn forget_window(&mut self) {
        self.bytes = 0;
        self.time = Duration::ZERO;
    }

    fn tick(&mut self, now: Duration) {
        if self.under_way > 0 {
            self.time += now.saturating_sub(self.since);
        }
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// Pieces one after the other.
    fn carry(measure: &mut Measure, now: &mut Duration, pieces: u32, bytes: u64, each: Duration) {
        for _ in 0..pieces {
            measure.begin(*now);
            *now += each;
            measure.carried(*now, bytes);
            measure.end(*now);
        }
    }

    #[test]
    fn late_answers_are_slow_until_they_come_much_sooner() {
        let mut measure = Measure::default();
        let slow = |measure: &mut Measure, took: u64, times: u32| {
            (0..times).for_each(|_| measure.answered(MS(took)));
            measure.is_slow()
        };
        assert!(!slow(&mut measure, 900, 2), "two answers say nothing");
        assert!(slow(&mut measure, 900, 1));
        assert!(measure.sentence().contains("900 ms"), "{}", measure.sentence());
        assert!(slow(&mut measure, 250, 50), "no longer late, but not soon either");
        assert!(!slow(&mut measure, 20, 10));
        assert!(!slow(&mut measure, 250, 50), "nor is it late for that again");
    }

    #[test]
    fn one_answer_that_stood_still_is_outweighed() {
        let mut measure = Measure::default();
        (0..20).for_each(|_| measure.answered(MS(5)));
        measure.answered(Duration::from_secs(3600));
        (0..10).for_each(|_| measure.answered(MS(5)));
        assert!(!measure.is_slow());
    }

    #[test]
    fn few_bytes_a_second_are_slow_and_small_pieces_say_nothing() {
        let (mut measure, mut now) = (Measure::default(), Duration::ZERO);
        carry(&mut measure, &mut now, 1, 400 << 10, Duration::from_secs(60));
        assert!(!measure.is_slow(), "not enough bytes to judge by");
        carry(&mut measure, &mut now, 1, 400 << 10, Duration::from_secs(60));
        assert!(measure.is_slow());
        assert!(measure.sentence().contains("6 KiB"), "{}", measure.sentence());
        // Hours in which nothing was under way do not count.
        now += Duration::from_secs(7200);
        carry(&mut measure, &mut now, 3, 1 << 20, Duration::from_secs(10));
        assert!(measure.is_slow(), "100 KiB a second are not enough to leave it");
        carry(&mut measure, &mut now, 1, 1 << 20, Duration::from_secs(1));
        assert!(!measure.is_slow());
    }

    #[test]
    fn what_was_held_up_here_does_not_count_against_the_line() {
        let (mut measure, mut now) = (Measure::default(), Duration::ZERO);
        for _ in 0..100 {
            carry(&mut measure, &mut now, 1, 16 << 10, Duration::from_secs(5));
            measure.held(now);
        }
        assert!(!measure.is_slow());
        measure.begin(now);
        (0..9).for_each(|_| measure.answered(Duration::from_secs(2)));
        assert!(!measure.is_slow(), "behind a large piece an answer is late");
    }
}
