//! How the second user's actions change the tree.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_engine::model::{Time, Version};

use super::tree::{self, Body, Ino, TreeError};
use super::{Hit, Profile, State, UserAction};

impl State {
    pub(super) fn apply(&mut self, action: &UserAction, now: Time) -> Result<(), TreeError> {
        let profile = self.profile.clone();
        match action {
            UserAction::Write { path, content } => match self.tree.find(path, &profile) {
                Ok(ino) => self.overwrite(path, ino, content, now, &profile),
                Err(_) => self.put(path, Body::File(Arc::new(content.clone())), 0o644, now, &profile),
            },
            UserAction::Save { path, content } => {
                let body = Body::File(Arc::new(content.clone()));
                let Ok(old) = self.tree.find(path, &profile) else {
                    return self.put(path, body, 0o644, now, &profile);
                };
                if !matches!(self.tree.node(old).body, Body::File(_)) {
                    return Err(TreeError::Exists);
                }
                let (version, mode) = (self.tree.version(old, &profile), self.tree.node(old).mode);
                self.cut(path, &profile)?;
                self.put(path, body, mode, now, &profile)?;
                self.keep_seen(path, &version, content, &profile)
            }
            UserAction::Remove { path } => self.cut(path, &profile),
            UserAction::Rename { from, to } => self.move_to(from, to, &profile),
            UserAction::Mkdir { path } => self.put(path, Body::Folder(BTreeMap::new()), 0o755, now, &profile),
            UserAction::Symlink { path, target } => {
                self.put(path, Body::Symlink(target.as_slice().into()), 0o777, now, &profile)
            }
            UserAction::Special { path, mode } => self.put(path, Body::Special(*mode), *mode, now, &profile),
            UserAction::Link { existing, path } => {
                let ino = self.tree.find(existing, &profile)?;
                if self.tree.folder(ino).is_ok() {
                    return Err(TreeError::IsFolder);
                }
                let (folder, name) = self.place(path, now, &profile)?;
                self.tree.attach(folder, &name, ino, &profile)
            }
            UserAction::Chmod { path, mode } => {
                let ino = self.tree.find(path, &profile)?;
                let folder = self.tree.folder(ino).is_ok();
                self.tree.node_mut(ino).mode = profile.mode(*mode, folder);
                self.tree.touch(ino, false, &profile);
                Ok(())
            }
            UserAction::SetXattr { path, name, value } => {
                let ino = self.tree.find(path, &profile)?;
                self.tree.node_mut(ino).xattrs.insert(name.clone(), value.clone());
                self.tree.touch(ino, false, &profile);
                Ok(())
            }
            UserAction::Touch { path } => {
                let ino = self.tree.find(path, &profile)?;
                self.tree.node_mut(ino).mtime = now;
                self.tree.touch(ino, false, &profile);
                Ok(())
            }
        }
    }

    fn overwrite(
        &mut self,
        path: &[u8],
        ino: Ino,
        content: &[u8],
        now: Time,
        profile: &Profile,
    ) -> Result<(), TreeError> {
        let version = self.tree.version(ino, profile);
        let node = self.tree.node_mut(ino);
        let Body::File(bytes) = &mut node.body else {
            return Err(TreeError::IsFolder);
        };
        *bytes = Arc::new(content.to_vec());
        node.mtime = now;
        self.tree.touch(ino, true, profile);
        self.keep_seen(path, &version, content, profile)
    }

    /// An edit that leaves the version as it was is either noted as unseen or, where the profile
    /// does not hide quick edits, gets a later time.
    fn keep_seen(
        &mut self,
        path: &[u8],
        before: &Version,
        content: &[u8],
        profile: &Profile,
    ) -> Result<(), TreeError> {
        let ino = self.tree.find(path, profile)?;
        if self.tree.version(ino, profile) != *before {
            return Ok(());
        }
        if profile.hides_quick_edits {
            let (path, content) = (path.to_vec(), Arc::new(content.to_vec()));
            self.hits.push(Hit::Unseen { path, content });
        } else {
            let later = self.tree.node(ino).mtime + profile.capabilities.time_step;
            self.tree.node_mut(ino).mtime = later;
        }
        Ok(())
    }

    /// The folder for a path, made where it is missing, and the name in it.
    fn place(&mut self, path: &[u8], now: Time, profile: &Profile) -> Result<(Ino, Vec<u8>), TreeError> {
        let (folder, name) = tree::split(path).ok_or(TreeError::Exists)?;
        let mut at = self.tree.root();
        for part in tree::parts(&folder) {
            let next = self.tree.folder(at)?.get(&profile.key(part)).map(|(_, ino)| *ino);
            at = match next {
                Some(ino) => ino,
                None => {
                    let mode = profile.mode(0o755, true);
                    let body = Body::Folder(BTreeMap::new());
                    let made = self.tree.add(body, mode, now, profile.reuses_file_ids);
                    self.tree.attach(at, part, made, profile)?;
                    made
                }
            };
        }
        self.tree.folder(at)?;
        Ok((at, name))
    }

    fn put(
        &mut self,
        path: &[u8],
        body: Body,
        mode: u32,
        now: Time,
        profile: &Profile,
    ) -> Result<(), TreeError> {
        let (folder, name) = self.place(path, now, profile)?;
        let mode = match &body {
            Body::Symlink(_) => 0o777,
            Body::Special(mode) => mode & 0o7777,
            Body::Folder(_) => profile.mode(mode, true),
            Body::File(_) => profile.mode(mode, false),
        };
        let node = self.tree.add(body, mode, now, profile.reuses_file_ids);
        let done = self.tree.attach(folder, &name, node, profile);
        self.tree.drop_unnamed(node, profile);
        done
    }

    fn cut(&mut self, path: &[u8], profile: &Profile) -> Result<(), TreeError> {
        let (folder, name) = tree::split(path).ok_or(TreeError::NotFound)?;
        let folder = self.tree.find(&folder, profile)?;
        let node = self.tree.detach(folder, &name, profile)?;
        self.tree.drop_unnamed(node, profile);
        Ok(())
    }

    fn move_to(&mut self, from: &[u8], to: &[u8], profile: &Profile) -> Result<(), TreeError> {
        let ino = self.tree.find(from, profile)?;
        let (from_folder, from_name) = tree::split(from).ok_or(TreeError::IntoItself)?;
        let (to_folder, to_name) = tree::split(to).ok_or(TreeError::Exists)?;
        let from_folder = self.tree.find(&from_folder, profile)?;
        let to_folder = self.tree.find(&to_folder, profile)?;
        if let Some(why) = profile.refuses(&to_name) {
            return Err(TreeError::BadName(why));
        }
        if self.tree.holds(ino, to_folder) {
            return Err(TreeError::IntoItself);
        }
        if let Some((_, there)) = self.tree.folder(to_folder)?.get(&profile.key(&to_name)) {
            let there = *there;
            let folders = (self.tree.folder(ino).is_ok(), self.tree.folder(there).map(BTreeMap::len));
            match folders {
                _ if there == ino => {}
                (true, Ok(0)) | (false, Err(_)) => self.cut(to, profile)?,
                (true, Ok(_)) => return Err(TreeError::NotEmpty),
                (true, Err(_)) => return Err(TreeError::NotFolder),
                (false, Ok(_)) => return Err(TreeError::IsFolder),
            }
            if there == ino && profile.key(&to_name) != profile.key(&from_name) {
                return Ok(());
            }
        }
        self.tree.detach(from_folder, &from_name, profile)?;
        self.tree.attach(to_folder, &to_name, ino, profile)
    }
}
