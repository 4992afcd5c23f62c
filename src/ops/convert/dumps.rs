//! The lines and objects of `ctl_mboxlist -d`, made of entries in the source's own order.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::sync::Mutex;

use bstr::ByteSlice;
use rayon::prelude::*;

use super::Converter;
use super::remarks::{ENTRY, Fate, Remark, Remarks, Say};
use crate::formats::container::{Format, KeyOrder, Record};
use crate::formats::record::straight::Recorded;
use crate::formats::record::{Entry, Era, Key, Numbering, Style};
use crate::formats::text::json::{self, PlainEntry, PlainHistory};
use crate::formats::text::lines::{self, PlainLine};
use crate::ops::pipeline::ordered;
use crate::ops::reading::{Reading, parts};
use crate::ops::tally::Tally;

/// The grammar in which a release prints lines: 2.5 loses servers in its own, so it gets the one of 3.0, which it reads.
pub fn grammar(era: Era) -> lines::Era {
    match era {
        _ if era < Era::V2_3 => lines::Era::D1,
        _ if era < Era::V2_5 => lines::Era::D2,
        _ => lines::Era::D4,
    }
}

/// Writes the dump of all entries that the target has; answers the tally of their names and texts. Of JSON it tells the
/// number alone: each object was read again as soon as it was made.
///
/// # Errors
/// The first error of `write`, and if an object does not read as it should.
pub fn dump(
    reading: &Reading<'_, '_>,
    converter: &Converter,
    format: Format,
    remarks: &mut Remarks,
    write: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
) -> io::Result<Tally> {
    let histories = match format {
        Format::Json => histories(reading, converter),
        _ => HashMap::new(),
    };
    let straight = format == Format::Json && converter.origin.style == Style::NEW && converter.keeps_entries();
    let dumper = Dumper { converter, format, histories, straight };
    let kept = remarks.kept();
    let all = Mutex::new((Done::default(), Vec::new()));
    let make = |part, chunks: &mut crate::ops::pipeline::Chunks<'_, '_>| {
        let (mut done, mut said) = (Done::default(), Remarks::keeping(kept));
        reading.read(part, &mut |record, _| {
            dumper.append(&record, chunks.buffer(), &mut done, &mut |remark| said.push(remark));
            chunks.flow()
        });
        let mut all = all.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        all.0.append(done);
        all.1.push((part, said));
    };
    let mut begun = format != Format::Json;
    ordered(reading.parts(), make, |bytes| {
        if begun {
            return write(bytes);
        }
        begun = true;
        write(b"{\n")?;
        // Each object has the comma of the one before it.
        write(bytes.strip_prefix(b",\n").unwrap_or(bytes))
    })?;
    if format == Format::Json {
        write(if begun { b"\n}\n" } else { b"{\n\n}\n" })?;
    }
    let (done, mut said) = all.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(name) = done.unread {
        return Err(io::Error::other(format!("the object of {} does not read as it was made", name.as_bstr())));
    }
    said.sort_by_key(|(part, _)| *part);
    said.into_iter().for_each(|(_, said)| remarks.append(said));
    Ok(done.tally)
}

/// What was dumped.
#[derive(Default)]
struct Done {
    tally: Tally,
    /// A mailbox whose object does not say what it was made to say.
    unread: Option<Vec<u8>>,
    /// Room for a name.
    name: Vec<u8>,
}

impl Done {
    fn append(&mut self, other: Done) {
        self.tally.append(other.tally);
        self.unread = self.unread.take().or(other.unread);
    }
}

