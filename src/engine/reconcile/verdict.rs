//! From base, local and server: what is to be done about one item. A pure function.
//!
//! The three states are compared in respects ([`Aspects`]) that are merged apart: a file renamed
//! here and edited there is both. What only the server changed is taken, what both changed to the
//! same is agreed on, what both changed otherwise is a conflict. What only we changed is no business
//! of this function: the record waits for replay.

use crate::model::ConflictKind;
use crate::store::rows::Aspects;

/// The three states of one item, compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Whether the item exists in each.
    pub base: bool,
    pub local: bool,
    pub server: bool,
    /// Where both `base` and local exist: in which respects they differ.
    pub here: Aspects,
    /// Where both `base` and server exist: in which respects they differ.
    pub there: Aspects,
    /// In which respects local and server are the same.
    pub same: Aspects,
    /// Whether the contents of local and server, or of base and server, may be the same although
    /// nothing says so: they must be compared.
    pub unsure: bool,
    /// Local and server are of different kinds (file, folder, link).
    pub other_kind: bool,
    /// Local (where it exists, else server) is a folder.
    pub folder: bool,
    /// The folder it lies in on the server was removed here.
    pub folder_gone_here: bool,
    /// A folder above it here was removed on the server.
    pub folder_gone_there: bool,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing. A record, if there is one, waits for replay.
    Quiet,
    /// Fetch the server's content, take the digest of ours, and ask again.
    Compare,
    /// The server has it and we do not: make it here.
    TakeCreation,
    /// The server removed it and we left it as it was: remove it here.
    TakeRemoval,
    /// Both are as good as equal, or both are gone: what the server has becomes `base`.
    Agree,
    /// Take these respects from the server, agree on those; what is left conflicts.
    Merge {
        take: Aspects,
        agree: Aspects,
        conflict: Option<ConflictKind>,
    },
    Conflict(ConflictKind),
}

/// Respects in which a difference means that something would be lost.
const EDITS: Aspects = Aspects::CONTENT.union(Aspects::XATTRS);

pub fn reconcile(facts: &Facts) -> Verdict {
    match (facts.base, facts.local, facts.server) {
        (false, false, false) => Verdict::Quiet,
        // New here.
        (false, true, false) if facts.folder_gone_there => Verdict::Conflict(ConflictKind::EditDelete),
        (false, true, false) => Verdict::Quiet,
        // New there.
        (false, false, true) if facts.folder_gone_here => Verdict::Conflict(ConflictKind::DeleteEdit),
        (false, false, true) => Verdict::TakeCreation,
        (false, true, true) => both_created(facts),
        // Known, and gone on both sides.
        (true, false, false) => Verdict::Agree,
        // Known, and gone there.
        (true, true, false) if facts.here.intersects(EDITS) => Verdict::Conflict(ConflictKind::EditDelete),
        (true, true, false) if facts.here.contains(Aspects::PLACE) => {
            Verdict::Conflict(ConflictKind::MoveDelete)
        }
        // A mode or a time set here is not worth keeping a file that somebody deleted.
        (true, true, false) => Verdict::TakeRemoval,
        // Known, and gone here.
        (true, false, true) if facts.there.is_empty() => Verdict::Quiet,
        (true, false, true) if facts.unsure => Verdict::Compare,
        (true, false, true) if facts.there.intersects(EDITS) => Verdict::Conflict(ConflictKind::DeleteEdit),
        (true, false, true) if facts.there.contains(Aspects::PLACE) => {
            Verdict::Conflict(ConflictKind::DeleteMove)
        }
        (true, false, true) => Verdict::Merge { take: Aspects::empty(), agree: facts.there, conflict: None },
        (true, true, true) => both_have(facts),
    }
}

fn both_created(facts: &Facts) -> Verdict {
    if facts.other_kind {
        return Verdict::Conflict(ConflictKind::CreateCreate);
    }
    if facts.folder || facts.same.contains(Aspects::CONTENT) {
        return Verdict::Agree;
    }
    if facts.unsure {
        return Verdict::Compare;
    }
    Verdict::Conflict(ConflictKind::CreateCreate)
}

