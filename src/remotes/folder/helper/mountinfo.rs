//! Which file system lies where, read from `/proc/self/mountinfo`. Never touches a mounted one.

use rustix::io::Errno;

/// One line of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mount {
    pub id: u64,
    pub dev: (u32, u32),
    pub fs_type: String,
    pub source: Vec<u8>,
}

/// The mount with this id or, where the kernel gives none, the last one of this device.
pub fn find(id: Option<u64>, dev: (u32, u32)) -> Result<Option<Mount>, Errno> {
    let bytes = std::fs::read("/proc/self/mountinfo")
        .map_err(|e| e.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))?;
    let mounts = || bytes.split(|&b| b == b'\n').filter_map(parse);
    let by_id = id.and_then(|id| mounts().find(|m| m.id == id));
    Ok(by_id.or_else(|| mounts().rfind(|m| m.dev == dev)))
}

fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&b| b == b' ');
    let id = text(fields.next()?)?.parse().ok()?;
    let (major, minor) = text(fields.nth(1)?)?.split_once(':')?;
    let mut tail = fields.skip_while(|f| *f != b"-").skip(1);
    Some(Mount {
        id,
        dev: (major.parse().ok()?, minor.parse().ok()?),
        fs_type: text(tail.next()?)?.to_owned(),
        source: tail.next().unwrap_or_default().to_vec(),
    })
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_line() {
        let line = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - fuse.sshfs me@nas:/x rw,errors=continue";
        let mount = parse(line).unwrap();
        assert_eq!((mount.id, mount.dev), (36, (98, 0)));
        assert_eq!((mount.fs_type.as_str(), mount.source.as_slice()), ("fuse.sshfs", &b"me@nas:/x"[..]));
        assert_eq!(parse(b""), None);
    }
}
