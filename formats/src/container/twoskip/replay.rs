//! Replays the committed part of a file that may be damaged.

use super::layout::{DUMMY_OFFSET, Head, Type};
use super::live::{Deletion, Live};
use super::scan::Scan;
use super::survey::Survey;
use crate::container::KeyOrder;
use crate::image::Cursor;

/// Replays what can be believed. A DELETE removes a record only if that record's own pointers agree; `doubtful` is told of
/// the others.
pub fn replay<'a>(
    cursor: Cursor<'a>,
    survey: &Survey,
    order: KeyOrder,
    doubtful: &mut dyn FnMut(&Head, Deletion),
) -> Live<'a> {
    let mut live = Live::new(cursor, order);
    for item in Scan::new(cursor, DUMMY_OFFSET) {
        if item.span.start >= survey.limit {
            break;
        }
        let Some(head) = item.believed().filter(|head| head.end <= survey.limit) else { continue };
        match head.kind {
            Type::Record => drop(live.add(&head)),
            Type::Delete => match live.deletion(&head) {
                Deletion { old: Some(old), certain: true } => live.remove(old),
                unsure => doubtful(&head, unsure),
            },
            Type::Dummy | Type::Commit => {}
        }
    }
    live
}
