//! What all records of a database say together: counted part by part, side by side, then merged.

use super::acl::Acl;
use super::check::Context;
use super::counts::Counts;
use super::decode::{Decoded, Style};
use super::dialect::Spelling;
use super::dialect::item::is_atom;
use super::entry::{Entry, Family, FieldKey};
use super::era::{SIGNS, Sign};
use super::key::{Key, KeyFamily, KeyStyle};
use super::mbtype::{Flag, Kind};
use super::ordinary::Said;
use super::rights::Rights;
use super::sums::Sums;

/// Counts of the records of a database, or of a part of one.
#[derive(Clone, Debug)]
pub struct Survey {
    /// How the records were read.
    pub style: Style,
    /// Mailboxes' own records that could be read.
    pub mailboxes: u64,
    /// Records whose value could not be read, or not as Cyrus reads it.
    pub undecodable: u64,
    /// Mailboxes without server, remote flag, and none of the flags that say there is no mailbox.
    pub local: u64,
    /// Entries with the remote flag.
    pub remote: u64,
    /// Mailboxes on this host that have no uniqueid.
    pub local_without_uniqueid: u64,
    /// Entries that are not local and have no uniqueid.
    pub remote_without_uniqueid: u64,
    /// L1 and L2 values whose type is not 0.
    pub numbered_types: u64,
    /// Entries with a server and no partition, as a replicated murder has them.
    pub server_alone: u64,
    /// Users' INBOXes.
    pub inboxes: u64,
    /// Bytes of the longest name.
    pub longest_name_len: usize,
    /// Time of the first and last write of a record, in seconds since 1970-01-01 UTC.
    pub mtimes: Option<(u64, u64)>,
    /// Entries for each server; location words of replicated murders too.
    pub servers: Counts,
    /// Entries for each partition of this host.
    pub partitions: Counts,
    /// Entries for each partition of another server, as `server!partition`.
    pub remote_partitions: Counts,
    keys: [u64; KeyFamily::ALL.len()],
    families: [u64; Family::ALL.len()],
    kinds: [u64; Kind::ALL.len()],
    flags: [u64; Flag::ALL.len()],
    letters: [u64; 26],
    signs: [u64; SIGNS],
    pub(crate) sums: Sums,
}

#[inline(always)]
fn bump(counters: &mut [u64], index: usize) {
    if let Some(counter) = counters.get_mut(index) {
        *counter += 1;
    }
}

#[inline]
fn read(counters: &[u64], index: usize) -> u64 {
    counters.get(index).copied().unwrap_or_default()
}

impl Survey {
    /// A survey of no record.
    pub fn new(style: Style) -> Survey {
        Survey {
            style,
            mailboxes: 0,
            undecodable: 0,
            local: 0,
            remote: 0,
            local_without_uniqueid: 0,
            remote_without_uniqueid: 0,
            numbered_types: 0,
            server_alone: 0,
            inboxes: 0,
            longest_name_len: 0,
            mtimes: None,
            servers: Counts::default(),
            partitions: Counts::default(),
            remote_partitions: Counts::default(),
            keys: [0; KeyFamily::ALL.len()],
            families: [0; Family::ALL.len()],
            kinds: [0; Kind::ALL.len()],
            flags: [0; Flag::ALL.len()],
            letters: [0; 26],
            signs: [0; SIGNS],
            sums: Sums::default(),
        }
    }

    /// Takes a record.
    #[inline]
    pub fn push(&mut self, decoded: &Decoded<'_>, value: &[u8], context: &Context) {
        bump(&mut self.keys, decoded.key.family() as usize);
        match (&decoded.key, &decoded.entry) {
            (Key::Mailbox(_), Some(entry)) => self.push_mailbox(entry),
            (Key::Uniqueid(_) | Key::Jmap { .. }, Some(entry)) => self.push_indexed(entry),
            (Key::Mailbox(_) | Key::Uniqueid(_) | Key::Jmap { .. }, None) => self.undecodable += 1,
            (Key::ReverseAclMarker, _) => {
                self.mark(if value == b"3" { Sign::RaclMarkerThree } else { Sign::RaclMarkerEmpty });
            }
            (Key::UniqueidMarker, _) => self.mark(Sign::RunqMarker),
            _ => {}
        }
        if decoded.entry.is_some() && decoded.faults.iter().any(|fault| fault.rule == &super::rules::TOLERATED) {
            self.undecodable += 1;
        }
        self.sums.push(decoded, context);
    }

