//! Folders full of files to measure with: the same bytes each time, no two files alike.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::run::{Failure, Result, While};

const FILES_IN_A_FOLDER: usize = 100;

#[derive(Clone, Copy)]
pub enum Shape {
    /// Files of 4 KiB.
    Small,
    /// Files of 100 bytes.
    Tiny,
    /// Mostly small, some of half a megabyte: 12 KiB on average.
    Mixed,
    /// One file, so many MiB.
    Large,
}

/// The path of file `n` below the tree's root.
pub fn path(n: usize) -> PathBuf {
    let folder = n / FILES_IN_A_FOLDER;
    // A folder with ten thousand folders is another test.
    let above = if folder < 1000 { String::new() } else { format!("m{:02}/", folder / 1000) };
    PathBuf::from(format!("{above}d{:03}/f{n:05}.dat", folder % 1000))
}

/// `count` files, or for `Large` one file of `count` MiB.
pub fn make(root: &Path, shape: Shape, count: usize) -> Result<()> {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    if let Shape::Large = shape {
        return large(&root.join("large.dat"), count, &mut noise).when("cannot make the large file");
    }
    for n in 0..count {
        let size = match shape {
            Shape::Mixed if n % 50 == 0 => 512 * 1024,
            Shape::Mixed => 512 + (n % 16) * 256,
            Shape::Tiny => 100,
            _ => 4096,
        };
        let path = root.join(path(n));
        let folder = path.parent().unwrap_or(root);
        if n % FILES_IN_A_FOLDER == 0 {
            fs::create_dir_all(folder).when(format_args!("cannot make {}", folder.display()))?;
        }
        fs::write(&path, noise.bytes(size)).when(format_args!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Writes `mib` MiB and waits until the disk has them.
pub fn large(path: &Path, mib: usize, noise: &mut Noise) -> std::io::Result<()> {
    let block = noise.bytes(1024 * 1024);
    let mut file = File::create(path)?;
    (0..mib).try_for_each(|_| file.write_all(&block))?;
    file.sync_all()
}

/// Appends a line to each of the files: another size, so that nobody needs to look inside.
pub fn edit(root: &Path, files: impl Iterator<Item = usize>, line: &str) -> Result<()> {
    for n in files {
        let path = root.join(path(n));
        let append = || fs::OpenOptions::new().append(true).open(&path)?.write_all(line.as_bytes());
        append().when(format_args!("cannot edit {}", path.display()))?;
    }
    Ok(())
}

/// Whether an edit has arrived.
pub fn must_end_with(root: &Path, files: impl Iterator<Item = usize>, line: &str) -> Result<()> {
    for n in files {
        let path = root.join(path(n));
        let bytes = fs::read(&path).when(format_args!("cannot read {}", path.display()))?;
        if !bytes.ends_with(line.as_bytes()) {
            return Err(Failure::new(format!("{} lacks the edit of the other side", path.display())));
        }
    }
    Ok(())
}

/// `count` operations of all kinds: half rewrites, a quarter renames, the rest new files and removals.
pub fn operate(root: &Path, files: usize, count: usize) -> Result<()> {
    let mut noise = Noise(7);
    for n in 0..count {
        let file = root.join(path(n % files));
        let done = match n % 8 {
            0..4 => fs::write(&file, noise.bytes(4000)),
            4 | 5 => fs::rename(&file, file.with_extension("moved")),
            6 => fs::write(file.with_extension("new"), noise.bytes(1000)),
            _ => fs::remove_file(&file),
        };
        done.when(format_args!("cannot change {}", file.display()))?;
    }
    Ok(())
}

/// xorshift64: bytes that do not compress, the same each time.
pub struct Noise(pub u64);

impl Noise {
    pub fn bytes(&mut self, size: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(size + 8);
        while bytes.len() < size {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            bytes.extend_from_slice(&self.0.to_le_bytes());
        }
        bytes.truncate(size);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_can_be_made_edited_and_operated_on() {
        let root = tempfile::tempdir().unwrap();
        make(root.path(), Shape::Mixed, 200).unwrap();
        edit(root.path(), 0..3, "more\n").unwrap();
        assert_eq!(fs::metadata(root.path().join(path(0))).unwrap().len(), 512 * 1024 + 5);
        must_end_with(root.path(), 0..3, "more\n").unwrap();
        assert!(must_end_with(root.path(), 2..4, "more\n").is_err());
        operate(root.path(), 200, 200).unwrap();
        assert!(root.path().join(path(4)).with_extension("moved").exists());
        assert!(!root.path().join(path(7)).exists());
    }

    #[test]
    fn no_two_files_are_alike() {
        let mut noise = Noise(1);
        assert_ne!(noise.bytes(64), noise.bytes(64));
        assert_eq!(Noise(1).bytes(13), Noise(1).bytes(16)[..13]);
    }
}
