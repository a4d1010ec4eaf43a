//! The location's folder on the server, over one session: paths, looks, temporary names.
//!
//! Paths are strings which the server resolves, links included. So each folder on the way to
//! something is looked at before anything is done there, and a look is good for a moment.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use holdfast_engine::model::{Kind, LocPath, Meta, Name, Version};
use holdfast_engine::remote::RemoteError;

use super::answer::{Answer, Failure};
use super::clock::{self, Clock};
use super::codec::{Attrs, Request};
use super::probe::Can;
use super::seen::Seen;
use super::session::{Opened, Session, lock};
use super::status::refused;
use crate::temp::{self, Holds};
use crate::token::Token;

/// For how long a folder that was looked at is one.
const FRESH: Duration = Duration::from_secs(1);
/// For how long what a listing told of kinds is so.
const LISTED: Duration = Duration::from_secs(10);
/// More are forgotten together.
const MOST_FOLDERS: usize = 20_000;

pub struct Place {
    pub session: Arc<Session>,
    /// Without a slash at its end; empty for `/`.
    root: Vec<u8>,
    pub owner: String,
    pub can: Can,
    pub clock: Clock,
    /// Requests are carried out in the order in which they are sent, as far as has been seen.
    in_order: AtomicBool,
    folders: Mutex<HashMap<LocPath, Instant>>,
    listed: Mutex<HashMap<LocPath, Instant>>,
}

impl Place {
    pub fn new(session: Arc<Session>, root: Vec<u8>, owner: String) -> Place {
        Place {
            session,
            root,
            owner,
            can: Can::default(),
            clock: Clock::same(),
            in_order: AtomicBool::new(false),
            folders: Mutex::default(),
            listed: Mutex::default(),
        }
    }

    pub fn at(&self, path: &LocPath) -> Vec<u8> {
        match path.is_root() {
            true if self.root.is_empty() => b"/".to_vec(),
            true => self.root.clone(),
            false => [&self.root[..], b"/", path.as_bytes()].concat(),
        }
    }

    /// The folder that holds a path.
    pub fn parent(path: &LocPath) -> Result<LocPath, RemoteError> {
        let last = path.split_last();
        last.map(|(folder, _)| folder)
            .ok_or_else(|| RemoteError::Forbidden("this is the folder of the location itself".into()))
    }

    /// A new temporary name beside a path.
    pub fn temp_beside(&self, path: &LocPath, holds: Holds) -> Result<(Name, Vec<u8>), RemoteError> {
        let name = temp::name(&self.owner, holds).map_err(|e| RemoteError::Io(e.to_string()))?;
        let at = self.at(&Place::parent(path)?.join(&name));
        Ok((name, at))
    }

    pub fn is_in_order(&self) -> bool {
        self.in_order.load(Ordering::Relaxed)
    }

    pub fn set_in_order(&self, is: bool) {
        self.in_order.store(is, Ordering::Relaxed);
    }

