//! The changes that a call makes in one step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use holdfast_engine::model::{Kind, LocPath, Meta, Version};
use holdfast_engine::remote::{NewMeta, RemoteError, SetMeta};
use holdfast_engine::world::World;

use super::call::Call;
use super::remote::{refusal, temp_prefix};
use super::tree::{Body, Ino, split};
use super::{Effect, State};

type Answer<T> = Result<T, RemoteError>;

impl Call {
    fn note(&self, state: &mut State, call: &'static str, path: &LocPath) {
        self.note_content(state, call, path, None, None);
    }

    pub(super) fn note_content(
        &self,
        state: &mut State,
        call: &'static str,
        path: &LocPath,
        before: Option<Arc<Vec<u8>>>,
        after: Option<Arc<Vec<u8>>>,
    ) {
        let (owner, path) = (self.link.owner.clone(), path.as_bytes().to_vec());
        state.effects.push(Effect { owner, call, path, before, after });
    }

    /// What follows a change: hints, and a server that stamps files by itself.
    pub(super) fn settle(&self, path: &LocPath, stamped: Option<Ino>) {
        let server = &self.link.server;
        server.hint(path.as_bytes());
        let after = server.inner.state.lock().profile.restamps_after;
        if let (Some(ino), Some(after)) = (stamped, after) {
            self.restamp(path.clone(), ino, after);
        }
    }

    fn restamp(&self, path: LocPath, ino: Ino, after: Duration) {
        let server = self.link.server.clone();
        let sleep = server.inner.world.sleep(after);
        server.clone().inner.world.spawn(Box::pin(async move {
            sleep.await;
            let now = server.now();
            {
                let mut guard = server.inner.state.lock();
                let state = &mut *guard;
                if state.tree.find(path.as_bytes(), &state.profile) != Ok(ino) {
                    return;
                }
                state.tree.node_mut(ino).mtime = now;
                state.tree.touch(ino, false, &state.profile);
            }
            server.trace(|| format!("stamps {path} by itself"));
            server.hint(path.as_bytes());
        }));
    }

    pub(super) fn create_folder(&self, path: &LocPath, meta: &NewMeta) -> Answer<Meta> {
        let now = self.link.server.now();
        let made = {
            let mut state = self.link.server.inner.state.lock();
            let mode = state.profile.mode(meta.mode, true);
            let ino = state.make(path, Body::Folder(BTreeMap::new()), mode, now)?;
            self.note(&mut state, "mkdir", path);
            state.tree.meta(ino, &state.profile)
        };
        self.settle(path, None);
        Ok(made)
    }

    pub(super) fn create_symlink(&self, path: &LocPath, target: &[u8]) -> Answer<Meta> {
        let now = self.link.server.now();
        let made = {
            let mut state = self.link.server.inner.state.lock();
            if !state.profile.capabilities.symlinks {
                return Err(RemoteError::Unsupported("symbolic links"));
            }
            let ino = state.make(path, Body::Symlink(target.into()), 0o777, now)?;
            self.note(&mut state, "symlink", path);
            state.tree.meta(ino, &state.profile)
        };
        self.settle(path, None);
        Ok(made)
    }

    pub(super) fn create_link(&self, existing: &LocPath, version: &Version, path: &LocPath) -> Answer<Meta> {
        let made = {
            let mut guard = self.link.server.inner.state.lock();
            let state = &mut *guard;
            if !state.profile.capabilities.hard_links {
                return Err(RemoteError::Unsupported("hard links"));
            }
            let ino = state.guarded(existing.as_bytes(), version)?;
            if state.tree.folder(ino).is_ok() {
                return Err(RemoteError::Forbidden("a folder has one name".into()));
            }
            let (folder, name) = state.free_place(path)?;
            state.tree.attach(folder, &name, ino, &state.profile).map_err(refusal)?;
            self.note(state, "link", path);
            state.tree.meta(ino, &state.profile)
        };
        self.settle(path, None);
        Ok(made)
    }

    pub(super) fn remove_folder(&self, path: &LocPath) -> Answer<()> {
        {
            let mut guard = self.link.server.inner.state.lock();
            let state = &mut *guard;
            let (folder, name) = split(path.as_bytes()).ok_or(RemoteError::NotEmpty)?;
            let ino = state.reach(path.as_bytes(), true)?;
            let ours = temp_prefix(&self.link.owner);
            let Ok(entries) = state.tree.folder(ino) else {
                return Err(state.changed(ino));
            };
            if entries.values().any(|(name, _)| !name.starts_with(&ours)) {
                return Err(RemoteError::NotEmpty);
            }
            let folder = state.reach(&folder, false)?;
            state.tree.detach(folder, &name, &state.profile).map_err(refusal)?;
            state.tree.drop_unnamed(ino, &state.profile);
            self.note(state, "rmdir", path);
        }
        self.settle(path, None);
        Ok(())
    }

