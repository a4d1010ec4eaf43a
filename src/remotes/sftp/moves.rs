//! Giving something another name without ever overwriting one, and putting new content in place of old
//! without ever losing what was there: as far as the server lets us, best way first.

use holdfast_engine::model::{LocPath, Name};
use holdfast_engine::remote::RemoteError;

use super::answer::Failure;
use super::codec::{Attrs, Request};
use super::place::Place;
use super::seen::Seen;
use super::status::{naming, refused};
use crate::temp::Holds;
use crate::token::Token;

/// Renames, unless something has the new name: then `Changed`.
///
/// By a `rename` that refuses to overwrite; else, of files, by a second name and removing the first;
/// else by looking and then renaming, where between the two somebody's new file can be overwritten.
pub async fn no_replace(
    place: &Place,
    from: &[u8],
    to: &LocPath,
    is_folder: bool,
) -> Result<(), RemoteError> {
    let at = place.at(to);
    if place.can.no_replace && !is_folder {
        return match place.done(Request::Rename { from, to: &at }).await {
            Ok(()) => Ok(()),
            Err(failure) => Err(place.taken_or(to, naming(failure)).await),
        };
    }
    if place.can.hard_links && !is_folder {
        match place.done(Request::Hardlink { from, to: &at }).await {
            Ok(()) => return place.done(Request::Remove { path: from }).await.map_err(refused),
            Err(failure) if failure.is_missing() => return Err(RemoteError::NotFound),
            Err(Failure::Lost(error)) => return Err(error),
            Err(_) => match place.look(to).await {
                Ok(now) => return Err(super::place::changed_to(&now)),
                // It gives this one no second name.
                Err(failure) if failure.is_missing() => {}
                Err(failure) => return Err(refused(failure)),
            },
        }
    }
    match place.look(to).await {
        Ok(now) => return Err(super::place::changed_to(&now)),
        Err(failure) if failure.is_missing() => {}
        Err(failure) => return Err(naming(failure)),
    }
    let rename = match place.can.posix_rename {
        true => Request::PosixRename { from, to: &at },
        false => Request::Rename { from, to: &at },
    };
    match place.done(rename).await {
        Ok(()) => Ok(()),
        Err(failure) => Err(place.taken_or(to, naming(failure)).await),
    }
}

/// New content that is complete under a temporary name, and what it is to replace.
pub struct Replacement<'a> {
    pub place: &'a Place,
    pub path: &'a LocPath,
    /// Where the new content lies.
    pub temp: &'a [u8],
    /// The marks of the new content.
    pub ours: &'a Token,
    /// The marks of what is to be replaced.
    pub old: &'a Token,
}

/// Whether the temporary name may be removed after a failure, or the new content is not there any more.
pub enum Refused {
    /// The new content is still under the temporary name.
    Clean(RemoteError),
    /// It is not, or nobody knows.
    Settled(RemoteError),
}

/// What a swap put away.
enum Out {
    /// And how the new content looks in its place, where that was seen.
    Old(Option<Attrs>),
    /// Nothing was at the path.
    Nothing,
    /// Somebody else's, and where it is kept.
    Theirs { kept: Name, path: Vec<u8> },
}