fn both_have(facts: &Facts) -> Verdict {
    // It was moved here into a folder that is no longer there: it has no place to go to.
    let homeless = facts.folder_gone_there && facts.here.contains(Aspects::PLACE);
    if facts.there.is_empty() && !homeless {
        return Verdict::Quiet;
    }
    let contested = facts.here & facts.there;
    // Times go with the content; where both set one, neither is worth a question.
    let agree = contested & (facts.same | Aspects::TIMES);
    let clash = contested - agree;
    if facts.unsure && (clash.contains(Aspects::CONTENT) || facts.there.contains(Aspects::CONTENT)) {
        return Verdict::Compare;
    }
    let conflict = if clash.contains(Aspects::CONTENT) && facts.other_kind {
        Some(ConflictKind::Type)
    } else if clash.contains(Aspects::CONTENT) {
        Some(ConflictKind::EditEdit)
    } else if clash.contains(Aspects::PLACE) {
        Some(ConflictKind::MoveMove)
    } else if homeless {
        Some(ConflictKind::MoveDelete)
    } else if clash.is_empty() {
        None
    } else {
        Some(ConflictKind::Metadata)
    };
    Verdict::Merge { take: facts.there - facts.here, agree, conflict }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Aspects = Aspects::empty();

    fn known(here: Aspects, there: Aspects) -> Facts {
        Facts { base: true, local: true, server: true, here, there, ..Facts::default() }
    }

    fn merge(take: Aspects, agree: Aspects, conflict: Option<ConflictKind>) -> Verdict {
        Verdict::Merge { take, agree, conflict }
    }

    #[test]
    fn one_side_alone_never_conflicts() {
        for bits in 0..=Aspects::all().bits() {
            let aspects = Aspects::from_bits_truncate(bits) - Aspects::CREATE - Aspects::REMOVE;
            assert_eq!(reconcile(&known(aspects, NONE)), Verdict::Quiet);
            if !aspects.is_empty() {
                assert_eq!(reconcile(&known(NONE, aspects)), merge(aspects, NONE, None));
            }
        }
    }

    #[test]
    fn different_respects_merge() {
        let facts = known(Aspects::PLACE, Aspects::CONTENT | Aspects::MODE);
        assert_eq!(reconcile(&facts), merge(Aspects::CONTENT | Aspects::MODE, NONE, None));
    }

    #[test]
    fn the_same_respect_conflicts_and_the_others_are_taken() {
        let c = Aspects::CONTENT;
        assert_eq!(reconcile(&known(c, c)), merge(NONE, NONE, Some(ConflictKind::EditEdit)));
        let facts = known(c, c | Aspects::PLACE);
        assert_eq!(reconcile(&facts), merge(Aspects::PLACE, NONE, Some(ConflictKind::EditEdit)));
        let p = Aspects::PLACE;
        assert_eq!(reconcile(&known(p, p)), merge(NONE, NONE, Some(ConflictKind::MoveMove)));
        let m = Aspects::MODE;
        assert_eq!(reconcile(&known(m, m)), merge(NONE, NONE, Some(ConflictKind::Metadata)));
        let t = Aspects::TIMES;
        assert_eq!(reconcile(&known(t, t)), merge(NONE, t, None));
    }

    #[test]
    fn equal_is_no_conflict() {
        let c = Aspects::CONTENT;
        let facts = Facts { same: c, ..known(c, c) };
        assert_eq!(reconcile(&facts), merge(NONE, c, None));
        let facts = Facts { unsure: true, ..known(c, c) };
        assert_eq!(reconcile(&facts), Verdict::Compare);
    }

    #[test]
    fn absence_against_edits() {
        let gone_there = |here| Facts { base: true, local: true, here, ..Facts::default() };
        assert_eq!(reconcile(&gone_there(NONE)), Verdict::TakeRemoval);
        assert_eq!(reconcile(&gone_there(Aspects::MODE)), Verdict::TakeRemoval);
        assert_eq!(reconcile(&gone_there(Aspects::CONTENT)), Verdict::Conflict(ConflictKind::EditDelete));
        assert_eq!(reconcile(&gone_there(Aspects::PLACE)), Verdict::Conflict(ConflictKind::MoveDelete));
        let gone_here = |there| Facts { base: true, server: true, there, ..Facts::default() };
        assert_eq!(reconcile(&gone_here(NONE)), Verdict::Quiet);
        assert_eq!(reconcile(&gone_here(Aspects::CONTENT)), Verdict::Conflict(ConflictKind::DeleteEdit));
        assert_eq!(reconcile(&gone_here(Aspects::PLACE)), Verdict::Conflict(ConflictKind::DeleteMove));
        assert_eq!(reconcile(&gone_here(Aspects::MODE)), merge(NONE, Aspects::MODE, None));
        let facts = Facts { base: true, ..Facts::default() };
        assert_eq!(reconcile(&facts), Verdict::Agree);
    }

    #[test]
    fn both_created() {
        let both = Facts { local: true, server: true, ..Facts::default() };
        assert_eq!(reconcile(&both), Verdict::Conflict(ConflictKind::CreateCreate));
        assert_eq!(reconcile(&Facts { folder: true, ..both }), Verdict::Agree);
        assert_eq!(reconcile(&Facts { same: Aspects::CONTENT, ..both }), Verdict::Agree);
        assert_eq!(reconcile(&Facts { unsure: true, ..both }), Verdict::Compare);
        let facts = Facts { folder: true, other_kind: true, ..both };
        assert_eq!(reconcile(&facts), Verdict::Conflict(ConflictKind::CreateCreate));
    }

    #[test]
    fn a_folder_removed_under_a_new_file() {
        let here = Facts { local: true, folder_gone_there: true, ..Facts::default() };
        assert_eq!(reconcile(&here), Verdict::Conflict(ConflictKind::EditDelete));
        let folder = Facts { folder: true, ..here };
        assert_eq!(reconcile(&folder), Verdict::Conflict(ConflictKind::EditDelete));
        let moved_in = Facts { folder_gone_there: true, ..known(Aspects::PLACE, NONE) };
        assert_eq!(reconcile(&moved_in), merge(NONE, NONE, Some(ConflictKind::MoveDelete)));
        let there = Facts { server: true, folder_gone_here: true, ..Facts::default() };
        assert_eq!(reconcile(&there), Verdict::Conflict(ConflictKind::DeleteEdit));
    }
}
