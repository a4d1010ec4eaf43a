//! Why a server does not take what is written: version 3 has no word for "full".

use holdfast_engine::model::LocPath;
use holdfast_engine::remote::RemoteError;

use super::answer::Failure;
use super::codec::{Code, Request, Space};
use super::place::Place;
use super::status::{naming, refused};

/// For a refusal to take `size` bytes for the file at `path`: told by a look at the room there is.
pub async fn why(place: &Place, path: &LocPath, failure: Failure, size: u64) -> RemoteError {
    if !matches!(failure.code(), Some(Code::Failure | Code::Other(_))) {
        return naming(failure);
    }
    match (space(place, path).await, refused(failure)) {
        (Some(space), _) if space.read_only => RemoteError::Forbidden("its file system is read-only".into()),
        (Some(space), _) if space.free_bytes < size.max(1) || space.free_files == 0 => {
            RemoteError::NoSpace("its disk is full".into())
        }
        (_, RemoteError::Io(words)) => RemoteError::NoSpace(format!(
            "it does not take these bytes, as where a quota is reached ({words})"
        )),
        (_, error) => error,
    }
}

async fn space(place: &Place, path: &LocPath) -> Option<Space> {
    if !place.can.offers.statvfs {
        return None;
    }
    let at = place.at(&Place::parent(path).ok()?);
    let reply = place.session.begin(Request::Statvfs { path: &at }).await.ok()?.extended().await;
    Space::parse(&reply.ok()?).ok()
}
