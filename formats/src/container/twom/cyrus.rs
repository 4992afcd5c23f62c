//! What Cyrus makes of a file: release 3.13.7, the first long-lived one with this format; 3.6.1 does not know it.
//!
//! Source: the twom library (`read_header`, `recovery1`, `advance_loc`, `twom_cursor_next`), and what 3.13.7 did with the
//! damaged files of the corpus.

use std::collections::HashSet;

use super::file::File;
use super::layout::{DIRTY, FIRST_OFFSET, FOREIGN_ORDER, FOREIGN_SUMS, Head, Header, MAX_LEVEL, Type, VERSION};
use crate::container::{CyrusOutcome, Record};

const LEVELS: usize = MAX_LEVEL as usize;

/// What would be left if Cyrus were let at the file. Reading stops at the first record whose sum is wrong, and a write
/// does not change that.
pub fn as_cyrus<'a>(file: &File<'a>) -> CyrusOutcome<'a> {
    if file.cursor.is_empty() {
        return CyrusOutcome::Opens(Vec::new());
    }
    if let Some(outcome) = open(file) {
        return outcome;
    }
    // What Cyrus takes for the committed size, whatever stands there.
    let size = file.header.map_or(0, |header| header.current_size);
    let file = File { limit: size, ..*file };
    let mut healed = HashSet::new();
    if file.is_dirty()
        && let Err(outcome) = recover(&file, &mut healed)
    {
        return outcome;
    }
    read(&file, &healed)
}

/// Why Cyrus would not come as far as reading records.
fn open<'a>(file: &File<'a>) -> Option<CyrusOutcome<'a>> {
    let refuse = |why: &str| Some(CyrusOutcome::Refuses(why.to_owned()));
    let Some(header) = file.header.filter(|_| file.cursor.len() >= FIRST_OFFSET) else {
        return refuse("the file is too short to be a twom file");
    };
    if !Header::magic_is_right(file.cursor) {
        return refuse("the magic is wrong");
    }
    if header.version > VERSION {
        return refuse("the version is greater than 1");
    }
    if header.flags & (FOREIGN_SUMS | FOREIGN_ORDER) != 0 {
        return refuse("sums or order need a function that Cyrus does not have");
    }
    if header.current_size > file.cursor.len() {
        return Some(CyrusOutcome::Dies("an assertion fails: the file is shorter than its committed size".to_owned()));
    }
    let sums = super::layout::Sums::of(header.flags);
    (!header.sum_agrees(file.cursor, sums)).then(|| CyrusOutcome::Refuses("the header's sum is wrong".to_owned()))
}

/// The record that a pointer of level 0 leads to, and whether it is deleted (`safeptr`).
fn follow(file: &File<'_>, pointer: u64) -> Option<(Head, bool)> {
    let head = file.item(pointer)?;
    match head.kind {
        Type::Delete => Some((file.record(head.ancestor(file.cursor)?)?, true)),
        kind => kind.is_record().then_some((head, false)),
    }
}

/// Whether `recovery1` succeeds. Adds the records whose head it writes anew to `healed`.
fn recover<'a>(file: &File<'a>, healed: &mut HashSet<u64>) -> Result<(), CyrusOutcome<'a>> {
    let fails = |why: &str| CyrusOutcome::Refuses(format!("its recovery fails: {why}"));
    let Some(dummy) = file.dummy() else { return Err(fails("the DUMMY record can't be read")) };
    let cursor = file.cursor;
    let mut at = dummy;
    let mut pending = [(0, 0); LEVELS];
    let open = |node: &Head, pending: &mut [(u64, u64); LEVELS]| {
        for (level, slot) in (0..node.level).zip(pending).skip(1) {
            *slot = (node.offset, node.pointer(cursor, level.saturating_add(1)));
        }
    };
    open(&dummy, &mut pending);
    loop {
        if [0, 1].into_iter().any(|index| at.pointer(cursor, index) >= file.limit) {
            healed.insert(at.offset);
        }
        let below = |index| Some(at.pointer(cursor, index)).filter(|&word| word < file.limit).unwrap_or_default();
        let pointer = below(0).max(below(1));
        if pointer == 0 {
            break;
        }
        let Some((node, _)) = follow(file, pointer) else { return Err(fails("a record can't be read")) };
        if node.key(cursor) <= at.key(cursor) {
            return Err(fails("keys do not ascend"));
        }
        ancestors_match(file, &node).map_err(fails)?;
        for &(owner, _) in
            pending.iter().skip(1).take(usize::from(node.level).saturating_sub(1)).filter(|p| p.1 != node.offset)
        {
            healed.insert(owner);
        }
        open(&node, &mut pending);
        at = node;
    }
    healed.extend(pending.iter().skip(1).filter(|pending| pending.1 != 0).map(|pending| pending.0));
    Ok(())
}

fn ancestors_match(file: &File<'_>, node: &Head) -> Result<(), &'static str> {
    let mut at = *node;
    while let Some(offset) = at.ancestor(file.cursor).filter(|&offset| offset != 0) {
        if offset >= at.offset {
            return Err("an ancestor is no earlier record");
        }
        let Some((older, _)) = follow(file, offset) else { return Err("an ancestor can't be read") };
        if older.key(file.cursor) != node.key(file.cursor) {
            return Err("an ancestor has another key");
        }
        if older.offset >= at.offset {
            return Err("an ancestor is no earlier record");
        }
        at = older;
    }
    Ok(())
}

/// Reads along level 0 up to the first wrong sum.
fn read<'a>(file: &File<'a>, healed: &HashSet<u64>) -> CyrusOutcome<'a> {
    let Some(mut at) = file.dummy() else { return CyrusOutcome::Opens(Vec::new()) };
    let cursor = file.cursor;
    let sums = file.header.map_or(file.sums, |header| super::layout::Sums::of(header.flags & !DIRTY));
    let mut records = Vec::new();
    for _ in 0..file.most_records() {
        let next = follow(file, at.next(cursor, file.limit));
        let Some((node, deleted)) = next else { return CyrusOutcome::Opens(records) };
        let head_agrees = healed.contains(&node.offset) || node.head_agrees(cursor, sums);
        if !head_agrees || !deleted && !node.tail_agrees(cursor, sums) {
            return CyrusOutcome::Opens(records);
        }
        if !deleted {
            let record: Record<'a> = file.lend(&node);
            records.push(record);
        }
        at = node;
    }
    CyrusOutcome::Dies("it never stops reading: the list goes in a circle".to_owned())
}
