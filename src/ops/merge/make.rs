//! From what all lists say of a mailbox to the record of the target.

use super::claim::{Claim, Standing};
use super::ledger::{self, BASE, Decisions, Dispute, NOBODY};
use super::settle::{By, Class, Keep, Policy, Settled, settle};
use crate::formats::record::name::DELETED_PREFIX;
use crate::formats::record::{Entry, Era, Flag, Form, Key, KeyStyle, encode};
use crate::ops::convert::Converter;
use crate::ops::convert::remarks::Remarks;
use crate::ops::convert::role::complete;
use crate::ops::together::ordinary::{Ordinary, is_word};
use crate::ops::together::{Item, Misordered, Together};

/// Longer names, in bytes of their keys, don't fit every release.
const NAME_LEN_MAX: usize = 490;

/// What a range of names gives.
pub struct Chunk {
    /// Keys and values, one behind the other.
    pub bytes: Vec<u8>,
    /// Where each key ends and where its value ends.
    pub ends: Vec<[usize; 2]>,
    /// What had to be settled, and is told one by one.
    pub disputes: Vec<Dispute>,
    /// How much of each class is only counted, by [`Class::ALL`].
    pub noted: [u64; Class::ALL.len()],
    /// For each list how many of its records stand how.
    pub standings: Vec<[u64; Standing::ALL.len()]>,
    /// What the target can't hold.
    pub remarks: Remarks,
    /// Names about which a decision was found and followed.
    pub decided: u64,
    /// Names about which the decision does not fit the claims.
    pub stale: Vec<Vec<u8>>,
}

/// What it takes to make records.
pub struct Maker<'m, 's, 'r, 'a> {
    /// The lists: the backends', and the base's behind them if there is one.
    pub together: &'m Together<'s, 'r, 'a>,
    /// The way from each list's entries to the target's.
    pub converters: &'m [Converter],
    /// The names of the backends.
    pub names: &'m [Vec<u8>],
    /// What to do about what is not settled.
    pub policy: &'m Policy,
    /// What was decided.
    pub decisions: &'m Decisions,
    /// Whether what is as it should be is told one by one too.
    pub tells_notes: bool,
    /// A record that is no mailbox's, to be put in its place.
    pub marker: Option<&'m (Vec<u8>, Vec<u8>)>,
}

impl Maker<'_, '_, '_, '_> {
    fn has_base(&self) -> bool {
        self.converters.len() > self.names.len()
    }

    /// What one range of names gives.
    ///
    /// # Errors
    /// As of [`Together::range`].
    pub fn chunk(&self, range: usize) -> Result<Chunk, Misordered> {
        let names = self.together.range(range)?;
        let mut chunk = Chunk {
            // A record that is kept becomes hardly longer than it was.
            bytes: Vec::with_capacity(names.bytes_len()),
            ends: Vec::with_capacity(names.len()),
            disputes: Vec::new(),
            noted: [0; Class::ALL.len()],
            standings: vec![[0; Standing::ALL.len()]; self.converters.len()],
            remarks: Remarks::default(),
            decided: 0,
            stale: Vec::new(),
        };
        let order = self.together.order();
        let mut marker = self.marker.filter(|(key, _)| self.together.is_in(range, key));
        names.each_name(|said| {
            let key = said.first().map(|item| &*item.key).unwrap_or_default();
            if let Some((own, value)) = marker.filter(|(own, _)| order.compare(own, key).is_lt()) {
                chunk.push(own, value);
                marker = None;
            }
            if !self.ordinary(said, &mut chunk) {
                self.name(said, &mut chunk);
            }
        });
        if let Some((own, value)) = marker {
            chunk.push(own, value);
        }
        Ok(chunk)
    }