    pub(super) fn rename(&self, from: &LocPath, version: Option<&Version>, to: &LocPath) -> Answer<Meta> {
        let meta = {
            let mut guard = self.link.server.inner.state.lock();
            let state = &mut *guard;
            let ino = state.guarded_or_folder(from, version)?;
            let (old_folder, old_name) = split(from.as_bytes()).ok_or(RemoteError::NotFound)?;
            let old_folder = state.reach(&old_folder, false)?;
            let same_key = {
                let there = state.tree.find(to.as_bytes(), &state.profile);
                // The same entry under another spelling is free for itself.
                let spelled = |p: &LocPath| state.profile.key(p.as_bytes());
                there == Ok(ino) && spelled(from) == spelled(to) && from != to
            };
            let (folder, name) = if same_key { state.place_of(to)? } else { state.free_place(to)? };
            if state.tree.holds(ino, folder) {
                return Err(RemoteError::Forbidden("a folder cannot go into itself".into()));
            }
            if let Some(why) = state.profile.refuses(&name) {
                return Err(RemoteError::BadName(why.into()));
            }
            state.tree.detach(old_folder, &old_name, &state.profile).map_err(refusal)?;
            state.tree.attach(folder, &name, ino, &state.profile).map_err(refusal)?;
            self.note(state, "rename", to);
            state.tree.meta(ino, &state.profile)
        };
        self.settle(from, None);
        self.settle(to, None);
        Ok(meta)
    }

    pub(super) fn set_meta(&self, path: &LocPath, version: Option<&Version>, set: &SetMeta) -> Answer<Meta> {
        let (ino, meta) = {
            let mut guard = self.link.server.inner.state.lock();
            let state = &mut *guard;
            let ino = state.guarded_or_folder(path, version)?;
            let can = state.profile.capabilities.clone();
            let before = state.tree.meta(ino, &state.profile);
            let (profile, node) = (&state.profile, state.tree.node_mut(ino));
            if let Some(mode) = set.mode.filter(|_| before.kind != Kind::Symlink) {
                node.mode = profile.mode(mode, before.kind == Kind::Folder);
            }
            if let Some(mtime) = set.mtime.filter(|_| can.set_times) {
                node.mtime = profile.step(mtime);
            }
            if let Some(xattrs) = set.xattrs.as_ref().filter(|_| can.xattrs) {
                node.xattrs = xattrs.iter().filter(|(name, _)| name.starts_with(b"user.")).cloned().collect();
            }
            if before != state.tree.meta(ino, &state.profile) {
                state.tree.touch(ino, false, &state.profile);
            }
            self.note(state, "attributes", path);
            (ino, state.tree.meta(ino, &state.profile))
        };
        self.settle(path, (meta.kind == Kind::File).then_some(ino));
        Ok(meta)
    }
}

impl State {
    /// Guarded by the version; without one only a folder may be there.
    fn guarded_or_folder(&self, path: &LocPath, version: Option<&Version>) -> Answer<Ino> {
        match version {
            Some(version) => self.guarded(path.as_bytes(), version),
            None => {
                let ino = self.reach(path.as_bytes(), true)?;
                self.tree.folder(ino).map_err(|_| self.changed(ino))?;
                Ok(ino)
            }
        }
    }

    /// The folder that is to hold the path, and the name in it.
    fn place_of(&self, path: &LocPath) -> Answer<(Ino, Vec<u8>)> {
        let (folder, name) = split(path.as_bytes()).ok_or(RemoteError::Changed { now: None })?;
        self.may(path.as_bytes(), true)?;
        let folder = self.reach(&folder, false)?;
        self.tree.folder(folder).map_err(refusal)?;
        Ok((folder, name))
    }

    /// The same where nothing is at the path; else `Changed`.
    pub(super) fn free_place(&self, path: &LocPath) -> Answer<(Ino, Vec<u8>)> {
        let place = self.place_of(path)?;
        match self.tree.find(path.as_bytes(), &self.profile) {
            Ok(there) => Err(self.changed(there)),
            Err(_) => Ok(place),
        }
    }

    fn make(
        &mut self,
        path: &LocPath,
        body: Body,
        mode: u32,
        now: holdfast_engine::model::Time,
    ) -> Answer<Ino> {
        let (folder, name) = self.free_place(path)?;
        if let Some(why) = self.profile.refuses(&name) {
            return Err(RemoteError::BadName(why.into()));
        }
        let ino = self.tree.add(body, mode, now, self.profile.reuses_file_ids);
        self.tree.attach(folder, &name, ino, &self.profile).map_err(refusal)?;
        Ok(ino)
    }
}
