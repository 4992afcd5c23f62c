//! What is told of a conversion.

use std::io::{BufWriter, Write};
use std::path::Path;

use coroner::failure::Failure;
use coroner::formats::container::{Format, Written};
use coroner::ops::convert::remarks::{ENTRY, Fate, Remark, Remarks};
use coroner::plan::safe_file::SafeFile;
use coroner::render::json::{self, Object};
use coroner::render::text::{count, printable};
use serde_json::Value as Json;

use super::super::out::Out;
use super::super::say;

/// How many names of a kind the report on the screen gives.
const NAMED: usize = 5;

/// What there is to tell.
pub struct Told<'t> {
    pub remarks: &'t Remarks,
    pub written: Written,
    pub format: Format,
    pub path: &'t Path,
}

impl Told<'_> {
    /// The answer as JSON.
    pub fn document(&self) -> Json {
        let counts = Fate::ALL.map(|fate| (fate.as_str(), self.remarks.count(fate)));
        Object::schema("convert")
            .bytes("output", self.path.as_os_str().as_encoded_bytes())
            .with("format", self.format.as_str())
            .with("records", self.written.records)
            .with("len", self.written.len)
            .with("counts", json::counts(counts))
            .with("remarks", remark_objects(self.remarks))
            .done()
    }

    /// The same for a person: on standard error if the output went to standard output.
    pub fn print(&self, aside: bool, out: &mut Out) -> Result<(), Failure> {
        let mut lines = remark_lines(self.remarks);
        if !aside {
            let path = printable(self.path.as_os_str().as_encoded_bytes());
            let records = count(self.written.records, "record");
            lines.push(format!(
                "{path}: {records}, {} bytes, {}: read back and compared",
                self.written.len, self.format
            ));
        }
        lines.iter().try_for_each(|line| match aside {
            true => {
                say(line);
                Ok(())
            }
            false => out.line(line),
        })
    }
}

/// What became of which fields and entries, for a person.
pub fn remark_lines(remarks: &Remarks) -> Vec<String> {
    let mut lines = Vec::new();
    for (fate, field, why, sort) in remarks.sorts() {
        let what = match fate {
            Fate::Lost => "lost",
            Fate::Unknown => "not known",
            Fate::LeftOut => "left out",
            Fate::Supplied => "supplied",
        };
        let subject = if field == ENTRY { "entries".to_owned() } else { format!("field {field} of entries") };
        lines.push(format!("{what}: {}: {subject}: {why}", sort.count));
        for remark in sort.first.iter().take(NAMED) {
            lines.push(format!("  {}: {}", printable(&remark.name), printable(&remark.value)));
        }
        if sort.count > NAMED as u64 {
            lines.push(format!("  and {} more", sort.count - NAMED as u64));
        }
    }
    lines
}

/// The same for a program.
pub fn remark_objects(remarks: &Remarks) -> Vec<Json> {
    let sorts = remarks.sorts().map(|(fate, field, why, sort)| {
        let first: Vec<Json> = sort.first.iter().take(NAMED).map(example).collect();
        let object = Object::new().with("fate", fate.as_str()).with("field", field).with("why", why);
        object.with("count", sort.count).with("first", first).done()
    });
    sorts.collect()
}

fn example(remark: &Remark<'_>) -> Json {
    Object::new().bytes("name", &remark.name).bytes("value", &remark.value).done()
}

/// Saves all remarks, an object a line.
pub fn save(path: &Path, force: bool, remarks: &Remarks) -> Result<(), Failure> {
    let file = SafeFile::create(path, force)?;
    let mut lines = BufWriter::with_capacity(1 << 16, file.file());
    for (fate, field, why, sort) in remarks.sorts() {
        for remark in &sort.first {
            let object = Object::schema("convert").bytes("name", &remark.name).with("fate", fate.as_str());
            let object = object.with("field", field).bytes("value", &remark.value).with("why", why);
            let line = json::line(&object.done()) + "\n";
            lines.write_all(line.as_bytes()).map_err(|error| Failure::file(path, error, "free some space"))?;
        }
    }
    lines.flush().map_err(|error| Failure::file(path, error, "free some space"))?;
    drop(lines);
    file.finish(|_| Ok(()))?;
    Ok(())
}
