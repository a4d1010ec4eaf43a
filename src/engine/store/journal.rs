//! The journal: what was acknowledged and is not in the database yet.
//!
//! It outlives a kill of the engine, because what was written is with the kernel; it is never
//! synced, so after a crash of the machine it counts for nothing (the database is then a prefix of
//! what happened, and a journal of which any page may be missing is not).
//!
//! # Format
//!
//! Files `journal-NNNN` in the folder of the store, numbered without a gap, written one after the
//! other. All numbers are little-endian.
//!
//! ```text
//! header   8  magic "HOLDFJNL"
//!          4  format version
//!         16  boot id of the machine's run that writes it
//!          8  check: BLAKE3 of the 28 bytes before, cut to 8
//! record   4  length of the payload in bytes
//!          8  seq, greater than that of the record before
//!          8  check: BLAKE3 of length, seq and payload, cut to 8
//!          n  payload: postcard of the step
//! ```
//!
//! Reading stops for good at the first record that is cut off or does not pass its check; what
//! lies behind it is dropped, so that later records never stand behind a bad one. A record that
//! passes and cannot be understood is damage and stops the start-up, as it was acknowledged.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::persist::{Journal, Note, Recovered, Step, StoreError};
use super::rows_before::Delta1;

const MAGIC: &[u8; 8] = b"HOLDFJNL";
const FORMAT: u32 = 2;
/// Its payload is the deltas alone, and its history knew no reconnections: it is read, and not written.
const WITHOUT_NOTES: u32 = 1;
const HEADER_BYTES: usize = 36;
const RECORD_HEAD_BYTES: usize = 20;
/// A segment that has grown past this is followed by a new one.
const SEGMENT_BYTES: u64 = 4 << 20;
/// Segments that stay although all in them is committed: their notes are of the last moments.
const KEPT_SEGMENTS: usize = 2;
/// A buffer that one long record made larger than this is not kept.
const BUFFER_BYTES: usize = 1 << 20;
const PREFIX: &str = "journal-";

/// The journal in files of its own format.
#[derive(Debug)]
pub struct FileJournal {
    dir: PathBuf,
    boot_id: [u8; 16],
    segment_bytes: u64,
    /// Found at the opening and not read yet.
    found: Vec<u64>,
    /// Read or written, oldest first.
    segments: VecDeque<Segment>,
    /// Writes the last of `segments`.
    current: Option<Current>,
    next_number: u64,
    /// The disk was full: what is committed is given back at once.
    tight: bool,
    /// Of the last record that is read or written; the next has a greater one.
    last_seq: u64,
    record: Vec<u8>,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    /// Of the last record in it or before it; 0 while it is new.
    last_seq: u64,
}

#[derive(Debug)]
struct Current {
    file: File,
    /// Where the last good record ends.
    end: u64,
    /// An append failed and what it left could not be cut off yet.
    torn: bool,
}

