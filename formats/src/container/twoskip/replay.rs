//! Replays the committed part of a file that may be damaged.

use super::layout::{DUMMY_OFFSET, Head, Type};
use super::live::{Deletion, Live};
use super::scan::Scan;
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
    for item in Scan::new(cursor, DUMMY_OFFSET) {
        if item.span.start >= survey.limit {
            break;
        }
        let Some(head) = item.believed().filter(|head| head.end <= survey.limit) else { continue };
        match head.kind {
            Type::Record => drop(live.add(&head)),
            Type::Delete => {
                let deletion = live.deletion(&head);
                if judge(&head, deletion) {
                    deletion.old.into_iter().for_each(|old| live.remove(old));
                }
            }
            Type::Dummy | Type::Commit => {}
        }
    }
    live
}
