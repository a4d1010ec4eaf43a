//! Finding the location's folder and making sure that it is the one it was.

use std::sync::Arc;

use holdfast_engine::model::{LocPath, OfflineReason};
use holdfast_engine::remote::RemoteError;

use super::answer::Failure;
use super::codec::{Request, Space};
use super::place::Place;
use super::session::Session;
use super::ssh::Target;
use super::status::refused;
use super::{list, probe};

/// A place on a session, and the number of the file system that it is on.
pub async fn connect(
    session: Arc<Session>,
    target: &Target,
    owner: &str,
    known: Option<u64>,
) -> Result<(Place, Option<u64>), RemoteError> {
    let address = &target.address;
    let host = &address.host;
    let shown = format!("the folder {} on the server {host}", String::from_utf8_lossy(&address.folder));
    let error = |message: String| RemoteError::Gone { reason: OfflineReason::Error, message };
    let asked = if address.folder.is_empty() { b"." } else { &address.folder[..] };
    let found = session.begin(Request::Realpath { path: asked }).await?.name().await;
    let mut root = match found {
        Ok(root) => root,
        Err(Failure::Lost(error)) => return Err(error),
        Err(failure) if failure.is_missing() => {
            return Err(RemoteError::gone(format!("{shown} is not there")));
        }
        Err(failure) => return Err(error(format!("{shown} cannot be reached: {}", refused(failure)))),
    };
    if !root.starts_with(b"/") || root.contains(&0) {
        return Err(error(format!("the server {host} names its folders in a way that is not understood")));
    }
    while root.ends_with(b"/") {
        root.pop();
    }
    let mut place = Place::new(session, root, owner.to_owned());
    match place.look(&LocPath::root()).await {
        Ok(seen) if seen.is_folder() => {}
        Ok(_) => return Err(error(format!("{shown} is not a folder"))),
        Err(Failure::Lost(error)) => return Err(error),
        Err(failure) if failure.is_missing() => {
            return Err(RemoteError::gone(format!("{shown} is not there")));
        }
        Err(failure) => return Err(error(format!("{shown} cannot be reached: {}", refused(failure)))),
    }
    let file_system = file_system(&place).await?;
    // Where something else is mounted, and nothing lies in it, the share itself is not mounted.
    if let (Some(known), Some(now)) = (known, file_system)
        && known != now
        && list::names(&place, &LocPath::root(), |_| true).await?.is_empty()
    {
        return Err(RemoteError::gone(format!(
            "{shown} is empty and not the one it was: it is not mounted there"
        )));
    }
    probe::run(&mut place).await?;
    Ok((place, file_system.or(known)))
}

async fn file_system(place: &Place) -> Result<Option<u64>, RemoteError> {
    if !place.session.extensions.statvfs {
        return Ok(None);
    }
    let at = place.at(&LocPath::root());
    match place.session.begin(Request::Statvfs { path: &at }).await?.extended().await {
        Ok(reply) => Ok(Space::parse(&reply).ok().map(|space| space.id).filter(|id| *id != 0)),
        Err(Failure::Lost(error)) => Err(error),
        Err(_) => Ok(None),
    }
}
