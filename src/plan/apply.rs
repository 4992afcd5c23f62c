//! Carries out a plan: the records of its source with its changes, in the order of its target.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::database::{self, Prepared, Target};
use super::{Bound, Net, Plan};
use crate::failure::Failure;
use crate::formats::container::{KeyOrder, Written};
use crate::input::Source;
use crate::ops::reading::Reading;
use crate::render::text::printable;

/// The source as a plan is bound to it.
pub fn bound(source: &Source, order: Option<KeyOrder>) -> Option<Bound> {
    let path = super::document::absolute(source.path());
    Some(Bound { path, len: source.len(), blake3: source.blake3(), format: source.format()?, order })
}

/// Refuses a source that is not, byte for byte, the file that the plan was made for.
///
/// # Errors
/// Says what differs: length or digest.
pub fn check(plan: &Plan, source: &Source) -> Result<(), Failure> {
    let refuse = |what: String| {
        Err(Failure::file(source.path(), what, "nothing was done; make a new plan of this file with `coroner repair`"))
    };
    let (len, wanted) = (source.len(), &plan.source);
    if len != wanted.len {
        return refuse(format!("is not the file that the plan was made for: it has {len} bytes, not {}", wanted.len));
    }
    if source.blake3() != wanted.blake3 {
        return refuse("is not the file that the plan was made for: it was changed, its digest is another one".into());
    }
    if source.format() != Some(wanted.format) {
        return refuse(format!("is not read as {}, as the plan wants it", wanted.format));
    }
    Ok(())
}

/// Writes the source's records with the plan's changes to a file that has no name yet.
///
/// # Errors
/// When a change does not start from what the source holds, when the file would be read as damaged, and all that
/// [`database::prepare`] fails of.
pub fn prepare(
    plan: &Plan,
    source: &Source,
    reading: &Reading<'_, '_>,
    target: Target<'_>,
) -> Result<Prepared, Failure> {
    let changed = changed(plan, source, reading)?;
    let format = reading.format();
    let options = database::options(format, plan.order, changed.records());
    let prepared = database::prepare(target, format, changed.records(), &options)?;
    match prepared.given() {
        // What is read as damaged could not be undone.
        Some(given) => {
            let what = format!("the new file would be read as damaged: {given}");
            Err(Failure::file(
                target.path,
                what,
                "nothing was written: if the plan makes the record so, leave that out",
            ))
        }
        None => Ok(prepared),
    }
}

/// Writes the source's records with the plan's changes to a file of their own.
///
/// # Errors
/// As of [`prepare`]; the target is then as it was.
pub fn copy(plan: &Plan, source: &Source, reading: &Reading<'_, '_>, target: Target<'_>) -> Result<Written, Failure> {
    prepare(plan, source, reading, target)?.appear()
}

/// Holds the plan's changes against the source's records.
///
/// # Errors
/// When a change does not start from what the source holds.
pub fn fits(plan: &Plan, source: &Source, reading: &Reading<'_, '_>) -> Result<(), Failure> {
    changed(plan, source, reading).map(drop)
}

/// The source's records with the plan's changes, which start from what the source holds.
fn changed<'c, 'a, 's>(
    plan: &'c Plan,
    source: &Source,
    reading: &'c Reading<'a, 's>,
) -> Result<Changed<'c, 'a, 's>, Failure> {
    let refuse = |what: String| Failure::file(source.path(), what, "nothing was done; make a new plan");
    let net = plan.net().map_err(|index| {
        let key = plan.changes.get(index).map(|change| printable(&change.key)).unwrap_or_default();
        refuse(format!("change {} of the plan, of {key}, does not start from what the one before it left", index + 1))
    })?;
    let changed = Changed { reading, net, from: plan.source.order, to: plan.order };
    if let Some(key) = changed.misfit() {
        let what = format!("the plan does not fit it: the record of {} is not what the plan says", printable(&key));
        return Err(refuse(what));
    }
    Ok(changed)
}

/// A key and its value.
type Pair<'p> = (Cow<'p, [u8]>, Cow<'p, [u8]>);

/// A database's records with changes.
struct Changed<'c, 'a, 's> {
    reading: &'c Reading<'a, 's>,
    net: BTreeMap<&'c [u8], Net<'c>>,
    from: Option<KeyOrder>,
    to: KeyOrder,
}

impl Changed<'_, '_, '_> {
    /// A key whose record is not what the changes start from.
    fn misfit(&self) -> Option<Vec<u8>> {
        let mut met = 0;
        let mut misfit = None;
        self.reading.each(|record| {
            if let Some(net) = self.net.get(&*record.key) {
                met += 1;
                if net.from != Some(&*record.value) {
                    misfit.get_or_insert(record.key.into_owned());
                }
            }
        });
        let there = self.net.values().filter(|net| net.from.is_some()).count();
        if misfit.is_some() || met == there {
            return misfit;
        }
        let mut missing: BTreeMap<&[u8], ()> =
            self.net.iter().filter(|(_, net)| net.from.is_some()).map(|(&key, _)| (key, ())).collect();
        self.reading.each(|record| {
            missing.remove(&*record.key);
        });
        missing.into_keys().next().map(<[u8]>::to_vec)
    }

    /// The records in the order of the target, with the changes.
    fn records(&self) -> Box<dyn Iterator<Item = Pair<'_>> + '_> {
        let parts = (0..self.reading.parts()).flat_map(|part| {
            let mut records = Vec::new();
            self.reading.walk(part, &mut |record| {
                records.push((record.key, record.value));
                true
            });
            records
        });
        if self.from == Some(self.to) && !self.reading.is_carved() {
            return Box::new(self.merged(parts));
        }
        let mut sorted: Vec<Pair<'_>> = parts.collect();
        sorted.sort_by(|a, b| self.to.compare(&a.0, &b.0));
        Box::new(self.merged(sorted.into_iter()))
    }

    /// Merges the changes into records that stand in the order of the target.
    fn merged<'m>(&'m self, records: impl Iterator<Item = Pair<'m>> + 'm) -> impl Iterator<Item = Pair<'m>> + 'm {
        let mut net: Vec<(&[u8], Net<'_>)> = self.net.iter().map(|(&key, &net)| (key, net)).collect();
        net.sort_by(|a, b| self.to.compare(a.0, b.0));
        let mut net = net.into_iter().peekable();
        let mut records = records.peekable();
        std::iter::from_fn(move || {
            loop {
                let change_first = match (net.peek(), records.peek()) {
                    (None, _) => return records.next(),
                    (Some(_), None) => true,
                    (Some((key, _)), Some((next, _))) => self.to.compare(key, next).is_le(),
                };
                if !change_first {
                    return records.next();
                }
                let (key, change) = net.next()?;
                records.next_if(|(next, _)| **next == *key);
                if let Some(to) = change.to {
                    return Some((Cow::Borrowed(key), Cow::Borrowed(to)));
                }
            }
        })
    }
}
