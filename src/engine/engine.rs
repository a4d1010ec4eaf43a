//! Starts an engine on a store.

use std::path::PathBuf;
use std::sync::Arc;

use crate::fileops::{Connection, Fileops, OpenFiles};
use crate::handle::{Core, Error, Handle};
use crate::model::{Kind, Needs, ProblemId, Side, StashId};
use crate::remote::Connector;
use crate::store::files::DirFiles;
use crate::store::journal::FileJournal;
use crate::store::lock::StoreLock;
use crate::store::persist::{Files, StoreError};
use crate::store::room::Room;
use crate::store::rows::{Problem, Stashed};
use crate::store::sqlite::Sqlite;
use crate::store::{Parts, Store, Tx};
use crate::sync::Sync;
use crate::world::World;

/// What an engine is started with.
pub struct Options {
    /// The store's folder; made where absent.
    pub store: PathBuf,
    /// Of this boot of the machine: the journal of another one does not count.
    pub boot_id: [u8; 16],
    /// Owner and group of all nodes; `None` keeps whoever makes them (an engine that runs as root).
    pub owner: Option<(u32, u32)>,
    /// Owner and group of what comes from a server where `owner` is `None`.
    pub default_owner: (u32, u32),
    /// Where the mount is, for `status`; also what no location may lie in.
    pub mount: Option<PathBuf>,
    /// Of the mount to the kernel.
    pub connection: Connection,
}

/// A running engine.
pub struct Engine {
    pub handle: Handle,
    pub fileops: Fileops,
    /// A connection that lives goes on with this engine; else it must be ended and made anew.
    pub taken_over: bool,
}

/// Who an engine is, beside its store.
pub struct Setting {
    /// Owner and group of all nodes, as in [`Options`].
    pub owner: Option<(u32, u32)>,
    pub mount: Option<PathBuf>,
    /// Goes into temporary names on servers.
    pub name: String,
    pub open: OpenFiles,
}

impl Engine {
    /// Opens the store, recovers what the last run left, begins to work.
    pub fn start(
        options: Options,
        world: Arc<dyn World>,
        connector: Arc<dyn Connector>,
    ) -> Result<Engine, Error> {
        let path = options.store.display().to_string();
        let failed = |error: StoreError| match error {
            StoreError::InUse => Error::refused(format!(
                "another engine already works on the store {path}; stop it first, or use another XDG_DATA_HOME"
            )),
            error => Error::failed(error.to_string()),
        };
        let lock = StoreLock::take(&options.store).map_err(failed)?;
        let files: Arc<dyn Files> = Arc::new(DirFiles::open(&options.store).map_err(|e| failed(e.into()))?);
        let room = Room::new(files.clone());
        let database =
            room.or_in_reserve(|| Sqlite::open(&options.store.join("holdfast.db"))).map_err(failed)?;
        let journals = options.store.join("journal");
        std::fs::create_dir_all(&journals).map_err(|e| failed(e.into()))?;
        let journal = FileJournal::open(&journals, options.boot_id).map_err(failed)?;
        let parts = Parts {
            database: Box::new(database),
            journal: Box::new(journal),
            files,
            world: world.clone(),
            owner: options.owner.unwrap_or(options.default_owner),
            background: true,
        };
        let setting = Setting {
            owner: options.owner,
            mount: options.mount,
            name: owner_name(&options.store, &*world).map_err(|e| failed(e.into()))?,
            open: OpenFiles::open(&options.store.join("open-files"), options.connection)
                .map_err(|e| failed(e.into()))?,
        };
        let engine = Engine::on(parts, setting, connector).map_err(failed)?;
        engine.handle.keep(Box::new(lock));
        Ok(engine)
    }

    /// An engine on a store made of other parts: for simulation.
    pub fn on(parts: Parts, setting: Setting, connector: Arc<dyn Connector>) -> Result<Engine, StoreError> {
        let Setting { owner, mount, name, open } = setting;
        let store = Store::open(parts)?;
        let taken_over = open.is_taken_over();
        // Where the mount lives on, who has files open is still there.
        if !taken_over {
            store.write_in_reserve(|tx| {
                drop_unlinked(tx);
                flag_cut_off(tx);
                Ok::<_, StoreError>(())
            })?;
        }
        store.remove_orphans()?;
        store.flush()?;
        let fileops = Fileops::new(store.clone(), owner, open);
        let sync = Arc::new(Sync::new(store.clone(), name));
        fileops.set_provider(sync.clone());
        let handle = Handle::new(Core::new(store, sync.clone(), connector, mount));
        sync.keep_up();
        handle.start_locations();
        Ok(Engine { handle, fileops, taken_over })
    }
}

/// Who we are in temporary names on servers: the same for the life of the store.
fn owner_name(store: &std::path::Path, world: &dyn World) -> std::io::Result<String> {
    let path = store.join("owner");
    match std::fs::read_to_string(&path) {
        Ok(name) if name.len() == 8 && name.bytes().all(|b| b.is_ascii_hexdigit()) => Ok(name),
        _ => {
            let name = format!("{:08x}", world.random() as u32);
            std::fs::write(&path, &name)?;
            Ok(name)
        }
    }
}

/// Files that were removed while open: nobody has them open any more.
fn drop_unlinked(tx: &mut Tx<'_>) {
    let unlinked: Vec<_> = tx
        .tree()
        .nodes()
        .filter(|live| live.links.is_empty() && live.row.id != crate::model::NodeId::ROOT)
        .map(|live| live.row.id)
        .collect();
    unlinked.into_iter().for_each(|id| tx.remove_node(id));
}

/// Files that were being written: the write was cut off. What a truncate replaced is set aside, and
/// nothing is sent until a person or a program goes on.
fn flag_cut_off(tx: &mut Tx<'_>) {
    let cut_off: Vec<_> = tx
        .tree()
        .nodes()
        .filter(|live| live.row.writing)
        .map(|live| (live.row.clone(), live.links.clone()))
        .collect();
    for (row, links) in cut_off {
        for id in &links {
            let Some(item) = tx.tree().item(*id) else { continue };
            let location = item.location;
            if let Some(content) = row.replaced.and_then(|c| tx.content(c)) {
                let target = tx.target_bytes(*id);
                let stash = Stashed {
                    id: StashId(tx.new_id()),
                    location,
                    target,
                    side: Side::Local,
                    kind: Kind::File,
                    mode: row.mode,
                    mtime: row.mtime,
                    size: content.size(),
                    content: Some(content.id()),
                    link_target: None,
                    at: tx.now(),
                    why: "a program was cut off while it rewrote the file".into(),
                    kept: true,
                };
                tx.put_stash(stash);
            }
            let message =
                "a program was cut off while it wrote this file; what it had written is here, an earlier \
                           version is set aside. Confirm to send it as it is, or write it anew"
                    .to_string();
            let problem = Problem { id: ProblemId(tx.new_id()), needs: Needs::Unfinished, message };
            tx.edit_item(*id, |item| item.problem = Some(Box::new(problem)));
        }
        tx.edit_node(row.id, |row| {
            row.writing = false;
            row.replaced = None;
        });
    }
}