impl FileJournal {
    /// Opens the journal in a folder, which is made where there is none. `boot_id` tells this run
    /// of the machine from all others. [`Journal::recover`] comes before the first append.
    pub fn open(dir: &Path, boot_id: [u8; 16]) -> Result<FileJournal, StoreError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(dir)? {
            found.extend(entry?.file_name().to_str().and_then(number_of));
        }
        found.sort_unstable();
        Ok(FileJournal {
            dir: dir.to_owned(),
            boot_id,
            segment_bytes: SEGMENT_BYTES,
            next_number: found.last().map_or(1, |last| last + 1),
            tight: false,
            found,
            segments: VecDeque::new(),
            current: None,
            last_seq: 0,
            record: Vec::new(),
        })
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{PREFIX}{number:04}"))
    }

    fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        header[12..28].copy_from_slice(&self.boot_id);
        let check = check_of(&[&header[..28]]);
        header[28..].copy_from_slice(&check);
        header
    }

    /// The segment to append to, its end clean.
    fn writable(&mut self) -> Result<&mut Current, StoreError> {
        if self.current.as_ref().is_none_or(|current| !current.torn && current.end > self.segment_bytes) {
            let fresh = self.start_segment()?;
            self.current = Some(fresh);
        }
        let current = self.current.as_mut().expect("a segment was started where there was none");
        if current.torn {
            current.file.set_len(current.end)?;
            current.torn = false;
        }
        Ok(current)
    }

    fn write_record(&mut self, record: &[u8]) -> Result<(), StoreError> {
        let current = self.writable()?;
        if let Err(error) = current.file.write_all_at(record, current.end) {
            current.torn = current.file.set_len(current.end).is_err();
            return Err(error.into());
        }
        current.end += record.len() as u64;
        Ok(())
    }

    fn start_segment(&mut self) -> Result<Current, StoreError> {
        let number = self.next_number;
        let path = self.path(number);
        // What stands there under this number is the rest of an attempt that failed.
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        if let Err(error) = file.write_all_at(&self.header(), 0) {
            let _ = fs::remove_file(&path);
            return Err(error.into());
        }
        self.next_number += 1;
        self.segments.push_back(Segment { number, last_seq: 0 });
        Ok(Current { file, end: HEADER_BYTES as u64, torn: false })
    }

    /// Puts the record into `self.record`, in one piece for one write.
    fn encode(&mut self, seq: u64, step: &Step) -> Result<(), StoreError> {
        let mut record = std::mem::take(&mut self.record);
        record.clear();
        record.resize(RECORD_HEAD_BYTES, 0);
        let mut record = postcard::to_extend(step, record).map_err(|error| {
            StoreError::Io(io::Error::other(format!("a record cannot be encoded: {error}")))
        })?;
        let length = u32::try_from(record.len() - RECORD_HEAD_BYTES)
            .map_err(|_| StoreError::Io(io::Error::other("a record is longer than 4 GiB")))?;
        record[..4].copy_from_slice(&length.to_le_bytes());
        record[4..12].copy_from_slice(&seq.to_le_bytes());
        let check = check_of(&[&record[..12], &record[RECORD_HEAD_BYTES..]]);
        record[12..RECORD_HEAD_BYTES].copy_from_slice(&check);
        self.record = record;
        Ok(())
    }

    /// Reads one segment of this boot and cuts off what is not good at its end; says whether there
    /// was such.
    fn read_segment(
        &self,
        number: u64,
        bytes: &[u8],
        last_seq: &mut u64,
        out: &mut Recovered,
    ) -> Result<bool, StoreError> {
        let format = u32_at(bytes, 8);
        let mut at = HEADER_BYTES;
        while let Some((seq, payload)) = record_at(&bytes[at..]) {
            if seq <= *last_seq {
                break;
            }
            let now = |old: Vec<Delta1>| old.into_iter().flat_map(Delta1::into_now).collect();
            let decoded = match format {
                WITHOUT_NOTES => postcard::take_from_bytes::<Vec<Delta1>>(payload)
                    .map(|(old, rest)| (Step { deltas: now(old), note: Note::default() }, rest)),
                _ => postcard::take_from_bytes::<Step>(payload),
            };
            let step = match decoded {
                Ok((step, [])) => step,
                Ok(_) => return Err(self.not_understood(number, seq, "bytes are left over")),
                Err(error) => return Err(self.not_understood(number, seq, &error.to_string())),
            };
            *last_seq = seq;
            out.records.push((seq, step.deltas));
            out.notes.push(step.note);
            at += RECORD_HEAD_BYTES + payload.len();
        }
        if at == bytes.len() {
            return Ok(false);
        }
        OpenOptions::new().write(true).open(self.path(number))?.set_len(at as u64)?;
        Ok(true)
    }

    fn not_understood(&self, number: u64, seq: u64, detail: &str) -> StoreError {
        let path = self.path(number);
        StoreError::Damaged(format!("record {seq} of {} cannot be understood: {detail}", path.display()))
    }

    /// Whether the segment was written by this run of the machine.
    fn is_ours(&self, number: u64, bytes: &[u8]) -> Result<bool, StoreError> {
        let Some(header) = bytes.get(..HEADER_BYTES) else {
            return Ok(false);
        };
        if header[..8] != MAGIC[..]
            || header[28..] != check_of(&[&header[..28]])
            || header[12..28] != self.boot_id
        {
            return Ok(false);
        }
        match u32_at(header, 8) {
            WITHOUT_NOTES | FORMAT => Ok(true),
            found => Err(StoreError::TooNew {
                path: self.path(number).display().to_string(),
                found: found.into(),
                known: FORMAT.into(),
            }),
        }
    }

    fn remove(&self, number: u64) -> Result<(), StoreError> {
        match fs::remove_file(self.path(number)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl Journal for FileJournal {
    fn append(&mut self, seq: u64, step: &Step) -> Result<(), StoreError> {
        if !self.found.is_empty() {
            return Err(StoreError::Io(io::Error::other("the journal was not recovered before an append")));
        }
        if seq <= self.last_seq {
            return Err(StoreError::Io(io::Error::other("a journal record out of order")));
        }
        self.encode(seq, step)?;
        let record = std::mem::take(&mut self.record);
        let appended = self.write_record(&record);
        self.tight |= matches!(appended, Err(StoreError::Full));
        appended?;
        if record.capacity() <= BUFFER_BYTES {
            self.record = record;
        }
        self.segments.back_mut().expect("the current segment is in the list").last_seq = seq;
        Ok(())
    }

    fn recover(&mut self, seq: u64) -> Result<Recovered, StoreError> {
        let mut recovered = Recovered::default();
        let mut segments = VecDeque::new();
        let mut last_seq = 0;
        let mut stopped = false;
        let known = self.segments.iter().map(|segment| segment.number);
        let mut numbers: Vec<u64> = self.found.iter().copied().chain(known).collect();
        numbers.sort_unstable();
        for number in numbers {
            let bytes = fs::read(self.path(number))?;
            let gap = segments.back().is_some_and(|before: &Segment| before.number + 1 != number);
            stopped |= gap;
            if stopped || !self.is_ours(number, &bytes)? {
                self.remove(number)?;
                continue;
            }
            stopped = self.read_segment(number, &bytes, &mut last_seq, &mut recovered)?;
            segments.push_back(Segment { number, last_seq });
        }
        recovered.records.retain(|(of, _)| *of > seq);
        self.found.clear();
        self.segments = segments;
        self.current = None;
        self.last_seq = last_seq;
        Ok(recovered)
    }

    fn forget(&mut self, seq: u64) -> Result<(), StoreError> {
        let kept = if self.tight { 0 } else { KEPT_SEGMENTS };
        while self.segments.len() > kept && self.segments.front().is_some_and(|first| first.last_seq <= seq) {
            let number = self.segments[0].number;
            self.remove(number)?;
            self.segments.pop_front();
            if self.segments.is_empty() {
                self.current = None;
                self.tight = false;
            }
        }
        Ok(())
    }
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    let number: u64 = digits.parse().ok()?;
    (format!("{number:04}") == digits && number < u64::MAX).then_some(number)
}

/// The record at the start of `bytes`, if it is whole and good.
fn record_at(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let head = bytes.get(..RECORD_HEAD_BYTES)?;
    let payload = bytes[RECORD_HEAD_BYTES..].get(..u32_at(head, 0) as usize)?;
    let seq = u64::from_le_bytes(head[4..12].try_into().ok()?);
    (head[12..] == check_of(&[&head[..12], payload])).then_some((seq, payload))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn check_of(parts: &[&[u8]]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut check = [0; 8];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    check
}

#[cfg(test)]
mod tests;
