//! The records of a target, in its key order: an index of the source, and each record made when it is written.

use std::borrow::Cow;
use std::collections::HashMap;

use rayon::prelude::*;

use super::blocks::{self, Block, Made, made, merge};
use super::index::{ById, Mailbox, Sorting};
use super::part::{ByJmapid, Other, Part, Task};
use super::remarks::{ENTRY, Fate, Remark, Remarks, Say};
use super::reverse_acl::ReverseAcls;
use super::{Converter, era};
use crate::formats::container::{KeyOrder, Pair};
use crate::formats::record::straight::Dumped;
use crate::formats::record::{Entry, Era, Former, Grammar, Key, KeyStyle, Under, encode, write_history};
use crate::ops::ahead::ahead;
use crate::ops::reading::Reading;

/// The records of a target.
pub struct Records<'a, 'c> {
    converter: &'c Converter,
    order: KeyOrder,
    /// Whether most objects of the source can be made records of without entries.
    straight: bool,
    index: Part<'a>,
    histories: HashMap<Vec<u8>, Vec<u8>>,
}

/// Says nothing.
fn silent(_: Remark<'_>) {}

impl<'a, 'c> Records<'a, 'c> {
    /// Reads the source once, says what the target can't hold, and puts what it can into `order`.
    pub fn plan(
        reading: &Reading<'a, '_>,
        converter: &'c Converter,
        racls: Option<&ReverseAcls>,
        order: KeyOrder,
        remarks: &mut Remarks,
    ) -> Self {
        let of_json = converter.origin.style.dump == Some(Grammar::Json);
        let straight = of_json && racls.is_none() && converter.keeps_entries();
        let task = Task { converter, racls, order, straight };
        let kept = remarks.kept();
        let parts: Vec<(Part<'a>, Remarks)> = (0..reading.parts())
            .into_par_iter()
            .map(|number| {
                let (mut part, mut remarks) = (Part::default(), Remarks::keeping(kept));
                reading.read(number, &mut |record, usual| {
                    part.take(record, usual, task, &mut |remark| remarks.push(remark));
                    true
                });
                part.mailboxes.sort_ids();
                (part, remarks)
            })
            .collect();
        let mut index = Part::default();
        for (part, said) in parts {
            index.append(part, task);
            remarks.append(said);
        }
        let mut records = Records { converter, order, straight, index, histories: HashMap::new() };
        records.sort(remarks);
        records.take_indexed(remarks);
        records.add_markers(racls);
        records.index.others.sort_by(|a, b| order.compare(&a.0, &b.0));
        records.index.others.dedup_by(|a, b| a.0 == b.0);
        records
    }

    fn sort(&mut self, remarks: &mut Remarks) {
        let order = self.order;
        let mut double = |later: &Mailbox<'a>, first: &Mailbox<'a>| {
            let name = Cow::Borrowed(first.held.key());
            let why = "the name stands there twice";
            remarks.push(Remark { name, field: ENTRY, value: later.held.value().into(), fate: Fate::Lost, why });
        };
        self.index.mailboxes.sort(Sorting { converter: self.converter, order }, &mut double);
        self.index.jmapids.sort_by(|a, b| order.compare(&a.key, &b.key).then(b.mtime.cmp(&a.mtime)));
        self.index.jmapids.dedup_by(|later, first| later.key == first.key);
    }

    /// Keeps the former names of mailboxes, and the records under uniqueids that no mailbox has.
    fn take_indexed(&mut self, remarks: &mut Remarks) {
        let converter = self.converter;
        let keeps = converter.era >= Era::V3_6;
        for held in std::mem::take(&mut self.index.indexed) {
            let decoded = converter.decode(held.key(), held.value());
            let (Key::Uniqueid(id), entry) = (&decoded.key, decoded.entry) else { continue };
            let owned = self.index.mailboxes.has(id, Sorting { converter, order: self.order });
            let mut say = |remark: Remark<'_>| remarks.push(remark);
            if !owned {
                self.index.others.extend(orphan(converter, held.key(), held.value(), entry, &mut say));
                continue;
            }
            let Some(history) = entry.and_then(|entry| entry.history_raw).filter(|history| !history.is_empty()) else {
                continue;
            };
            if keeps {
                self.histories.insert(id.to_vec(), history.into_owned());
            } else {
                let (name, value) = (Cow::Borrowed(held.key()), Cow::Borrowed(&*history));
                let why = "the release has no such field";
                say(Remark { name, field: "name_history", value, fate: Fate::Lost, why });
            }
        }
    }

    fn add_markers(&mut self, racls: Option<&ReverseAcls>) {
        let era = self.converter.era;
        self.index.others.extend(racls.and_then(ReverseAcls::marker));
        if era == Era::V3_4 {
            self.index.others.extend(Key::UniqueidMarker.encode(KeyStyle::Plain).map(|key| (key, b"1".to_vec())));
        }
    }

    /// Number of mailboxes.
    pub fn mailboxes(&self) -> usize {
        self.index.mailboxes.len()
    }

    /// All records, in order.
    pub fn pairs(&self) -> impl Iterator<Item = blocks::Record> + '_ {
        self.with_others(self.blocks())
    }

    /// Lets `work` take all records, in order, while those to come are made.
    pub fn ahead<T>(&self, work: impl FnOnce(&mut dyn Iterator<Item = blocks::Record>) -> T) -> T {
        let make = |give: &mut dyn FnMut(Block) -> bool| _ = self.blocks().all(give);
        ahead(1, make, |blocks| work(&mut self.with_others(blocks)))
    }

    /// Those of mailboxes; the first letters of their keys say which come first, and where keys have no such letters there
    /// are names alone.
    fn blocks(&self) -> impl Iterator<Item = Block> + '_ {
        let make =
            |items: &[&Mailbox<'a>], block: &mut Block| items.iter().for_each(|mailbox| self.named(mailbox, block));
        let names = made(self.index.mailboxes.names(), make);
        let make =
            |items: &[&ByJmapid<'a>], block: &mut Block| items.iter().for_each(|item| self.by_jmapid(item, block));
        let jmapids = made(self.index.jmapids.iter(), make);
        self.by_id().chain(jmapids).chain(names)
    }

    /// Those of mailboxes and all others in order.
    fn with_others<'s>(
        &'s self,
        blocks: impl Iterator<Item = Block> + 's,
    ) -> impl Iterator<Item = blocks::Record> + 's {
        let copy = |items: &[&Other], block: &mut Block| items.iter().for_each(|(key, value)| block.push(key, value));
        merge(self.order, Made::of(blocks), Made::of(made(self.index.others.iter(), copy)))
    }

    fn named(&self, mailbox: &Mailbox<'a>, block: &mut Block) {
        if let Some(dumped) = self.dumped(mailbox) {
            return block.with(|out| dumped.append_named(out));
        }
        let held = &mailbox.held;
        let style = self.converter.era.style();
        let Some(mut entry) = self.converter.mailbox(held.key(), held.value(), &mut silent) else { return };
        entry.history_raw = None;
        let Some(key) = Key::Mailbox(entry.name.clone()).encode(style.keys) else { return };
        block.push(&key, &encode(&entry, style.numbering));
    }

    /// A mailbox of which records can be made straight away.
    #[inline]
    fn dumped<'h>(&self, mailbox: &'h Mailbox<'a>) -> Option<Dumped<'h>> {
        let (Mailbox { held, cuts }, era) = (mailbox, self.converter.era);
        match cuts {
            Some(cuts) => Dumped::again(held.key(), held.value(), *cuts, era),
            None if self.straight => Dumped::read(held.key(), held.value(), era),
            None => None,
        }
    }

    fn by_jmapid(&self, item: &ByJmapid<'a>, block: &mut Block) {
        let content = self.converter.content(item.held.key(), item.held.value(), &mut silent);
        let Some(mut entry) = content else { return };
        (entry.under, entry.history_raw) = (Under::Jmapid, None);
        let entry = entry.as_written_in(self.converter.era);
        block.push(&item.key, &encode(&entry, self.converter.era.style().numbering));
    }

    /// The records under uniqueids (since 3.6).
    fn by_id(&self) -> impl Iterator<Item = Block> + '_ {
        let mailboxes = &self.index.mailboxes;
        let same = |a: &ById, b: &ById| mailboxes.is_same(a, b, self.converter);
        let ids = Some(mailboxes.ids()).filter(|_| self.converter.era >= Era::V3_6);
        made(ids.into_iter().flatten().flat_map(move |range| range.chunk_by(same)), |groups: &[&[ById]], block| {
            for near in groups.chunks(NEAR) {
                fetch(near.iter().filter_map(|group| mailboxes.mailbox(group.first()?)));
                near.iter().for_each(|group| self.under_uniqueid(group, block));
            }
        })
    }

    /// The record under the uniqueid of one or several entries: that of the live one, the tombstones being its former names.
    fn under_uniqueid(&self, group: &[ById], block: &mut Block) {
        if let [alone] = group
            && self.histories.is_empty()
            && let Some(dumped) = self.index.mailboxes.mailbox(alone).and_then(|mailbox| self.dumped(mailbox))
        {
            return block.with(|out| dumped.append_indexed(out));
        }
        if let Some((key, value)) = self.under_common_uniqueid(group) {
            block.push(&key, &value);
        }
    }

    fn under_common_uniqueid(&self, group: &[ById]) -> Option<Other> {
        let converter = self.converter;
        let group = group.iter().filter_map(|id| self.index.mailboxes.mailbox(id)).map(|mailbox| &mailbox.held);
        let entries = group.filter_map(|held| converter.content(held.key(), held.value(), &mut silent));
        let mut entries: Vec<Entry<'_>> = entries.collect();
        // The sort is stable: of several live ones the first in the order of names.
        entries.sort_by_key(|entry| (entry.is_tombstone(), std::cmp::Reverse(entry.mtime)));
        let formers = entries.split_off(entries.len().min(1));
        let mut entry = entries.pop()?;
        let id = entry.uniqueid.take()?;
        let history = match self.histories.get(&*id) {
            Some(history) => history.clone(),
            None if entry.history_raw.is_some() => entry.history_raw.take().unwrap_or_default().into_owned(),
            None if converter.origin.style.keys == KeyStyle::Plain => {
                let formers = formers.iter().filter(|former| former.is_tombstone()).map(former);
                write_history(formers, converter.era.quotes_separators())
            }
            None => Vec::new(),
        };
        entry.under = Under::Uniqueid;
        entry.history_raw = Some(Cow::Owned(history));
        let entry = entry.as_written_in(converter.era);
        let key = [b"I", &*id].concat();
        Some((key, encode(&entry, converter.era.style().numbering)))
    }
}

