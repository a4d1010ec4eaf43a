//! Enums as the words that the contract gives them.

use holdfast_engine::model::*;

use super::Strange;

/// An enum whose values have fixed words.
pub trait Word: Sized + Copy {
    fn to_word(self) -> &'static str;

    fn from_word(word: &str) -> Result<Self, Strange>;
}

macro_rules! word {
    ($type:ty: $($value:ident = $word:literal),* $(,)?) => {
        impl Word for $type {
            fn to_word(self) -> &'static str {
                match self {
                    $(<$type>::$value => $word,)*
                }
            }

            fn from_word(word: &str) -> Result<Self, Strange> {
                match word {
                    $($word => Ok(<$type>::$value),)*
                    _ => Err(Strange(format!("the word {word:?}"))),
                }
            }
        }
    };
}

word!(OfflineReason:
    ByHand = "by-hand",
    NoNetwork = "no-network",
    ServerGone = "server-gone",
    SignInNeeded = "sign-in-needed",
    Error = "error",
);
word!(PinState:
    Fetching = "fetching",
    Present = "present",
    Waiting = "waiting",
    OverLimit = "over-limit",
);
word!(Op:
    Create = "create",
    Write = "write",
    Remove = "remove",
    Move = "move",
    Mkdir = "mkdir",
    Rmdir = "rmdir",
    Symlink = "symlink",
    Link = "link",
    Attributes = "attributes",
);
word!(RecordState:
    Waiting = "waiting",
    Sending = "sending",
    Conflict = "conflict",
    Problem = "problem",
);
word!(HistoryKind:
    Decision = "decision",
    Restored = "restored",
    Reconnection = "reconnection",
);
word!(Needs:
    Retry = "retry",
    Confirm = "confirm",
    SignIn = "sign-in",
    Space = "space",
    Name = "name",
    Unfinished = "unfinished",
);
word!(Side:
    Original = "original",
    Local = "local",
    Server = "server",
);
word!(Confidence:
    Sure = "sure",
    Guessed = "guessed",
);

impl Word for ConflictKind {
    fn to_word(self) -> &'static str {
        self.word()
    }

    fn from_word(word: &str) -> Result<Self, Strange> {
        ConflictKind::from_word(word).ok_or_else(|| Strange(format!("the kind of conflict {word:?}")))
    }
}

pub fn outcome_word(outcome: SyncOutcome) -> &'static str {
    match outcome {
        SyncOutcome::Clean => "clean",
        SyncOutcome::NeedsPerson => "needs-person",
        SyncOutcome::Offline => "offline",
        SyncOutcome::TimedOut => "timed-out",
    }
}

pub fn outcome_from_word(word: &str) -> Result<SyncOutcome, Strange> {
    [SyncOutcome::Clean, SyncOutcome::NeedsPerson, SyncOutcome::Offline, SyncOutcome::TimedOut]
        .into_iter()
        .find(|outcome| outcome_word(*outcome) == word)
        .ok_or_else(|| Strange(format!("the outcome {word:?}")))
}

/// The choice of these words; `content` belongs to `with`.
pub fn choice_from_words(words: &str, content: u64) -> Result<Choice, Strange> {
    let plain = [
        Choice::KeepLocal,
        Choice::KeepServer,
        Choice::KeepOriginal,
        Choice::KeepNewest,
        Choice::KeepBoth,
        Choice::StashLocal,
        Choice::StashServer,
        Choice::StashBoth,
        Choice::Merge,
        Choice::Later,
    ];
    match words {
        "with" => Ok(Choice::With(ContentId(content))),
        _ => plain
            .into_iter()
            .find(|choice| choice.words() == words)
            .ok_or_else(|| Strange(format!("the choice {words:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_engine() {
        for op in ["create", "move", "attributes"] {
            assert_eq!(Op::from_word(op).unwrap().word(), op);
        }
        for state in ["waiting", "sending", "conflict", "problem"] {
            assert_eq!(RecordState::from_word(state).unwrap().word(), state);
        }
        for needs in ["retry", "confirm", "sign-in", "space", "name", "unfinished"] {
            assert_eq!(Needs::from_word(needs).unwrap().word(), needs);
        }
        for state in ["fetching", "present", "waiting", "over-limit"] {
            assert_eq!(PinState::from_word(state).unwrap().word(), state);
        }
        for reason in ["by-hand", "no-network", "server-gone", "sign-in-needed", "error"] {
            assert_eq!(Link::Offline(OfflineReason::from_word(reason).unwrap()).reason(), reason);
        }
    }

    #[test]
    fn every_choice_comes_back_from_its_words() {
        for choice in [Choice::KeepNewest, Choice::StashBoth, Choice::With(ContentId(7)), Choice::Later] {
            assert_eq!(choice_from_words(choice.words(), 7), Ok(choice));
        }
        assert!(choice_from_words("keep mine", 0).is_err());
    }
}
