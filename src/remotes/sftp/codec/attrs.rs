//! Attributes of files: each may be there or not.

use super::Malformed;
use super::wire::{Reader, Writer};

const SIZE: u32 = 1;
const OWNER: u32 = 2;
const PERMISSIONS: u32 = 4;
const TIMES: u32 = 8;
const EXTENDED: u32 = 0x8000_0000;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Attrs {
    pub size: Option<u64>,
    /// Numbers of user and group.
    pub owner: Option<(u32, u32)>,
    /// As `st_mode`, with the bits of the kind.
    pub permissions: Option<u32>,
    /// Of access and of modification, in seconds since 1970.
    pub times: Option<(u32, u32)>,
}

impl Attrs {
    pub(super) fn read(from: &mut Reader<'_>) -> Result<Attrs, Malformed> {
        let flags = from.u32()?;
        let has = |flag: u32| flags & flag != 0;
        let attrs = Attrs {
            size: has(SIZE).then(|| from.u64()).transpose()?,
            owner: has(OWNER).then(|| Ok((from.u32()?, from.u32()?))).transpose()?,
            permissions: has(PERMISSIONS).then(|| from.u32()).transpose()?,
            times: has(TIMES).then(|| Ok((from.u32()?, from.u32()?))).transpose()?,
        };
        if has(EXTENDED) {
            for _ in 0..from.u32()? {
                from.string()?;
                from.string()?;
            }
        }
        Ok(attrs)
    }

    pub(super) fn write(&self, to: &mut Writer) {
        let flag = |is: bool, flag: u32| if is { flag } else { 0 };
        to.u32(
            flag(self.size.is_some(), SIZE)
                | flag(self.owner.is_some(), OWNER)
                | flag(self.permissions.is_some(), PERMISSIONS)
                | flag(self.times.is_some(), TIMES),
        );
        if let Some(size) = self.size {
            to.u64(size);
        }
        if let Some((user, group)) = self.owner {
            to.u32(user).u32(group);
        }
        if let Some(permissions) = self.permissions {
            to.u32(permissions);
        }
        if let Some((accessed, modified)) = self.times {
            to.u32(accessed).u32(modified);
        }
    }
}
