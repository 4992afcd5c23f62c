//! Writing: the only code that puts a user's file on the disk. What changes a database is a [`Plan`] first.

pub mod apply;
pub mod database;
pub mod document;
pub mod in_place;
pub mod interrupt;
pub mod ledger;
pub mod live;
pub mod safe_file;
pub mod safe_folder;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::formats::container::{Format, KeyOrder};

/// The file that a plan is for, as it was when the plan was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bound {
    /// Where it was.
    pub path: PathBuf,
    /// Its length in bytes.
    pub len: u64,
    /// BLAKE3 of its bytes.
    pub blake3: [u8; 32],
    /// Its format.
    pub format: Format,
    /// The order its keys stand in; `None` if they stand in none.
    pub order: Option<KeyOrder>,
}

/// A record's change: `None` is a record that is not there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The rule that asks for it.
    pub rule: String,
    /// The record's key.
    pub key: Vec<u8>,
    /// Its value before.
    pub from: Option<Vec<u8>>,
    /// Its value after.
    pub to: Option<Vec<u8>>,
    /// What speaks for it, in one line.
    pub evidence: String,
}

/// All that is to be changed in one file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The command that made it: `repair` or `undo`.
    pub made_by: String,
    /// When it was made, in seconds since 1970-01-01 UTC.
    pub made: u64,
    /// The file it is for.
    pub source: Bound,
    /// The order that the keys of the written file stand in.
    pub order: KeyOrder,
    /// The changes in their order; one key may be changed again and again.
    pub changes: Vec<Change>,
}

/// A key's value before all changes of a plan and after them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Net<'p> {
    /// Before.
    pub from: Option<&'p [u8]>,
    /// After.
    pub to: Option<&'p [u8]>,
}

impl Plan {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.source.order == Some(self.order)
    }

    /// What all changes together do to each key.
    ///
    /// # Errors
    /// The number of the first change, counted from 0, that does not start from what an earlier one left.
    pub fn net(&self) -> Result<BTreeMap<&[u8], Net<'_>>, usize> {
        let mut net: BTreeMap<&[u8], Net<'_>> = BTreeMap::new();
        for (index, change) in self.changes.iter().enumerate() {
            let (from, to) = (change.from.as_deref(), change.to.as_deref());
            match net.get_mut(&change.key[..]) {
                Some(known) if known.to == from => known.to = to,
                Some(_) => return Err(index),
                None => {
                    net.insert(&change.key, Net { from, to });
                }
            }
        }
        Ok(net)
    }

    /// The plan that takes this one back: for the file that this one wrote. Records that stood in no order don't again.
    pub fn inverse(&self, written: Bound, made: u64) -> Plan {
        let back = |change: &Change| Change { from: change.to.clone(), to: change.from.clone(), ..change.clone() };
        let changes = self.changes.iter().rev().map(back).collect();
        let order = self.source.order.unwrap_or(self.order);
        Plan { made_by: "undo".into(), made, order, source: written, changes }
    }
}
