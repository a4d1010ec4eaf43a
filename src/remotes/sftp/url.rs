//! `sftp://[user@]host[:port]/dir`: `/dir` is absolute, `/~/dir` begins at home.

use crate::percent;

/// Where an address leads. User and port only where it names them, so that the aliases of ssh's
/// configuration work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    pub user: Option<String>,
    pub host: String,
    pub port: Option<u16>,
    /// Absolute, or below home where it does not begin with `/`. Empty for home itself.
    pub folder: Vec<u8>,
}

/// The parts of an address. The error is a sentence for the person.
pub fn parse(url: &str) -> Result<Address, String> {
    let (server, path) = split(url)?;
    let (user, server) = match server.rsplit_once('@') {
        Some((user, server)) => (Some(user), server),
        None => (None, server),
    };
    let user = user.map(check_user).transpose()?;
    let (host, port) = split_port(server)?;
    if path.contains(['?', '#']) {
        return Err("in an sftp:// address ? is written %3F and # is written %23".into());
    }
    let bytes = percent::decode(path)?;
    if bytes.contains(&0) {
        return Err("a path cannot hold a NUL byte (%00)".into());
    }
    let parts: Vec<&[u8]> =
        bytes.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if parts.contains(&&b".."[..]) {
        return Err("the path must not hold ..".into());
    }
    let folder = match parts.split_first() {
        Some((first, below)) if *first == b"~" => below.join(&b'/'),
        _ => [b"/", &parts.join(&b'/')[..]].concat(),
    };
    Ok(Address { user, host, port, folder })
}

/// Without what may be a secret.
pub fn public(url: &str) -> String {
    let Ok((server, path)) = split(url) else {
        return url.to_owned();
    };
    let Some((user, host)) = server.rsplit_once('@') else {
        return url.to_owned();
    };
    let user = user.split(':').next().unwrap_or_default();
    format!("sftp://{user}@{host}{path}")
}

fn split(url: &str) -> Result<(&str, &str), String> {
    let rest = url.split_once("://").filter(|(scheme, _)| scheme.eq_ignore_ascii_case("sftp"));
    let (_, rest) = rest.ok_or("the address must begin with sftp://")?;
    let slash =
        rest.find('/').ok_or("after the server comes a path, as in sftp://nas/home/me or sftp://nas/~/")?;
    Ok(rest.split_at(slash))
}

fn check_user(user: &str) -> Result<String, String> {
    if user.contains(':') {
        return Err("a password does not belong in an address; sign in with a key".into());
    }
    let user = String::from_utf8(percent::decode(user)?).map_err(|_| "The user's name must be text")?;
    let is_fine = !user.is_empty()
        && !user.starts_with('-')
        && !user.chars().any(|c| c.is_whitespace() || c.is_control());
    if is_fine { Ok(user) } else { Err(format!("{user:?} is no name of a user")) }
}

fn split_port(server: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match server.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, rest))) => (host, rest.strip_prefix(':').or((!rest.is_empty()).then_some(""))),
        Some(None) => return Err("a [ before the address of a server needs a ] behind it".into()),
        None => match server.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => {
                return Err("the address of a server that holds colons stands in [ ]".into());
            }
            Some((host, port)) => (host, Some(port)),
            None => (server, None),
        },
    };
    // A host that begins with a dash would be an option of ssh.
    let is_fine = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    if host.is_empty() || host.starts_with('-') || !host.chars().all(is_fine) {
        return Err(format!("{host:?} is no name of a server"));
    }
    let port = match port {
        None => None,
        Some(port) => match port.parse() {
            Ok(port @ 1..) => Some(port),
            _ => return Err(format!("{port:?} is no port; it is a number from 1 to 65535")),
        },
    };
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> (Option<String>, String, Option<u16>, String) {
        let a = parse(url).unwrap();
        (a.user, a.host, a.port, String::from_utf8_lossy(&a.folder).into_owned())
    }

    #[test]
    fn takes_servers_users_and_ports() {
        assert_eq!(parts("sftp://nas/srv/a%20b/"), (None, "nas".into(), None, "/srv/a b".into()));
        assert_eq!(
            parts("SFTP://me@nas.example:2222/x"),
            (Some("me".into()), "nas.example".into(), Some(2222), "/x".into())
        );
        assert_eq!(parts("sftp://nas/"), (None, "nas".into(), None, "/".into()));
        assert_eq!(parts("sftp://nas/~/"), (None, "nas".into(), None, "".into()));
        assert_eq!(parts("sftp://nas/~/a/./b"), (None, "nas".into(), None, "a/b".into()));
        assert_eq!(parts("sftp://[::1]:22/a").1, "::1");
        assert_eq!(parse("sftp://nas/%ff").unwrap().folder, b"/\xff");
        assert_eq!(parts("sftp://a%40b@nas/").0, Some("a@b".into()));
    }

    #[test]
    fn refuses_with_a_sentence() {
        for url in [
            "sftp://nas",
            "sftp:///a",
            "sftp://-oProxyCommand=x/a",
            "sftp://-l@nas/a",
            "sftp://me:secret@nas/a",
            "sftp://nas:0/a",
            "sftp://nas:port/a",
            "sftp://[::1/a",
            "sftp://::1/a",
            "sftp://na s/a",
            "sftp://nas/a/../b",
            "sftp://nas/%00",
            "sftp://nas/a?b",
            "http://nas/a",
        ] {
            let sentence = parse(url).unwrap_err();
            assert!(sentence.contains(' ') && !sentence.contains("secret"), "{url}: {sentence}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        assert_eq!(public("sftp://me:secret@nas/a@b"), "sftp://me@nas/a@b");
        assert_eq!(public("sftp://me@nas/a"), "sftp://me@nas/a");
        assert_eq!(public("sftp://nas/a"), "sftp://nas/a");
    }
}
