//! What records say of each other: told by sums, and where these differ looked up.

use super::check::Context;
use super::culprits;
use super::decode::decode;
use super::index;
use super::key::KeyStyle;
use super::survey::Survey;
use crate::finding::Sink;
use crate::image::Span;

/// Takes a record: key, value, place.
pub type Visit<'v> = dyn FnMut(&[u8], &[u8], Span) + 'v;

/// Reports where records of a database contradict each other. `survey` must be of all its records, with `context`;
/// `walk` must give the same records again, in any order: as often as needed, and not at all when the survey's sums agree.
///
/// Takes up to 48 bytes a mailbox while it looks.
pub fn cross_check(survey: &Survey, context: &Context, walk: &dyn Fn(&mut Visit<'_>), sink: &mut Sink<'_>) {
    let sums = &survey.sums;
    if context.style.keys == KeyStyle::Prefixed {
        if !(sums.live.agrees() && sums.tombstones.agrees()) {
            culprits::check_uniqueids(context, walk, sink);
        }
        if !sums.jmap.agrees() {
            index::check_jmap(context, walk, sink);
        }
    } else {
        let mut ids = sums.uniqueids.clone();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair.first() == pair.get(1)) {
            culprits::check_uniqueids(context, walk, sink);
        }
        if context.uniqueid_index && !sums.uniqueid_index.agrees() {
            index::check_uniqueid_index(context, walk, sink);
        }
    }
    if context.reverse_acls && !sums.reverse_acls.agrees() {
        index::check_reverse_acls(context, walk, sink);
    }
}

/// Walks decoded records.
pub(crate) fn each(
    context: &Context,
    walk: &dyn Fn(&mut Visit<'_>),
    visit: &mut dyn FnMut(&super::decode::Decoded<'_>, Span),
) {
    walk(&mut |key, value, span| visit(&decode(key, value, &context.style), span));
}
