//! Sorted records in, file out: batches of records, encoded side by side and written one behind the other.
//!
//! Record `number`, counted from 1, has one level more than its number has zero bits at the end: as even as levels drawn
//! at random are on average, and the same records give the same bytes. The list's head counts as record 0. A batch holds
//! the numbers that share all bits but the lowest [`BATCH_BITS`], so each pointer out of a batch leads to the first record
//! of a later one: once it is known where batches begin, each can be encoded by itself. What leads beyond the next
//! batch, from first records only, is patched when all is written.

use std::io::{self, Seek, SeekFrom, Write};

use super::Pair;
use super::proof::{Found, Stretch};

/// A batch has two to this power of numbers: some 1 to 2 MiB of mailboxes. The short inputs of fuzzing are to fill some too.
const BATCH_BITS: u8 = if cfg!(fuzzing) { 2 } else { 13 };
/// Batches that are encoded side by side before they are written, and bytes of keys and values: fewer if they are long.
const GROUP: usize = 6;
const GROUP_LEN: usize = 32 << 20;
/// More levels than any format has.
pub(super) const LEVELS: usize = 32;

/// A format as a file of it is written.
pub(super) trait Layout: Sync {
    /// Why a file can't be written.
    type Error: From<io::Error> + Send;
    /// What is known of the batches that were placed.
    type Places: Default;

    /// What stands in front of the records, as long as it will be; what is known only at the end is zero.
    fn front(&self) -> Vec<u8>;
    /// Finds the places of a batch's records, which follow those of the batch before, where the format needs to know them.
    ///
    /// # Errors
    /// If a record can't be placed.
    fn place<R>(&self, places: &mut Self::Places, batch: &mut Batch<R>) -> Result<(), Self::Error>
    where
        R: Pair;
    /// Puts the bytes of a placed batch into its buffer, holds what it finds there against the records, and says what they
    /// show of themselves.
    ///
    /// # Errors
    /// If the format can't hold a record there.
    fn encode<R: Pair>(&self, batch: &mut Batch<R>) -> Result<(), Self::Error>;
    /// What follows `count` records, and all that was zero until now, by offset.
    fn back(&self, places: &Self::Places, count: u64) -> (Vec<u8>, Vec<(u64, Vec<u8>)>);
}

/// Records that are encoded together.
pub(super) struct Batch<R> {
    /// Number of the first record.
    pub number: u64,
    /// The records.
    pub records: Vec<R>,
    /// The last key of the batch before.
    pub before: Option<Vec<u8>>,
    /// Offset of each record.
    pub offsets: Vec<u64>,
    /// Where the batch before ends: offset of its bytes.
    pub start: u64,
    /// Offset of the first record of the next batch.
    pub next: Option<u64>,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What its records show of themselves, with offsets in its bytes; `None` if more than that is to be looked at.
    pub shown: Option<Stretch>,
}

impl<R> Default for Batch<R> {
    fn default() -> Self {
        let (records, offsets, bytes) = (Vec::new(), Vec::new(), Vec::new());
        Batch { number: 0, records, before: None, offsets, start: 0, next: None, bytes, shown: None }
    }
}

impl<R: Pair> Batch<R> {
    /// Bytes of keys and values.
    fn len(&self) -> usize {
        self.records.iter().map(|record| record.key().len() + record.value().len()).sum()
    }

    /// Takes as many records as belong in a batch; whether there was any.
    fn fill(&mut self, number: u64, last: Option<&Batch<R>>, records: &mut impl Iterator<Item = R>) -> bool {
        let room = (1 << BATCH_BITS) - number % (1 << BATCH_BITS);
        self.number = number;
        self.before = last.and_then(|last| last.records.last()).map(|record| record.key().to_vec());
        self.next = None;
        self.records.clear();
        self.records.extend(records.take(usize::try_from(room).unwrap_or_default()));
        !self.records.is_empty()
    }

    /// Each record with its number and the key in front of it.
    pub fn each(&self) -> impl Iterator<Item = (u64, Option<&[u8]>, &[u8], &[u8])> {
        let keys = self.records.iter().map(|record| Some(record.key()));
        let before = std::iter::once(self.before.as_deref()).chain(keys);
        (self.number..)
            .zip(before)
            .zip(&self.records)
            .map(|((number, before), record)| (number, before, record.key(), record.value()))
    }
}

