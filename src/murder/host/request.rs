//! What clients ask of backends and frontends, and what they are told. Names are internal names.

/// Whose behaviour a host shows where the manual's failure page and a real server part.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub enum Manner {
    /// What the manual says.
    #[default]
    Manual,
    /// What Cyrus 3.6.1 was seen to do.
    Cyrus36,
}

impl Manner {
    /// Both.
    pub const ALL: [Manner; 2] = [Manner::Manual, Manner::Cyrus36];

    /// As it is spelt in commands and scenario files.
    pub fn name(self) -> &'static str {
        match self {
            Manner::Manual => "manual",
            Manner::Cyrus36 => "cyrus-3.6",
        }
    }
}

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct User {
    /// The name.
    pub name: Vec<u8>,
    /// Whether everything is allowed.
    pub admin: bool,
}

/// What a client asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// To be let in; answered with [`Data::User`].
    Login {
        /// Whose password it is.
        user: Vec<u8>,
        /// The password.
        password: Vec<u8>,
        /// Who to be, if somebody else: for frontends.
        acting_for: Option<Vec<u8>>,
    },
    /// The mailboxes that the user may see; answered with [`Data::Mailboxes`]. Patterns are the door's.
    List {
        /// Whether only those that were subscribed to.
        subscribed: bool,
    },
    /// To be told of a mailbox by LSUB, or no more.
    Subscribe {
        /// The mailbox.
        name: Vec<u8>,
        /// Whether it is to be told of.
        subscribed: bool,
    },
    /// To look into a mailbox; answered with [`Data::Status`].
    Select {
        /// The mailbox.
        name: Vec<u8>,
        /// EXAMINE.
        read_only: bool,
    },
    /// What is in a mailbox; answered with [`Data::Status`].
    Status {
        /// The mailbox.
        name: Vec<u8>,
    },
    /// A new mailbox.
    Create {
        /// The mailbox.
        name: Vec<u8>,
        /// Cyrus' second argument: the partition, or of frontends the server, or `server!partition`.
        place: Option<Vec<u8>>,
    },
    /// A mailbox to be deleted.
    Delete {
        /// The mailbox.
        name: Vec<u8>,
    },
    /// A mailbox to be renamed, and those below it.
    Rename {
        /// Its name.
        from: Vec<u8>,
        /// Its new name.
        to: Vec<u8>,
    },
    /// Rights to be given, or taken with none.
    SetAcl {
        /// The mailbox.
        name: Vec<u8>,
        /// Who gets them.
        identifier: Vec<u8>,
        /// The rights.
        rights: Vec<u8>,
    },
    /// Who has which rights; answered with [`Data::Acl`].
    GetAcl {
        /// The mailbox.
        name: Vec<u8>,
    },
    /// A message for a mailbox, by IMAP.
    Append {
        /// The mailbox.
        name: Vec<u8>,
        /// The message.
        message: Vec<u8>,
    },
    /// Whether a message for this mailbox would be taken, by LMTP.
    Recipient {
        /// The mailbox.
        name: Vec<u8>,
    },
    /// A message for a mailbox that was taken as a recipient, by LMTP.
    Deliver {
        /// The mailbox.
        name: Vec<u8>,
        /// The message.
        message: Vec<u8>,
    },
    /// `ctl_mboxlist -m` on a backend; answered with [`Data::Lines`]. Only its own administrator's.
    Sync {
        /// `-w`: only to be told what it would do.
        dry_run: bool,
        /// `-a`: the backend's list counts, whatever the master says.
        authoritative: bool,
    },
}

impl Request {
    /// The mailbox that it is about.
    pub fn name(&self) -> Option<&[u8]> {
        match self {
            Request::Login { .. } | Request::List { .. } | Request::Sync { .. } => None,
            Request::Rename { from: name, .. }
            | Request::Subscribe { name, .. }
            | Request::Select { name, .. }
            | Request::Status { name }
            | Request::Create { name, .. }
            | Request::Delete { name }
            | Request::SetAcl { name, .. }
            | Request::GetAcl { name }
            | Request::Append { name, .. }
            | Request::Recipient { name }
            | Request::Deliver { name, .. } => Some(name),
        }
    }
}

/// Whether what was asked is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Word {
    /// It is.
    #[default]
    Ok,
    /// It is not.
    No,
    /// It is not, and may be later: LMTP tells that apart.
    Later,
}

/// What a mailbox holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Status {
    /// Number of messages.
    pub messages: u32,
    /// UID of the next message.
    pub uidnext: u32,
    /// Uidvalidity.
    pub uidvalidity: u32,
}

/// What is told beside a word and a text.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Data {
    /// Nothing.
    #[default]
    None,
    /// Who was let in.
    User(User),
    /// Internal names, in any order.
    Mailboxes(Vec<Vec<u8>>),
    /// What a mailbox holds.
    Status(Status),
    /// Identifiers and rights.
    Acl(Vec<(Vec<u8>, Vec<u8>)>),
    /// Lines of a command.
    Lines(Vec<String>),
}

/// What a client is told.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    /// Whether it is done.
    pub word: Word,
    /// What stands behind the word: one line.
    pub text: String,
    /// What was asked for.
    pub data: Data,
}

impl Answer {
    /// Done, with nothing to tell.
    pub fn ok() -> Self {
        Answer { word: Word::Ok, text: "Completed".into(), data: Data::None }
    }

    /// Done, with what was asked for.
    pub fn with(data: Data) -> Self {
        Answer { data, ..Answer::ok() }
    }

    /// Not done, for this reason.
    pub fn no(text: impl Into<String>) -> Self {
        Answer { word: Word::No, text: text.into(), data: Data::None }
    }

    /// Not done yet, for this reason.
    pub fn later(text: impl Into<String>) -> Self {
        Answer { word: Word::Later, text: text.into(), data: Data::None }
    }

    /// The mailbox is not there.
    pub fn unknown() -> Self {
        Answer::no("Mailbox does not exist")
    }

    /// Whether what was asked is done.
    pub fn is_done(&self) -> bool {
        self.word == Word::Ok
    }
}
