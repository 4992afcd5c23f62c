//! Items made on a thread of their own, while others are taken.

use std::sync::mpsc::{Receiver, sync_channel};

/// How many times items may be handed on ahead of the one who takes them.
const AHEAD: usize = 64;

/// Lets `work` take the items that `make` gives while they are made, so many of them handed on together; who gives them is
/// told whether more are wanted.
pub fn ahead<T: Send, R>(
    together: usize,
    make: impl FnOnce(&mut dyn FnMut(T) -> bool) + Send,
    work: impl FnOnce(&mut Ahead<T>) -> R,
) -> R {
    std::thread::scope(|scope| {
        let (more, coming) = sync_channel(AHEAD);
        scope.spawn(move || {
            let mut items = Vec::with_capacity(together);
            let mut wanted = true;
            make(&mut |item| {
                items.push(item);
                if items.len() == together {
                    wanted = more.send(std::mem::replace(&mut items, Vec::with_capacity(together))).is_ok();
                }
                wanted
            });
            // Whether anybody wants the last ones makes no difference any more.
            let _ = more.send(items);
        });
        work(&mut Ahead { coming, items: Vec::new().into_iter() })
    })
}

/// Items as they are made.
pub struct Ahead<T> {
    coming: Receiver<Vec<T>>,
    items: std::vec::IntoIter<T>,
}

impl<T> Iterator for Ahead<T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        loop {
            if let Some(item) = self.items.next() {
                return Some(item);
            }
            self.items = self.coming.recv().ok()?.into_iter();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_items_come_in_their_order() {
        for (together, count) in [(9, 0), (9, 1), (9, 8), (9, 9), (9, 30 * AHEAD), (1, 0), (1, 3 * AHEAD)] {
            let make = |give: &mut dyn FnMut(usize) -> bool| assert!((0..count).all(give));
            assert!(ahead(together, make, |items| items.eq(0..count)), "{count}");
        }
    }

    #[test]
    fn the_maker_is_told_when_no_more_is_wanted() {
        let mut made = 0;
        let make = |give: &mut dyn FnMut(usize) -> bool| made = (0..).take_while(|&item| give(item)).count();
        assert_eq!(ahead(9, make, |items| items.nth(3)), Some(3));
        assert!(made <= 9 * (AHEAD + 2));
    }
}
