//! Changing attributes of what is there already.

use holdfast_engine::model::{Kind, LocPath, Meta, Version};
use holdfast_engine::remote::{RemoteError, SetMeta};

use super::answer::Failure;
use super::codec::{Attrs, Open, Request};
use super::place::{Place, changed_to};
use super::seen::Seen;
use super::session::Opened;
use super::status::refused;
use super::upload::times;
use crate::kinds::MODE_MASK;

/// Between the look and the change somebody can write: seen afterwards by size and time, except that
/// a time which we set covers theirs.
pub async fn set(
    place: &Place,
    path: &LocPath,
    version: Option<&Version>,
    set: &SetMeta,
) -> Result<Meta, RemoteError> {
    let folder = Place::parent(path)?;
    let look = async {
        match version {
            Some(version) => place.guard(path, version).await,
            None => place.look(path).await.map_err(refused),
        }
    };
    let ((), before) = futures::try_join!(place.way_to(&folder), look)?;
    let wanted = Attrs {
        permissions: set.mode.filter(|_| place.can.modes).map(|mode| mode & MODE_MASK),
        times: times(set.mtime.filter(|_| place.can.set_times)),
        ..Attrs::default()
    };
    if wanted == Attrs::default() {
        return before.meta();
    }
    let at = place.at(path);
    let after = match before.kind {
        Kind::File => on_file(place, &at, &before, wanted).await?,
        Kind::Folder => {
            set_on_path(place, &at, wanted).await?;
            place.look(path).await.map_err(refused)?
        }
        // A link has no mode of its own.
        _ => {
            let wanted = Attrs { permissions: None, ..wanted };
            if place.can.offers.lsetstat && wanted != Attrs::default() {
                place.done(Request::Lsetstat { path: &at, attrs: wanted }).await.map_err(refused)?;
            }
            place.look(path).await.map_err(refused)?
        }
    };
    let is_same_content = after.size() == before.size()
        && after.kind == before.kind
        && (wanted.times.is_some() || after.mtime == before.mtime);
    if version.is_some() && !is_same_content { Err(changed_to(&after)) } else { after.meta() }
}

/// Through the open file, which so is the one that was looked at.
async fn on_file(place: &Place, at: &[u8], before: &Seen, wanted: Attrs) -> Result<Seen, RemoteError> {
    let open = Request::Open { path: at, how: Open::Read, attrs: Attrs::default() };
    let file = match Opened::new(&place.session, open).await {
        Ok(file) => file,
        Err(Failure::Lost(error)) => return Err(error),
        Err(failure) if failure.is_missing() => return Err(refused(failure)),
        // One that may not be read.
        Err(_) => {
            set_on_path(place, at, wanted).await?;
            return place.look_at(at).await.map_err(refused);
        }
    };
    let handle = file.handle();
    let look = async || {
        let attrs = place.session.begin(Request::Fstat { handle }).await?.attrs().await.map_err(refused)?;
        Seen::new(&attrs, None)
    };
    let now = look().await?;
    if now.token() != before.token() {
        return Err(changed_to(&now));
    }
    place.done(Request::Fsetstat { handle, attrs: wanted }).await.map_err(refused)?;
    look().await
}

/// By its path, of what was just seen to be no link.
pub async fn set_on_path(place: &Place, path: &[u8], attrs: Attrs) -> Result<(), RemoteError> {
    if place.can.offers.lsetstat {
        match place.done(Request::Lsetstat { path, attrs }).await {
            Err(Failure::Lost(error)) => return Err(error),
            Ok(()) => return Ok(()),
            // Older systems change no mode without following.
            Err(_) => {}
        }
    }
    place.done(Request::Setstat { path, attrs }).await.map_err(refused)
}
