//! Open files and folders, by the numbers the kernel knows them by.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{FileHandle, NodeId, RequestId};

use super::folders::Picture;
use super::open_files::Table;

/// Each engine that serves a connection hands out numbers from a range of its own.
const RANGE_BITS: u32 = 40;

pub(super) struct Handles {
    last: u64,
    files: HashMap<u64, OpenFile>,
    folders: HashMap<u64, OpenFolder>,
    table: Option<Table>,
}

/// An open folder; its picture is taken anew whenever it is read from the start.
#[derive(Clone)]
pub(super) struct OpenFolder {
    pub picture: Arc<Picture>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct OpenFile {
    pub node: NodeId,
    pub write: bool,
    /// The request that opened it: the kernel may send it again.
    pub request: Option<RequestId>,
}

impl Handles {
    pub fn new(table: Option<Table>, left: Vec<(u64, OpenFile)>, engines_before: u64) -> Handles {
        let last = engines_before << RANGE_BITS;
        Handles { last, files: left.into_iter().collect(), folders: HashMap::new(), table }
    }

    pub fn add_file(&mut self, file: OpenFile) -> FileHandle {
        self.last += 1;
        if let Some(table) = &mut self.table {
            table.add(self.last, &file);
        }
        self.files.insert(self.last, file);
        FileHandle(self.last)
    }

    pub fn file(&self, handle: FileHandle) -> Option<OpenFile> {
        self.files.get(&handle.0).copied()
    }

    /// What a request has opened already.
    pub fn opened_by(&self, request: RequestId) -> Option<FileHandle> {
        let found = self.files.iter().find(|(_, file)| file.request == Some(request));
        found.map(|(handle, _)| FileHandle(*handle))
    }

    pub fn remove_file(&mut self, handle: FileHandle) {
        self.files.remove(&handle.0);
        if let Some(table) = &mut self.table {
            table.remove(handle.0);
        }
    }

    pub fn add_folder(&mut self, folder: OpenFolder) -> FileHandle {
        self.last += 1;
        self.folders.insert(self.last, folder);
        FileHandle(self.last)
    }

    pub fn folder(&self, handle: FileHandle) -> Option<OpenFolder> {
        self.folders.get(&handle.0).cloned()
    }

    pub fn put_folder(&mut self, handle: FileHandle, folder: OpenFolder) {
        self.folders.insert(handle.0, folder);
    }

    pub fn remove_folder(&mut self, handle: FileHandle) {
        self.folders.remove(&handle.0);
    }
}
