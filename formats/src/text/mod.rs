//! Text dumps of mailboxes.db: `cyr_dbtool … show`, and every era of `ctl_mboxlist -d`.

use crate::container::Detection;

/// Tells flat databases, `cyr_dbtool show` output and the text eras of `ctl_mboxlist -d` apart by the first lines of a file.
pub fn detect_lines(head: &[u8]) -> Detection {
    crate::container::detect::lines_verdict(None, format!("{} bytes of something", head.len()))
}