/// Former names by uniqueid, of the mailboxes that have any.
fn histories(reading: &Reading<'_, '_>, converter: &Converter) -> HashMap<Vec<u8>, Vec<u8>> {
    let mut histories = HashMap::new();
    if converter.origin.style.dump.is_some() || converter.origin.style.numbering == Numbering::Old {
        return histories;
    }
    let of_part = |part: usize| {
        let mut histories = Vec::new();
        reading.walk(part, &mut |record: Record<'_>| {
            if record.key.first() == Some(&b'I') && !record.value.ends_with(b" H ())") {
                let decoded = converter.decode(&record.key, &record.value);
                if let (Key::Uniqueid(id), Some(entry)) = (&decoded.key, decoded.entry) {
                    let history = entry.history_raw.filter(|history| !history.is_empty());
                    histories.extend(history.map(|history| (id.to_vec(), history.into_owned())));
                }
            }
            // The records under uniqueids stand in front of those under names.
            record.key.first() <= Some(&b'I')
        });
        histories
    };
    let parts: Vec<_> = (0..reading.parts()).into_par_iter().map(of_part).collect();
    histories.extend(parts.into_iter().flatten());
    histories
}

struct Dumper<'d> {
    converter: &'d Converter,
    format: Format,
    histories: HashMap<Vec<u8>, Vec<u8>>,
    /// Whether the objects of most records can be made without entries.
    straight: bool,
}

impl Dumper<'_> {
    /// Adds the line or object of a record's mailbox.
    fn append(&self, record: &Record<'_>, out: &mut Vec<u8>, done: &mut Done, say: &mut Say<'_>) {
        if self.straight {
            // A record under a uniqueid; the mailbox's own comes too.
            let is_index = matches!(&*record.key, [b'I', _, ..]);
            if is_index || self.append_straight(record, out, done).is_some() {
                return;
            }
        }
        let key = Key::decode(&record.key, self.converter.origin.style.keys);
        if !matches!(key, Key::Mailbox(_)) {
            if matches!(key, Key::UserGroup { .. } | Key::Unknown) {
                let why = "a record of no mailbox, which dumps have no place for";
                let (name, value) = (Cow::Borrowed(&*record.key), Cow::Borrowed(&*record.value));
                say(Remark { name, field: "record", value, fate: Fate::Lost, why });
            }
            return;
        }
        let Some(mut entry) = self.converter.mailbox(&record.key, &record.value, say) else { return };
        if let Some(history) = entry.uniqueid.as_deref().and_then(|id| self.histories.get(id)) {
            entry.history_raw = Some(Cow::Owned(history.clone()));
        }
        let start = out.len();
        let name = entry.name.to_internal();
        let text = match self.format {
            Format::Json => self.object(&entry, &name, out),
            _ => self.line(&entry, &name, out, say),
        };
        match text {
            Ok(_) if self.format == Format::Json => {
                done.tally.records += 1;
                // Behind the comma and the line end.
                if !json::holds(out.get(start + 2..).unwrap_or_default(), &name) {
                    done.unread.get_or_insert_with(|| name.to_vec());
                }
            }
            Ok(text) => done.tally.add(&name, out.get(text..).unwrap_or_default()),
            Err(why) => {
                out.truncate(start);
                say(Remark { name, field: ENTRY, value: entry.location(), fate: Fate::Lost, why });
            }
        }
        if self.format == Format::Text && out.len() > start {
            out.push(b'\n');
        }
    }

    /// Adds the object of a mailbox's own record, if nothing about it is unusual.
    #[inline]
    fn append_straight(&self, record: &Record<'_>, out: &mut Vec<u8>, done: &mut Done) -> Option<()> {
        let recorded = Recorded::read(&record.key, &record.value, self.converter.era)?;
        if !self.histories.is_empty() && recorded.uniqueid().is_some_and(|id| self.histories.contains_key(id)) {
            return None;
        }
        let start = out.len();
        done.name.clear();
        recorded.append_name(&mut done.name);
        out.extend_from_slice(b",\n");
        // All texts are from there.
        let made = match json::is_plain(&record.value) && json::is_plain(&done.name) {
            true => json::append_plain_entry(out, &recorded.entry(&done.name)),
            false => json::append_entry(out, &recorded.entry(&done.name)),
        };
        let made = made.is_ok();
        if made && out.get(start + 2..).is_some_and(|entry| json::holds(entry, &done.name)) {
            done.tally.records += 1;
            return Some(());
        }
        out.truncate(start);
        None
    }

    /// Adds `,LF"name": {…}`; answers where the object starts.
    fn object(&self, entry: &Entry<'_>, name: &[u8], out: &mut Vec<u8>) -> Result<usize, &'static str> {
        let letters = entry.mbtype.letters(Numbering::New);
        let pairs: Vec<_> = entry.acl.pairs().collect();
        let acl: Vec<_> = pairs.iter().map(|pair| (&*pair.identifier, &*pair.rights)).collect();
        let formers: Vec<_> = entry.history().collect();
        let spelt: Vec<_> =
            formers.iter().map(|former| (former.name.to_internal(), former.mbtype.letters(Numbering::New))).collect();
        let history: Vec<_> = formers
            .iter()
            .zip(&spelt)
            .map(|(former, (name, letters))| PlainHistory {
                name,
                mtime: former.mtime.unwrap_or_default(),
                uidvalidity: former.uidvalidity.unwrap_or_default(),
                createdmodseq: former.createdmodseq.unwrap_or_default(),
                foldermodseq: former.foldermodseq.unwrap_or_default(),
                mbtype: letters,
                partition: former.partition.as_deref(),
            })
            .collect();
        let plain = PlainEntry {
            name,
            mtime: entry.mtime.unwrap_or_default(),
            uidvalidity: entry.uidvalidity.unwrap_or_default(),
            createdmodseq: entry.createdmodseq.unwrap_or_default(),
            foldermodseq: entry.foldermodseq.unwrap_or_default(),
            mbtype: &letters,
            partition: entry.partition.as_deref(),
            server: entry.server.as_deref(),
            acl: &acl,
            uniqueid: entry.uniqueid.as_deref(),
            legacy_specialuse: entry.specialuse.as_deref(),
            jmap_id: entry.jmapid.as_deref(),
            name_history: &history,
        };
        out.extend_from_slice(b",\n");
        json::append_entry(out, &plain).map_err(|_| "JSON holds UTF-8 only, and Cyrus leaves such a mailbox out")
    }

    /// Adds a line without its end; answers where the value starts.
    fn line(
        &self,
        entry: &Entry<'_>,
        name: &[u8],
        out: &mut Vec<u8>,
        say: &mut Say<'_>,
    ) -> Result<usize, &'static str> {
        let grammar = grammar(self.converter.era);
        let numbering = self.converter.era.style().numbering;
        for (field, value) in beyond_lines(entry, grammar) {
            let (name, why) = (Cow::Borrowed(name), "lines have no such field");
            say(Remark { name, field, value: Cow::Owned(value), fate: Fate::Lost, why });
        }
        let acl = entry.acl.to_text();
        let line = PlainLine {
            name,
            mbtype: entry.mbtype.number(numbering),
            server: entry.server.as_deref(),
            partition: entry.partition.as_deref(),
            acl: &acl,
            extra: None,
        };
        let start = out.len();
        lines::write_line(out, grammar, &line)
            .map_err(|_| "a TAB, a line end, or a blank would end the field or the line")?;
        out.pop();
        Ok(start.saturating_add(name.len()).saturating_add(1))
    }
}

