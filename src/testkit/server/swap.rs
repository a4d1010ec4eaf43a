//! Uploads, and the swap at their end: the only steps of a call between which others get in.

use std::sync::Arc;

use holdfast_engine::model::{LocPath, Meta, Name, Version};
use holdfast_engine::remote::{NewMeta, RemoteError, Source};

use super::call::Call;
use super::remote::{refusal, temp_prefix};
use super::tree::{Body, Ino, split};
use super::{Hit, State, Window};

type Answer<T> = Result<T, RemoteError>;

/// Bytes that travel in one piece.
const PIECE: u64 = 64 << 10;

/// Content that has arrived, under no name that anybody sees.
struct Upload {
    content: Arc<Vec<u8>>,
    /// The folder and temporary name under which it lies, where the server has it so.
    temp: Option<(Ino, Vec<u8>)>,
}

impl Call {
    pub(super) async fn create_file(
        &self,
        path: &LocPath,
        source: Arc<dyn Source>,
        meta: &NewMeta,
    ) -> Answer<Meta> {
        {
            let state = self.link.server.inner.state.lock();
            let (_, name) = state.free_place(path)?;
            if let Some(why) = state.profile.refuses(&name) {
                return Err(RemoteError::BadName(why.into()));
            }
        }
        let upload = self.upload(path, source, None).await?;
        self.race(path);
        let now = self.link.server.now();
        let (ino, made) = {
            let mut guard = self.link.server.inner.state.lock();
            let state = &mut *guard;
            state.drop_temp(&upload);
            let (folder, name) = state.free_place(path)?;
            let ino = state.new_file(&upload.content, meta, now);
            state.tree.attach(folder, &name, ino, &state.profile).map_err(refusal)?;
            self.note_content(state, "create", path, None, Some(upload.content));
            (ino, state.tree.meta(ino, &state.profile))
        };
        self.settle(path, Some(ino));
        Ok(made)
    }

    pub(super) async fn replace_file(
        &self,
        path: &LocPath,
        version: &Version,
        source: Arc<dyn Source>,
        meta: &NewMeta,
    ) -> Answer<Meta> {
        let base = {
            let state = self.link.server.inner.state.lock();
            let ino = state.guarded(path.as_bytes(), version)?;
            state.content(ino).ok_or_else(|| state.changed(ino))?
        };
        let upload = self.upload(path, source, Some(base)).await?;
        self.last_look(path, version, Some(&upload)).await?;
        let now = self.link.server.now();
        let (ino, answer) = {
            let mut guard = self.link.server.inner.state.lock();
            let swapped = self.swap(&mut guard, path, version, &upload, meta, now);
            guard.drop_temp(&upload);
            swapped?
        };
        self.settle(path, Some(ino));
        answer
    }

    pub(super) async fn remove_file(&self, path: &LocPath, version: &Version) -> Answer<()> {
        self.last_look(path, version, None).await?;
        {
            let mut guard = self.link.server.inner.state.lock();
            let state = &mut *guard;
            let ino = state.reach(path.as_bytes(), true)?;
            if state.tree.folder(ino).is_ok() {
                return Err(state.changed(ino));
            }
            let content = state.content(ino);
            let raced = state.is_version(ino, version);
            match (raced, state.profile.window) {
                (Ok(()), _) => {}
                // What was moved aside before it is removed can be looked at and moved back.
                (Err(changed), Window::None | Window::Keeps) => return Err(changed),
                (Err(_), Window::Loses) => {
                    let path = path.as_bytes().to_vec();
                    let content = content.clone().unwrap_or_default();
                    state.hits.push(Hit::Lost { path, content });
                }
            }
            let (folder, name) = split(path.as_bytes()).ok_or(RemoteError::NotFound)?;
            let folder = state.reach(&folder, false)?;
            state.tree.detach(folder, &name, &state.profile).map_err(refusal)?;
            state.tree.drop_unnamed(ino, &state.profile);
            self.note_content(state, "remove", path, content, None);
        }
        self.settle(path, None);
        Ok(())
    }

    /// The look at the version, as late as it can be, and what gets in between it and the swap.
    async fn last_look(&self, path: &LocPath, version: &Version, upload: Option<&Upload>) -> Answer<()> {
        let window = {
            let mut state = self.link.server.inner.state.lock();
            if let Err(error) = state.guarded(path.as_bytes(), version) {
                if let Some(upload) = upload {
                    state.drop_temp(upload);
                }
                return Err(error);
            }
            state.profile.window
        };
        self.race(path);
        if window != Window::None {
            self.pause().await;
        }
        Ok(())
    }

