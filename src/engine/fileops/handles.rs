//! Open files and folders. Their numbers mean nothing beyond this run of the engine.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{FileHandle, NodeId};

use super::folders::Picture;

#[derive(Default)]
pub(super) struct Handles {
    last: u64,
    files: HashMap<u64, OpenFile>,
    folders: HashMap<u64, OpenFolder>,
}

/// An open folder; its picture is taken anew whenever it is read from the start.
#[derive(Clone)]
pub(super) struct OpenFolder {
    pub node: NodeId,
    pub picture: Arc<Picture>,
}

#[derive(Clone, Copy)]
pub(super) struct OpenFile {
    pub node: NodeId,
    pub write: bool,
}

impl Handles {
    pub fn add_file(&mut self, file: OpenFile) -> FileHandle {
        self.last += 1;
        self.files.insert(self.last, file);
        FileHandle(self.last)
    }

    pub fn remove_file(&mut self, handle: FileHandle) -> Option<OpenFile> {
        self.files.remove(&handle.0)
    }

    pub fn add_folder(&mut self, folder: OpenFolder) -> FileHandle {
        self.last += 1;
        self.folders.insert(self.last, folder);
        FileHandle(self.last)
    }

    pub fn folder(&self, handle: FileHandle) -> Option<OpenFolder> {
        self.folders.get(&handle.0).cloned()
    }

    pub fn renew_folder(&mut self, handle: FileHandle, picture: Arc<Picture>) {
        if let Some(folder) = self.folders.get_mut(&handle.0) {
            folder.picture = picture;
        }
    }

    pub fn remove_folder(&mut self, handle: FileHandle) {
        self.folders.remove(&handle.0);
    }
}