    /// Takes a mailbox's own ordinary record.
    #[inline(always)]
    pub(crate) fn push_ordinary(&mut self, said: &Said<'_>) {
        bump(&mut self.keys, KeyFamily::Mailbox as usize);
        bump(&mut self.families, Family::Dlist as usize);
        bump(&mut self.kinds, Kind::Mail as usize);
        bump(&mut self.letters, usize::from(b'e' - b'a'));
        self.mailboxes += 1;
        self.longest_name_len = self.longest_name_len.max(said.name.len());
        self.inboxes += u64::from(said.separators == 1 && said.name.starts_with(b"user\x1F"));
        self.push_time(said.mtime);
        if said.has_jmapid {
            self.mark(Sign::FieldJ);
        }
        match said.server {
            Some(server) => {
                bump(&mut self.flags, Flag::Remote as usize);
                bump(&mut self.letters, usize::from(b'r' - b'a'));
                self.remote += 1;
                self.remote_without_uniqueid += 1;
                self.servers.add(server);
                self.remote_partitions.add_place(server, said.partition);
            }
            None => {
                self.local += 1;
                self.partitions.add(said.partition);
                self.mark(Sign::FieldF);
                self.mark(Sign::FieldC);
            }
        }
        self.sums.push_ordinary(said, false);
    }

    /// Takes an ordinary record under a uniqueid.
    #[inline(always)]
    pub(crate) fn push_ordinary_index(&mut self, said: &Said<'_>) {
        bump(&mut self.keys, KeyFamily::Uniqueid as usize);
        match said.quoted {
            Some(true) => self.mark(Sign::QuotedSeparator),
            Some(false) => self.mark(Sign::BareSeparator),
            None => {}
        }
        if said.has_jmapid {
            self.mark(Sign::FieldJ);
        }
        self.sums.push_ordinary(said, true);
    }

    #[inline(always)]
    fn push_time(&mut self, mtime: u64) {
        let (first, last) = self.mtimes.unwrap_or((mtime, mtime));
        self.mtimes = Some((first.min(mtime), last.max(mtime)));
    }

    #[inline(always)]
    fn mark(&mut self, sign: Sign) {
        bump(&mut self.signs, sign as usize);
    }

    #[inline]
    fn push_indexed(&mut self, entry: &Entry<'_>) {
        let name = entry.name.as_bytes();
        if name.contains(&0x1F) {
            match entry.layout.find(FieldKey::Name) {
                // In quotes for nothing but its separators.
                Some(Spelling::Quoted) if is_atom(name, false) => self.mark(Sign::QuotedSeparator),
                Some(Spelling::Atom) => self.mark(Sign::BareSeparator),
                _ => {}
            }
        }
        if entry.layout.has(FieldKey::Jmapid) {
            self.mark(Sign::FieldJ);
        }
    }

    #[inline]
    fn push_mailbox(&mut self, entry: &Entry<'_>) {
        self.mailboxes += 1;
        bump(&mut self.families, entry.family as usize);
        bump(&mut self.kinds, entry.mbtype.kind as usize);
        if !entry.mbtype.flags.is_empty() {
            entry.mbtype.flags.iter().for_each(|flag| bump(&mut self.flags, flag as usize));
        }
        for &letter in entry.type_letters() {
            bump(&mut self.letters, usize::from(letter.wrapping_sub(b'a')));
        }
        let none = entry.is_tombstone() || entry.is_intermediate() || entry.is_reserved() || entry.is_moving();
        let live_local = entry.is_local() && !none;
        self.local += u64::from(live_local);
        self.remote += u64::from(entry.is_remote());
        if entry.uniqueid.is_none() {
            self.local_without_uniqueid += u64::from(live_local);
            self.remote_without_uniqueid += u64::from(!entry.is_local());
        }
        if entry.family != Family::Dlist && entry.mbtype.number(self.style.numbering) != 0 {
            self.numbered_types += 1;
        }
        self.push_place(entry);
        self.push_name(entry);
        self.push_fields(entry, live_local);
        if live_local && self.style.keys == KeyStyle::Plain {
            self.push_rights(&entry.acl);
        }
    }

