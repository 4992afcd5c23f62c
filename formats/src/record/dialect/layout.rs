//! In which order and spelling the fields of a dlist record stand: what it takes to write the same bytes again.

use super::item::Spelling;
use crate::record::entry::FieldKey;

/// Records with more fields than this lose the order of the rest.
const SLOTS_MAX: usize = 20;

/// A field's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slot {
    pub(crate) field: FieldKey,
    pub(crate) spelling: Spelling,
}

/// The fields of a dlist record in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Layout {
    slots: [Slot; SLOTS_MAX],
    count: u8,
}

impl Default for Layout {
    fn default() -> Self {
        Layout { slots: [Slot { field: FieldKey::Unknown, spelling: Spelling::Atom }; SLOTS_MAX], count: 0 }
    }
}

impl Layout {
    /// Notes the next field; `false` where there is no room left.
    #[inline]
    pub(crate) fn push(&mut self, field: FieldKey, spelling: Spelling) -> bool {
        match self.slots.get_mut(self.count as usize) {
            Some(slot) => {
                *slot = Slot { field, spelling };
                self.count += 1;
                true
            }
            None => false,
        }
    }

    /// The fields in order.
    pub(crate) fn slots(&self) -> &[Slot] {
        self.slots.get(..self.count as usize).unwrap_or_default()
    }

    /// Whether `field` is there.
    #[inline]
    pub(crate) fn has(&self, field: FieldKey) -> bool {
        self.find(field).is_some()
    }

    /// How `field` is spelt, if it is there.
    pub(crate) fn find(&self, field: FieldKey) -> Option<Spelling> {
        self.slots().iter().find(|slot| slot.field == field).map(|slot| slot.spelling)
    }
}