/// Batches on their way.
struct Line<'l, L: Layout, I, R> {
    layout: &'l L,
    places: L::Places,
    records: I,
    /// Number of the next record.
    number: u64,
    /// The batch that was placed last; where the next one starts is not known yet.
    last: Option<Batch<R>>,
    /// Batches that were written, to be filled again.
    spare: Vec<Batch<R>>,
    /// Bytes that were written.
    written: u64,
    /// What the records in them show of themselves.
    shown: Option<Vec<Stretch>>,
}

impl<L, I, R> Line<'_, L, I, R>
where
    L: Layout,
    I: Iterator<Item = R>,
    R: Pair + Send,
{
    /// Places some batches; those that can be encoded now, none at the end.
    fn group(&mut self) -> Result<Vec<Batch<R>>, L::Error> {
        let (mut group, mut len) = (Vec::with_capacity(GROUP), 0);
        // However long its records are, one batch goes on: an empty group is the end.
        while group.is_empty() || (group.len() < GROUP && len < GROUP_LEN) {
            let mut batch = self.spare.pop().unwrap_or_default();
            if !batch.fill(self.number, self.last.as_ref(), &mut self.records) {
                group.extend(self.last.take());
                break;
            }
            self.number += batch.records.len() as u64;
            self.layout.place(&mut self.places, &mut batch)?;
            len += batch.len();
            let next = batch.offsets.first().copied();
            group.extend(self.last.replace(batch).map(|last| Batch { next, ..last }));
        }
        Ok(group)
    }

    /// Encodes a group side by side; meanwhile writes the one before it, and places the one behind it.
    fn step(
        &mut self,
        out: &mut impl Write,
        mut before: Vec<Batch<R>>,
        group: &mut [Batch<R>],
    ) -> Result<Vec<Batch<R>>, L::Error> {
        let layout = self.layout;
        let mut encoded: Vec<Result<(), L::Error>> = group.iter().map(|_| Ok(())).collect();
        let behind = rayon::in_place_scope(|scope| {
            for (batch, encoded) in group.iter_mut().zip(&mut encoded) {
                scope.spawn(move |_| *encoded = layout.encode(batch));
            }
            for batch in &mut before {
                out.write_all(&batch.bytes)?;
                let (start, len) = (self.written, batch.bytes.len() as u64);
                self.written += len;
                self.shown = self.shown.take().zip(batch.shown.take()).map(|(mut all, shown)| {
                    all.push(shown.moved(start));
                    all
                });
            }
            self.spare.extend(before);
            self.group()
        });
        // The first that is wrong is told.
        encoded.into_iter().collect::<Result<(), _>>().and(behind)
    }
}

/// What was written.
pub(super) struct Laid {
    /// Number of records.
    pub records: u64,
    /// Length of the file.
    pub len: u64,
    /// What the records show of themselves; `None` if more than that is to be looked at.
    pub shown: Option<Vec<Stretch>>,
}

/// Writes a whole file from the current place of `out` on, which is taken as offset 0.
///
/// # Errors
/// What the layout says of the records, and the system of writing.
pub(super) fn write<L, W, R>(layout: &L, out: &mut W, records: impl IntoIterator<Item = R>) -> Result<Laid, L::Error>
where
    L: Layout,
    W: Write + Seek,
    R: Pair + Send,
{
    let begin = out.stream_position()?;
    let front = layout.front();
    out.write_all(&front)?;
    let (places, records, written) = (L::Places::default(), records.into_iter().fuse(), front.len() as u64);
    let shown = Some(Vec::new());
    let mut line = Line { layout, places, records, number: 1, last: None, spare: Vec::new(), written, shown };
    let (mut before, mut group) = (Vec::new(), line.group()?);
    while !group.is_empty() || !before.is_empty() {
        let behind = line.step(out, before, &mut group)?;
        before = std::mem::replace(&mut group, behind);
    }
    let count = line.number - 1;
    let (back, patches) = layout.back(&line.places, count);
    out.write_all(&back)?;
    let end = out.stream_position()?;
    for (offset, bytes) in &patches {
        out.seek(SeekFrom::Start(begin + offset))?;
        out.write_all(bytes)?;
    }
    out.seek(SeekFrom::Start(end))?;
    out.flush()?;
    Ok(Laid { records: count, len: end - begin, shown: line.shown })
}

