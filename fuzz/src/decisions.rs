//! Decisions about what lists contradict each other in: whatever a ledger holds, nothing is written that no list claims.
//!
//! Unlike the other promises this one is of coroner itself, not of its formats; so it stands apart from them.

use std::collections::BTreeMap;

use coroner::formats::container::{self, Format, KeyOrder};
use coroner::formats::record::{Entry, Era, Role, Style, decode};
use coroner::ops::convert::Origin;
use coroner::ops::merge::ledger::{BASE, Decisions, Dispute, NOBODY};
use coroner::ops::merge::settle::{By, Policy};
use coroner::ops::merge::{Merge, Source, Sum, Target};
use coroner::ops::reading::Reading;
use coroner::ops::watch::Watch;
use coroner::render::json;

/// The lists of two backends, and the base: every kind of contradiction, and what all agree about.
const LISTS: [(&str, &[u8]); 3] = [
    (
        "be1",
        b"Nboth\t%(T e I a1 P default M 5 A %(anyone lrs))\n\
          Nuser\x1Fa\t%(T e I a2 P default M 5 A %(a lrswipkxtecda))\n\
          Nuser\x1Fa\x1Facl\t%(T e I a3 P default M 5 A %(a lrs b \"\"))\n\
          Nuser\x1Fa\x1Fmoving\t%(T em I a4 P default M 9 A %(a lrs))\n\
          Nuser\x1Fa\x1Freserved\t%(T ez P default M 5 A %())\n\
          Nuser\x1Fa\x1Ftomb\t%(T d I a5 P default M 5 A %(a lrs))\n\
          Nuser\x1Fa\x1F\xE4\t%(T e I a6 P p2 M 5 A %(a lrs))\n\
          Nuser\x1Fbroken\t%(T e I\n",
    ),
    (
        "be2",
        b"Nboth\t%(T e I b1 P default M 7 A %(anyone lrs))\n\
          Nuser\x1Fa\x1Fmoving\t%(T e I b4 P default M 5 A %(a lrs))\n\
          Nuser\x1Fa\x1F\xE4\t%(T e I b6 P default M 5 A %(a lr))\n\
          Nuser\x1Fb\t%(T e I b2 P default M 5 A %(b lrs))\n",
    ),
    (
        BASE,
        b"Nboth\t%(T er P default S be2 M 5 A %(anyone lrs))\n\
          Nuser\x1Fa\t%(T er P default S be1 M 5 A %(a lrswipkxtecda))\n\
          Nuser\x1Fa\x1Facl\t%(T er P default S be1 M 5 A %(a lrsw))\n\
          Nuser\x1Fb\t%(T er P default S be1 M 5 A %(b lrs))\n\
          Nuser\x1Ffar\t%(T er P default S be9 M 5 A %(c lrs))\n\
          Nuser\x1Fgone\t%(T er P default S be2 M 5 A %(c lrs))\n",
    ),
];

type Written = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a merge that follows `decisions` writes and tells.
fn merge(decisions: Decisions) -> (Written, Vec<Dispute>, Sum) {
    let databases = LISTS.map(|(_, bytes)| container::open(bytes, Format::Flat));
    let [be1, be2, base] = &databases;
    let readings = [be1, be2, base].map(|database| Reading::sound(&**database, KeyOrder::Mbox));
    let sources = LISTS.iter().zip(&readings).map(|((name, bytes), reading)| Source {
        name: (*name != BASE).then(|| name.as_bytes().to_vec()),
        reading,
        origin: Origin::of(reading, Some(Era::V3_6)),
        len: bytes.len() as u64,
    });
    let sources: Vec<Source<'_, '_, '_>> = sources.collect();
    let target = Target { role: Role::Master, era: Era::V3_6, order: KeyOrder::Unsigned, now: 1 };
    let mut merge = Merge::new(&sources, &target, Policy::Report, decisions);
    merge.tell_notes(true);
    let told = std::cell::RefCell::new(Vec::new());
    let mut tell = |dispute| -> Result<(), std::convert::Infallible> {
        told.borrow_mut().push(dispute);
        Ok(())
    };
    let Ok((written, sum)) = merge.run(
        &Watch::new(),
        || told.borrow_mut().clear(),
        &mut tell,
        |records| Ok(records.map(|(key, value)| (key.as_ref().to_vec(), value.as_ref().to_vec())).collect::<Vec<_>>()),
    );
    assert!(written.is_sorted_by(|a, b| a.0 < b.0), "out of order, or twice");
    (written.into_iter().collect(), told.into_inner(), sum)
}

