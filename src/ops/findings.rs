//! Collects findings in bounded memory: all are counted, the first of each rule are kept.

use crate::formats::finding::{Finding, Rule, Severity};

/// How many findings of one rule are kept unless the user asks for more.
pub const KEPT_PER_RULE: usize = 100;

/// Findings of one file.
#[derive(Clone, Debug)]
pub struct Findings {
    kept: Vec<Finding>,
    rules: Vec<(&'static Rule, u64)>,
    per_rule: u64,
}

impl Default for Findings {
    fn default() -> Self {
        Findings::keeping(KEPT_PER_RULE)
    }
}

impl Findings {
    /// Keeps the first `per_rule` findings of each rule.
    pub fn keeping(per_rule: usize) -> Self {
        Findings { kept: Vec::new(), rules: Vec::new(), per_rule: per_rule as u64 }
    }

    /// Takes a finding.
    pub fn push(&mut self, finding: Finding) {
        let count = self.count_of(finding.rule);
        *count += 1;
        if *count <= self.per_rule {
            self.kept.push(finding);
        }
    }

    fn count_of(&mut self, rule: &'static Rule) -> &mut u64 {
        let index = self.rules.iter().position(|(known, _)| known.code == rule.code).unwrap_or_else(|| {
            self.rules.push((rule, 0));
            self.rules.len() - 1
        });
        &mut self.rules[index].1
    }

    /// Adds the findings of a later part of the file.
    pub fn append(&mut self, later: Findings) {
        let kept = self.per_rule;
        for finding in later.kept {
            let seen = *self.count_of(finding.rule);
            let here = self.kept.iter().filter(|known| known.rule.code == finding.rule.code).count() as u64;
            if seen < kept && here < kept {
                self.kept.push(finding);
            }
        }
        for (rule, count) in later.rules {
            *self.count_of(rule) += count;
        }
    }

    /// Puts what was kept into file order.
    pub fn sort(&mut self) {
        self.kept.sort_by_key(|finding| finding.span);
    }

    /// The findings kept.
    pub fn kept(&self) -> &[Finding] {
        &self.kept
    }

    /// The rules of which more was found than is kept, and how many more.
    pub fn more(&self) -> impl Iterator<Item = (&'static Rule, u64)> {
        let over = |&(rule, count): &(&'static Rule, u64)| (rule, count.saturating_sub(self.per_rule));
        self.rules.iter().map(over).filter(|&(_, more)| more > 0)
    }

    /// How many findings weigh `severity`.
    pub fn count(&self, severity: Severity) -> u64 {
        self.rules.iter().filter(|(rule, _)| rule.severity == severity).map(|&(_, count)| count).sum()
    }

    /// The heaviest severity found.
    pub fn worst(&self) -> Option<Severity> {
        self.rules.iter().map(|(rule, _)| rule.severity).max()
    }

    /// Whether nothing heavier than a note was found.
    pub fn is_clean(&self) -> bool {
        self.worst() <= Some(Severity::Note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::image::Span;

    crate::formats::rules! {
        /// A test's rule.
        ODD = "TEST-1", "odd", Warning, "nothing";
        /// Another.
        BAD = "TEST-2", "bad", Error, "nothing";
    }

    fn findings(rule: &'static Rule, starts: std::ops::Range<u64>) -> Findings {
        let mut findings = Findings::keeping(3);
        starts.for_each(|start| findings.push(Finding::new(rule, Span::at(start, 1), "odd")));
        findings
    }

    #[test]
    fn keeps_the_first_of_each_rule_and_counts_all() {
        let mut all = findings(&ODD, 0..2);
        all.append(findings(&BAD, 10..11));
        all.append(findings(&ODD, 20..30));
        let starts: Vec<u64> = all.kept().iter().map(|finding| finding.span.start).collect();
        assert_eq!(starts, [0, 1, 10, 20]);
        assert_eq!((all.count(Severity::Warning), all.count(Severity::Error)), (12, 1));
        assert_eq!(all.more().map(|(rule, more)| (rule.code, more)).collect::<Vec<_>>(), [("TEST-1", 9)]);
        assert_eq!(all.worst(), Some(Severity::Error));
        assert_eq!(ALL.len(), 2);
    }

    #[test]
    fn nothing_found_is_clean() {
        assert!(Findings::default().is_clean());
        assert!(!findings(&ODD, 0..1).is_clean());
    }
}
