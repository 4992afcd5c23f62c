//! What `ctl_mboxlist -d` prints of a mailbox, as an entry: the grammars are those of [`crate::text`].

use std::borrow::Cow;

use super::history::{self, Former};
use crate::record::acl::Acl;
use crate::record::entry::Entry;
use crate::record::mbtype::{MbType, Numbering};
use crate::record::name::Name;
use crate::text::json::{self, History, JsonFields};
use crate::text::lines::{self, Era, LineFields};

/// A grammar of `ctl_mboxlist -d`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Grammar {
    /// Lines: D1 to D5, up to 3.4.
    Lines(Era),
    /// JSON objects, since 3.6.
    Json,
}

/// Reads what a dump says behind a mailbox's name into `entry`; `false` if it is not of this grammar.
pub(crate) fn decode<'a>(entry: &mut Entry<'a>, value: &'a [u8], grammar: Grammar, numbering: Numbering) -> bool {
    match grammar {
        Grammar::Lines(era) => lines::parse(value, era).map(|fields| take_line(entry, fields, numbering)).is_ok(),
        Grammar::Json => json::parse(value).map(|fields| take_object(entry, fields)).is_ok(),
    }
}

/// A line's fields. The servers of D1 tell nothing of the type, which it lacks.
fn take_line<'a>(entry: &mut Entry<'a>, fields: LineFields<'a>, numbering: Numbering) {
    entry.mbtype = fields.mbtype.map_or(MbType::default(), |number| MbType::from_number(number, numbering));
    entry.server = fields.server.map(Cow::Borrowed);
    entry.partition = fields.partition.map(Cow::Borrowed);
    entry.acl = Acl::text(fields.acl);
    let Some(extra) = fields.extra else { return };
    entry.uniqueid = extra.uniqueid.map(Cow::Borrowed);
    entry.specialuse = extra.specialuse.map(Cow::Borrowed);
    entry.mtime = known(extra.mtime);
    entry.uidvalidity = known(extra.uidvalidity);
    entry.foldermodseq = known(extra.foldermodseq);
    entry.createdmodseq = known(extra.createdmodseq);
}

/// A JSON object's members.
fn take_object<'a>(entry: &mut Entry<'a>, fields: JsonFields<'a>) {
    entry.letters = fields.mbtype.unwrap_or_default();
    entry.mbtype = MbType::from_letters(&entry.letters);
    entry.server = fields.server;
    entry.partition = fields.partition;
    entry.acl = Acl::from_pairs(fields.acl.unwrap_or_default());
    entry.uniqueid = fields.uniqueid;
    entry.jmapid = fields.jmap_id;
    entry.specialuse = fields.legacy_specialuse;
    entry.mtime = known(fields.mtime);
    entry.uidvalidity = known(fields.uidvalidity);
    entry.foldermodseq = known(fields.foldermodseq);
    entry.createdmodseq = known(fields.createdmodseq);
    if !fields.name_history.is_empty() {
        entry.history_raw = Some(Cow::Owned(history(&fields.name_history)));
    }
}

/// Dumps print 0 for what is absent.
fn known(number: Option<u64>) -> Option<u64> {
    number.filter(|&number| number != 0)
}

/// Former names as a record under a uniqueid has them.
fn history(formers: &[History<'_>]) -> Vec<u8> {
    let former = |former: &History<'_>| Former {
        name: Name::internal(former.name.as_deref().unwrap_or_default().to_vec()),
        mtime: former.mtime,
        uidvalidity: former.uidvalidity,
        createdmodseq: former.createdmodseq,
        foldermodseq: former.foldermodseq,
        mbtype: MbType::from_letters(former.mbtype.as_deref().unwrap_or_default()),
        partition: former.partition.as_deref().map(|partition| Cow::Owned(partition.to_vec())),
    };
    history::write(formers.iter().map(former), false)
}