/// The fields of an entry that no line holds.
fn beyond_lines(entry: &Entry<'_>, grammar: lines::Era) -> Vec<(&'static str, Vec<u8>)> {
    let number =
        |number: Option<u64>| number.filter(|&number| number != 0).map(|number| number.to_string().into_bytes());
    let text = |text: &Option<Cow<'_, [u8]>>| text.as_deref().filter(|text| !text.is_empty()).map(<[u8]>::to_vec);
    let typed = (grammar == lines::Era::D1).then(|| entry.mbtype.letters(Numbering::Old)).filter(|l| !l.is_empty());
    // A mailbox with a server is remote: the server tells.
    let typed = typed.filter(|letters| letters != b"r" || entry.server.is_none() || entry.partition.is_none());
    let fields = [
        ("mbtype", typed),
        ("uniqueid", text(&entry.uniqueid)),
        ("uidvalidity", number(entry.uidvalidity)),
        ("foldermodseq", number(entry.foldermodseq)),
        ("createdmodseq", number(entry.createdmodseq)),
        ("mtime", number(entry.mtime)),
        ("jmapId", text(&entry.jmapid)),
        ("unknown", entry.unknown.first().map(|field| field.raw.to_vec())),
    ];
    fields.into_iter().filter_map(|(field, value)| Some((field, value?))).collect()
}

