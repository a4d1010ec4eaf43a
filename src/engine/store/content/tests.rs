//! Contents against files in memory.

mod cases;
mod crashes;
mod model;

use std::sync::Arc;

use super::*;
use crate::model::ContentId;
use crate::store::memory::MemFiles;
use crate::store::persist::Files;

const BLOCK_LEN: usize = BLOCK as usize;

fn contents() -> (Arc<MemFiles>, Contents) {
    let files = Arc::new(MemFiles::new());
    (files.clone(), Contents::new(files, Vec::new()))
}

/// The same files with the same rows, as the next run finds them.
fn reopened(files: &Arc<MemFiles>, of: &[&Arc<Content>]) -> Contents {
    Contents::new(files.clone(), of.iter().map(|content| content.row()).collect())
}

/// Bytes that differ from place to place and from seed to seed.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn read_all(content: &Content) -> Result<Vec<u8>, ContentError> {
    let mut all = vec![0xee; content.size() as usize + 10];
    let got = content.read_at(0, &mut all)?;
    all.truncate(got);
    Ok(all)
}

/// A sealed content with these bytes.
fn sealed(contents: &Contents, id: u64, data: &[u8]) -> Arc<Content> {
    let content = contents.create(ContentId(id), id).unwrap();
    content.write_at(0, data).unwrap();
    content.seal().unwrap();
    content
}
