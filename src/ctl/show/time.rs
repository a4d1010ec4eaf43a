//! Points in time as text.

use holdfast_engine::model::Time;
use jiff::Timestamp;
use jiff::tz::TimeZone;

fn timestamp(time: Time) -> Timestamp {
    // 64 bits of nanoseconds lie well within what a timestamp can be.
    Timestamp::from_nanosecond(i128::from(time.0)).unwrap_or_default()
}

/// RFC 3339 with all nine digits.
pub fn nanoseconds(time: Time) -> String {
    format!("{:.9}", timestamp(time))
}

/// RFC 3339 in whole seconds.
pub fn seconds(time: Time) -> String {
    format!("{:.0}", timestamp(time))
}

/// For people, in their own time zone.
pub fn local(time: Time) -> String {
    let zoned = timestamp(time).to_zoned(TimeZone::system());
    zoned.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        let time = Time::new(1_795_341_600, 5);
        assert_eq!(nanoseconds(time), "2026-11-22T10:00:00.000000005Z");
        assert_eq!(seconds(time), "2026-11-22T10:00:00Z");
        assert_eq!(nanoseconds(Time::ZERO), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(seconds(Time::new(-1, 0)), "1969-12-31T23:59:59Z");
    }
}
