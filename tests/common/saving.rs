//! The ways in which programs save a file.

use std::path::Path;

use super::{has_program, skip};

/// A way to save `doc.txt` with the line `$ADDED` before what it holds, as shell lines; `$NEW` is a
/// file outside with all of the new text.
pub struct Way {
    pub name: &'static str,
    needs: Option<&'static str>,
    lines: &'static str,
    /// What else it leaves there, in the order of names.
    leaves: &'static [&'static str],
}

impl Way {
    /// The lines for a file in the folder that the shell is in; `name` needs no quoting.
    pub fn script(&self, name: &str, added: &str, new: &Path) -> String {
        let lines = self.lines.replace("doc.txt", name);
        format!("ADDED='{added}'; NEW='{}'; {lines}", new.display())
    }

    /// What else it leaves in that folder, in the order of names.
    pub fn leaves(&self, name: &str) -> Vec<String> {
        self.leaves.iter().map(|left| left.replace("doc.txt", name)).collect()
    }
}

const WAYS: [Way; 17] = [
    way("truncate and write", "cat \"$NEW\" > doc.txt"),
    way("write and rename", "cat \"$NEW\" > .doc.tmp; mv .doc.tmp doc.txt"),
    way("write, sync and rename", "cat \"$NEW\" > .doc.tmp; sync .doc.tmp; mv .doc.tmp doc.txt; sync ."),
    Way {
        leaves: &["doc.txt~"],
        ..way("aside first, backup kept", "mv doc.txt doc.txt~; cat \"$NEW\" > doc.txt")
    },
    way("aside first, backup removed", "mv doc.txt doc.txt~; cat \"$NEW\" > doc.txt; rm doc.txt~"),
    Way {
        leaves: &["doc.bak"],
        ..way(
            "aside over an older backup",
            "echo older > doc.bak; mv doc.txt doc.bak; cat \"$NEW\" > doc.txt",
        )
    },
    way(
        "aside, write and rename, remove",
        "mv doc.txt doc.txt~; cat \"$NEW\" > doc.txt.new; mv doc.txt.new doc.txt; rm -f doc.txt~",
    ),
    way("remove and make anew", "rm doc.txt; cat \"$NEW\" > doc.txt"),
    way("twice in a row", "echo x > t; mv t doc.txt; cat \"$NEW\" > t; mv t doc.txt"),
    Way {
        leaves: &["doc.txt~"],
        ..way(
            "as emacs",
            "ln -s me@here.1:2 '.#doc.txt'; cp -p doc.txt doc.txt~; cat \"$NEW\" > doc.txt; rm '.#doc.txt'",
        )
    },
    way(
        "as LibreOffice",
        "echo ',me,here' > '.~lock.doc.txt#'; cat \"$NEW\" > lu123abc.tmp; mv lu123abc.tmp doc.txt; rm '.~lock.doc.txt#'",
    ),
    way("as gedit", "cat \"$NEW\" > .goutputstream-AB12CD; mv .goutputstream-AB12CD doc.txt"),
    way("cp -p", "cp -p \"$NEW\" doc.txt"),
    way("sed -i", "sed -i -e \"1i $ADDED\" doc.txt"),
    needs("rsync", way("rsync", "rsync --checksum \"$NEW\" doc.txt")),
    needs("rsync", way("rsync --inplace", "rsync --checksum --inplace \"$NEW\" doc.txt")),
    needs(
        "vim",
        Way {
            leaves: &["doc.txt~"],
            ..way(
                "vim with a backup",
                "vim -u NONE -N -es -c 'set backup backupcopy=no backupskip=' -c \"0put ='$ADDED'\" -c wq doc.txt < /dev/null",
            )
        },
    ),
];

const fn way(name: &'static str, lines: &'static str) -> Way {
    Way { name, needs: None, lines, leaves: &[] }
}

const fn needs(program: &'static str, way: Way) -> Way {
    Way { needs: Some(program), ..way }
}

/// Those that can be tried on this machine, numbered.
pub fn ways() -> impl Iterator<Item = (usize, &'static Way)> {
    WAYS.iter()
        .filter(|way| match way.needs {
            Some(program) if !has_program(program) => {
                skip(&format!("there is no {program} for the way `{}`", way.name));
                false
            }
            _ => true,
        })
        .enumerate()
}
