//! What files hold: holes, ranges, memory maps, copies.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, SeekFrom as Place, fallocate, seek};
use rustix::io::Errno;
use rustix::mm::{MapFlags, MsyncFlags, ProtFlags, mmap, msync, munmap};

use crate::rule::*;

const RULES: &[Rule] = &[
    rule("any pattern of writes reads back", patterns),
    rule("a gap reads as zeros and takes little room", sparse),
    rule("SEEK_DATA and SEEK_HOLE tile the file", holes),
    rule("fallocate extends, keeps the size, punches, zeroes", allocates),
    rule("fallocate refuses what it cannot do", allocate_refuses),
    rule("a shared map and write see each other", maps),
    rule("a private map changes nothing", private_map),
    rule("copy_file_range copies", copies),
    rule("a read past the end is short", past_the_end),
    rule("fsync and fdatasync succeed on files and folders", syncs),
    rule("megabytes go through whole", large),
];

#[test]
fn natively() {
    check_natively(RULES);
}

#[test]
fn in_the_mount() {
    check_in_mount(RULES);
}

fn fresh(folder: &Path, name: &str) -> File {
    OpenOptions::new().read(true).write(true).create_new(true).open(folder.join(name)).unwrap()
}

/// Against a model in memory, from a fixed seed.
fn patterns(folder: &Path) {
    let f = fresh(folder, "a");
    let mut model: Vec<u8> = Vec::new();
    let mut seed: u64 = 7;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    for n in 0..400_u32 {
        let (offset, len) = (random(300_000) as usize, random(40_000) as usize);
        if random(10) == 0 {
            model.resize(offset, 0);
            f.set_len(offset as u64).unwrap();
        } else {
            let data = vec![n as u8; len];
            model.resize(model.len().max(offset + len), 0);
            model[offset..offset + len].copy_from_slice(&data);
            f.write_all_at(&data, offset as u64).unwrap();
        }
        assert_eq!(f.metadata().unwrap().len(), model.len() as u64);
    }
    assert!(std::fs::read(folder.join("a")).unwrap() == model);
}

fn sparse(folder: &Path) {
    let f = fresh(folder, "a");
    f.write_all_at(b"x", 1 << 30).unwrap();
    let mut byte = [1];
    f.read_exact_at(&mut byte, 12_345).unwrap();
    assert_eq!(byte, [0]);
    let s = stat(&folder.join("a"));
    assert_eq!(s.st_size, (1 << 30) + 1);
    assert!(s.st_blocks < 10_000, "{} blocks", s.st_blocks);
}

fn holes(folder: &Path) {
    let f = fresh(folder, "a");
    f.write_all_at(&[1; 4096], 8 << 20).unwrap();
    f.set_len(16 << 20).unwrap();
    let end = 16 << 20;
    assert_eq!(seek(&f, Place::Hole(0)), Ok(0));
    let data = seek(&f, Place::Data(0)).unwrap();
    assert!(data <= 8 << 20);
    let hole = seek(&f, Place::Hole(data)).unwrap();
    assert!(hole > 8 << 20 && hole <= end);
    assert_eq!(seek(&f, Place::Data(end)), Err(Errno::NXIO));
    assert_eq!(seek(&f, Place::Hole(end + 1)), Err(Errno::NXIO));
    f.set_len(0).unwrap();
    assert_eq!(seek(&f, Place::Data(0)), Err(Errno::NXIO));
}

fn allocates(folder: &Path) {
    let f = fresh(folder, "a");
    let size = || f.metadata().unwrap().len();
    fallocate(&f, FallocateFlags::empty(), 0, 100_000).unwrap();
    assert_eq!(size(), 100_000);
    fallocate(&f, FallocateFlags::KEEP_SIZE, 0, 200_000).unwrap();
    assert_eq!(size(), 100_000);
    f.write_all_at(&[1; 100_000], 0).unwrap();
    fallocate(&f, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 10_000, 20_000).unwrap();
    let mut expected = vec![1; 100_000];
    expected[10_000..30_000].fill(0);
    assert!(std::fs::read(folder.join("a")).unwrap() == expected);
    // Not every ordinary file system zeroes ranges.
    match fallocate(&f, FallocateFlags::ZERO_RANGE, 90_000, 20_000) {
        Ok(()) => {
            expected[90_000..].fill(0);
            expected.resize(110_000, 0);
            assert!(std::fs::read(folder.join("a")).unwrap() == expected);
        }
        Err(error) => assert_eq!(error, Errno::OPNOTSUPP),
    }
}

