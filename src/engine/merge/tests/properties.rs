use proptest::prelude::*;

use super::super::text::{RegionKind, Take, Which};
use super::merged;

/// Few different lines, so that they repeat; the last one may lack its ending.
pub(super) fn text() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec!["a\n", "b\n", "c\n", "\n", "}\n", "\r\n", "x\ry\n"]);
    (prop::collection::vec(line, 0..24), any::<bool>()).prop_map(|(lines, ends)| {
        let mut text = lines.concat().into_bytes();
        if !ends {
            text.extend_from_slice(b"last");
        }
        text
    })
}

/// A text and two that came of it by a few edits each.
pub(super) fn family() -> impl Strategy<Value = [Vec<u8>; 3]> {
    let line = || prop::sample::select(vec!["a\n", "b\n", "c\n", "d\n", "\n", "}\n"]);
    let edit = move || (any::<prop::sample::Index>(), 0..3usize, prop::collection::vec(line(), 0..3));
    let edits = move || prop::collection::vec(edit(), 0..4);
    (prop::collection::vec(line(), 0..30), edits(), edits()).prop_map(|(original, local, server)| {
        let apply = |edits: Vec<(prop::sample::Index, usize, Vec<&'static str>)>| {
            let mut lines = original.clone();
            for (at, removed, added) in edits {
                let at = at.index(lines.len() + 1);
                let end = (at + removed).min(lines.len());
                lines.splice(at..end, added);
            }
            lines.concat().into_bytes()
        };
        [original.concat().into_bytes(), apply(local), apply(server)]
    })
}

pub(super) fn three() -> impl Strategy<Value = [Vec<u8>; 3]> {
    prop_oneof![2 => family(), 1 => [text(), text(), text()]]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn regions_tile_all_three_texts([original, local, server] in three()) {
        let merge = merged(&original, &local, &server);
        for which in [Which::Original, Which::Local, Which::Server] {
            let mut end = 0;
            for region in merge.regions() {
                let lines = region.lines(which);
                prop_assert_eq!(lines.start, end);
                prop_assert!(lines.end >= lines.start);
                end = lines.end;
            }
            prop_assert_eq!(end, merge.line_count(which));
        }
    }

    #[test]
    fn kinds_say_what_is_equal([original, local, server] in three()) {
        let merge = merged(&original, &local, &server);
        let mut last = None;
        for region in merge.regions() {
            let [o, l, s] = [Which::Original, Which::Local, Which::Server].map(|w| merge.part(w, region));
            prop_assert!(!(o.is_empty() && l.is_empty() && s.is_empty()));
            match region.kind {
                RegionKind::Same => prop_assert!(o == l && o == s && last != Some(RegionKind::Same)),
                RegionKind::LocalOnly => prop_assert!(o == s && o != l),
                RegionKind::ServerOnly => prop_assert!(o == l && o != s),
                RegionKind::BothSame => prop_assert!(l == s && o != l),
                RegionKind::Conflict => {
                    let edges = |text: &[u8]| {
                        let mut lines = text.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec);
                        let first = lines.next();
                        (first.clone(), lines.next_back().or(first))
                    };
                    if !l.is_empty() && !s.is_empty() {
                        prop_assert_ne!(edges(l).0, edges(s).0);
                        prop_assert_ne!(edges(l).1, edges(s).1);
                    }
                    prop_assert_ne!(l, s);
                }
            }
            last = Some(region.kind);
        }
    }

    #[test]
    fn one_text_for_all_regions_gives_that_text([original, local, server] in three()) {
        let merge = merged(&original, &local, &server);
        prop_assert_eq!(merge.render(|_, _| Take::Original), original.clone());
        prop_assert_eq!(merge.render(|_, _| Take::Local), local.clone());
        prop_assert_eq!(merge.render(|_, _| Take::Server), server.clone());
    }

    #[test]
    fn a_change_on_one_side_is_taken([original, changed, _] in three()) {
        prop_assert_eq!(merged(&original, &original, &changed).clean_text(), Some(changed.clone()));
        prop_assert_eq!(merged(&original, &changed, &original).clean_text(), Some(changed.clone()));
        prop_assert_eq!(merged(&original, &changed, &changed).clean_text(), Some(changed.clone()));
    }

    #[test]
    fn sides_swapped_regions_swapped([original, local, server] in three()) {
        let merge = merged(&original, &local, &server);
        let swapped = merged(&original, &server, &local);
        prop_assert_eq!(merge.regions().len(), swapped.regions().len());
        for (region, other) in merge.regions().iter().zip(swapped.regions()) {
            let kind = match region.kind {
                RegionKind::LocalOnly => RegionKind::ServerOnly,
                RegionKind::ServerOnly => RegionKind::LocalOnly,
                kind => kind,
            };
            prop_assert_eq!(kind, other.kind);
            prop_assert_eq!(&region.original, &other.original);
            prop_assert_eq!(&region.local, &other.server);
            prop_assert_eq!(&region.server, &other.local);
        }
        prop_assert_eq!(merge.clean_text(), swapped.clean_text());
    }
}