/// How many records that stand far from each other are fetched at once.
const NEAR: usize = 32;

/// How many lines of a processor's cache nearly all objects take, and how long those are.
const LINES: usize = 6;
const LINE_LEN: usize = 64;

/// Has the processor fetch records from the memory: several at once take it as long as one. It waits for none as long as
/// what it does next hangs on none: so first all are found, and the same is done with each.
fn fetch<'m>(near: impl Iterator<Item = &'m Mailbox<'m>>) {
    let mut objects: [&[u8]; NEAR] = [&[]; NEAR];
    objects.iter_mut().zip(near).for_each(|(object, mailbox)| *object = mailbox.held.value());
    let mut sum = 0;
    for object in objects {
        for line in 0..LINES {
            sum ^= object.get((line * LINE_LEN).min(object.len().saturating_sub(1))).copied().unwrap_or_default();
        }
    }
    std::hint::black_box(sum);
}

/// A tombstone as its successor's record remembers it.
fn former<'e>(entry: &'e Entry<'_>) -> Former<'e> {
    Former {
        name: entry.name.clone(),
        mtime: entry.mtime,
        uidvalidity: entry.uidvalidity,
        createdmodseq: entry.createdmodseq,
        foldermodseq: entry.foldermodseq,
        mbtype: entry.mbtype,
        partition: entry.partition.as_deref().map(Cow::Borrowed),
    }
}