/// The tally of written lines.
pub fn read_back(bytes: &[u8], format: Format) -> Tally {
    let database = crate::formats::text::open(bytes, format);
    Tally::of(&*database.view(KeyOrder::Unsigned, parts(bytes.len() as u64)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::formats::image::Span;
    use crate::ops::convert::Origin;
    use crate::ops::convert::role::Bare;

    const RECORDS: [(&str, &str); 5] = [
        ("Nuser\x1Fa", "%(T e I id1 P default V 5 C 1 F 2 M 1700000000 A %(a lrswipkxtecdan anyone p))"),
        ("Npub", "%(T e I id1 J P-F P p2 V 1600000001 C 10 F 200 M 1700000000 A %())"),
        ("Nuser\x1Fa.b\x1FSub x", "%(T e I id1 J NIL P default V 5 C 1 F 2 M 0 A %(-eve l))"),
        ("Nuser\x1Fr", "%(T er P default S be1.example.com M 1700000000 A %(r lrs))"),
        ("Nuser\x1Fr", "%(T er I NIL J NIL P default S be1.example.com M 1700000000 A %())"),
    ];

    /// The objects of a record, what is said of it, and whether they were made straight away.
    fn dumped(key: &[u8], value: &[u8], era: Era, straight: bool) -> (Vec<u8>, Vec<String>, u64, bool) {
        let origin = Origin { style: Style::NEW, era: None, bare: Bare::Local, typeless: false, jmapids: false };
        let (host, witnesses) = (Default::default(), Default::default());
        let converter = Converter { origin, era, host, witnesses, makes_jmapids: false, now: 0 };
        let histories = HashMap::from([(b"id2".to_vec(), b"%(N user\x1Fold)".to_vec())]);
        let dumper = Dumper { converter: &converter, format: Format::Json, histories, straight };
        let record = Record { key: key.into(), value: value.into(), span: Span::at(0, 1) };
        let (mut out, mut said, mut done) = (Vec::new(), Vec::new(), Done::default());
        dumper.append(&record, &mut out, &mut done, &mut |remark| said.push(format!("{remark:?}")));
        assert!(done.unread.is_none());
        (out, said, done.tally.records, Recorded::read(key, value, era).is_some())
    }

    fn agree(key: &[u8], value: &[u8]) -> bool {
        let mut all = true;
        for era in [Era::V3_4, Era::V3_6, Era::V3_12, Era::V3_13] {
            let (expected, remarks, count, _) = dumped(key, value, era, false);
            let (found, said, records, straight) = dumped(key, value, era, true);
            assert_eq!((found, said, records), (expected, remarks, count), "{era:?}: {}", value.as_bstr());
            all &= straight || era < Era::V3_13;
        }
        all
    }

    #[test]
    fn objects_made_straight_away_are_those_of_entries() {
        for (key, value) in RECORDS {
            assert!(agree(key.as_bytes(), value.as_bytes()), "{value}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn objects_of_changed_records_are_those_of_entries(
            (key, value) in prop::sample::select(&RECORDS[..]),
            at in any::<prop::sample::Index>(),
            removed in 0usize..4,
            with in prop::sample::select(&[
                "", " ", "\"", "(", ")", "%(", "NIL", "0", "e", "ed ", "J x ", "S b ", "default", "\\", "\x1F", "\x1D", "^", "!",
                "\0", "a lrs ", "Z", "DELETED", "x", "99999999999999999999", "V 0 ", "id2", "é",
            ][..]),
            in_key: bool,
        ) {
            let (mut key, mut value) = (key.as_bytes().to_vec(), value.as_bytes().to_vec());
            let changed = if in_key { &mut key } else { &mut value };
            let at = at.index(changed.len());
            changed.splice(at..(at + removed).min(changed.len()), with.bytes());
            agree(&key, &value);
        }
    }
}
