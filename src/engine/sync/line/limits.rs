//! How much of the line a person lets a location have: its settings `limit-up`, `limit-down`, `requests`.

use crate::pins::parse_size;
use crate::store::rows::Location;

/// What is slower could not bring one block in the time that a program waits for it.
const LEAST_RATE: u64 = 16 << 10;

/// `None` is as much as there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// Bytes of files a second.
    pub up: Option<u64>,
    pub down: Option<u64>,
    /// Calls under way at once.
    pub requests: Option<usize>,
}

impl Limits {
    pub const KEYS: [&str; 3] = ["limit-up", "limit-down", "requests"];

    pub fn of(location: &Location) -> Limits {
        let mut limits = Limits::default();
        for (key, value) in &location.settings {
            // What cannot be read was not let in.
            let _ = limits.set(key, value);
        }
        limits
    }

    /// The error says what the setting takes.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        match key {
            "limit-up" => self.up = rate(value)?,
            "limit-down" => self.down = rate(value)?,
            "requests" => self.requests = requests(value)?,
            _ => {}
        }
        Ok(())
    }
}

fn rate(value: &str) -> Result<Option<u64>, &'static str> {
    match parse_size(value.strip_suffix("/s").unwrap_or(value)) {
        Some(u64::MAX) => Ok(None),
        Some(rate @ LEAST_RATE..) => Ok(Some(rate)),
        _ => Err("it takes bytes a second like 500K or 2M, at least 16K, or none"),
    }
}

fn requests(value: &str) -> Result<Option<usize>, &'static str> {
    match (value, value.parse()) {
        ("none", _) => Ok(None),
        (_, Ok(requests @ 1..)) => Ok(Some(requests)),
        _ => Err("it takes a number from 1 on, or none"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_settings_take() {
        let mut limits = Limits::default();
        for (key, value) in [("limit-up", "500K"), ("limit-down", "2M/s"), ("requests", "4"), ("limit", "x")]
        {
            limits.set(key, value).unwrap();
        }
        assert_eq!(limits, Limits { up: Some(500 << 10), down: Some(2 << 20), requests: Some(4) });
        Limits::KEYS.into_iter().for_each(|key| limits.set(key, "none").unwrap());
        assert_eq!(limits, Limits::default());
        for (key, value) in [("limit-up", "1K"), ("limit-down", "fast"), ("limit-up", ""), ("requests", "0")]
        {
            assert!(limits.set(key, value).is_err(), "{key} {value}");
        }
    }
}
