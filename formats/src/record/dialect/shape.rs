//! Entries as the writers of an era lay them out (genuine files of all of them; `imap/mboxlist.c`, `mboxlist_entry_cstring`
//! up to 3.4, `mboxlist_entry_to_dlist` since 3.6).

use std::borrow::Cow;

use super::dlist::ORDER_OLD;
use super::history;
use super::item::{self, Spelling};
use super::layout::Layout;
use crate::record::entry::{Entry, Family, FieldKey, Under};
use crate::record::era::Era;

impl Era {
    /// How its writers encode values.
    pub fn family(self) -> Family {
        match self {
            Era::V1_5 => Family::L0,
            _ if self < Era::V2_5 => Family::L1,
            _ => Family::Dlist,
        }
    }

    /// Whether its writers put names with separators between quotes.
    pub fn quotes_separators(self) -> bool {
        self >= Era::V3_12
    }
}

impl Entry<'_> {
    /// The same entry as if a writer of `era` had made its record: that era's encoding, order of fields and spellings, of
    /// its fields those that it has. What the era can't hold stays in the entry, and is left out when it is encoded.
    pub fn as_written_in(mut self, era: Era) -> Self {
        let numbering = era.style().numbering;
        self.family = era.family();
        self.raw = Cow::Borrowed(b"");
        self.letters = Cow::Owned(self.mbtype.letters(numbering));
        self.layout = Layout::default();
        if self.family != Family::Dlist {
            return self;
        }
        if let Some(raw) = self.history_raw.take() {
            self.history_raw = Some(history::respelt(raw, era.quotes_separators()));
        }
        let wanted = if era >= Era::V3_6 { &FieldKey::ALL[..] } else { ORDER_OLD };
        for &field in wanted {
            if let Some(spelling) = self.shape_of(field, era) {
                self.layout.push(field, spelling);
            }
        }
        for _ in 0..self.unknown.len() {
            self.layout.push(FieldKey::Unknown, Spelling::Atom);
        }
        self
    }

    /// How `era` spells a field of this entry; `None` if it leaves it out.
    fn shape_of(&self, field: FieldKey, era: Era) -> Option<Spelling> {
        let quote = era.quotes_separators();
        let text = |bytes: &Option<Cow<'_, [u8]>>| bytes.as_deref().map(|bytes| item::spelling(bytes, quote));
        let number = |number: Option<u64>, since: Era| {
            number.filter(|&number| number != 0 && era >= since).map(|_| Spelling::Atom)
        };
        match field {
            FieldKey::Acl => {
                let bare = self.acl.is_empty() && (self.is_tombstone() || self.is_intermediate());
                (!bare).then_some(Spelling::List)
            }
            FieldKey::Type => (era >= Era::V3_6 || !self.letters.is_empty()).then_some(Spelling::Atom),
            FieldKey::Name => (self.under != Under::Name).then(|| item::spelling(&self.name.to_db(), quote)),
            FieldKey::Uniqueid if self.under == Under::Uniqueid => None,
            FieldKey::Uniqueid => text(&self.uniqueid).or((era >= Era::V3_13).then_some(Spelling::Nil)),
            FieldKey::Jmapid if self.under == Under::Jmapid || era < Era::V3_13 => None,
            FieldKey::Jmapid => text(&self.jmapid).or(Some(Spelling::Nil)),
            FieldKey::Partition => text(&self.partition),
            FieldKey::Server => text(&self.server),
            FieldKey::Uidvalidity => number(self.uidvalidity, Era::V2_5),
            FieldKey::Mtime => self.mtime.map(|_| Spelling::Atom),
            FieldKey::Foldermodseq => number(self.foldermodseq, Era::V3_0),
            FieldKey::Createdmodseq => number(self.createdmodseq, Era::V3_2),
            FieldKey::History => (self.under == Under::Uniqueid).then_some(Spelling::List),
            FieldKey::Unknown => None,
        }
    }
}
