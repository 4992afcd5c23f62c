//! Checks page 0, and the log beside the file.

use super::super::layout::{self, Endian, META_LEN, Meta, Method, page_type};
use super::super::log::{self, History};
use super::super::replay::Replay;
use super::super::rules;
use super::super::scan::File;
use crate::finding::{Finding, Sink};
use crate::image::Span;

/// What the log files hold that the pages lack; `complete` says whether all of it was made good.
pub fn log(history: &History<'_>, replay: &Replay<'_>, complete: bool, sink: &mut Sink<'_>) {
    for &span in &history.unread {
        sink(Finding::new(&rules::LOG_UNREAD, span, format!("a log that is not of version {}", log::VERSION)));
    }
    for entry in &replay.unknown {
        let message = format!("a log record of kind {}, which is not understood, is later than all pages", entry.kind);
        sink(Finding::new(&rules::LOG_UNREAD, entry.span, message));
    }
    if let Some(span) = replay.failed {
        sink(Finding::new(&rules::LOG_UNREAD, span, "a change that does not fit the page it should change"));
    }
    if let Some(span) = replay.first {
        let taken = if complete { "; they are taken from there" } else { "" };
        let message = format!(
            "{} committed changes from here on are in the log only, and not in the pages{taken}",
            replay.missing
        );
        sink(Finding::new(&rules::LOG_AHEAD, span, message));
    }
}

/// Checks page 0, and whether the file has the length that it gives.
pub fn metadata(file: File<'_>, sink: &mut Sink<'_>) {
    let len = file.cursor.len();
    if len < META_LEN {
        let span = Span::new(0, len);
        sink(Finding::new(
            &rules::HEADER_CUT,
            span,
            format!("the file has {len} bytes, and metadata alone takes {META_LEN}"),
        ));
    }
    let Some(meta) = file.meta else {
        let span = Span::new(12.min(len), 16.min(len));
        sink(Finding::new(&rules::MAGIC, span, "neither the magic of a btree nor that of a hash table is there"));
        return;
    };
    let at = |offset: u64, len: u64| Span::new(offset.min(file.cursor.len()), (offset + len).min(file.cursor.len()));
    let (versions, page_type) = match meta.method {
        Method::Btree => (6..=10, page_type::BTREE_META),
        Method::Hash => (5..=10, page_type::HASH_META),
    };
    if !versions.contains(&meta.version) {
        let finding = Finding::new(&rules::VERSION, at(16, 4), "no release has written this version");
        sink(finding.values(format!("{} to {}", versions.start(), versions.end()), meta.version));
    }
    if meta.layout().is_none() {
        let finding = Finding::new(&rules::PAGE_SIZE, at(20, 4), "no page has this size");
        sink(finding.values(file.layout.page_size, meta.page_size));
    }
    if meta.page_type != page_type && meta.version > 6 {
        let finding = Finding::new(&rules::META_TYPE, at(25, 1), "page 0 has the type of another page");
        sink(finding.values(page_type, meta.page_type));
    }
    if meta.encryption != 0 {
        let message = format!("its pages are encrypted with cipher {}", meta.encryption);
        sink(Finding::new(&rules::ENCRYPTED, at(24, 1), message));
    }
    if meta.summed() && !metadata_sum_is_right(file, meta.endian) {
        sink(Finding::new(&rules::SUM, Span::new(0, META_LEN.min(len)), "the sum of the metadata is wrong"));
    }
    sizes(file, &meta, sink);
}

fn metadata_sum_is_right(file: File<'_>, endian: Endian) -> bool {
    let bytes = file.cursor.bytes(0, META_LEN).unwrap_or_default();
    endian.u32(file.cursor, 492) == Some(layout::sum(bytes, 492, 4))
}

fn sizes(file: File<'_>, meta: &Meta, sink: &mut Sink<'_>) {
    let over = file.cursor.len() % file.layout.page_size;
    if over != 0 {
        let span = Span::new(file.cursor.len().saturating_sub(over), file.cursor.len());
        let message = format!("the last page has {over} of {} bytes", file.layout.page_size);
        sink(Finding::new(&rules::TORN_PAGE, span, message));
    }
    if let Some(last) = meta.last_page.filter(|&last| u64::from(last) >= file.page_count()) {
        let message =
            format!("the last page is {last}, and the file has pages 0 to {}", file.page_count().saturating_sub(1));
        let span = Span::new(32.min(file.cursor.len()), 36.min(file.cursor.len()));
        sink(Finding::new(&rules::MISSING_PAGES, span, message).values(last.saturating_add(1), file.page_count()));
    }
}