/// A record under a uniqueid that no mailbox has, for the target.
fn orphan(
    converter: &Converter,
    key: &[u8],
    value: &[u8],
    entry: Option<Entry<'_>>,
    say: &mut Say<'_>,
) -> Option<Other> {
    let stays = converter.era >= Era::V3_6 && converter.host.role.is_none();
    let Some(entry) = entry.filter(|_| stays) else {
        let why = "a record under a uniqueid that no mailbox has";
        let fate = if converter.host.role.is_some() { Fate::LeftOut } else { Fate::Lost };
        say(Remark { name: key.into(), field: "record", value: value.into(), fate, why });
        return None;
    };
    let history = entry.history_raw.clone();
    let mut entry = era::fit(entry, converter.origin.era, converter.era, converter.now, say)?;
    entry.history_raw = history.or(Some(Cow::Borrowed(b"")));
    let entry = entry.as_written_in(converter.era);
    Some((key.to_vec(), encode(&entry, converter.era.style().numbering)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::formats::container::Record;
    use crate::formats::record::Style;
    use crate::ops::convert::Origin;
    use crate::ops::convert::role::Bare;

    const OBJECTS: [(&str, &str); 4] = [
        (
            "user.a^b.Sent Items",
            r#"{"name": "user.a^b.Sent Items", "mtime": "1655223049", "uidvalidity": "1654584238", "createdmodseq": "372", "foldermodseq": "2969", "mbtype": "e", "partition": "default", "acl": {"a.b": "lrs", "group:b c": "lrs"}, "uniqueid": "e5", "name_history": []}"#,
        ),
        (
            "user.a",
            r#"{"name": "user.a", "mtime": "1", "uidvalidity": "0", "createdmodseq": "0", "foldermodseq": "0", "mbtype": "er", "partition": "p", "server": "be1", "acl": {}, "name_history": []}"#,
        ),
        (
            "x",
            r#"{"name": "x", "mtime": "9999999999999999999", "uidvalidity": "2", "createdmodseq": "3", "foldermodseq": "4", "mbtype": "e", "acl": {"b": ""}, "uniqueid": "NIL", "name_history": []}"#,
        ),
        (
            "user.b",
            r#"{"name": "user.b", "mtime": "5", "uidvalidity": "2", "createdmodseq": "3", "foldermodseq": "4", "mbtype": "e", "partition": "", "acl": {"": "l", "%(": "l r"}, "uniqueid": "a b", "name_history": []}"#,
        ),
    ];

    fn converter(era: Era) -> Converter {
        let bare = Bare::Local;
        Converter {
            origin: Origin { style: Style::JSON, era: None, bare, typeless: false, jmapids: false },
            era,
            host: Default::default(),
            witnesses: Default::default(),
            makes_jmapids: false,
            now: 1_700_000_000,
        }
    }

    /// The records of one mailbox, and whether they were made of it straight away.
    fn records(name: &str, object: &str, era: Era, straight: bool) -> (Vec<Other>, Vec<String>, bool) {
        let converter = converter(era);
        let task = Task { converter: &converter, racls: None, order: KeyOrder::Unsigned, straight };
        let (mut index, mut said) = (Part::default(), Vec::new());
        let span = crate::formats::image::Span::at(0, 1);
        let record = Record { key: name.as_bytes().into(), value: object.as_bytes().into(), span };
        index.take(record, None, task, &mut |remark| said.push(format!("{remark:?}")));
        let (order, histories) = (task.order, HashMap::new());
        let records = Records { converter: &converter, order, straight, index, histories };
        let pairs = records.pairs().map(|made| (made.key().to_vec(), made.value().to_vec())).collect();
        (pairs, said, Dumped::read(name.as_bytes(), object.as_bytes(), era).is_some())
    }

    fn agree(name: &str, object: &str) -> bool {
        let mut all = true;
        for era in [Era::V3_4, Era::V3_6, Era::V3_8, Era::V3_10, Era::V3_12, Era::V3_13] {
            let (expected, remarks, _) = records(name, object, era, false);
            let (found, said, straight) = records(name, object, era, true);
            assert_eq!((found, said), (expected, remarks), "{era:?}: {object}");
            all &= straight || era == Era::V3_4;
        }
        all
    }

    #[test]
    fn records_made_straight_away_are_those_of_entries() {
        for (name, object) in OBJECTS {
            assert!(agree(name, object), "{object}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]
        #[test]
        fn records_of_changed_objects_are_those_of_entries(
            (name, object) in prop::sample::select(&OBJECTS[..]),
            at in any::<prop::sample::Index>(),
            removed in 0usize..4,
            with in prop::sample::select(&[
                "", " ", "\"", ",", "{", "}", "\\n", "%", "(", "0", "é", "\", \"server\": \"b", ", \"other\": \"5\"", "d", "e", "r", "!",
                "*", "\": \"", "NIL", "\u{1F}", "DELETED.",
            ][..]),
        ) {
            let mut object = object.to_owned();
            let at = (0..=object.len()).filter(|&at| object.is_char_boundary(at)).nth(at.index(object.len())).unwrap();
            object.replace_range(at..(at + removed).min(object.len()), with);
            agree(name, &object);
        }

        #[test]
        fn records_of_changed_names_are_those_of_entries(
            (name, object) in prop::sample::select(&OBJECTS[..]), other in "[a.^! $%Né\u{1F}*{]{0,12}",
        ) {
            let escaped = other.replace('\u{1F}', "\\u001F");
            agree(&other, &object.replacen(name, &escaped, 1));
        }
    }
}