/// A record and where it leads.
pub(super) struct Placed<'r> {
    /// Its offset.
    pub offset: u64,
    /// Its key.
    pub key: &'r [u8],
    /// Its value.
    pub value: &'r [u8],
    /// For each of its levels, the offset of the next record of that level; 0 at the end.
    pub pointers: &'r [u64],
}

/// A format whose records are the nodes of a skip list.
pub(super) trait Node: Sync {
    /// Why a file can't be written.
    type Error: From<io::Error> + Send;
    /// The level of the list's head, and the highest a record can have.
    const MAX_LEVEL: u8;
    /// Length in bytes of what stands in front of the first record.
    const FRONT_LEN: u64;

    /// Whether a record may come behind the key `before`.
    ///
    /// # Errors
    /// If it may not.
    fn admit(&self, number: u64, before: Option<&[u8]>, key: &[u8]) -> Result<(), Self::Error>;
    /// Where the record of that number starts and ends if `end` is where the one before ends.
    ///
    /// # Errors
    /// If it would not fit the file.
    fn place(&self, number: u64, end: u64, level: u8, key: &[u8], value: &[u8]) -> Result<(u64, u64), Self::Error>;
    /// Puts a record behind what is in `bytes`, which start at offset `start` of the file.
    fn put(&self, bytes: &mut Vec<u8>, start: u64, record: &Placed<'_>);
    /// The record that follows in `bytes` at `from`, with its pointers; `None` if no more than a part of one does, or
    /// something else does. `summed`: its sums were made of these very bytes and need no look.
    ///
    /// # Errors
    /// `None` if it is not as it should be.
    fn found<'b>(
        &self,
        bytes: &'b [u8],
        from: usize,
        pointers: &mut [u64; LEVELS],
        summed: bool,
    ) -> Option<Option<Found<'b>>>;
    /// The bytes of a record that hold pointers or depend on them, and where they start in it.
    fn head(&self, key_len: u64, value_len: u64, pointers: &[u64]) -> (u64, Vec<u8>);
    /// What stands behind `count` records that end at `end`, and what in front of them, with the pointers of the head.
    fn frame(&self, count: u64, end: u64, pointers: &[u64]) -> (Vec<u8>, Vec<u8>);
}

/// The first record of a batch.
struct First {
    offset: u64,
    key_len: u64,
    value_len: u64,
    /// All pointers of the list's head or of a record with pointers beyond the next batch, as far as they are known.
    pointers: Vec<u64>,
}

/// Lays out the nodes of a list.
pub(super) struct List<N>(pub N);

/// Where batches of nodes stand.
#[derive(Default)]
pub(super) struct Places {
    /// Where the last record ends, if there is one.
    end: Option<u64>,
    firsts: Vec<First>,
}

impl Places {
    /// All pointers of a first record, now that all is placed.
    fn pointers(&self, index: usize) -> Vec<u64> {
        let mut pointers = self.firsts.get(index).map(|first| first.pointers.clone()).unwrap_or_default();
        for (below, pointer) in (0..).zip(&mut pointers).skip(BATCH_BITS.into()) {
            let next = self.firsts.get(index + (1 << (below - BATCH_BITS)));
            *pointer = next.map_or(0, |next| next.offset);
        }
        pointers
    }
}

/// The level of a record.
fn level(number: u64, most: u8) -> u8 {
    (number.trailing_zeros() as u8).saturating_add(1).min(most)
}

/// The number of the next record of the level above `below` others.
fn next_number(number: u64, below: u8) -> u64 {
    ((number >> below) + 1) << below
}

impl<R> Batch<R> {
    /// Where the record of that number leads on a level, as far as this batch and the next tell; else 0.
    fn pointer(&self, number: u64, below: u8) -> u64 {
        let next = next_number(number, below);
        let index = usize::try_from(next - self.number).unwrap_or(usize::MAX);
        let leaves = next.is_multiple_of(1 << BATCH_BITS) && below <= BATCH_BITS;
        self.offsets.get(index).copied().or(self.next.filter(|_| leaves)).unwrap_or_default()
    }
}

impl<N: Node> List<N> {
    /// Whether a record has pointers beyond the next batch.
    fn is_late(number: u64) -> bool {
        level(number, N::MAX_LEVEL) > BATCH_BITS + 1
    }

