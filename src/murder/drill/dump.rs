//! A list as `ctl_mboxlist -d` of 3.6 prints it, and what becomes of that when it is loaded again.

use std::io::Cursor;

use crate::formats::container::{self, Database, Format, KeyOrder, Pair, WriteOptions, flat};
use crate::formats::record::{Era, Flag, Form, Key, Name, Role, Style, decode, encode};
use crate::murder::host::request::Manner;
use crate::ops::account::Account;
use crate::ops::convert::records::Records;
use crate::ops::convert::remarks::Remarks;
use crate::ops::convert::role::Host;
use crate::ops::convert::witness::Witnesses;
use crate::ops::convert::{Converter, Origin, dumps};
use crate::ops::mend::order_of;
use crate::ops::reading::Reading;

/// A record.
type Owned = (Vec<u8>, Vec<u8>);

/// Seconds since 1970-01-01 UTC that records get which tell no time.
const NOW: u64 = 1_795_000_000;

/// The dump of a database.
///
/// # Errors
/// If it is none.
pub fn dump(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let format = container::detect(bytes).format.ok_or("it is no database")?;
    let database = container::open(bytes, format);
    let reading = Reading::sound(&*database, order_of(bytes, format));
    let converter = Account::of(&reading).converter(Era::V3_6, Host::default());
    let mut out = Vec::new();
    let mut write = |bytes: &[u8]| {
        out.extend_from_slice(bytes);
        Ok(())
    };
    let dumped = dumps::dump(&reading, &converter, Format::Json, &mut Remarks::default(), &mut write);
    dumped.map_err(|error| error.to_string())?;
    Ok(out)
}

/// A master's database out of a dump, as `coroner convert --role master` makes it.
///
/// # Errors
/// If it is no dump.
pub fn convert(dump: &[u8]) -> Result<Vec<u8>, String> {
    let database: Box<dyn Database<'_> + '_> = container::open(dump, Format::Json);
    let reading = Reading::sound(&*database, KeyOrder::Unsigned);
    let converter = Converter {
        origin: Origin::of(&reading, None),
        era: Era::V3_6,
        host: Host { role: Some(Role::Master), server: None },
        witnesses: Witnesses::default(),
        makes_jmapids: false,
        now: NOW,
    };
    let records = Records::plan(&reading, &converter, None, KeyOrder::Unsigned, &mut Remarks::default());
    written(&records.pairs().map(|made| (made.key().to_vec(), made.value().to_vec())).collect::<Vec<_>>())
}

/// What `ctl_mboxlist -u` makes of the same dump, of which coroner made the database `converted`: as the manual says, entries
/// without their remote flags; in 3.6.1 only those that have a uniqueid, which on a master none has.
///
/// # Errors
/// If it is no database.
pub fn undump(converted: &[u8], manner: Manner) -> Result<Vec<u8>, String> {
    let style = Style::NEW;
    let mut records = Vec::new();
    for (key, value) in pairs(converted)? {
        let decoded = decode(&key, &value, &style);
        let (Key::Mailbox(_), Some(mut entry)) = (decoded.key, decoded.entry) else { continue };
        match manner {
            Manner::Manual => {
                let mbtype = entry.mbtype.without(Flag::Remote);
                entry.set_type(mbtype, style.numbering);
                records.push((key.clone(), encode(&entry, style.numbering)));
            }
            Manner::Cyrus36 if entry.uniqueid.is_some() => records.push((key.clone(), value.clone())),
            Manner::Cyrus36 => {}
        }
    }
    written(&records)
}

/// The records of a database in their order.
fn pairs(bytes: &[u8]) -> Result<Vec<Owned>, String> {
    let format = container::detect(bytes).format.ok_or("it is no database")?;
    let mut records = Vec::new();
    container::open(bytes, format).view(order_of(bytes, format), 1).walk(0, &mut |record| {
        records.push((record.key.into_owned(), record.value.into_owned()));
        true
    });
    Ok(records)
}

/// A database in which a mailbox is said to move to another server, as a transfer leaves it that did not end.
///
/// # Errors
/// If it is no database, or does not have the mailbox.
pub fn moving(bytes: &[u8], name: &[u8], to: &[u8]) -> Result<Vec<u8>, String> {
    let style = Style::NEW;
    let mut records = pairs(bytes)?;
    let wanted = Key::Mailbox(Name::internal(name).into_form(Form::Db)).encode(style.keys);
    let Some((key, value)) = records.iter_mut().find(|(key, _)| wanted.as_ref() == Some(key)) else {
        return Err(format!("there is no {}", String::from_utf8_lossy(name)));
    };
    let mut entry = decode(key, value, &style).entry.ok_or("its record can't be read")?.into_owned();
    let mbtype = entry.mbtype.with(Flag::Moving);
    entry.server = Some(to.to_vec().into());
    entry.set_type(mbtype, style.numbering);
    *value = encode(&entry.as_written_in(Era::V3_6), style.numbering);
    written(&records)
}

fn written(records: &[Owned]) -> Result<Vec<u8>, String> {
    let options = WriteOptions { order: KeyOrder::Unsigned, time: 0, style: flat::Style::Escaped };
    let mut file = Cursor::new(Vec::new());
    let pairs = records.iter().map(|(key, value)| (key, value));
    container::write(&mut file, Format::Twoskip, pairs, &options).map_err(|error| error.to_string())?;
    Ok(file.into_inner())
}
