//! Chooses tiles: all, those at an offset, of a key, in a range, or around damage.

use super::keys::WantedKey;
use crate::formats::container::{Database, Depth};
use crate::formats::finding::{Finding, Severity};
use crate::formats::image::Span;
use crate::formats::tile::{Tile, Value};

/// Which tiles are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Choice {
    /// All of them.
    All,
    /// Those that share a byte with a range.
    Range(Span),
    /// Every version and deletion of a key.
    Key(WantedKey),
    /// Those with findings, and their neighbours.
    Findings,
}

/// Everything a file's structure breaks, as `hexdump` puts it beside the bytes.
pub fn findings(database: &dyn Database<'_>) -> Vec<Finding> {
    let mut findings = super::findings::Findings::default();
    database.verify(Depth::Structure, &mut |finding| findings.push(finding));
    findings.sort();
    findings.kept().to_vec()
}

/// A tile and the findings that start in it.
pub struct Piece<'a, 'f> {
    /// The tile.
    pub tile: Tile<'a>,
    /// In file order.
    pub findings: Vec<&'f Finding>,
}

/// Visits the chosen tiles in file order; `findings` are in file order too. The visitor answers `false` to stop.
///
/// Damage is shown with one tile in front of it and one behind it.
pub fn choose<'a, 'f>(
    tiles: impl Iterator<Item = Tile<'a>>,
    choice: &Choice,
    findings: &'f [Finding],
    mut visit: impl FnMut(Piece<'a, 'f>) -> bool,
) {
    let mut tiles = tiles.peekable();
    let mut findings = findings.iter().peekable();
    let mut damaged_up_to = 0;
    let mut in_front: Option<Piece<'a, 'f>> = None;
    let mut behind = false;
    while let Some(tile) = tiles.next() {
        let last = tiles.peek().is_none();
        let mut piece = Piece { tile, findings: Vec::new() };
        while let Some(finding) = findings.next_if(|next| last || next.span.start < piece.tile.span.end) {
            if finding.severity() > Severity::Note {
                damaged_up_to = finding.span.end.max(piece.tile.span.start.saturating_add(1)).max(damaged_up_to);
            }
            piece.findings.push(finding);
        }
        let start = piece.tile.span.start;
        let wanted = match choice {
            Choice::All => true,
            Choice::Range(range) if range.end <= start => return,
            Choice::Range(range) => piece.tile.span.overlaps(*range),
            Choice::Key(key) => has_key(&piece.tile, key),
            Choice::Findings => damaged_up_to > start,
        };
        let neighbours = *choice == Choice::Findings;
        if wanted {
            let shown = in_front.take().into_iter().chain([piece]).all(&mut visit);
            if !shown {
                return;
            }
        } else if neighbours && behind {
            if !visit(piece) {
                return;
            }
        } else if neighbours {
            in_front = Some(piece);
        }
        behind = wanted;
    }
}

fn has_key(tile: &Tile<'_>, wanted: &WantedKey) -> bool {
    tile.fields
        .iter()
        .any(|field| field.name == "key" && matches!(field.value, Value::Bytes(bytes) if wanted.is(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::tile::{Field, Kind};

    crate::formats::rules! {
        /// A test's rule.
        BAD = "TEST-1", "bad", Error, "nothing";
        /// Another.
        ODD = "TEST-2", "odd", Note, "nothing";
    }

    fn tiles() -> impl Iterator<Item = Tile<'static>> {
        (0..8).map(|n| {
            let mut tile = Tile::new(Span::at(n * 10, 10), Kind::Record, n.to_string());
            let key: &'static [u8] = if n % 3 == 0 { b"third" } else { b"other" };
            tile.fields.push(Field::new("key", tile.span, Value::Bytes(key)));
            tile
        })
    }

    fn chosen(choice: Choice, findings: &[Finding]) -> String {
        let mut labels = String::new();
        choose(tiles(), &choice, findings, |piece| {
            labels += &piece.tile.label;
            labels += &"!".repeat(piece.findings.len());
            true
        });
        labels
    }

    #[test]
    fn a_range_takes_every_tile_it_touches() {
        assert_eq!(chosen(Choice::Range(Span::new(19, 31)), &[]), "123");
        assert_eq!(chosen(Choice::Range(Span::at(79, 1)), &[]), "7");
    }

    #[test]
    fn a_key_takes_all_its_versions() {
        assert_eq!(chosen(Choice::Key(WantedKey::new(b"third")), &[]), "036");
    }

    #[test]
    fn damage_is_shown_with_its_neighbours_and_notes_are_not_damage() {
        let bad = |start, end| Finding::new(&BAD, Span::new(start, end), "bad");
        let note = Finding::new(&ODD, Span::at(0, 1), "odd");
        assert_eq!(chosen(Choice::Findings, &[note.clone(), bad(35, 36)]), "23!4");
        assert_eq!(chosen(Choice::Findings, &[note.clone(), bad(25, 45)]), "12!345");
        assert_eq!(chosen(Choice::Findings, &[note.clone(), bad(80, 80)]), "67!");
        assert_eq!(chosen(Choice::All, &[note, bad(25, 45)]), "0!12!34567");
        assert_eq!(ALL.len(), 2);
    }
}
