//! Writes the lines of `ctl_mboxlist -d` of 2.0 to 3.4.

use std::io::{self, Write};

use memchr::{memchr, memchr2};

use super::lines::{Era, Extra, NULL};

/// The fields of a line to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PlainLine<'a> {
    /// The mailbox's internal name.
    pub name: &'a [u8],
    /// The type, in the numbers of the release that is to read it.
    pub mbtype: u32,
    /// The server; D3 has no place for it.
    pub server: Option<&'a [u8]>,
    /// The partition.
    pub partition: Option<&'a [u8]>,
    /// The ACL, pairs of identifier and rights, each ended by a TAB.
    pub acl: &'a [u8],
    /// What only D5 has; `(null)` and 0 are written if there is none.
    pub extra: Option<Extra<'a>>,
}

/// Why a line can't be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A name, server, partition or ACL holds a byte that ends the field or the line.
    #[error("a text dump can't hold the {field} of {}: a TAB, a line end, or a blank lies in it", bstr::BStr::new(.name))]
    Unwritable {
        /// Name of the mailbox.
        name: Vec<u8>,
        /// The field.
        field: &'static str,
    },
}

/// Writes a line as `ctl_mboxlist -d` of the era does.
///
/// # Errors
/// See [`WriteError`]; nothing is written unless the system refuses.
pub fn write_line(out: &mut dyn Write, era: Era, line: &PlainLine<'_>) -> Result<(), WriteError> {
    let refused = |field| WriteError::Unwritable { name: line.name.to_vec(), field };
    let words = [("server", line.server), ("partition", line.partition)];
    if line.name.is_empty() || line.name.iter().any(|b| b"\t\n\r\0".contains(b)) {
        return Err(refused("name"));
    }
    if let Some((field, _)) =
        words.iter().find(|(_, word)| word.is_some_and(|w| w.iter().any(|b| b" \t\n\r\0".contains(b))))
    {
        return Err(refused(field));
    }
    if memchr2(b'\n', 0, line.acl).is_some() || memchr(b'\r', line.acl).is_some() {
        return Err(refused("ACL"));
    }
    let mut text = line.name.to_vec();
    text.push(b'\t');
    if era != Era::D1 {
        text.extend(format!("{} ", line.mbtype).as_bytes());
    }
    if let Some(server) = line.server.filter(|_| era != Era::D3) {
        text.extend(server);
        text.push(b'!');
    }
    text.extend(line.partition.unwrap_or(if era > Era::D2 { NULL } else { b"" }));
    text.push(if era == Era::D1 { b'\t' } else { b' ' });
    text.extend(line.acl);
    if era == Era::D5 {
        write_extra(&mut text, &line.extra.unwrap_or_default());
    }
    text.push(b'\n');
    Ok(out.write_all(&text)?)
}

fn write_extra(text: &mut Vec<u8>, extra: &Extra<'_>) {
    text.push(b'>');
    text.extend(extra.uniqueid.unwrap_or(NULL));
    for number in [extra.mtime, extra.uidvalidity, extra.foldermodseq, extra.createdmodseq] {
        text.extend(format!(" {}", number.unwrap_or_default()).as_bytes());
    }
    text.push(b' ');
    text.extend(extra.specialuse.unwrap_or(NULL));
}
