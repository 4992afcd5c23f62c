//! In which order and spelling the fields of a dlist record stand: what it takes to write the same bytes again.

use super::item::Spelling;
use crate::record::entry::FieldKey;

/// Records with more fields than this lose the order of the rest.
const SLOTS_MAX: usize = 19;

/// A field's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slot {
    pub(crate) field: FieldKey,
    pub(crate) spelling: Spelling,
}

/// The fields of a dlist record in order: a byte a field, and a bit for each field that is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Layout {
    there: u16,
    count: u8,
    slots: [u8; SLOTS_MAX],
}

/// The spelling of each number.
const SPELLINGS: [Spelling; 6] =
    [Spelling::Nil, Spelling::Atom, Spelling::Quoted, Spelling::Literal, Spelling::LiteralPlus, Spelling::List];

/// The field of each number.
const FIELDS: [FieldKey; 32] = {
    let mut fields = [FieldKey::Unknown; 32];
    let mut index = 0;
    while index < FieldKey::ALL.len() {
        fields[FieldKey::ALL[index] as usize] = FieldKey::ALL[index];
        index += 1;
    }
    fields
};

impl Slot {
    #[inline]
    fn pack(self) -> u8 {
        (self.field as u8) << 3 | self.spelling as u8
    }

    fn unpack(byte: u8) -> Slot {
        let field = FIELDS.get(usize::from(byte >> 3)).copied().unwrap_or(FieldKey::Unknown);
        let spelling = SPELLINGS.get(usize::from(byte & 7)).copied().unwrap_or_default();
        Slot { field, spelling }
    }
}

impl Layout {
    /// Notes the next field; `false` where there is no room left.
    #[inline]
    pub(crate) fn push(&mut self, field: FieldKey, spelling: Spelling) -> bool {
        match self.slots.get_mut(self.count as usize) {
            Some(slot) => {
                *slot = Slot { field, spelling }.pack();
                self.there |= 1 << field as u8;
                self.count += 1;
                true
            }
            None => false,
        }
    }

    /// The fields in order.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.slots.iter().take(self.count as usize).map(|byte| Slot::unpack(*byte))
    }

    /// Whether `field` is there.
    #[inline]
    pub(crate) fn has(&self, field: FieldKey) -> bool {
        self.there & 1 << field as u8 != 0
    }

    /// How `field` is spelt, if it is there.
    pub(crate) fn find(&self, field: FieldKey) -> Option<Spelling> {
        if !self.has(field) {
            return None;
        }
        self.slots().find(|slot| slot.field == field).map(|slot| slot.spelling)
    }
}