impl Replacement<'_> {
    /// Where the new content was looked at in its place already, how it looks.
    pub async fn run(&self) -> Result<Option<Attrs>, Refused> {
        if self.place.can.hard_links && self.place.can.posix_rename && self.place.is_in_order() {
            return match self.swap(self.temp, self.old).await? {
                Out::Old(now) => Ok(now),
                Out::Nothing => Err(self.withdraw().await),
                Out::Theirs { kept, path } => Err(self.put_back(kept, &path).await),
            };
        }
        if self.place.can.posix_rename || self.place.can.rename_replaces {
            return self.rename_over().await.map(|()| None);
        }
        self.rename_aside().await.map(|()| None)
    }

    fn at(&self) -> Vec<u8> {
        self.place.at(self.path)
    }

    async fn changed(&self) -> RemoteError {
        self.place.changed(self.path).await
    }

    /// Gives what is at the path a second name and at once replaces it by `from`: the two requests
    /// follow one another on the server, so what is kept is what was replaced. Then it is looked at.
    async fn swap(&self, from: &[u8], expected: &Token) -> Result<Out, Refused> {
        let at = self.at();
        let (kept, path) = self.place.temp_beside(self.path, Holds::PerhapsTheirs).map_err(Refused::Clean)?;
        let requests = [
            Request::Lstat { path: &at },
            Request::Hardlink { from: &at, to: &path },
            Request::PosixRename { from, to: &at },
            Request::Lstat { path: &path },
        ];
        let results = self.place.in_turn(&requests).await.map_err(Refused::Settled)?;
        let [before, link, rename, out] = &results[..] else {
            return Err(Refused::Settled(RemoteError::Io("it answers too little".into())));
        };
        let remove = Request::Remove { path: &path };
        if let Err(failure) = rename {
            if link.is_ok() {
                let _ = self.place.done(remove).await;
            }
            return Err(Refused::Clean(naming(failure.clone())));
        }
        let token = |attrs: &_| Seen::new(attrs, None).map(|seen| seen.token());
        match (link, out) {
            (Ok(_), Ok(attrs)) => {
                let out = token(attrs).map_err(Refused::Settled)?;
                if out == *self.ours && out != *expected {
                    // It was renamed before it was linked: this server does not keep the order.
                    self.place.set_in_order(false);
                } else if out != *expected {
                    return Ok(Out::Theirs { kept, path });
                }
                // What cannot be removed is a leftover, which is found again.
                let steps = [remove, Request::Lstat { path: &at }];
                let mut results = self.place.in_turn(&steps).await.map_err(Refused::Settled)?;
                Ok(Out::Old(results.pop().and_then(Result::ok).filter(|_| results.len() == 1)))
            }
            (Err(failure), _) if failure.is_missing() => Ok(Out::Nothing),
            (Err(_), _) => match before {
                // It gives this file no second name: the look just before is all there is.
                Ok(attrs) if token(attrs).is_ok_and(|t| t == *expected) => Ok(Out::Old(None)),
                _ => Err(Refused::Settled(RemoteError::Io(
                    "it changed at the very moment it was replaced, and could not be kept".into(),
                ))),
            },
            (Ok(_), Err(failure)) => Err(Refused::Settled(refused(failure.clone()))),
        }
    }

    /// Somebody removed the file just before: ours goes again.
    async fn withdraw(&self) -> Refused {
        let at = self.at();
        match self.place.look(self.path).await {
            Ok(now) if now.token() == *self.ours => {}
            _ => return Refused::Settled(self.changed().await),
        }
        match remove(self.place, self.path, self.ours).await {
            Ok(()) => Refused::Settled(RemoteError::NotFound),
            Err(error) => {
                tracing::debug!(path = %String::from_utf8_lossy(&at), %error, "what was removed is there again");
                Refused::Settled(error)
            }
        }
    }

    /// Somebody's content lies at `kept`, where ours is at the path: both change places again.
    async fn put_back(&self, kept: Name, path: &[u8]) -> Refused {
        match self.swap(path, self.ours).await {
            Ok(Out::Old(_) | Out::Nothing) => Refused::Settled(self.changed().await),
            // A third content was there by then: it is the newest, and stays beside.
            Ok(Out::Theirs { kept, .. }) => Refused::Settled(self.displaced(kept).await),
            Err(Refused::Clean(_)) => Refused::Settled(self.displaced(kept).await),
            Err(settled) => settled,
        }
    }

    /// Somebody's content lies at `kept`; what is at the path now is told with it.
    async fn displaced(&self, kept: Name) -> RemoteError {
        match self.place.look(self.path).await.map_err(refused).and_then(|now| now.meta()) {
            Ok(now) => RemoteError::Displaced { kept, now: Box::new(now) },
            Err(_) => RemoteError::Io(format!(
                "what was there is kept under the name {}",
                String::from_utf8_lossy(kept.as_bytes())
            )),
        }
    }

    async fn look_again(&self) -> Result<(), RemoteError> {
        let now = self.place.look(self.path).await.map_err(refused)?;
        if now.token() == *self.old { Ok(()) } else { Err(super::place::changed_to(&now)) }
    }

    /// One request after the other. With hard links the old content has a second name by then, so a
    /// write into it is seen afterwards; another file put at the path after the last look is not.
    async fn rename_over(&self) -> Result<(), Refused> {
        let (place, at) = (self.place, self.at());
        let keep = match place.can.hard_links {
            true => {
                let (kept, path) =
                    place.temp_beside(self.path, Holds::PerhapsTheirs).map_err(Refused::Clean)?;
                match place.done(Request::Hardlink { from: &at, to: &path }).await {
                    Ok(()) => Some((kept, path)),
                    Err(Failure::Lost(error)) => return Err(Refused::Clean(error)),
                    Err(failure) if failure.is_missing() => {
                        return Err(Refused::Clean(RemoteError::NotFound));
                    }
                    // Not for this file: as where there are none.
                    Err(_) => None,
                }
            }
            false => None,
        };
        let rename = match place.can.posix_rename {
            true => Request::PosixRename { from: self.temp, to: &at },
            false => Request::Rename { from: self.temp, to: &at },
        };
        let done = match self.look_again().await {
            Ok(()) => place.done(rename).await.map_err(naming),
            Err(error) => Err(error),
        };
        let Some((kept, path)) = keep else {
            return done.map_err(Refused::Clean);
        };
        let remove = Request::Remove { path: &path };
        if let Err(error) = done {
            let _ = place.done(remove).await;
            return Err(Refused::Clean(error));
        }
        match place.look_at(&path).await {
            Ok(old) if old.token() == *self.old => {
                let _ = place.done(remove).await;
                Ok(())
            }
            // The new content is at the path: the temporary name is gone.
            Ok(_) => Err(Refused::Settled(self.displaced(kept).await)),
            Err(failure) => Err(Refused::Settled(refused(failure))),
        }
    }

    /// Plain version 3: the old content steps aside, and the path is absent for a moment; where the
    /// server keeps the order, for no longer than it takes from one request to the next.
    async fn rename_aside(&self) -> Result<(), Refused> {
        let (place, at) = (self.place, self.at());
        let (kept, path) = place.temp_beside(self.path, Holds::PerhapsTheirs).map_err(Refused::Clean)?;
        self.look_again().await.map_err(Refused::Clean)?;
        let requests = [
            Request::Rename { from: &at, to: &path },
            Request::Rename { from: self.temp, to: &at },
            Request::Lstat { path: &path },
        ];
        let results = place.in_turn(&requests).await.map_err(Refused::Settled)?;
        let is_done = |step: usize| results.get(step).is_some_and(Result::is_ok);
        match results.first() {
            Some(Ok(_)) => {}
            // Somebody removed the file just before, and ours took its place.
            Some(Err(_)) if is_done(1) => return Err(self.withdraw().await),
            Some(Err(failure)) => return Err(Refused::Clean(refused(failure.clone()))),
            None => return Err(Refused::Clean(RemoteError::Io("it answers too little".into()))),
        }
        if !is_done(1) {
            let error = results.get(1).and_then(|r| r.clone().err()).map_or(RemoteError::NotFound, naming);
            return Err(Refused::Clean(match no_replace(place, &path, self.path, false).await {
                Ok(()) => error,
                Err(error @ RemoteError::Gone { .. }) => error,
                // Somebody's newer file is there; the old one is kept beside.
                Err(_) => self.displaced(kept).await,
            }));
        }
        match place.look_at(&path).await {
            Ok(out) if out.token() == *self.old => {
                let _ = place.done(Request::Remove { path: &path }).await;
                Ok(())
            }
            Ok(_) => Err(Refused::Settled(self.change_back(kept, &path).await)),
            Err(failure) => Err(Refused::Settled(refused(failure))),
        }
    }

    /// Somebody's content lies at `kept`, where ours is at the path: ours goes, theirs comes back.
    async fn change_back(&self, kept: Name, path: &[u8]) -> RemoteError {
        if remove(self.place, self.path, self.ours).await.is_ok()
            && no_replace(self.place, path, self.path, false).await.is_ok()
        {
            return self.changed().await;
        }
        self.displaced(kept).await
    }
}

