//! What a client may name: `NAME:path`, or an absolute path in the mount. Bytes, never resolved
//! through the file system.

use holdfast_engine::model::{LocPath, PathError, Target, is_location_name};

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PlaceError {
    #[error("a path is NAME:path/in/location or a path inside the mount")]
    Form,
    #[error(transparent)]
    Path(#[from] PathError),
}

/// `NAME:path/in/location` as a target; `None` where the bytes do not begin with a location's name
/// and a colon.
pub fn parse_target(bytes: &[u8]) -> Option<Result<Target, PlaceError>> {
    let colon = bytes.iter().position(|&b| b == b':')?;
    let name = std::str::from_utf8(&bytes[..colon]).ok().filter(|name| is_location_name(name))?;
    Some(
        LocPath::parse(&bytes[colon + 1..])
            .map(|path| Target { location: name.to_owned(), path })
            .map_err(PlaceError::from),
    )
}

/// What follows the mount in an absolute path, without a leading `/`; `None` where it lies outside.
pub fn target_below<'a>(mount: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    if mount.is_empty() {
        return None;
    }
    match path.strip_prefix(mount)? {
        b"" => Some(b""),
        rest => rest.strip_prefix(b"/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_colon_make_a_target() {
        let target = parse_target(b"nas:papers/\xff:b").unwrap().unwrap();
        assert_eq!((target.location.as_str(), target.path.as_bytes()), ("nas", &b"papers/\xff:b"[..]));
        assert!(parse_target(b"nas:").unwrap().unwrap().path.is_root());
        assert!(parse_target(b"nas:a/../b").unwrap().is_err());
        assert!(parse_target(b"/home/u/x:y").is_none());
        assert!(parse_target(b"-x:y").is_none());
        assert!(parse_target(b"plain").is_none());
    }

    #[test]
    fn only_what_lies_in_the_mount_is_below_it() {
        assert_eq!(target_below(b"/m", b"/m/nas/a"), Some(&b"nas/a"[..]));
        assert_eq!(target_below(b"/m", b"/m"), Some(&b""[..]));
        assert_eq!(target_below(b"/m", b"/mm/a"), None);
        assert_eq!(target_below(b"", b"/a"), None);
    }
}
