//! What a backend must hold, by what clients were told.

use std::collections::BTreeMap;

use super::check::{Check, Checked, holds};
use super::look::{Row, Rows};
use crate::formats::record::Acl;
use crate::formats::record::name::DELETED_PREFIX;
use crate::murder::host::disk::Spool;
use crate::murder::host::request::Request;
use crate::render::text::printable;

/// A mailbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    row: Row,
    messages: Vec<Vec<u8>>,
}

/// The mailboxes of a backend, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Model {
    kept: BTreeMap<Vec<u8>, Kept>,
    delayed: bool,
}

/// What a renaming did.
#[derive(Default)]
struct Renamed {
    /// Names that were left.
    left: Vec<Vec<u8>>,
    /// Names that were taken.
    taken: Vec<Vec<u8>>,
}

/// A disk, as far as a model looks at it.
#[derive(Clone, Copy)]
pub struct Shelf<'d> {
    /// What its database says.
    pub rows: &'d Rows,
    /// Its messages.
    pub spool: &'d Spool,
}

impl Shelf<'_> {
    fn messages(&self, row: &Row) -> &[Vec<u8>] {
        self.spool.get(&row.uniqueid).map(|messages| &messages[..]).unwrap_or_default()
    }

    fn kept(&self, row: &Row) -> Kept {
        Kept { row: row.clone(), messages: self.messages(row).to_vec() }
    }
}

/// Whether `name` is `top` or below it; with what stands behind.
fn below<'n>(name: &'n [u8], top: &[u8]) -> Option<&'n [u8]> {
    name.strip_prefix(top).filter(|rest| rest.first().is_none_or(|&byte| byte == b'.'))
}

/// Whether `name` is what a deleted mailbox is called until it is gone.
fn is_deleted(name: &[u8], of: &[u8]) -> bool {
    let rest = name.strip_prefix(DELETED_PREFIX).and_then(|rest| rest.strip_prefix(b"."));
    let time = rest.and_then(|rest| rest.strip_prefix(of)).and_then(|rest| rest.strip_prefix(b"."));
    time.is_some_and(|time| !time.is_empty() && time.iter().all(u8::is_ascii_hexdigit))
}

/// Whether an order may change what there is of a name.
pub fn touches(request: &Request, name: &[u8]) -> bool {
    match request {
        Request::Delete { name: own } => name == own || is_deleted(name, own),
        Request::Rename { from, to } => below(name, from).is_some() || below(name, to).is_some(),
        Request::Create { name: own, .. }
        | Request::SetAcl { name: own, .. }
        | Request::Append { name: own, .. }
        | Request::Deliver { name: own, .. } => name == own,
        _ => false,
    }
}

/// The name of a mailbox.
fn name_of(rows: &Rows, uniqueid: &[u8]) -> Option<Vec<u8>> {
    rows.iter().find(|(_, row)| row.uniqueid == uniqueid).map(|(name, _)| name.clone())
}

fn show(name: &[u8]) -> String {
    printable(name)
}

impl Model {
    /// What is on a disk, when nobody was told anything yet, or other things.
    pub fn of(shelf: Shelf<'_>, delayed: bool) -> Model {
        let kept = shelf.rows.iter().map(|(name, row)| (name.clone(), shelf.kept(row))).collect();
        Model { kept, delayed }
    }

    /// All that is not being changed is as it should be: `busy` says of which names that can't be told.
    pub fn check(&self, check: Check, shelf: Shelf<'_>, busy: &dyn Fn(&[u8]) -> bool) -> Checked {
        for (name, kept) in &self.kept {
            if shelf.rows.get(name) == Some(&kept.row) && shelf.messages(&kept.row) == kept.messages {
                continue;
            }
            let text = || match shelf.rows.get(name) {
                None => format!("{} is gone", show(name)),
                Some(row) if row != &kept.row => format!("{} changed: {row:?}, not {:?}", show(name), kept.row),
                Some(row) => {
                    let (left, all) = (shelf.messages(row).len(), kept.messages.len());
                    format!("{} has {left} messages, not its {all}", show(name))
                }
            };
            holds(check, busy(name), text)?;
        }
        let new = shelf.rows.keys().find(|name| !self.kept.contains_key(*name) && !busy(name));
        holds(check, new.is_none(), || format!("{} is there", new.map(|name| show(name)).unwrap_or_default()))
    }

    /// Whatever became of the names that `busy` says, no mailbox and no message is gone, unless some may be.
    pub fn conserved(&self, shelf: Shelf<'_>, may_go: bool, busy: &dyn Fn(&[u8]) -> bool) -> Checked {
        for (name, kept) in self.kept.iter().filter(|(name, _)| busy(name)) {
            let there = shelf.rows.values().any(|row| row.uniqueid == kept.row.uniqueid);
            holds(Check::NothingIsLost, there || may_go, || format!("{} is under no name", show(name)))?;
            let mut left = shelf.messages(&kept.row).iter();
            let all = kept.messages.iter().all(|message| left.any(|other| other == message));
            holds(Check::NothingIsLost, all || may_go, || format!("messages of {} are gone", show(name)))?;
        }
        Ok(())
    }

