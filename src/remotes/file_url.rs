//! `file://` URLs: an absolute path of this computer, its bytes percent-encoded where they must be.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::percent;

/// The folder that a URL names. The error is a sentence for the person.
pub fn parse(url: &str) -> Result<PathBuf, String> {
    let rest = strip_scheme(url).ok_or("the address must begin with file://")?;
    let slash =
        rest.find('/').ok_or("after file:// comes a path that begins with a /, as in file:///mnt/share")?;
    let (host, path) = rest.split_at(slash);
    if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
        return Err(format!(
            "a file:// address names a folder of this computer, and cannot name the computer {host}; \
             write file:// and a third / before the path"
        ));
    }
    if path.contains(['?', '#']) {
        return Err("in a file:// address ? is written %3F and # is written %23".into());
    }
    let bytes = percent::decode(path)?;
    if bytes.contains(&0) {
        return Err("a path cannot hold a NUL byte (%00)".into());
    }
    if bytes.split(|&b| b == b'/').any(|part| part == b"..") {
        return Err("the path must not hold ..".into());
    }
    Ok(PathBuf::from(OsString::from_vec(bytes)))
}

fn strip_scheme(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    scheme.eq_ignore_ascii_case("file").then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_paths_of_this_computer() {
        assert_eq!(parse("file:///mnt/nas"), Ok("/mnt/nas".into()));
        assert_eq!(parse("FILE://localhost/a%20b"), Ok("/a b".into()));
        assert_eq!(parse("file:///%ff%0a").unwrap(), PathBuf::from(OsString::from_vec(b"/\xff\n".to_vec())));
        assert_eq!(parse("file:///ü"), Ok("/ü".into()));
        assert_eq!(parse("file:///"), Ok("/".into()));
    }

    #[test]
    fn refuses_with_a_sentence() {
        for url in [
            "file://",
            "file:/a",
            "/a",
            "http://a/b",
            "file://nas/a",
            "file:///a%zz",
            "file:///a%4",
            "file:///a%00",
            "file:///a?b",
            "file:///a/../b",
            "file:///a/%2e%2e/b",
            "file://a",
        ] {
            let sentence = parse(url).unwrap_err();
            assert!(sentence.contains(' '), "{url}: {sentence}");
        }
    }
}
