//! Keeps contents from lying over one another for longer than somebody needs what is under them.
//!
//! A large file that was changed in place lies over its original. When the server has the change, the
//! original is nobody's any more, and the content takes its file over: one file holds what two did.

use crate::model::ContentId;

use super::Store;
use super::content::ContentError;
use super::persist::StoreError;

impl Store {
    /// Takes over what nothing else needs. It reads and writes as many bytes as were changed in place;
    /// nobody waits for it.
    pub fn shorten_chains(&self) {
        for id in self.contents.laid_over() {
            if self.room.is_short() || self.is_closed() {
                return;
            }
            if self.failed_to_flatten.lock().contains(&id) || !self.is_last_on(id) {
                continue;
            }
            match self.shorten(id) {
                Ok(()) => {}
                Err(StoreError::Full) => return,
                Err(error) => {
                    // In this run it is left as it is: two files then hold it, and hold it well.
                    tracing::warn!(content = id.0, %error, "a changed file stays apart from its original");
                    self.failed_to_flatten.lock().insert(id);
                }
            }
        }
    }

    /// Nothing but this content needs the one under it.
    fn is_last_on(&self, id: ContentId) -> bool {
        let Some(content) = self.contents.get(id) else {
            return false;
        };
        content.is_sealed() && content.over().is_some_and(|under| self.read().references(under) == 1)
    }

    fn shorten(&self, id: ContentId) -> Result<(), StoreError> {
        // After a crash of the machine, too, nothing must need the bytes that are written over.
        self.flush()?;
        let flattened = self.contents.flatten(id).map_err(|error| match error {
            ContentError::Full => StoreError::Full,
            error => StoreError::from(std::io::Error::from(error)),
        })?;
        let Some(flattened) = flattened else {
            return Ok(());
        };
        let freed = self.write_in_reserve(|tx| tx.flatten(flattened))?;
        self.flush()?;
        self.contents.free(freed)?;
        Ok(())
    }
}
