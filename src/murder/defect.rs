//! Mistakes that hosts can be made to make on purpose, to see whether a simulation notices.

macro_rules! defects {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// A mistake.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
        pub enum Defect {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Defect {
            /// All of them.
            pub const ALL: &[Defect] = &[$(Defect::$name,)+];

            /// As it is spelt in commands.
            pub fn name(self) -> &'static str {
                match self {
                    $(Defect::$name => $text,)+
                }
            }
        }
    };
}

defects! {
    /// A master answers before a change is on the disk.
    ReplyBeforeSync = "reply-before-sync",
    /// A master forgets that a change could not be stored.
    IgnoreRefusedStore = "ignore-refused-store",
    /// A master lets a name be reserved that is active on another server.
    ReserveWhatIsTaken = "reserve-what-is-taken",
    /// A master does not tell those who follow of what is deleted.
    StreamWithoutDeletes = "stream-without-deletes",
    /// A master loses a change for those who follow if another waits already.
    LostWakeUp = "lost-wake-up",
    /// A master keeps the rights of a mailbox that is made active again.
    KeepOldAcl = "keep-old-acl",
    /// A frontend merges by comparing internal names, as Cyrus does.
    WrongComparator = "wrong-comparator",
    /// A frontend keeps what the master no longer has.
    MergeWithoutDeletes = "merge-without-deletes",
    /// A frontend does not ask for the list again after it lost its master.
    NoResync = "no-resync",
    /// A frontend never asks a silent master whether it is there.
    NoPing = "no-ping",
    /// A frontend serves what it is told before that is on the disk, and does not store it.
    FollowWithoutStore = "follow-without-store",
    /// A backend answers before what was asked is stored.
    AnswerBeforeStore = "answer-before-store",
    /// A backend does not take a reservation back when what it was for fails, nor does a push.
    KeepReservation = "keep-reservation",
    /// A backend does not change its list back when the master could not be told.
    KeepLocal = "keep-local",
    /// A backend makes a mailbox without asking the master first.
    SkipReserve = "skip-reserve",
    /// A backend does not tell the master of a new mailbox.
    SkipActivate = "skip-activate",
    /// A backend takes a question that was lost for one that was answered.
    LostIsDone = "lost-is-done",
    /// A push asks about nothing but what the master lists for it.
    PushWithoutFind = "push-without-find",
    /// A push deletes the mailboxes that the master says are elsewhere, as Cyrus does.
    WipeOnPush = "wipe-on-push",
    /// A push does not have the master forget what the backend has not.
    PushWithoutRemoval = "push-without-removal",
    /// A rename does not have the master forget the old name, nor does a push.
    KeepOldName = "keep-old-name",
    /// A backend that is started again does not take an unfinished transaction back.
    NoRecovery = "no-recovery",
}
