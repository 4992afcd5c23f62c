//! Which Cyrus versions could have written a set of records, and what a version knows.

use super::decode::Style;
use super::key::KeyStyle;
use super::mbtype::{Kind, MbType, Numbering};
use super::survey::Survey;

/// A Cyrus release series, oldest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Era {
    /// 1.5 and older: flat files without types.
    V1_5,
    /// 2.0.
    V2_0,
    /// 2.1.
    V2_1,
    /// 2.2.
    V2_2,
    /// 2.3.
    V2_3,
    /// 2.4.
    V2_4,
    /// 2.5.
    V2_5,
    /// 3.0.
    V3_0,
    /// 3.2.
    V3_2,
    /// 3.4.
    V3_4,
    /// 3.6.
    V3_6,
    /// 3.8.
    V3_8,
    /// 3.10.
    V3_10,
    /// 3.12.
    V3_12,
    /// 3.13.
    V3_13,
}

impl Era {
    /// All eras, oldest first.
    pub const ALL: [Era; 15] = [
        Era::V1_5,
        Era::V2_0,
        Era::V2_1,
        Era::V2_2,
        Era::V2_3,
        Era::V2_4,
        Era::V2_5,
        Era::V3_0,
        Era::V3_2,
        Era::V3_4,
        Era::V3_6,
        Era::V3_8,
        Era::V3_10,
        Era::V3_12,
        Era::V3_13,
    ];

    /// The version, as `--era` takes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Era::V1_5 => "1.5",
            Era::V2_0 => "2.0",
            Era::V2_1 => "2.1",
            Era::V2_2 => "2.2",
            Era::V2_3 => "2.3",
            Era::V2_4 => "2.4",
            Era::V2_5 => "2.5",
            Era::V3_0 => "3.0",
            Era::V3_2 => "3.2",
            Era::V3_4 => "3.4",
            Era::V3_6 => "3.6",
            Era::V3_8 => "3.8",
            Era::V3_10 => "3.10",
            Era::V3_12 => "3.12",
            Era::V3_13 => "3.13",
        }
    }

    /// The era of a version: `3.6.1` and `3.6` are [`Era::V3_6`]; development series belong to the release behind them.
    pub fn from_version(version: &str) -> Option<Era> {
        let mut numbers = version.split('.').map(|part| part.parse::<u32>().ok());
        let wanted = (numbers.next()??, numbers.next()??);
        let numbers_of =
            |era: Era| era.as_str().split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        Era::ALL.into_iter().find(|&era| numbers_of(era).is_some_and(|numbers: (u32, u32)| numbers >= wanted))
    }

    /// How its databases are read.
    pub fn style(self) -> Style {
        if self >= Era::V3_6 { Style::NEW } else { Style::OLD }
    }

    /// Longest name in bytes.
    pub fn name_len_max(self) -> usize {
        if self >= Era::V3_8 { 510 } else { 490 }
    }

    /// The type letters that its readers take.
    pub fn letters(self) -> &'static [u8] {
        match self {
            Era::V1_5 => b"",
            Era::V2_0 => b"rzn",
            Era::V2_1 | Era::V2_2 | Era::V2_3 => b"rznm",
            Era::V2_4 => b"rznmd",
            Era::V2_5 => b"rznmdca",
            Era::V3_0 => b"rznmdcab",
            Era::V3_2 | Era::V3_4 => b"rznmdcabisp",
            Era::V3_6 => b"rznmdcabispefl",
            Era::V3_8 | Era::V3_10 | Era::V3_12 | Era::V3_13 => b"rznmdcabispefjl",
        }
    }

    /// Whether its readers know this letter. Up to 3.4 they ignore what they don't know; since 3.6 they die of it.
    pub fn knows_letter(self, letter: u8) -> bool {
        self.letters().contains(&letter)
    }

    /// Whether it has all of this type and these flags.
    pub fn knows(self, mbtype: MbType) -> bool {
        let kind = mbtype.kind == Kind::Mail || self.knows_letter(mbtype.kind.letter());
        kind && mbtype.unknown.is_empty() && mbtype.flags.iter().all(|flag| self.knows_letter(flag.letter()))
    }

    /// The bits that its numbers use, with their own numbering.
    pub fn known_bits(self) -> u32 {
        match self.style().numbering {
            Numbering::Old => self
                .letters()
                .iter()
                .fold(0, |bits, letter| bits | MbType::from_letters(&[*letter]).number(Numbering::Old)),
            Numbering::New => 0x3FF,
        }
    }
}

/// What the records say about the version that wrote them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EraGuess {
    /// The oldest version that can have written them all.
    pub oldest: Era,
    /// The newest version that would have left them like this.
    pub newest: Era,
    /// What speaks for it, one line a point.
    pub evidence: Vec<String>,
}

impl EraGuess {
    /// Whether this version can have written them.
    pub fn allows(&self, era: Era) -> bool {
        self.oldest <= era && era <= self.newest
    }

    /// `3.6` or `3.6 to 3.10`.
    pub fn range(&self) -> String {
        match self.oldest == self.newest {
            true => self.oldest.as_str().to_string(),
            false => format!("{} to {}", self.oldest.as_str(), self.newest.as_str()),
        }
    }
}

/// Signs of an era that records can carry, counted by the [`Survey`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub(crate) enum Sign {
    FieldF,
    FieldC,
    FieldJ,
    LocalWithoutF,
    LocalWithoutC,
    QuotedSeparator,
    BareSeparator,
    RaclMarkerEmpty,
    RaclMarkerThree,
    RunqMarker,
    RightsSince23,
    RightsSince25,
    MacroRightAlone,
    NameOver490,
    DeletedName,
    RemoteWithoutBang,
}

/// Number of [`Sign`]s.
pub(crate) const SIGNS: usize = 16;