    /// Requests that build on one another: together where the server keeps their order, else one by
    /// one. Each answer is taken by itself; where they go one by one, a failure is the last.
    pub async fn in_turn(
        &self,
        requests: &[Request<'_>],
    ) -> Result<Vec<Result<Attrs, Failure>>, RemoteError> {
        self.in_turn_closing(requests, None).await
    }

    /// As [`in_turn`](Place::in_turn), where one of them closes this.
    pub async fn in_turn_closing(
        &self,
        requests: &[Request<'_>],
        mut closing: Option<Opened>,
    ) -> Result<Vec<Result<Attrs, Failure>>, RemoteError> {
        let mut results = Vec::with_capacity(requests.len());
        if self.is_in_order() {
            let answers = self.session.begin_all(requests, closing).await?;
            for (request, answer) in requests.iter().zip(answers) {
                results.push(attrs_or_done(request, answer).await);
            }
        } else {
            for request in requests {
                let closed = if matches!(request, Request::Close { .. }) { closing.take() } else { None };
                let answers = self.session.begin_all(&[*request], closed).await?;
                for answer in answers {
                    results.push(attrs_or_done(request, answer).await);
                }
                if results.last().is_some_and(Result::is_err) {
                    break;
                }
            }
        }
        match results.iter().find_map(|r| if let Err(Failure::Lost(e)) = r { Some(e) } else { None }) {
            Some(error) => Err(error.clone()),
            None => Ok(results),
        }
    }

    /// One request that is done or not.
    pub async fn done(&self, request: Request<'_>) -> Result<(), Failure> {
        self.session.begin(request).await?.done().await
    }

    /// What is at a full path; the link itself.
    pub async fn look_at(&self, path: &[u8]) -> Result<Seen, Failure> {
        let attrs = self.session.begin(Request::Lstat { path }).await?.attrs().await?;
        self.with_target(path, &attrs).await
    }

    /// After an `lstat`: the rest of the look.
    pub async fn with_target(&self, path: &[u8], attrs: &Attrs) -> Result<Seen, Failure> {
        let is_link = attrs.permissions.is_some_and(|mode| Kind::from_mode(mode) == Kind::Symlink);
        let target = match is_link {
            true => Some(self.session.begin(Request::Readlink { path }).await?.name().await?),
            false => None,
        };
        Ok(Seen::new(attrs, target)?)
    }

    pub async fn look(&self, path: &LocPath) -> Result<Seen, Failure> {
        let at = self.at(path);
        if path.is_root() {
            // The path is the person's own: links in it are followed.
            let attrs = self.session.begin(Request::Stat { path: &at }).await?.attrs().await?;
            return Ok(Seen::new(&attrs, None)?);
        }
        self.look_at(&at).await
    }

    /// `Changed` unless exactly this version is at the path.
    pub async fn guard(&self, path: &LocPath, version: &Version) -> Result<Seen, RemoteError> {
        let now = self.look(path).await.map_err(refused)?;
        if now.token().version() == *version { Ok(now) } else { Err(changed_to(&now)) }
    }

    /// `Changed`, with what is there now.
    pub async fn changed(&self, path: &LocPath) -> RemoteError {
        match self.look(path).await {
            Ok(now) => changed_to(&now),
            Err(Failure::Lost(error @ RemoteError::Gone { .. })) => error,
            Err(_) => RemoteError::Changed { now: None },
        }
    }

    /// After a refusal to give something the name `path`: is something else there?
    pub async fn taken_or(&self, path: &LocPath, error: RemoteError) -> RemoteError {
        match (&error, self.look(path).await) {
            (RemoteError::Gone { .. }, _) => error,
            (_, Ok(now)) => changed_to(&now),
            (RemoteError::Changed { .. }, Err(_)) => RemoteError::Changed { now: None },
            (_, Err(_)) => error,
        }
    }

    /// Makes sure that no link is on the way to what is in this folder. `NotFound` where one is.
    pub async fn way_to(&self, folder: &LocPath) -> Result<(), RemoteError> {
        let mut unknown = Vec::new();
        let mut at = folder.clone();
        {
            let known = lock(&self.folders);
            while !at.is_root() && known.get(&at).is_none_or(|seen| seen.elapsed() > FRESH) {
                let above = Place::parent(&at)?;
                unknown.push(at);
                at = above;
            }
        }
        let looks = unknown.iter().map(|folder| async move {
            let path = self.at(folder);
            let attrs = self.session.begin(Request::Lstat { path: &path }).await?.attrs().await;
            let is_folder = |a: Attrs| a.permissions.is_some_and(|m| Kind::from_mode(m) == Kind::Folder);
            match attrs.map(is_folder) {
                Ok(true) => Ok(()),
                Ok(false) => Err(RemoteError::NotFound),
                Err(failure) => Err(refused(failure)),
            }
        });
        try_join_all(looks).await?;
        unknown.into_iter().for_each(|folder| self.is_folder(folder));
        Ok(())
    }

    /// Notes that a folder was seen to be one, just now.
    pub fn is_folder(&self, folder: LocPath) {
        let mut known = lock(&self.folders);
        if known.len() >= MOST_FOLDERS {
            known.clear();
        }
        known.insert(folder, Instant::now());
    }

    /// Notes that all kinds of what is in a folder were just told.
    pub fn is_listed(&self, folder: LocPath) {
        let mut listed = lock(&self.listed);
        if listed.len() >= MOST_FOLDERS {
            listed.clear();
        }
        listed.insert(folder, Instant::now());
    }

    pub fn was_listed(&self, folder: &LocPath) -> bool {
        lock(&self.listed).get(folder).is_some_and(|at| at.elapsed() < LISTED)
    }

    /// Something was moved or removed: what was known of folders may be so no more.
    pub fn forget_folders(&self) {
        lock(&self.folders).clear();
    }

    /// Waits while a change at this moment could still get this time.
    pub async fn wait_past(&self, mtime: u32) -> bool {
        let wait = self.clock.until_past(mtime, clock::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        !wait.is_zero()
    }
}

async fn attrs_or_done(request: &Request<'_>, answer: Answer) -> Result<Attrs, Failure> {
    match request {
        Request::Lstat { .. } | Request::Stat { .. } | Request::Fstat { .. } => answer.attrs().await,
        _ => answer.done().await.map(|()| Attrs::default()),
    }
}

pub fn changed_to(now: &Seen) -> RemoteError {
    RemoteError::Changed { now: now.meta().ok().map(Box::new) }
}

/// What the engine is told of what we put there. Where somebody wrote into it already, the version is
/// the one it had before that, which never comes again: the engine will see a change.
pub fn as_ours(now: &Seen, ours: &Token) -> Result<Meta, RemoteError> {
    let mut meta = now.meta()?;
    if now.token() != *ours {
        meta.version = ours.version();
    }
    Ok(meta)
}
