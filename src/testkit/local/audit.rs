//! Is what the kernel remembers still true? Asked of the file system behind the kernel's back.

use std::collections::BTreeMap;

use holdfast_engine::fileops::{Attr, OpError, OpenMode};
use holdfast_engine::model::NodeId;

use super::fs::Op;
use super::kernel::Kernel;
use super::pages::PAGE;

impl Kernel {
    /// One sentence for each thing that the kernel would tell a program wrongly. To be asked when
    /// all invalidations have been carried out; what is not here cannot be compared.
    pub fn audit(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for ((parent, name), known) in self.known_names() {
            let true_now = self.fs.lookup(parent, &name).map(|attr| {
                self.fs.forget(attr.node, 1);
                attr.node
            });
            let holds = match (&true_now, known) {
                (Err(OpError::NotHere(_)), _) => true,
                (Ok(node), Some(known)) => *node == known,
                (Err(_), None) => true,
                _ => false,
            };
            if !holds {
                let name = String::from_utf8_lossy(&name);
                wrong.push(format!("{name:?} in {parent} is remembered as {known:?} and is {true_now:?}"));
            }
        }
        for (node, known) in self.known_attrs() {
            match self.fs.getattr(node) {
                Ok(now) if told(&now) == told(&known) => {}
                Ok(now) => {
                    wrong.push(format!("{node} is remembered as {} and is {}", brief(&known), brief(&now)))
                }
                Err(OpError::NotHere(_)) => {}
                Err(error) => wrong.push(format!("{node} is remembered, and asked for it gives {error}")),
            }
        }
        for (node, pages) in self.known_pages() {
            self.audit_pages(node, &pages, &mut wrong);
        }
        wrong
    }

    fn audit_pages(&self, node: NodeId, pages: &BTreeMap<u64, Vec<u8>>, wrong: &mut Vec<String>) {
        let Ok(opened) = self.fs.open(node, OpenMode::default()) else {
            return;
        };
        for (page, known) in pages {
            let mut now = vec![0; PAGE as usize];
            let read: Op<usize> = self.fs.read(node, opened.handle, page * PAGE, &mut now);
            // Past the end of the file nothing is shown of a page.
            if let Ok(len) = read
                && now[..len] != known[..len]
            {
                wrong.push(format!("page {page} of {node} is remembered with other bytes than it has"));
            }
        }
        self.fs.release(node, opened.handle);
    }
}

fn brief(attr: &Attr) -> String {
    let Attr { kind, mode, nlink, size, mtime, uid, gid, .. } = attr;
    format!("{kind:?} {mode:o}, {nlink} names, {size} bytes, of {}, owner {uid}:{gid}", mtime.0)
}

/// What programs rely on; times of access and change are not promised.
fn told(attr: &Attr) -> impl PartialEq + use<> {
    (attr.kind, attr.mode, attr.nlink, attr.size, attr.mtime, (attr.uid, attr.gid, attr.rdev))
}
