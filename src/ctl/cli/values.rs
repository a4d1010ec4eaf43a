//! How single values are read.

use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
use holdfast_bus::parse_target;
use holdfast_engine::model::{ConflictKind, Side, is_location_name};

pub fn location_name(text: &str) -> Result<String, String> {
    match is_location_name(text) {
        true => Ok(text.to_owned()),
        false => Err("a name is letters, digits, `-`, `_`, `.`, and begins with neither dash nor dot".into()),
    }
}

/// Whatever its bytes; where it leads needs the engine.
pub fn path() -> impl TypedValueParser<Value = std::ffi::OsString> {
    OsStringValueParser::new().try_map(|path| match parse_target(path.as_bytes()) {
        _ if path.is_empty() => Err("the path is empty".to_owned()),
        Some(Err(error)) => Err(error.to_string()),
        _ => Ok(path),
    })
}

/// Only the form: which servers there are is the engine's to know.
pub fn url(text: &str) -> Result<String, String> {
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let (host, has_path) = rest.split_once('/').map_or((rest, false), |(host, _)| (host, true));
    let is_file = scheme.eq_ignore_ascii_case("file");
    let fits = match is_file {
        true => has_path && matches!(host, "" | "localhost"),
        false => !host.is_empty(),
    };
    match is_scheme && fits {
        true => Ok(text.to_owned()),
        false => Err("a URL is file:///folder or PROTOCOL://host/folder".into()),
    }
}

pub fn seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "a number of seconds is wanted".into())
}

pub fn id(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "the number from the list is wanted".into())
}

pub fn side() -> impl TypedValueParser<Value = Side> {
    PossibleValuesParser::new(Side::ALL.map(Side::word))
        .try_map(|word| Side::from_word(&word).ok_or("no such state"))
}

pub fn conflict_kind() -> impl TypedValueParser<Value = ConflictKind> {
    PossibleValuesParser::new(ConflictKind::ALL.map(ConflictKind::word))
        .try_map(|word| ConflictKind::from_word(&word).ok_or("no such kind"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_a_form() {
        for good in ["file:///", "file://localhost/a", "sftp://u@host:22/~/a", "davs://host/x%20y"] {
            assert!(url(good).is_ok(), "{good}");
        }
        for bad in ["", "nas", "/srv", "file://a/b", "file:", "://x/y", "sftp:///dir", "1a://x/"] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }
}
