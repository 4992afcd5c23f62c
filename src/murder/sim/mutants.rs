//! Whether mistakes are noticed.

use rayon::prelude::*;

use super::check::Check;
use super::draw;
use super::play::play;
use crate::murder::defect::Defect;

/// What became of a mistake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mutant {
    /// The mistake.
    pub defect: Defect,
    /// After how many seeds it was noticed, and by which check.
    pub caught: Option<(u64, Check)>,
}

/// Seeds that are played side by side.
const BATCH: u64 = 16;

/// Has hosts make a mistake until somebody notices, for so many seeds at most, from this one on.
pub fn hunt(defect: Defect, from: u64, most: u64, steps: usize) -> Mutant {
    let mut begun = 0;
    while begun < most {
        let end = begun.saturating_add(BATCH).min(most);
        let one = |number: u64| {
            let violation = play(&draw::script(from.wrapping_add(number), steps), Some(defect)).violation?;
            Some((number.saturating_add(1), violation.check))
        };
        let caught = (begun..end).into_par_iter().filter_map(one).min_by_key(|(number, _)| *number);
        if caught.is_some() {
            return Mutant { defect, caught };
        }
        begun = end;
    }
    Mutant { defect, caught: None }
}
