//! Who disagrees with whom in a murder: the master's list, the frontends' and the backends', name by name.

pub mod compare;
pub mod row;

use crate::formats::container::KeyOrder;
use crate::formats::record::KeyStyle;
use crate::ops::convert::Origin;
use crate::ops::convert::role::complete;
use crate::ops::merge::claim::{Claim, Standing};
use crate::ops::push::Decision;
use crate::ops::reading::Reading;
use crate::ops::together::ordinary::Ordinary;
use crate::ops::together::{Item, Member, Misordered, Together, in_order};
use crate::ops::watch::Watch;

use compare::{Case, Hosts};
use row::{Class, Row};

/// One host's list.
pub struct Source<'s, 'r, 'a> {
    /// The host's name.
    pub name: Vec<u8>,
    /// Its records.
    pub reading: &'r Reading<'a, 's>,
    /// What the list is.
    pub origin: Origin,
    /// Length of its file in bytes.
    pub len: u64,
}

/// The lists of a murder about to be compared.
pub struct Drift<'s, 'r, 'a> {
    together: Together<'s, 'r, 'a>,
    origins: Vec<Origin>,
    hosts: Hosts,
}

/// What is counted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sum {
    /// Names in any of the lists.
    pub names: u64,
    /// Disagreements by class, in the order of [`Class::ALL`].
    pub classes: [u64; Class::ALL.len()],
    /// For each pair of hosts, row by row, the names that they disagree about.
    pub matrix: Vec<Vec<u64>>,
    /// For each host how often a push of its list would do what, by [`DECISIONS`].
    pub pushes: Vec<[u64; DECISIONS.len()]>,
}

/// What a push can do.
pub const DECISIONS: [Decision; 5] = [
    Decision::RemoveFromMupdate,
    Decision::Renew,
    Decision::ForceActivate,
    Decision::RemoveRemoteFlag,
    Decision::RemoveLocal,
];

impl Sum {
    fn new(hosts: usize) -> Self {
        let matrix = vec![vec![0; hosts]; hosts];
        Sum { matrix, pushes: vec![[0; DECISIONS.len()]; hosts], ..Sum::default() }
    }

    fn count(&mut self, row: &Row) {
        self.classes[row.class as usize] += 1;
        for (number, &a) in row.between.iter().enumerate() {
            for &b in row.between.iter().skip(number + 1) {
                self.matrix[a][b] += 1;
                self.matrix[b][a] += 1;
            }
        }
        if let &[alone] = &row.between[..] {
            self.matrix[alone][alone] += 1;
        }
        for push in &row.pushes {
            let place = DECISIONS.iter().position(|decision| *decision == push.decision);
            if let Some(count) = place.and_then(|place| self.pushes[push.host].get_mut(place)) {
                *count += 1;
            }
        }
    }

    /// Disagreements in all.
    pub fn rows(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// Mailboxes that pushes would delete.
    pub fn wiped(&self) -> u64 {
        self.pushes.iter().map(|counts| counts[DECISIONS.len() - 1]).sum()
    }
}

impl<'s, 'r, 'a> Drift<'s, 'r, 'a> {
    /// The lists in this order: those of so many backends, the master's, the frontends'.
    pub fn new(sources: &[Source<'s, 'r, 'a>], backends: usize) -> Self {
        let member = |source: &Source<'s, 'r, 'a>| Member {
            reading: source.reading,
            style: source.origin.style,
            len: source.len,
        };
        let members: Vec<_> = sources.iter().map(member).collect();
        let is_prefixed = |member: &Member<'_, '_, '_>| member.style.keys == KeyStyle::Prefixed;
        let keys = if members.iter().any(is_prefixed) { KeyStyle::Prefixed } else { KeyStyle::Plain };
        let names = sources.iter().map(|source| source.name.clone()).collect();
        Drift {
            together: Together::new(members, keys, KeyOrder::Unsigned),
            origins: sources.iter().map(|source| source.origin).collect(),
            hosts: Hosts { names, backends },
        }
    }

    /// The hosts.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Compares the lists; `tell` is given the disagreements in the order of names, after `begin`, which may be called again
    /// when a list turns out to have its keys in another order.
    ///
    /// # Errors
    /// What `tell` answers.
    pub fn run<E>(
        &mut self,
        watch: &Watch,
        mut begin: impl FnMut(),
        tell: &mut dyn FnMut(Row) -> Result<(), E>,
    ) -> Result<Sum, E> {
        loop {
            begin();
            watch.expect(self.together.ranges() as u64);
            watch.covers(self.together.len());
            let all = in_order(
                self.together.ranges(),
                |range| self.range(range),
                |parts| {
                    let mut sum = Sum::new(self.hosts.names.len());
                    for part in parts {
                        let (names, rows) = match part {
                            Ok(part) => part,
                            Err(misordered) => return Ok(Err(misordered)),
                        };
                        watch.step();
                        sum.names += names;
                        for row in rows {
                            sum.count(&row);
                            tell(row)?;
                        }
                    }
                    Ok(Ok(sum))
                },
            )?;
            match all {
                Ok(sum) => return Ok(sum),
                Err(misordered) => self.together.sort(misordered),
            }
        }
    }

    /// The number of names in one range of them, and the disagreements.
    fn range(&self, range: usize) -> Result<(u64, Vec<Row>), Misordered> {
        let range = self.together.range(range)?;
        let (mut names, mut rows) = (0, Vec::new());
        range.each_name(|said| {
            names += 1;
            if !self.is_ordinary(said) {
                self.name(said, &mut |row| rows.push(row));
            }
        });
        Ok((names, rows))
    }

    /// Whether one backend has the mailbox, and the master and all frontends know it, as can be seen without decoding.
    fn is_ordinary(&self, said: &[&Item<'_>]) -> bool {
        let [own, master, frontends @ ..] = said else { return false };
        let all = self.hosts.names.len() - self.hosts.backends;
        if own.list as usize >= self.hosts.backends || frontends.len() + 1 != all {
            return false;
        }
        let server = self.hosts.name(own.list as usize);
        let Some(own) = Ordinary::of(&own.value).filter(|own| own.server.is_none()) else { return false };
        // The second backend's own would have no server.
        let is_told = |known: &Item<'_>| own.is_told_in(server, &known.value);
        is_told(master) && frontends.iter().all(|known| known.value == master.value || is_told(known))
    }

    fn name(&self, said: &[&Item<'_>], push: &mut dyn FnMut(Row)) {
        let claims: Vec<Claim<'_>> = said.iter().map(|item| self.claim(item)).collect();
        let Some(first) = said.first() else { return };
        let name = self.together.name(&first.key);
        Case { hosts: &self.hosts, name: &name.to_internal(), claims: &claims }.rows(push);
    }

    fn claim<'i>(&self, item: &'i Item<'_>) -> Claim<'i> {
        let list = item.list as usize;
        let mut entry = self.together.decode(item);
        if let (Some(entry), Some(origin)) = (&mut entry, self.origins.get(list)) {
            complete(entry, origin.typeless, origin.bare);
        }
        let standing = match list < self.hosts.backends {
            true => Standing::of_backend(entry.as_ref(), self.hosts.name(list)),
            false => Standing::of_base(entry.as_ref()),
        };
        Claim { list, standing, entry }
    }
}
