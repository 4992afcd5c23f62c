//! Sets of pages, for the formats that consist of pages: which were visited, so that no walk goes in a circle.

/// A set of page numbers below a bound; one bit a page.
#[derive(Clone, Debug, Default)]
pub struct PageSet {
    words: Vec<u64>,
    bound: u64,
}

impl PageSet {
    /// The empty set for `count` pages; numbers from there on are never in it.
    pub fn new(count: u64) -> Self {
        let words = usize::try_from(count.div_ceil(64)).unwrap_or_default();
        PageSet { words: vec![0; words], bound: count }
    }

    fn place(&self, page: u64) -> Option<(usize, u64)> {
        let word = usize::try_from(page / 64).ok()?;
        (page < self.bound).then_some((word, 1 << (page % 64)))
    }

    /// Adds a page; `false` if it was there already, or is no page of the file.
    pub fn insert(&mut self, page: u64) -> bool {
        let Some((word, bit)) = self.place(page) else { return false };
        let Some(word) = self.words.get_mut(word) else { return false };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Whether a page is in the set.
    pub fn contains(&self, page: u64) -> bool {
        self.place(page).and_then(|(word, bit)| self.words.get(word).map(|word| word & bit != 0)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_inserted_and_nothing_else() {
        let mut set = PageSet::new(65);
        assert!(set.insert(0) && set.insert(64) && !set.insert(64) && !set.insert(65));
        assert!(set.contains(64) && !set.contains(1) && !set.contains(65) && !set.contains(u64::MAX));
    }
}
