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
const ONE_IN: u64 = 100;

/// What kind of mailbox it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// A deleted mailbox that still awaits expiry, with the time of its deletion in seconds.
    Deleted(u64),
    /// A department's mailbox.
    Shared,
    /// A user's INBOX or a folder below it.
    User,
}

/// One mailbox of the site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mailbox {
    /// Its number, from 0, in key order.
    pub number: u64,
    /// Where it lives.
    pub place: Place,
    /// Elements of its name, `user` and the user's name included.
    pub elements: Vec<String>,
    /// The user it belongs to; for shared ones the department's name.
    pub owner: String,
}

/// An invented site of a given number of mailboxes.
#[derive(Clone, Copy, Debug)]
pub struct Population {
    /// Mailboxes in all.
    pub mailboxes: u64,
    /// What everything else follows from.
    pub seed: u64,
}

impl Population {
    /// A number that depends on the seed, `number` and `what` alone, each bit as good as any other.
    pub fn dice(&self, number: u64, what: u64) -> u64 {
        // The finaliser of SplitMix64 (Steele, Lea, Flood 2014), applied to a distinct word for each question.
        let mut word =
            self.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ what.wrapping_mul(0xD1B5_4A32_D192_ED03);
        for (shift, factor) in [(30, 0xBF58_476D_1CE4_E5B9), (27, 0x94D0_49BB_1331_11EB)] {
            word = (word ^ (word >> shift)).wrapping_mul(factor);
        }
        word ^ (word >> 31)
    }

    /// All mailboxes in key order.
    pub fn mailboxes(self) -> impl Iterator<Item = Mailbox> + Clone {
        let deleted = self.mailboxes / ONE_IN;
        let shared = self.mailboxes / ONE_IN;
        let deleted_ones = (0..deleted).map(move |index| self.deleted(index, deleted));
        let shared_ones = (0..shared).map(move |index| self.shared(index, shared));
        let users = self.users(self.mailboxes - deleted - shared);
        deleted_ones.chain(shared_ones).chain(users).zip(0..).map(|(mailbox, number)| Mailbox { number, ..mailbox })
    }

    fn deleted(self, index: u64, of: u64) -> Mailbox {
        let owner = name(index, of);
        let when = 1_790_000_000 + self.dice(index, 1) % 5_000_000;
        let elements = ["DELETED", "user", &owner, "Trash", &format!("{when:X}")].map(String::from).to_vec();
        Mailbox { number: 0, place: Place::Deleted(when), elements, owner }
    }

    fn shared(self, index: u64, of: u64) -> Mailbox {
        let topics = TOPICS.len() as u64;
        let owner = name(index / topics, of.div_ceil(topics));
        let topic = TOPICS.iter().cycle().nth((index % topics) as usize).map_or("", |topic| topic);
        let elements = vec!["shared".to_owned(), owner.clone(), topic.to_owned()];
        Mailbox { number: 0, place: Place::Shared, elements, owner }
    }

    /// `count` mailboxes of users, each with an INBOX and some of [`FOLDERS`], about ten a user.
    fn users(self, count: u64) -> impl Iterator<Item = Mailbox> + Clone {
        // Names are as wide as `count` users would need, so that the last ones still have room.
        let of_user = move |user: u64| {
            let owner = name(user, count);
            let wanted = self.dice(user, 2) & self.dice(user, 3) | self.dice(user, 4) & self.dice(user, 5);
            let folders = FOLDERS.iter().enumerate().filter(move |(bit, path)| {
                // A folder below another needs that one.
                let parent = FOLDERS
                    .iter()
                    .position(|other| path.len() == 2 && other.len() == 1 && other.first() == path.first());
                wanted >> bit & 1 == 1 && parent.is_none_or(|parent| wanted >> parent & 1 == 1)
            });
            let paths = std::iter::once::<&[&str]>(&[]).chain(folders.map(|(_, path)| *path));
            paths.map(move |path| {
                let head = ["user", owner.as_str()].into_iter();
                let elements = head.chain(path.iter().copied()).map(String::from).collect();
                Mailbox { number: 0, place: Place::User, elements, owner: owner.clone() }
            })
        };
        (0..).flat_map(of_user).take(usize::try_from(count).unwrap_or(usize::MAX))
    }
}

/// Name number `index` of `of`: as many syllables as `of` needs, so that names sort as their numbers.
fn name(index: u64, of: u64) -> String {
    let base = SYLLABLES.len() as u64;
    let mut places = vec![0usize; 2.max(of.max(2).ilog2() as usize / 5 + 1)];
    // Spread over the whole range, so that the first letters differ.
    let room = base.saturating_pow(places.len() as u32);
    let mut rest = index.saturating_mul((room / of.max(1)).max(1));
    for place in places.iter_mut().rev() {
        *place = (rest % base) as usize;
        rest /= base;
    }
    places.into_iter().filter_map(|place| SYLLABLES.get(place).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_key_order_and_none_twice() {
        for count in [0, 1, 5, 99, 100, 1_000, 30_000] {
            let site = Population { mailboxes: count, seed: 7 };
            let names: Vec<String> = site.mailboxes().map(|mailbox| mailbox.elements.join("\u{1F}")).collect();
            assert_eq!(names.len() as u64, count);
            assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{count}");
        }
    }

    #[test]
    fn the_seed_decides_everything() {
        let of = |seed| Population { mailboxes: 500, seed }.mailboxes().collect::<Vec<_>>();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }
}