    #[inline]
    fn push_place(&mut self, entry: &Entry<'_>) {
        match (&entry.server, &entry.partition) {
            (Some(server), partition) => {
                self.servers.add(server);
                match partition {
                    Some(partition) => self.remote_partitions.add_place(server, partition),
                    None => self.server_alone += 1,
                }
            }
            (None, Some(partition)) => {
                self.partitions.add(partition);
                if entry.is_remote() && entry.family != Family::Dlist {
                    self.mark(Sign::RemoteWithoutBang);
                }
            }
            (None, None) => {}
        }
    }

    #[inline]
    fn push_name(&mut self, entry: &Entry<'_>) {
        let len = entry.name.as_bytes().len();
        self.longest_name_len = self.longest_name_len.max(len);
        if len > 490 {
            self.mark(Sign::NameOver490);
        }
        self.inboxes += u64::from(entry.name.is_inbox() && !entry.is_tombstone());
        if self.style.keys == KeyStyle::Plain && entry.name.deleted().is_some() {
            self.mark(Sign::DeletedName);
        }
    }

    #[inline]
    fn push_fields(&mut self, entry: &Entry<'_>, live_local: bool) {
        if let Some(mtime) = entry.mtime {
            self.push_time(mtime);
        }
        if entry.layout.has(FieldKey::Jmapid) {
            self.mark(Sign::FieldJ);
        }
        if entry.foldermodseq.is_some() {
            self.mark(Sign::FieldF);
        }
        if entry.createdmodseq.is_some() {
            self.mark(Sign::FieldC);
        }
        if live_local && entry.family == Family::Dlist && entry.uidvalidity.is_some() {
            if entry.foldermodseq.is_none() {
                self.mark(Sign::LocalWithoutF);
            }
            if entry.createdmodseq.is_none() {
                self.mark(Sign::LocalWithoutC);
            }
        }
    }

    /// Rights of this host's own mailboxes; those of others came from whatever version runs there.
    #[inline]
    fn push_rights(&mut self, acl: &Acl<'_>) {
        let all = acl.pairs().fold(Rights::default(), |all, pair| all.union(Rights::new(&pair.rights)));
        if all.has_any(b"kxte") {
            self.mark(Sign::RightsSince23);
        } else if all.has_any(b"cd") {
            self.mark(Sign::MacroRightAlone);
        }
        if all.has(b'n') {
            self.mark(Sign::RightsSince25);
        }
    }

    /// Adds what another part of the same database said.
    pub fn merge(&mut self, other: Survey) {
        fn add(mine: &mut [u64], theirs: &[u64]) {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        }
        self.mailboxes += other.mailboxes;
        self.undecodable += other.undecodable;
        self.local += other.local;
        self.remote += other.remote;
        self.local_without_uniqueid += other.local_without_uniqueid;
        self.remote_without_uniqueid += other.remote_without_uniqueid;
        self.numbered_types += other.numbered_types;
        self.server_alone += other.server_alone;
        self.inboxes += other.inboxes;
        self.longest_name_len = self.longest_name_len.max(other.longest_name_len);
        self.mtimes = match (self.mtimes, other.mtimes) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (mine, theirs) => mine.or(theirs),
        };
        self.servers.merge(other.servers);
        self.partitions.merge(other.partitions);
        self.remote_partitions.merge(other.remote_partitions);
        add(&mut self.keys, &other.keys);
        add(&mut self.families, &other.families);
        add(&mut self.kinds, &other.kinds);
        add(&mut self.flags, &other.flags);
        add(&mut self.letters, &other.letters);
        add(&mut self.signs, &other.signs);
        self.sums.merge(other.sums);
    }

    /// Records of all kinds.
    pub fn records(&self) -> u64 {
        self.keys.iter().sum()
    }

    /// Records whose key is of this family.
    pub fn keys(&self, family: KeyFamily) -> u64 {
        read(&self.keys, family as usize)
    }

    /// Mailboxes whose value is of this family.
    pub fn family(&self, family: Family) -> u64 {
        read(&self.families, family as usize)
    }

    /// Mailboxes of this kind, flagged ones too.
    pub fn kind(&self, kind: Kind) -> u64 {
        read(&self.kinds, kind as usize)
    }

    /// Mailboxes with this flag.
    pub fn flag(&self, flag: Flag) -> u64 {
        read(&self.flags, flag as usize)
    }

    /// Mailboxes whose T has this letter.
    pub fn letter(&self, letter: u8) -> u64 {
        read(&self.letters, usize::from(letter.wrapping_sub(b'a')))
    }

    pub(crate) fn sign(&self, sign: Sign) -> u64 {
        read(&self.signs, sign as usize)
    }
}
