//! Every rule that a file breaks: the container's, and with full depth the records'.

use super::findings::Findings;
use crate::formats::container::{Database, Depth};

/// What verifying a file brought up.
#[derive(Debug)]
pub struct Verified {
    /// What was found, in file order.
    pub findings: Findings,
    /// Number of live records; `None` if only the header was looked at.
    pub records: Option<u64>,
}

/// Verifies `database` up to `depth`, keeping the first `per_rule` findings of each rule.
pub fn verify(database: &dyn Database<'_>, depth: Depth, per_rule: usize) -> Verified {
    let mut findings = Findings::keeping(per_rule);
    database.verify(depth, &mut |finding| findings.push(finding));
    findings.sort();
    Verified { findings, records: None }
}