/// The entry that a list has of a key.
fn claimed(list: usize, key: &[u8]) -> Option<Entry<'static>> {
    let mut lines = LISTS[list].1.split(|byte| *byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(b"\t"))?;
    decode(key, value, &Style::NEW).entry.map(Entry::into_owned)
}

/// Whether a written record says what a list says of it: where the mailbox is, and its ACL.
fn is_claimed(key: &[u8], value: &[u8]) -> bool {
    let entry = decode(key, value, &Style::NEW).entry.expect("a record that can be read");
    assert!(entry.is_remote() && !entry.is_reserved() && !entry.is_moving(), "{value:?}");
    (0..LISTS.len()).any(|list| {
        let Some(claim) = claimed(list, key) else { return false };
        let server = if LISTS[list].0 == BASE { claim.server.as_deref() } else { Some(LISTS[list].0.as_bytes()) };
        entry.server.as_deref() == server
            && entry.partition.as_deref().unwrap_or_default() == claim.partition.as_deref().unwrap_or_default()
            && entry.acl.to_text() == claim.acl.to_text()
    })
}

/// Gives an input as a ledger to a merge of small lists.
pub fn decisions(bytes: &[u8]) {
    let Ok(decisions) = Decisions::read(bytes) else { return };
    let count = decisions.len() as u64;
    let names: Vec<Vec<u8>> = decisions.names().map(<[u8]>::to_vec).collect();
    let (written, told, sum) = merge(decisions);
    assert!(sum.decided + sum.stale.len() as u64 <= count);
    assert!(sum.stale.iter().all(|name| names.contains(name)));
    for (key, value) in &written {
        assert!(is_claimed(key, value), "{} is nobody's", String::from_utf8_lossy(key));
    }
    let (plain, ..) = merge(Decisions::default());
    let decided = |dispute: &&Dispute| dispute.settled.by == By::Decision;
    let by_decision: Vec<&Dispute> = told.iter().filter(decided).collect();
    assert_eq!(by_decision.len() as u64, sum.decided);
    for dispute in &by_decision {
        assert!(names.contains(&dispute.name));
        let nobody = dispute.kept == NOBODY.as_bytes();
        assert!(
            nobody
                || dispute.claims.iter().any(|claim| claim["from"].as_str().map(str::as_bytes) == Some(&dispute.kept))
        );
    }
    // Nothing changes but what was decided.
    let internal =
        |key: &[u8]| key[1..].iter().map(|byte| if *byte == 0x1F { b'.' } else { *byte }).collect::<Vec<u8>>();
    for key in plain.keys().chain(written.keys()) {
        let is_decided = by_decision.iter().any(|dispute| dispute.name == internal(key));
        assert!(is_decided || plain.get(key) == written.get(key), "{}", String::from_utf8_lossy(key));
    }
    // What is told of it decides the same again.
    let ledger: String = told.iter().map(|dispute| json::line(&dispute.document()) + "\n").collect();
    let again = Decisions::read(ledger.as_bytes()).expect("a ledger that merge wrote");
    let lines = again.len() as u64;
    let (same, _, sum) = merge(again);
    assert!(same == written && sum.stale.is_empty() && sum.decided == lines, "{ledger}");
}
