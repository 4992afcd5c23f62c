//! A realistic database from a seed, for rehearsals and benchmarks.

mod planted;
mod population;
mod records;

use std::num::NonZeroU32;

pub use records::{Pair, Records, Release, Role};

/// What to invent.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Number of mailboxes; a backend since 3.6 has two records for each.
    pub mailboxes: u32,
    /// What everything follows from: the same seed gives the same bytes.
    pub seed: u64,
    /// The host's role.
    pub role: Role,
    /// The release whose records are imitated.
    pub release: Release,
    /// Number of backends that a remote host's entries name.
    pub servers: u32,
    /// The one of these backends whose mailboxes these are, from 1; `None` if all mailboxes are a backend's own.
    pub server: Option<u32>,
    /// One mailbox in so many is not the same on the hosts that should agree about it.
    pub conflicts: Option<NonZeroU32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::container::KeyOrder;
    use crate::formats::record::{KeyStyle, Style, decode};

    #[test]
    fn records_of_every_release_stand_in_every_order_and_decode() {
        use Release::*;
        for release in [V2_2, V2_4, V2_5, V3_0, V3_4, V3_6, V3_12] {
            for role in [Role::Backend, Role::Remote] {
                let records = Records::new(Options {
                    mailboxes: 700,
                    seed: 3,
                    role,
                    release,
                    servers: 4,
                    server: None,
                    conflicts: None,
                });
                let pairs: Vec<Pair> = records.pairs().collect();
                let style = Style::of(KeyStyle::guess(pairs.iter().map(|(key, value)| (&key[..], &value[..]))));
                assert_eq!(style == Style::NEW, release >= V3_6, "{release:?}");
                for order in KeyOrder::ALL {
                    assert!(pairs.windows(2).all(|w| order.compare(&w[0].0, &w[1].0).is_lt()), "{release:?} {order}");
                }
                let entries = pairs.iter().map(|(key, value)| decode(key, value, &style));
                let named = entries.inspect(|found| assert_eq!(found.faults, [])).filter(|found| {
                    found
                        .entry
                        .as_ref()
                        .is_some_and(|e| e.under == Default::default() && e.is_remote() == (role == Role::Remote))
                });
                assert_eq!(named.count(), 700, "{release:?} {role:?}");
            }
        }
    }

    #[test]
    fn backends_share_the_mailboxes_of_a_site() {
        let site = |role, server| Options {
            mailboxes: 3000,
            seed: 5,
            role,
            release: Release::V3_6,
            servers: 3,
            server,
            conflicts: None,
        };
        let names = |options| {
            let records = Records::new(options);
            let keys = records.pairs().map(|(key, _)| key).filter(|key| key.first() == Some(&b'N'));
            keys.collect::<Vec<_>>()
        };
        let mut all: Vec<_> = (1..=3).flat_map(|server| names(site(Role::Backend, Some(server)))).collect();
        all.sort();
        assert_eq!(all, names(site(Role::Remote, None)));
    }
}
