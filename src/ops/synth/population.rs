//! The mailboxes of an invented site: who has which, in key order, from a seed.
//!
//! Everything about mailbox number `n` follows from the seed and `n` alone, so nothing has to be kept but a counter; the
//! names come out sorted under all of Cyrus' comparators.

/// Syllables of invented names, sorted; fixed numbers of them sort as the numbers they stand for.
const SYLLABLES: [&str; 32] = [
    "ba", "be", "co", "da", "di", "en", "fa", "fo", "ga", "gu", "ha", "hi", "ja", "ke", "ko", "la", "li", "ma", "mo",
    "na", "no", "pa", "pe", "ra", "ro", "sa", "su", "ta", "to", "va", "wi", "ze",
];

/// Folders below an INBOX, sorted; a user has some of them.
const FOLDERS: [&[&str]; 20] = [
    &["Archive"],
    &["Archive", "2021"],
    &["Archive", "2022"],
    &["Archive", "2023"],
    &["Archive", "2024"],
    &["Drafts"],
    &["Entw&APw-rfe"],
    &["Family"],
    &["Invoices"],
    &["Lists"],
    &["Notes"],
    &["Projects"],
    &["Projects", "bridge"],
    &["Projects", "tower"],
    &["Sent"],
    &["Sent Items"],
    &["Spam"],
    &["Templates"],
    &["Trash"],
    &["Work"],
];

/// Topics below a shared department, sorted.
const TOPICS: [&str; 8] = ["archive", "board", "buildings", "jobs", "minutes", "news", "press", "support"];

/// How many mailboxes make one deleted and one shared one.
const ONE_IN: u32 = 100;

/// Time of the first deletion in seconds: September 2026.
const DELETIONS_SINCE: u64 = 1_790_000_000;

/// Which mailbox of a site: all else follows from this and the seed. Spots sort as the mailboxes' names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Spot {
    /// A deleted mailbox that still awaits expiry, by number.
    Deleted(u32),
    /// A department's mailbox, by number.
    Shared(u32),
    /// A folder of a user: the user's number, and 0 for the INBOX or 1 + the place in [`FOLDERS`].
    User(u32, u8),
}

/// One mailbox of the site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mailbox {
    /// Elements of its name, `user` and the user's name included.
    pub elements: Vec<String>,
    /// The user it belongs to; for shared ones the department's name.
    pub owner: String,
}

/// An invented site of a given number of mailboxes.
#[derive(Clone, Copy, Debug)]
pub struct Population {
    /// Mailboxes in all.
    pub mailboxes: u32,
    /// What everything else follows from.
    pub seed: u64,
}

impl Population {
    /// A number that depends on the seed, `spot` and `what` alone, each bit as good as any other.
    pub fn dice(self, spot: Spot, what: u64) -> u64 {
        let number = match spot {
            Spot::Deleted(index) => u64::from(index) << 16 | 1,
            Spot::Shared(index) => u64::from(index) << 16 | 2,
            Spot::User(user, folder) => u64::from(user) << 16 | u64::from(folder) << 8 | 3,
        };
        // The finaliser of SplitMix64 (Steele, Lea, Flood 2014), applied to a distinct word for each question.
        let mut word =
            self.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ what.wrapping_mul(0xD1B5_4A32_D192_ED03);
        for (shift, factor) in [(30, 0xBF58_476D_1CE4_E5B9), (27, 0x94D0_49BB_1331_11EB)] {
            word = (word ^ (word >> shift)).wrapping_mul(factor);
        }
        word ^ (word >> 31)
    }

    fn each_other(self) -> u32 {
        self.mailboxes / ONE_IN
    }

    /// All mailboxes in key order.
    pub fn spots(self) -> impl Iterator<Item = Spot> + Clone {
        let others = self.each_other();
        let users = (self.mailboxes - 2 * others) as usize;
        let of_user = move |user: u32| {
            let wanted = self.wanted(user);
            (0..=FOLDERS.len() as u8).filter(move |folder| wanted >> folder & 1 == 1).map(move |f| Spot::User(user, f))
        };
        let shared = (0..others).map(Spot::Shared);
        (0..others).map(Spot::Deleted).chain(shared).chain((0..).flat_map(of_user).take(users))
    }

    /// Which folders a user has, a bit each, the INBOX always; about eight in all.
    fn wanted(self, user: u32) -> u64 {
        let dice = |what| self.dice(Spot::User(user, 0), what);
        let mut wanted = (dice(2) & dice(3) | dice(4) & dice(5)) << 1 | 1;
        for (place, path) in FOLDERS.iter().enumerate() {
            // A folder below another needs that one.
            let parent =
                FOLDERS.iter().position(|other| path.len() == 2 && other.len() == 1 && other.first() == path.first());
            if parent.is_some_and(|parent| wanted >> (parent + 1) & 1 == 0) {
                wanted &= !(1 << (place + 1));
            }
        }
        wanted
    }

    /// The mailbox at a spot.
    pub fn mailbox(self, spot: Spot) -> Mailbox {
        let others = self.each_other();
        let strings = |elements: &[&str]| elements.iter().copied().map(String::from).collect::<Vec<_>>();
        match spot {
            Spot::Deleted(index) => {
                let owner = name(index, others);
                let when = DELETIONS_SINCE + self.dice(spot, 1) % 5_000_000;
                Mailbox { elements: strings(&["DELETED", "user", &owner, "Trash", &format!("{when:X}")]), owner }
            }
            Spot::Shared(index) => {
                let topics = TOPICS.len() as u32;
                let owner = name(index / topics, others.div_ceil(topics));
                let topic = TOPICS.get((index % topics) as usize).copied().unwrap_or_default();
                Mailbox { elements: strings(&["shared", &owner, topic]), owner }
            }
            Spot::User(user, folder) => {
                // As wide as a user for each mailbox would need, so that there is room however many folders they have.
                let owner = name(user, self.mailboxes);
                let mut elements = strings(&["user", &owner]);
                let path = usize::from(folder).checked_sub(1).and_then(|place| FOLDERS.get(place));
                elements.extend(path.into_iter().flat_map(|path| strings(path)));
                Mailbox { elements, owner }
            }
        }
    }
}

/// Name number `index` of `of`: as many syllables as `of` needs, so that names sort as their numbers.
fn name(index: u32, of: u32) -> String {
    let (index, of) = (u64::from(index), u64::from(of.max(2)));
    let base = SYLLABLES.len() as u64;
    let mut places = vec![0usize; 2.max(of.ilog2() as usize / 5 + 1)];
    // Spread over the whole range, so that the first letters differ.
    let room = base.saturating_pow(places.len() as u32);
    let mut rest = index.saturating_mul((room / of).max(1));
    for place in places.iter_mut().rev() {
        *place = (rest % base) as usize;
        rest /= base;
    }
    places.into_iter().filter_map(|place| SYLLABLES.get(place).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(mailboxes: u32, seed: u64) -> Vec<String> {
        let site = Population { mailboxes, seed };
        site.spots().map(|spot| site.mailbox(spot).elements.join("\u{1F}")).collect()
    }

    #[test]
    fn names_stand_in_key_order_and_none_twice() {
        for count in [0, 1, 5, 99, 100, 1_000, 30_000] {
            let names = names(count, 7);
            assert_eq!(names.len() as u32, count);
            assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{count}");
        }
    }

    #[test]
    fn the_seed_decides_everything() {
        assert_eq!(names(500, 1), names(500, 1));
        assert_ne!(names(500, 1), names(500, 2));
    }
}