/// Narrows the range down, point by point.
struct Narrowing {
    guess: EraGuess,
}

impl Narrowing {
    fn since(&mut self, era: Era, count: u64, what: &str) {
        if count > 0 && era > self.guess.oldest {
            self.guess.oldest = era;
            self.guess.evidence.push(format!("{what} ({count}): {} or later", era.as_str()));
        }
    }

    fn until(&mut self, era: Era, holds: bool, what: &str) {
        if holds && era < self.guess.newest {
            self.guess.newest = era;
            self.guess.evidence.push(format!("{what}: {} or earlier", era.as_str()));
        }
    }
}

/// Which versions could have written what was surveyed; `None` where there is no mailbox.
pub fn guess(survey: &Survey) -> Option<EraGuess> {
    if survey.mailboxes == 0 {
        return None;
    }
    let range = EraGuess { oldest: Era::V1_5, newest: Era::V3_13, evidence: Vec::new() };
    let mut n = Narrowing { guess: range };
    match survey.style.keys {
        KeyStyle::Plain => narrow_plain(&mut n, survey),
        KeyStyle::Prefixed => narrow_prefixed(&mut n, survey),
    }
    let mut guess = n.guess;
    if guess.newest < guess.oldest {
        guess.evidence.push(format!(
            "these contradict each other: the oldest records are from {} or earlier",
            guess.newest.as_str()
        ));
        guess.newest = guess.oldest;
    }
    Some(guess)
}

fn narrow_plain(n: &mut Narrowing, survey: &Survey) {
    use super::entry::Family;
    n.until(Era::V3_4, true, "keys are plain names");
    let (l0, l1, dlist) = (survey.family(Family::L0), survey.family(Family::L1), survey.family(Family::Dlist));
    n.until(Era::V1_5, l0 > 0 && l1 == 0 && dlist == 0, "all values are partition and ACL");
    n.since(Era::V2_0, l1, "values with a number as type");
    n.since(Era::V2_5, survey.family(Family::L2), "values with uniqueid in front, of development builds before 2.5");
    n.since(Era::V2_5, dlist, "dlist values");
    n.until(Era::V2_4, l1 > 0 && dlist == 0, "all values have a number as type");
    for kind in Kind::ALL.into_iter().skip(1) {
        n.since(first_with(kind.letter()), survey.kind(kind), &format!("mailboxes of type {}", kind.as_str()));
    }
    for flag in super::mbtype::Flag::ALL {
        n.since(first_with(flag.letter()), survey.flag(flag), &format!("mailboxes flagged {}", flag.as_str()));
    }
    if dlist == 0 {
        n.since(Era::V2_3, survey.sign(Sign::RightsSince23), "mailboxes of this host with rights k, x, t or e");
        n.since(Era::V2_3, survey.sign(Sign::DeletedName), "names of delayed deletes");
        let macros = survey.sign(Sign::MacroRightAlone) > 0 && survey.sign(Sign::RightsSince23) == 0;
        n.until(Era::V2_2, macros, "mailboxes of this host with rights c or d but not k, x, t or e");
        n.until(Era::V2_2, survey.sign(Sign::RemoteWithoutBang) > 0, "remote entries without server");
    }
    n.since(Era::V2_5, survey.sign(Sign::RightsSince25), "mailboxes of this host with right n");
    n.since(Era::V3_0, survey.sign(Sign::FieldF), "field F");
    n.since(Era::V3_2, survey.sign(Sign::FieldC), "field C");
    n.since(Era::V3_0, survey.sign(Sign::RaclMarkerEmpty), "key $RACL");
    n.since(Era::V3_4, survey.sign(Sign::RaclMarkerThree), "key $RACL of version 3");
    n.since(Era::V3_4, survey.sign(Sign::RunqMarker), "key $RUNQ");
    n.until(Era::V3_2, survey.sign(Sign::RunqMarker) == 0, "no key $RUNQ");
    let (no_f, no_c) = (survey.sign(Sign::LocalWithoutF), survey.sign(Sign::LocalWithoutC));
    n.until(Era::V2_5, no_f > 0 && survey.sign(Sign::FieldF) == 0, "mailboxes with uidvalidity and without field F");
    n.until(Era::V3_0, no_c > 0 && survey.sign(Sign::FieldC) == 0, "mailboxes with uidvalidity and without field C");
}

fn narrow_prefixed(n: &mut Narrowing, survey: &Survey) {
    use super::key::KeyFamily;
    n.since(Era::V3_6, survey.keys(KeyFamily::Mailbox), "keys with a letter in front");
    n.since(Era::V3_8, survey.kind(Kind::JmapNotification), "mailboxes of type jmapnotification");
    n.since(Era::V3_8, survey.sign(Sign::NameOver490), "names longer than 490 bytes");
    n.since(Era::V3_12, survey.sign(Sign::QuotedSeparator), "names in quotes");
    n.since(Era::V3_12, survey.keys(KeyFamily::UserGroup), "keys of user groups");
    n.since(Era::V3_13, survey.keys(KeyFamily::Jmap), "keys of JMAP ids");
    n.since(Era::V3_13, survey.sign(Sign::FieldJ), "field J");
    let bare = survey.sign(Sign::BareSeparator) > 0 && survey.sign(Sign::QuotedSeparator) == 0;
    n.until(Era::V3_10, bare, "names without quotes");
    let jmap = survey.sign(Sign::FieldJ) > 0 || survey.keys(KeyFamily::Jmap) > 0;
    n.until(Era::V3_12, !jmap, "no JMAP ids");
}

/// The first version whose readers know a letter.
fn first_with(letter: u8) -> Era {
    Era::ALL.into_iter().find(|era| era.knows_letter(letter)).unwrap_or(Era::V3_13)
}