/// Moves what is at a path to a temporary name beside it, if it is `old`; else nothing has changed.
async fn aside(place: &Place, path: &LocPath, old: &Token) -> Result<(Name, Vec<u8>), RemoteError> {
    let at = place.at(path);
    let (kept, to) = place.temp_beside(path, Holds::PerhapsTheirs)?;
    let steps = [Request::Rename { from: &at, to: &to }, Request::Lstat { path: &to }];
    let results = place.in_turn(&steps).await?;
    if let Some(Err(failure)) = results.first() {
        return Err(refused(failure.clone()));
    }
    let seen = match results.get(1) {
        Some(Ok(attrs)) => place.with_target(&to, attrs).await,
        Some(Err(failure)) => Err(failure.clone()),
        None => Err(RemoteError::Io("it answers too little".into()).into()),
    };
    let failure = match seen {
        Ok(now) if now.token() == *old => return Ok((kept, to)),
        Ok(_) => None,
        Err(failure) => Some(refused(failure)),
    };
    Err(match no_replace(place, &to, path, false).await {
        Ok(()) => match failure {
            Some(failure) => failure,
            None => place.changed(path).await,
        },
        Err(RemoteError::Changed { now: Some(now) }) => RemoteError::Displaced { kept, now },
        Err(other) => other,
    })
}

/// Takes the file at a path away, if it is `old`: moved aside, looked at, and then removed or moved
/// back. So nothing but the file that was meant is ever removed.
pub async fn remove(place: &Place, path: &LocPath, old: &Token) -> Result<(), RemoteError> {
    let (_, kept) = aside(place, path, old).await?;
    match place.done(Request::Remove { path: &kept }).await {
        Ok(()) => Ok(()),
        Err(failure) => {
            let error = refused(failure);
            // Nothing is to be gone halfway.
            match no_replace(place, &kept, path, false).await {
                Ok(()) => Err(error),
                Err(other) => Err(other),
            }
        }
    }
}
