//! A database as somebody left it who died while writing to it: what Cyrus' own recovery takes back, without loss.

use crate::formats::container::{self, Confidence, CyrusOutcome, Depth, Format, Kept, KeyOrder, Lost, Record};
use crate::formats::finding::Severity;
use crate::input::usual_order;

/// What is to be done before a database is used.
pub enum Mended<'b> {
    /// Nothing.
    Sound,
    /// A transaction that was not finished is to be taken back: these records are to stay, in the file's order.
    TakenBack(Vec<Record<'b>>),
    /// It is damaged in another way, and not all of it can be read; with what is wrong first.
    Lost(String),
}

/// The order that the keys of a database stand in.
pub fn order_of(bytes: &[u8], format: Format) -> KeyOrder {
    container::open(bytes, format).order().best(usual_order(format))
}

/// Looks at a database, which is not empty.
pub fn mend(bytes: &[u8], format: Format, order: KeyOrder) -> Mended<'_> {
    let database = container::open(bytes, format);
    let mut first = None;
    database.verify(Depth::Structure, &mut |finding| {
        if finding.severity() > Severity::Note {
            first.get_or_insert_with(|| finding.message.to_string());
        }
    });
    let Some(first) = first else { return Mended::Sound };
    let carved = database.carve(order);
    let sure = |kept: &Kept<'_>| kept.confidence == Confidence::Verified;
    // The beginning of what was written last, too short to have been anything.
    let stub = |lost: &Lost| lost.span.end == bytes.len() as u64 && lost.span.len() < SMALLEST;
    let whole = carved.lost.iter().all(stub) && carved.kept.iter().all(sure);
    let kept: Vec<Record<'_>> = carved.kept.into_iter().map(|kept| kept.record).collect();
    if whole || is_what_cyrus_leaves(database.as_cyrus(order), order, &kept) {
        Mended::TakenBack(kept)
    } else {
        Mended::Lost(first)
    }
}

/// No record of any format is shorter.
const SMALLEST: u64 = 4;

/// Whether Cyrus' own recovery leaves the same records.
fn is_what_cyrus_leaves(outcome: CyrusOutcome<'_>, order: KeyOrder, kept: &[Record<'_>]) -> bool {
    let CyrusOutcome::Opens(mut theirs) = outcome else { return false };
    theirs.sort_by(|a, b| order.compare(&a.key, &b.key));
    theirs.len() == kept.len() && theirs.iter().zip(kept).all(|(a, b)| a.key == b.key && a.value == b.value)
}