    /// Lets the second user do what a test, or chance, has put at this point.
    fn race(&self, path: &LocPath) {
        let server = &self.link.server;
        let (planned, drawn) = {
            let mut guard = server.inner.state.lock();
            let state = &mut *guard;
            let at = state.races.iter().position(|(at, _)| at == path.as_bytes());
            let planned = at.map(|at| state.races.remove(at).1);
            let drawn = state.rng.chance(state.faults.races);
            let exists = state.tree.find(path.as_bytes(), &state.profile).is_ok();
            (planned, (drawn && exists).then(|| crate::words::content(&mut state.rng)))
        };
        if let Some(race) = planned {
            race(&server.user());
        }
        if let Some(content) = drawn {
            let path = path.as_bytes().to_vec();
            // A folder may be there by now.
            let _ = server.user().apply(&super::UserAction::Write { path, content });
        }
    }

    /// Brings the bytes over; with `base` only what differs from it, where the server can.
    async fn upload(
        &self,
        path: &LocPath,
        source: Arc<dyn Source>,
        base: Option<Arc<Vec<u8>>>,
    ) -> Answer<Upload> {
        let temp = self.begin_upload(path, source.size())?;
        let content = match self.bring(source.as_ref(), base).await {
            Ok(content) => Arc::new(content),
            Err(error) => {
                // A client that is still there clears up after itself.
                if !matches!(error, RemoteError::Gone { .. }) {
                    let content = Arc::default();
                    let mut state = self.link.server.inner.state.lock();
                    state.drop_temp(&Upload { content, temp });
                }
                return Err(error);
            }
        };
        let mut state = self.link.server.inner.state.lock();
        if let Some((folder, name)) = &temp {
            state.fill_temp(*folder, name, &content);
        }
        Ok(Upload { content, temp })
    }

    /// The bytes of a source, over the line.
    async fn bring(&self, source: &dyn Source, base: Option<Arc<Vec<u8>>>) -> Answer<Vec<u8>> {
        let mut content = Vec::new();
        let changed = source.changed_ranges().filter(|_| {
            let state = self.link.server.inner.state.lock();
            state.profile.capabilities.ranged_write
        });
        let ranges = match (changed, base) {
            (Some(changed), Some(base)) => {
                content.extend_from_slice(&base);
                changed
            }
            _ => source.data_ranges(),
        };
        let size = usize::try_from(source.size()).expect("simulated files fit into memory");
        content.resize(size, 0);
        for range in ranges {
            assert!(range.end <= source.size(), "a range of a source ends in it");
            let mut at = range.start;
            while at < range.end {
                let piece = PIECE.min(source.piece_bytes()).min(range.end - at);
                self.held_up(source.turn(piece)).await;
                let into = &mut content[at as usize..(at + piece) as usize];
                let read = source.read_at(at, into);
                let whole = read.map_err(|e| RemoteError::Io(format!("what is sent cannot be read: {e}")))?;
                assert_eq!(whole as u64, piece, "a source is short only at its end");
                self.send(piece).await?;
                at += piece;
            }
        }
        Ok(content)
    }

    /// Looks whether there is room, and makes the temporary name.
    fn begin_upload(&self, path: &LocPath, size: u64) -> Answer<Option<(Ino, Vec<u8>)>> {
        let now = self.link.server.now();
        let mut guard = self.link.server.inner.state.lock();
        let state = &mut *guard;
        let room = state.faults.capacity.map(|c| c.saturating_sub(state.tree.used_bytes()));
        if room.is_some_and(|room| room < size) {
            return Err(RemoteError::NoSpace("no room is left on it".into()));
        }
        if !state.profile.uploads_beside {
            return Ok(None);
        }
        let (folder, _) = split(path.as_bytes()).ok_or(RemoteError::NotFound)?;
        let folder = state.reach(&folder, false)?;
        let name = state.new_temp(&self.link.owner);
        let body = Body::File(Arc::default());
        let ino = state.tree.add(body, 0o600, now, state.profile.reuses_file_ids);
        state.tree.attach(folder, &name, ino, &state.profile).map_err(refusal)?;
        Ok(Some((folder, name)))
    }

