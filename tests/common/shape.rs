//! Whether JSON has the keys the contract names, each of its type. More keys are allowed: it may grow.

use serde_json::Value;

#[derive(Clone, Copy, Debug)]
pub enum Is {
    Text,
    /// A whole number, not negative.
    Number,
    Bool,
    Object,
    Array,
    /// `2026-11-22T10:00:00Z`, with or without a fraction.
    Time,
    OneOf(&'static [&'static str]),
    /// `blake3:` and 64 hexadecimal digits, or null.
    Digest,
    /// A time, or null where it has not been yet.
    TimeOrNull,
}

impl Is {
    fn fits(self, value: &Value) -> bool {
        match self {
            Is::Text => value.is_string(),
            Is::Number => value.is_u64(),
            Is::Bool => value.is_boolean(),
            Is::Object => value.is_object(),
            Is::Array => value.is_array(),
            Is::Time => value.as_str().is_some_and(is_time),
            Is::TimeOrNull => value.is_null() || Is::Time.fits(value),
            Is::OneOf(words) => value.as_str().is_some_and(|w| words.contains(&w)),
            Is::Digest => {
                let digits = value.as_str().and_then(|d| d.strip_prefix("blake3:"));
                let is_hex = |d: &str| d.len() == 64 && d.bytes().all(|b| b.is_ascii_hexdigit());
                value.is_null() || digits.is_some_and(is_hex)
            }
        }
    }
}

fn is_time(text: &str) -> bool {
    let pattern = "0000-00-00T00:00:00";
    let (date, rest) = text.split_at_checked(pattern.len()).unwrap_or_default();
    let fits =
        date.bytes().zip(pattern.bytes()).all(|(c, p)| if p == b'0' { c.is_ascii_digit() } else { c == p });
    let fraction = rest.strip_suffix('Z').map(|f| f.strip_prefix('.').unwrap_or(f));
    date.len() == pattern.len() && fits && fraction.is_some_and(|f| f.bytes().all(|b| b.is_ascii_digit()))
}

#[track_caller]
pub fn has(value: &Value, keys: &[(&str, Is)]) {
    assert!(value.is_object(), "no object: {value}");
    for (key, is) in keys {
        let found = value.get(key).unwrap_or_else(|| panic!("the key {key} is missing in {value}"));
        assert!(is.fits(found), "{key} is {found}, and is to be {is:?}, in {value}");
    }
}

/// An array that holds something, and each of it these keys.
#[track_caller]
pub fn all_have(value: &Value, keys: &[(&str, Is)]) {
    let values = value.as_array().unwrap_or_else(|| panic!("no array: {value}"));
    assert!(!values.is_empty(), "an empty array says nothing of its shape");
    values.iter().for_each(|value| has(value, keys));
}
