//! Folders, links, removing and renaming.

use holdfast_engine::model::{LocPath, Meta, Version};
use holdfast_engine::remote::{NewMeta, RemoteError};

use super::codec::{Attrs, Request};
use super::moves;
use super::place::{Place, changed_to};
use super::probe::symlink;
use super::status::{naming, refused};
use super::{attrs, list};
use crate::kinds::MODE_MASK;
use crate::temp;

pub async fn create_folder(place: &Place, path: &LocPath, meta: &NewMeta) -> Result<Meta, RemoteError> {
    place.way_to(&Place::parent(path)?).await?;
    let at = place.at(path);
    let mode = meta.mode & MODE_MASK;
    let make = Request::Mkdir { path: &at, attrs: Attrs { permissions: Some(mode), ..Attrs::default() } };
    if let Err(failure) = place.done(make).await {
        return Err(place.taken_or(path, naming(failure)).await);
    }
    let mut made = place.look(path).await.map_err(refused)?;
    // The server's umask took bits; whoever put another folder there meanwhile keeps theirs.
    if place.can.modes && made.is_folder() && made.mode() != mode {
        let wanted = Attrs { permissions: Some(mode), ..Attrs::default() };
        attrs::set_on_path(place, &at, wanted).await?;
        made = place.look(path).await.map_err(refused)?;
    }
    if !made.is_folder() {
        return Err(changed_to(&made));
    }
    place.is_folder(path.clone());
    made.meta()
}

pub async fn create_symlink(place: &Place, path: &LocPath, target: &[u8]) -> Result<Meta, RemoteError> {
    if !place.can.symlinks {
        return Err(RemoteError::Unsupported("its SFTP server makes no symbolic links as they are told"));
    }
    place.way_to(&Place::parent(path)?).await?;
    let at = place.at(path);
    let make = symlink(place.can.symlink_swapped, target, &at);
    if let Err(failure) = place.done(make).await {
        return Err(place.taken_or(path, naming(failure)).await);
    }
    let made = place.look(path).await.map_err(refused)?;
    if made.target.as_deref() == Some(target) { made.meta() } else { Err(changed_to(&made)) }
}

pub async fn create_link(
    place: &Place,
    existing: &LocPath,
    version: &Version,
    path: &LocPath,
) -> Result<Meta, RemoteError> {
    if !place.can.hard_links {
        return Err(RemoteError::Unsupported("its SFTP server makes no hard links"));
    }
    let (first, second) = (Place::parent(existing)?, Place::parent(path)?);
    let ((), (), old) =
        futures::try_join!(place.way_to(&first), place.way_to(&second), place.guard(existing, version))?;
    let (from, to) = (place.at(existing), place.at(path));
    if let Err(failure) = place.done(Request::Hardlink { from: &from, to: &to }).await {
        return Err(place.taken_or(path, naming(failure)).await);
    }
    let now = place.look(path).await.map_err(refused)?;
    if now.token() == old.token() {
        return now.meta();
    }
    // Another file had come to the old path, and now has this name too: it keeps the first.
    let _ = moves::remove(place, path, &now.token()).await;
    Err(place.changed(existing).await)
}

pub async fn remove_file(place: &Place, path: &LocPath, version: &Version) -> Result<(), RemoteError> {
    let folder = Place::parent(path)?;
    let ((), old) = futures::try_join!(place.way_to(&folder), place.guard(path, version))?;
    if old.is_folder() {
        return Err(RemoteError::Forbidden("it is a folder".into()));
    }
    moves::remove(place, path, &old.token()).await
}

pub async fn remove_folder(place: &Place, path: &LocPath) -> Result<(), RemoteError> {
    place.way_to(&Place::parent(path)?).await?;
    place.forget_folders();
    let at = place.at(path);
    let Err(failure) = place.done(Request::Rmdir { path: &at }).await else {
        return Ok(());
    };
    // Version 3 has no word for "not empty".
    let now = place.look(path).await.map_err(refused)?;
    if !now.is_folder() {
        return Err(changed_to(&now));
    }
    if let error @ (RemoteError::Gone { .. } | RemoteError::Forbidden(_)) = refused(failure) {
        return Err(error);
    }
    clear_leftovers(place, path).await?;
    match place.done(Request::Rmdir { path: &at }).await {
        Ok(()) => Ok(()),
        Err(failure) => match list::names(place, path, |_| true).await {
            Ok(names) if names.is_empty() => Err(refused(failure)),
            Ok(_) => Err(RemoteError::NotEmpty),
            Err(error) => Err(error),
        },
    }
}

/// Removes our own temporary names from a folder that holds nothing else. One that may hold somebody
/// else's bytes keeps the folder: who asked looks at it first.
async fn clear_leftovers(place: &Place, folder: &LocPath) -> Result<(), RemoteError> {
    let names = list::names(place, folder, |_| true).await?;
    if names.iter().any(|(name, _)| !temp::is_only_ours(&place.owner, name)) {
        return Err(RemoteError::NotEmpty);
    }
    for (name, _) in names {
        let path = [&place.at(folder)[..], b"/", &name].concat();
        place.done(Request::Remove { path: &path }).await.map_err(refused)?;
    }
    Ok(())
}

pub async fn rename(
    place: &Place,
    from: &LocPath,
    version: Option<&Version>,
    to: &LocPath,
) -> Result<Meta, RemoteError> {
    let (first, second) = (Place::parent(from)?, Place::parent(to)?);
    let look = async {
        match version {
            Some(version) => place.guard(from, version).await,
            None => place.look(from).await.map_err(refused),
        }
    };
    let ((), (), old) = futures::try_join!(place.way_to(&first), place.way_to(&second), look)?;
    place.forget_folders();
    moves::no_replace(place, &place.at(from), to, old.is_folder()).await?;
    match place.look(to).await {
        Ok(now) if now.token() == old.token() => now.meta(),
        // Not what was meant: back, unless somebody has taken the old name meanwhile.
        Ok(now) => match moves::no_replace(place, &place.at(to), from, now.is_folder()).await {
            Ok(()) => Err(place.changed(from).await),
            Err(error @ RemoteError::Gone { .. }) => Err(error),
            Err(_) => Err(RemoteError::Changed { now: None }),
        },
        Err(failure) => Err(match refused(failure) {
            RemoteError::NotFound => RemoteError::Changed { now: None },
            error => error,
        }),
    }
}
