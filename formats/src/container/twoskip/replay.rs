//! Replays the committed part of a file that may be damaged.

use super::layout::{FIRST_OFFSET, Head, Type};
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
    let starts = survey.starts.iter_from(FIRST_OFFSET).take_while(|&start| start < survey.limit);
    for head in starts.filter_map(|start| Head::decode(cursor, start)).filter(|head| head.end <= survey.limit) {
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