    /// Believes the disk about these names.
    pub fn adopt(&mut self, shelf: Shelf<'_>, busy: &dyn Fn(&[u8]) -> bool) {
        self.kept.retain(|name, _| !busy(name));
        let new = shelf.rows.iter().filter(|(name, _)| busy(name));
        self.kept.extend(new.map(|(name, row)| (name.clone(), shelf.kept(row))));
    }

    /// An order was done: is it, and what is from now on? Gives the names that the master is to know of. `busy` says of which
    /// names that can't be told, since there are other orders.
    ///
    /// # Errors
    /// What is not done.
    pub fn done(
        &mut self,
        request: &Request,
        shelf: Shelf<'_>,
        busy: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Vec<Vec<u8>>, (Check, String)> {
        let durable = |is: bool, text: &dyn Fn() -> String| holds(Check::OkIsDurable, is, text);
        let row = |name: &[u8]| shelf.rows.get(name);
        let mut changed = Vec::new();
        let told = match request {
            Request::Create { name, .. } => {
                durable(row(name).is_some(), &|| format!("{} was made and is not there", show(name)))?;
                vec![name.clone()]
            }
            Request::Delete { name } => {
                durable(row(name).is_none(), &|| format!("{} was deleted and is there", show(name)))?;
                let kept = self.kept.get(name).filter(|_| self.delayed && !name.starts_with(DELETED_PREFIX));
                let is = |kept: &Kept| {
                    shelf.rows.iter().any(|(other, row)| is_deleted(other, name) && row.uniqueid == kept.row.uniqueid)
                };
                let text = || format!("{} was to be kept for a while and is not", show(name));
                durable(kept.is_none_or(is), &text)?;
                changed.extend(kept.and_then(|kept| name_of(shelf.rows, &kept.row.uniqueid)));
                Vec::new()
            }
            Request::Rename { from, to } => {
                let renamed = self.renamed(from, to, shelf, busy)?;
                changed = renamed.left;
                renamed.taken
            }
            Request::SetAcl { name, identifier, rights } => {
                self.granted(name, identifier, rights, shelf)?;
                vec![name.clone()]
            }
            Request::Append { name, message } | Request::Deliver { name, message } => {
                let messages = row(name).map(|row| shelf.messages(row)).unwrap_or_default();
                let count = messages.iter().filter(|other| *other == message).count();
                durable(count == 1, &|| format!("{}: a message was taken and is there {count} times", show(name)))?;
                let before = self.kept.get(name).map(|kept| &kept.messages[..]).unwrap_or_default();
                durable(messages.starts_with(before), &|| format!("{}: messages before that are gone", show(name)))?;
                Vec::new()
            }
            _ => Vec::new(),
        };
        let mut names = changed;
        names.extend(told.iter().cloned());
        names.extend(request.name().map(<[u8]>::to_vec));
        // What else an order could have changed may be about to be changed by another.
        self.adopt(shelf, &|name| names.iter().any(|known| known == name));
        Ok(told)
    }

    /// Whether a renaming is done.
    fn renamed(
        &self,
        from: &[u8],
        to: &[u8],
        shelf: Shelf<'_>,
        busy: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Renamed, (Check, String)> {
        let durable = |is: bool, text: &dyn Fn() -> String| holds(Check::OkIsDurable, is, text);
        let mut renamed = Renamed::default();
        for (name, kept) in &self.kept {
            let Some(rest) = below(name, from) else { continue };
            let new = [to, rest].concat();
            let is = |name: &[u8]| shelf.rows.get(name).is_some_and(|row| row.uniqueid == kept.row.uniqueid);
            // One below it that was made meanwhile may have been left behind, or another order may have taken it away.
            let away = !rest.is_empty() && !is(&new) && !is(name) && busy(name);
            if away {
                continue;
            }
            let either = is(&new) != is(name) && (is(&new) || !rest.is_empty());
            durable(either, &|| format!("{} was renamed, and is not {}", show(name), show(&new)))?;
            let whole = shelf.messages(&kept.row) == kept.messages;
            durable(whole, &|| format!("{} was renamed, and its messages changed", show(name)))?;
            if is(&new) {
                renamed.taken.push(new);
            }
            renamed.left.push(name.clone());
        }
        Ok(renamed)
    }

    fn granted(&self, name: &[u8], identifier: &[u8], rights: &[u8], shelf: Shelf<'_>) -> Checked {
        let pairs = |acl: Option<&Vec<u8>>| -> BTreeMap<Vec<u8>, Vec<u8>> {
            let acl = acl.cloned().unwrap_or_default();
            let sorted = |rights: &[u8]| {
                let mut rights = rights.to_vec();
                rights.sort_unstable();
                rights
            };
            Acl::text(acl).pairs().map(|pair| (pair.identifier.to_vec(), sorted(&pair.rights))).collect()
        };
        let is = pairs(shelf.rows.get(name).and_then(|row| row.acl.as_ref()));
        let mut should = pairs(self.kept.get(name).and_then(|kept| kept.row.acl.as_ref()));
        should.remove(identifier);
        if !rights.is_empty() {
            let mut rights = rights.to_vec();
            rights.sort_unstable();
            should.insert(identifier.to_vec(), rights);
        }
        holds(Check::OkIsDurable, is == should, || format!("{} has the rights {is:?}, not {should:?}", show(name)))
    }
}
