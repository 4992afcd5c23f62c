//! Replays the committed part of a file that may be damaged.

use super::layout::{ALIGN, FIRST_OFFSET, Head, Type};
use super::live::{Deletion, Live};
use super::survey::Survey;
use crate::container::KeyOrder;
use crate::image::Cursor;

/// Replays what can be believed; `judge` answers for each DELETE whether it is to remove what it seems to remove.
pub fn replay<'a>(
    cursor: Cursor<'a>,
    survey: &Survey,
    order: KeyOrder,
    judge: &mut dyn FnMut(&Head, Deletion) -> bool,
) -> Live<'a> {
    let mut live = Live::new(cursor, order);
    let mut rows = survey.rows.iter().peekable();
    let mut next = survey.starts.at_or_after(FIRST_OFFSET);
    while let Some(start) = next.filter(|&start| start < survey.limit) {
        while rows.next_if(|row| row.first < start).is_some() {}
        if let Some(row) = rows.next_if(|row| row.first == start).filter(|row| live.add_row(row, &survey.starts)) {
            next = survey.starts.at_or_after(row.last.saturating_add(ALIGN));
            continue;
        }
        next = survey.starts.at_or_after(start.saturating_add(ALIGN));
        let Some(head) = Head::decode(cursor, start).filter(|head| head.end <= survey.limit) else { continue };
        if head.kind == Type::Record {
            live.add(&head);
            continue;
        }
        let deletion = live.deletion(&head);
        if judge(&head, deletion) {
            deletion.old.into_iter().for_each(|old| live.remove(old));
        }
    }
    live
}