    /// Makes the record of a mailbox that one backend has and that the base, if any, knows to be there, with nothing to be said
    /// about it; `false` if it is not such a one, and then nothing is done.
    fn ordinary(&self, said: &[&Item<'_>], chunk: &mut Chunk) -> bool {
        let (item, base) = match said {
            [item] if !self.has_base() => (item, None),
            [item, base] if self.has_base() => (item, Some(base)),
            _ => return false,
        };
        let list = item.list as usize;
        let (Some(server), Some(converter)) = (self.names.get(list), self.converters.get(list)) else { return false };
        let fits = converter.era >= Era::V3_6
            && converter.origin.style.dump.is_none()
            && self.together.keys() == KeyStyle::Prefixed
            && self.decisions.is_empty()
            && is_word(server)
            && item.key.len() <= NAME_LEN_MAX
            && !item.key.get(1..).unwrap_or_default().starts_with(DELETED_PREFIX)
            && !item.key.contains(&Form::Db.domain_end());
        let Some(own) = Ordinary::of(&item.value).filter(|own| fits && own.server.is_none()) else { return false };
        if let Some(base) = base {
            let listed = base.list as usize >= self.names.len();
            if !listed || !own.is_told_in(server, &base.value) {
                return false;
            }
            chunk.count(base.list as usize, Standing::Mailbox);
        }
        chunk.count(list, Standing::Mailbox);
        chunk.bytes.extend_from_slice(&item.key);
        let key_end = chunk.bytes.len();
        own.write_remote(server, converter.era >= Era::V3_13, &mut chunk.bytes);
        chunk.ends.push([key_end, chunk.bytes.len()]);
        true
    }

    /// What all lists say of one mailbox.
    fn name(&self, said: &[&Item<'_>], chunk: &mut Chunk) {
        let mut claims: Vec<Claim<'_>> = Vec::with_capacity(said.len());
        let mut base = None;
        for item in said {
            let claim = self.claim(item);
            chunk.count(claim.list, claim.standing);
            match claim.list < self.names.len() {
                true => claims.push(claim),
                false => base = Some(claim),
            }
        }
        let mut settled = settle(&claims, base.as_ref(), self.names, self.policy, self.has_base());
        let Some(key) = said.first().map(|item| &*item.key) else { return };
        let deleted = || self.together.name(key).elements().next() == Some(DELETED_PREFIX);
        if settled.class.is_none() && settled.keep != Keep::Nobody && deleted() {
            settled.class = Some(Class::DeletedName);
        }
        if settled.class.is_some() || !self.decisions.is_empty() {
            self.dispute(key, &claims, base.as_ref(), &mut settled, chunk);
        }
        self.emit(key, claims, base, settled, chunk);
    }

    fn claim<'i>(&self, item: &'i Item<'_>) -> Claim<'i> {
        let list = item.list as usize;
        let mut entry = self.together.decode(item);
        if let (Some(entry), Some(converter)) = (&mut entry, self.converters.get(list)) {
            complete(entry, converter.origin.typeless, converter.origin.bare);
        }
        let standing = match self.names.get(list) {
            Some(name) => Standing::of_backend(entry.as_ref(), name),
            None => Standing::of_base(entry.as_ref()),
        };
        Claim { list, standing, entry }
    }

    /// Notes what had to be settled, and follows a decision about it.
    fn dispute(
        &self,
        key: &[u8],
        claims: &[Claim<'_>],
        base: Option<&Claim<'_>>,
        settled: &mut Settled,
        chunk: &mut Chunk,
    ) {
        let name = self.together.name(key).to_internal().into_owned();
        let decision = self.decisions.get(&name);
        if decision.is_none() && !settled.conflict && !self.tells_notes {
            if let Some(count) = settled.class.and_then(|class| chunk.noted.get_mut(class as usize)) {
                *count += 1;
            }
            return;
        }
        let from = |list: usize| self.names.get(list).map_or(BASE.as_bytes(), Vec::as_slice);
        let told: Vec<_> = claims.iter().chain(base).map(|claim| ledger::claim(claim, from(claim.list))).collect();
        if let Some(decision) = decision {
            match decision.keep(&told) {
                Some(keep) => {
                    *settled = Settled { keep, by: By::Decision, conflict: false, ..*settled };
                    chunk.decided += 1;
                }
                None => chunk.stale.push(name.clone()),
            }
        }
        let kept = match settled.keep {
            Keep::Claim(number) => claims.get(number).map_or(NOBODY.as_bytes(), |claim| from(claim.list)),
            Keep::Base => BASE.as_bytes(),
            Keep::Nobody => NOBODY.as_bytes(),
        };
        chunk.disputes.push(Dispute { name, settled: *settled, kept: kept.to_vec(), claims: told });
    }

    /// Makes the record that is kept.
    fn emit(
        &self,
        key: &[u8],
        mut claims: Vec<Claim<'_>>,
        base: Option<Claim<'_>>,
        settled: Settled,
        chunk: &mut Chunk,
    ) {
        let kept = match settled.keep {
            Keep::Claim(number) if number < claims.len() => claims.swap_remove(number),
            Keep::Base => match base {
                Some(base) => base,
                None => return,
            },
            _ => return,
        };
        let Some(converter) = self.converters.get(kept.list) else { return };
        let Some(mut entry) = kept.entry else { return };
        if kept.list < self.names.len() {
            take_home(&mut entry);
        }
        let remarks = &mut chunk.remarks;
        let Some(entry) = converter.entry(entry, &mut |remark| remarks.push(remark)) else { return };
        let style = converter.era.style();
        let value = encode(&entry, style.numbering);
        if style.keys == self.together.keys() {
            chunk.push(key, &value);
        } else if let Some(key) = Key::Mailbox(entry.name.clone()).encode(style.keys) {
            chunk.push(&key, &value);
        }
    }
}

/// What a backend's own entry is when the mailbox is taken to be there: no transfer, no server.
fn take_home(entry: &mut Entry<'_>) {
    entry.mbtype = entry.mbtype.without(Flag::Moving).without(Flag::Remote);
    entry.server = None;
}

impl Chunk {
    fn count(&mut self, list: usize, standing: Standing) {
        if let Some(count) = self.standings.get_mut(list).and_then(|counts| counts.get_mut(standing as usize)) {
            *count += 1;
        }
    }

    fn push(&mut self, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.ends.push([key_end, self.bytes.len()]);
    }
}