    fn swap(
        &self,
        state: &mut State,
        path: &LocPath,
        version: &Version,
        upload: &Upload,
        meta: &NewMeta,
        now: holdfast_engine::model::Time,
    ) -> Answer<(Ino, Answer<Meta>)> {
        let (folder, name) = split(path.as_bytes()).ok_or(RemoteError::NotFound)?;
        let folder = state.reach(&folder, false)?;
        let old = match state.reach(path.as_bytes(), true) {
            Ok(old) if state.tree.folder(old).is_ok() => return Err(state.changed(old)),
            Ok(old) => Some(old),
            // A plain rename finds nothing to replace, and is done.
            Err(RemoteError::NotFound) if state.profile.window != Window::None => None,
            Err(error) => return Err(error),
        };
        let raced = old.filter(|old| state.is_version(*old, version).is_err());
        if let (Some(old), Window::None) = (raced, state.profile.window) {
            return Err(state.changed(old));
        }
        let before = old.and_then(|old| state.content(old));
        let ino = if let Some(old) = old.filter(|_| !state.profile.uploads_beside) {
            state.overwrite_file(old, &upload.content, meta, now);
            old
        } else {
            if let Some(old) = old {
                state.tree.detach(folder, &name, &state.profile).map_err(refusal)?;
                if raced.is_none() {
                    state.tree.drop_unnamed(old, &state.profile);
                }
            }
            let ino = state.new_file(&upload.content, meta, now);
            state.tree.attach(folder, &name, ino, &state.profile).map_err(refusal)?;
            ino
        };
        let after = Some(upload.content.clone());
        self.note_content(state, "replace", path, before.clone(), after);
        let now = state.tree.meta(ino, &state.profile);
        let answer = match raced {
            None => Ok(now),
            Some(old) => self.displace(state, path, folder, old, before, now),
        };
        Ok((ino, answer))
    }

    /// Somebody's newer version was swapped out: it is kept beside, or lost.
    fn displace(
        &self,
        state: &mut State,
        path: &LocPath,
        folder: Ino,
        old: Ino,
        content: Option<Arc<Vec<u8>>>,
        now: Meta,
    ) -> Answer<Meta> {
        let (path, content) = (path.as_bytes().to_vec(), content.unwrap_or_default());
        if state.profile.window == Window::Keeps {
            let kept = state.new_temp(&self.link.owner);
            state.tree.attach(folder, &kept, old, &state.profile).map_err(refusal)?;
            state.hits.push(Hit::Displaced { path, content });
            let kept = Name::new(&kept).expect("temporary names are names");
            return Err(RemoteError::Displaced { kept, now: Box::new(now) });
        }
        state.tree.drop_unnamed(old, &state.profile);
        state.hits.push(Hit::Lost { path, content });
        Ok(now)
    }
}

impl State {
    fn content(&self, ino: Ino) -> Option<Arc<Vec<u8>>> {
        match &self.tree.node(ino).body {
            Body::File(content) => Some(content.clone()),
            _ => None,
        }
    }

    fn new_temp(&mut self, owner: &str) -> Vec<u8> {
        self.next_temp += 1;
        [temp_prefix(owner), self.next_temp.to_string().into_bytes()].concat()
    }

    fn fill_temp(&mut self, folder: Ino, name: &[u8], content: &Arc<Vec<u8>>) {
        let key = self.profile.key(name);
        let Some(Ok(entries)) = self.tree.exists(folder).then(|| self.tree.folder(folder)) else {
            return;
        };
        if let Some((_, ino)) = entries.get(&key) {
            let ino = *ino;
            self.tree.node_mut(ino).body = Body::File(content.clone());
        }
    }

    fn drop_temp(&mut self, upload: &Upload) {
        let Some((folder, name)) = &upload.temp else {
            return;
        };
        if self.tree.exists(*folder)
            && let Ok(ino) = self.tree.detach(*folder, name, &self.profile)
        {
            self.tree.drop_unnamed(ino, &self.profile);
        }
    }

    fn new_file(&mut self, content: &Arc<Vec<u8>>, meta: &NewMeta, now: holdfast_engine::model::Time) -> Ino {
        let body = Body::File(content.clone());
        let ino = self.tree.add(body, 0, now, self.profile.reuses_file_ids);
        self.overwrite_file(ino, content, meta, now);
        ino
    }

    fn overwrite_file(
        &mut self,
        ino: Ino,
        content: &Arc<Vec<u8>>,
        meta: &NewMeta,
        now: holdfast_engine::model::Time,
    ) {
        let (profile, can) = (&self.profile, &self.profile.capabilities);
        let node = self.tree.node_mut(ino);
        node.body = Body::File(content.clone());
        node.mode = profile.mode(meta.mode, false);
        node.mtime = profile.step(if can.set_times { meta.mtime } else { now });
        if let Some(xattrs) = meta.xattrs.as_ref().filter(|_| can.xattrs) {
            let kept = xattrs.iter().filter(|(name, _)| name.starts_with(b"user."));
            node.xattrs = kept.cloned().collect();
        }
        self.tree.touch(ino, true, &self.profile);
    }
}