    fn first<R: Pair>(number: u64, batch: &Batch<R>) -> First {
        let lens = batch.records.first().filter(|_| number > 0);
        let (key, value) = lens.map_or((0, 0), |record| (record.key().len(), record.value().len()));
        let levels = if List::<N>::is_late(number) || number == 0 { level(number, N::MAX_LEVEL) } else { 0 };
        First {
            offset: batch.offsets.first().copied().filter(|_| number > 0).unwrap_or_default(),
            key_len: key as u64,
            value_len: value as u64,
            pointers: (0..levels).map(|below| batch.pointer(number, below)).collect(),
        }
    }
}

impl<N: Node> Layout for List<N> {
    type Error = N::Error;
    type Places = Places;

    fn front(&self) -> Vec<u8> {
        vec![0; usize::try_from(N::FRONT_LEN).unwrap_or_default()]
    }

    fn place<R>(&self, places: &mut Places, batch: &mut Batch<R>) -> Result<(), N::Error>
    where
        R: Pair,
    {
        let mut end = places.end.unwrap_or(N::FRONT_LEN);
        batch.start = end;
        batch.offsets.clear();
        for (number, record) in (batch.number..).zip(&batch.records) {
            let level = level(number, N::MAX_LEVEL);
            let (offset, behind) = self.0.place(number, end, level, record.key(), record.value())?;
            batch.offsets.push(offset);
            end = behind;
        }
        places.end = Some(end);
        // The head of the list is the first of the first batch.
        let number = batch.number >> BATCH_BITS << BATCH_BITS;
        places.firsts.push(List::<N>::first(number, batch));
        Ok(())
    }

    fn encode<R: Pair>(&self, batch: &mut Batch<R>) -> Result<(), N::Error> {
        let mut bytes = std::mem::take(&mut batch.bytes);
        bytes.clear();
        let (mut read, mut found_pointers) = (0, [0; LEVELS]);
        let mut shown = Stretch::new(0);
        for ((number, before, key, value), &offset) in batch.each().zip(&batch.offsets) {
            self.0.admit(number, before, key)?;
            let mut pointers = [0; LEVELS];
            let pointers = pointers.get_mut(..level(number, N::MAX_LEVEL).into()).unwrap_or_default();
            for (below, pointer) in (0..).zip(&mut *pointers) {
                *pointer = batch.pointer(number, below);
            }
            let record = Placed { offset, key, value, pointers };
            self.0.put(&mut bytes, batch.start, &record);
            let found = self.0.found(&bytes, read, &mut found_pointers, true).flatten();
            let found = found.filter(|found| found.is(&record, &found_pointers, batch.start, bytes.len()));
            let taken = found.and_then(|found| {
                read = found.range.end;
                if number == batch.number && List::<N>::is_late(number) {
                    shown.start = read as u64;
                    return Some(());
                }
                shown.push(offset, &found, &found_pointers)
            });
            taken.ok_or_else(|| io::Error::other(format!("record {number} does not read back")))?;
        }
        shown.end = read as u64;
        if let Some(record) = batch.records.last() {
            shown.last.extend_from_slice(record.key());
        }
        if let (true, Some(record), Some(offset)) =
            (List::<N>::is_late(batch.number), batch.records.first(), batch.offsets.first())
        {
            let levels = level(batch.number, N::MAX_LEVEL).into();
            let (key_len, value_len) = (record.key().len() as u64, record.value().len() as u64);
            let (from, head) = self.0.head(key_len, value_len, &vec![0; levels]);
            let from = usize::try_from(offset - batch.start + from).unwrap_or(usize::MAX);
            let late = bytes.get_mut(from..).and_then(|rest| rest.get_mut(..head.len()));
            late.unwrap_or_default().fill(0);
        }
        batch.bytes = bytes;
        batch.shown = Some(shown);
        Ok(())
    }

    fn back(&self, places: &Places, count: u64) -> (Vec<u8>, Vec<(u64, Vec<u8>)>) {
        let none = vec![0; N::MAX_LEVEL.into()];
        let head = if places.firsts.is_empty() { none } else { places.pointers(0) };
        let (back, front) = self.0.frame(count, places.end.unwrap_or(N::FRONT_LEN), &head);
        let late = places.firsts.iter().enumerate().skip(1).filter(|(_, first)| !first.pointers.is_empty());
        let late = late.map(|(index, first)| {
            let (from, head) = self.0.head(first.key_len, first.value_len, &places.pointers(index));
            (first.offset + from, head)
        });
        // The header comes last: a file that is not finished has none.
        (back, late.chain([(0, front)]).collect())
    }
}
