//! Points in time as the file systems tell them.

use serde::{Deserialize, Serialize};

/// Nanoseconds since 1970-01-01T00:00:00Z; covers 1677 to 2262.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Time(pub i64);

impl Time {
    /// Whole seconds since 1970, as far as 32 bits go; at least 1.
    pub fn seconds(self) -> u32 {
        u32::try_from((self.0 / 1_000_000_000).max(1)).unwrap_or(u32::MAX)
    }

    pub const ZERO: Time = Time(0);

    /// What lies outside the range is taken to its end.
    pub fn new(secs: i64, nanos: u32) -> Time {
        Time(secs.saturating_mul(1_000_000_000).saturating_add(i64::from(nanos)))
    }

    pub fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    pub fn subsec_nanos(self) -> u32 {
        self.0.rem_euclid(1_000_000_000) as u32
    }
}

impl std::ops::Add<std::time::Duration> for Time {
    type Output = Time;
    fn add(self, d: std::time::Duration) -> Time {
        Time(self.0.saturating_add(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl Time {
    /// How long after `earlier`; zero where the clock jumped back.
    pub fn since(self, earlier: Time) -> std::time::Duration {
        std::time::Duration::from_nanos(self.0.saturating_sub(earlier.0).max(0) as u64)
    }
}

impl Time {
    /// Year, month and day in UTC. After Howard Hinnant's `civil_from_days`.
    pub fn date(self) -> (i64, u32, u32) {
        let days = self.secs().div_euclid(86_400) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        (year, month as u32, day as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(Time::ZERO.date(), (1970, 1, 1));
        assert_eq!(Time::new(951_782_400, 0).date(), (2000, 2, 29));
        assert_eq!(Time::new(1_795_478_400, 0).date(), (2026, 11, 24));
        assert_eq!(Time::new(-1, 0).date(), (1969, 12, 31));
    }

    #[test]
    fn before_1970_keeps_nanoseconds_positive() {
        let t = Time::new(-1, 5);
        assert_eq!((t.secs(), t.subsec_nanos()), (-1, 5));
    }
}
