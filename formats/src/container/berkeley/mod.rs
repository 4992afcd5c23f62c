//! The Berkeley DB room: pages of a btree or a hash table; see `FORMAT.md` beside this file. Read only.

mod carve;
mod layout;
mod log;
mod remains;
mod replay;
pub mod rules;
mod scan;
mod tiles;
mod verify;
mod view;

use super::{Carved, CyrusOutcome, Database, Depth, Format, KeyOrder, OrderTally, Record, Transaction, View};
use crate::finding::Sink;
use crate::image::{Cursor, Parts};
use crate::tile::{Field, Tile, Value};

/// A Berkeley DB file, and the log beside it.
#[derive(Clone, Debug)]
pub struct Db<'a> {
    parts: Parts<'a>,
    file: scan::File<'a>,
    logs: Vec<log::LogFile<'a>>,
    history: log::History<'a>,
    replay: replay::Replay<'a>,
}

impl<'a> Db<'a> {
    /// The database in the first of `parts`; the others are the log files of its environment, read at once.
    pub fn new(parts: Parts<'a>) -> Self {
        let file = scan::File::new(Cursor::new(parts.first().bytes));
        let logs = log::files(&parts);
        let history = log::history(&file, &logs);
        let replay = replay::Replay::new(&file, &history);
        Db { parts, file, logs, history, replay }
    }

    /// The changes of the log that the pages lack, if all of them could be made good.
    fn replayed(&self) -> Option<&replay::Replay<'a>> {
        Some(&self.replay).filter(|replay| replay.is_complete(&self.history))
    }
}

impl<'a> Database<'a> for Db<'a> {
    fn format(&self) -> Format {
        Format::Berkeley
    }

    fn facts(&self) -> Vec<Field<'a>> {
        let mut facts = self.file.meta.map(|meta| tiles::meta_fields(self.file.cursor, &meta)).unwrap_or_default();
        for log in &self.logs {
            let version = log.version.map_or("no log".to_owned(), |(_, version)| format!("version {version}"));
            let what = format!("{}: {version}, {} records", log.part.name, log.entries().count());
            facts.push(Field::new("log", log.part.span(), Value::Text(what.into())));
        }
        if self.replay.missing > 0 {
            let span = self.replay.first.unwrap_or_default();
            facts.push(Field::new("changes only in the log", span, Value::Int(self.replay.missing)));
        }
        facts
    }

    fn order(&self) -> OrderTally {
        match self.replayed() {
            Some(replay) => view::tally_of(&replay.records(&self.file)),
            None => view::tally(self.file),
        }
    }

    fn transactions(&self) -> Option<u64> {
        None
    }

    fn tiles<'s>(&'s self) -> Box<dyn Iterator<Item = Tile<'a>> + 's> {
        Box::new(tiles::tiles(self.file, &self.parts, &self.logs))
    }

    fn verify(&self, depth: Depth, sink: &mut Sink<'_>) {
        verify::verify(self.file, depth, self.replayed().is_some(), sink);
        verify::log(&self.history, &self.replay, self.replayed().is_some(), sink);
    }

    fn is_searchable(&self) -> bool {
        false
    }

    fn view<'s>(&'s self, _order: KeyOrder, parts: usize) -> Box<dyn View<'a> + 's> {
        match self.replayed() {
            Some(replay) => Box::new(replay::ReplayView::new(self.file, replay, parts)),
            None => Box::new(view::PageView::new(self.file, parts)),
        }
    }

    fn carve(&self, order: KeyOrder) -> Carved<'a> {
        let mut carved = carve::carve(self.file, order);
        if self.replay.missing > 0 && self.file.layout.method == layout::Method::Btree {
            carve::replayed(&mut carved, self.replay.records(&self.file), self.replayed().is_some(), order);
        }
        carved
    }

    fn remains(&self, visit: &mut dyn FnMut(Record<'a>) -> bool) {
        remains::all(self.file, visit);
    }

    fn log<'s>(&'s self, _order: KeyOrder) -> Box<dyn Iterator<Item = Transaction<'a>> + 's> {
        Box::new(std::iter::empty())
    }

    fn at(&self, number: u64, order: KeyOrder) -> Option<Vec<Record<'a>>> {
        let live = || self.carve(order).kept.into_iter().map(|kept| kept.record).collect();
        (number == 0).then(live)
    }

    fn as_cyrus(&self, _order: KeyOrder) -> CyrusOutcome<'a> {
        CyrusOutcome::Refuses("Cyrus 3.0 and later have no berkeley engine".into())
    }
}