fn allocate_refuses(folder: &Path) {
    let f = fresh(folder, "a");
    assert_eq!(fallocate(&f, FallocateFlags::empty(), 0, 0), Err(Errno::INVAL));
    assert!(fallocate(&f, FallocateFlags::PUNCH_HOLE, 0, 1).is_err());
    let reading = File::open(folder.join("a")).unwrap();
    assert_eq!(fallocate(&reading, FallocateFlags::empty(), 0, 1), Err(Errno::BADF));
}

const PAGE: usize = 4096;

/// A map of the first two pages, given to `act` as bytes.
fn with_map(file: &File, flags: MapFlags, act: impl FnOnce(&mut [u8])) {
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: the kernel chooses the place, and the file has both pages for as long as it is used.
    unsafe {
        let at = mmap(std::ptr::null_mut(), 2 * PAGE, protection, flags, file, 0).unwrap();
        act(std::slice::from_raw_parts_mut(at.cast(), 2 * PAGE));
        if flags.contains(MapFlags::SHARED) {
            msync(at, 2 * PAGE, MsyncFlags::SYNC).unwrap();
        }
        munmap(at, 2 * PAGE).unwrap();
    }
}

fn maps(folder: &Path) {
    let f = fresh(folder, "a");
    f.set_len(2 * PAGE as u64).unwrap();
    with_map(&f, MapFlags::SHARED, |map| {
        f.write_all_at(b"by write", 10).unwrap();
        assert_eq!(&map[10..18], b"by write");
        map[PAGE..PAGE + 6].copy_from_slice(b"by map");
        let mut read = [0; 6];
        f.read_exact_at(&mut read, PAGE as u64).unwrap();
        assert_eq!(&read, b"by map");
    });
    let all = std::fs::read(folder.join("a")).unwrap();
    assert_eq!((&all[10..18], &all[PAGE..PAGE + 6]), (&b"by write"[..], &b"by map"[..]));
}

fn private_map(folder: &Path) {
    let f = fresh(folder, "a");
    f.set_len(2 * PAGE as u64).unwrap();
    with_map(&f, MapFlags::PRIVATE, |map| map.fill(1));
    assert!(std::fs::read(folder.join("a")).unwrap().iter().all(|b| *b == 0));
}

fn copies(folder: &Path) {
    let content = "0123456789".repeat(20_000);
    let a = file(folder, "a", &content);
    let (from, to) = (File::open(&a).unwrap(), fresh(folder, "b"));
    let (mut from_at, mut to_at) = (5, 7);
    while from_at < 150_000 {
        let left = (150_000 - from_at) as usize;
        let copied = rustix::fs::copy_file_range(&from, Some(&mut from_at), &to, Some(&mut to_at), left);
        assert!(copied.unwrap() > 0);
    }
    assert_eq!(&text(&folder.join("b"))[7..], &content[5..150_000]);
}

fn past_the_end(folder: &Path) {
    let a = file(folder, "a", "0123456789");
    let f = File::open(a).unwrap();
    let mut buffer = [0; 100];
    assert_eq!(f.read_at(&mut buffer, 4).unwrap(), 6);
    assert_eq!(f.read_at(&mut buffer, 10).unwrap(), 0);
    assert_eq!(f.read_at(&mut buffer, 1 << 40).unwrap(), 0);
}

fn syncs(folder: &Path) {
    let f = fresh(folder, "a");
    f.write_all_at(b"x", 0).unwrap();
    f.sync_all().unwrap();
    f.sync_data().unwrap();
    File::open(folder).unwrap().sync_all().unwrap();
}

fn large(folder: &Path) {
    let block: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut f = fresh(folder, "a");
    for _ in 0..5 {
        f.write_all(&block).unwrap();
    }
    f.seek(SeekFrom::Start(0)).unwrap();
    assert!(std::fs::read(folder.join("a")).unwrap() == block.repeat(5));
}
