//! Finding the location's folder and making sure that it is the one it was.

use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::StatxFlags;

use super::place::{Place, dev, gone, open_root, stat_fd};
use super::{fstype, mountinfo, probe};
use crate::folder::identity::Identity;
use crate::folder::protocol::{Connected, Failure, Hello};

pub fn connect(hello: &Hello) -> Result<(Arc<Place>, Connected), Failure> {
    let path = PathBuf::from(std::ffi::OsString::from_vec(hello.root.clone()));
    let identity = identify(&path, hello)?;
    let elsewhere = hello.known.as_ref().is_some_and(|known| !known.same_place(&identity))
        || hello.expected.as_ref().is_some_and(|expected| *expected != identity.to_text());
    if elsewhere {
        return Err(Failure::Gone(format!(
            "the folder {} is not mounted, or something else is mounted there",
            path.display()
        )));
    }
    let fs = fstype::known(&identity.fs_type);
    let mut place = Place::new(path, hello.owner.clone(), identity.clone(), fs, hello.pretend.clone());
    let capabilities = probe::run(&place)?;
    place.step = capabilities.time_step;
    Ok((Arc::new(place), Connected { capabilities, identity }))
}

fn identify(path: &std::path::Path, hello: &Hello) -> Result<Identity, Failure> {
    let root = open_root(path)?;
    let stat = stat_fd(&root).map_err(|e| gone(path, e))?;
    let numbers = rustix::fs::fstatvfs(&root).map_err(|e| gone(path, e))?;
    let has_id = stat.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    let mount = mountinfo::find(has_id.then_some(stat.stx_mnt_id), (stat.stx_dev_major, stat.stx_dev_minor))
        .map_err(|e| gone(path, e))?;
    let (fs_type, source) = match mount {
        Some(mount) => (mount.fs_type, mount.source),
        None => {
            let number = rustix::fs::fstatfs(&root).map_err(|e| gone(path, e))?.f_type;
            (fstype::by_number(number as u64 & 0xffff_ffff).to_owned(), Vec::new())
        }
    };
    let fs_type = hello.pretend.fs_type.clone().unwrap_or(fs_type);
    Ok(Identity {
        local: fstype::known(&fs_type).local,
        fs_type,
        source,
        fsid: numbers.f_fsid,
        dev: dev(&stat),
        ino: stat.stx_ino,
    })
}
