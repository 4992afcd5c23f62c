//! What is told of a drift, as text and as lines of JSON.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom};

use coroner::failure::Failure;
use coroner::ops::drift::compare::Hosts;
use coroner::ops::drift::row::{Class, Mend, Row};
use coroner::ops::drift::{DECISIONS, Sum};
use coroner::render::json::{self, Object};
use coroner::render::text::{count, printable};
use serde_json::Value as Json;

use super::super::merge::claim_line;
use super::super::out::Out;

/// Disagreements of a class that are shown unless all are wanted.
pub const NAMED: usize = 5;
/// More hosts than these have their pairs listed, not drawn.
const DRAWN: usize = 12;

/// The disagreements that are kept to be shown.
#[derive(Default)]
pub struct Kept {
    /// By class, in the order of names.
    pub rows: BTreeMap<Class, Vec<Row>>,
    room: usize,
}

impl Kept {
    /// Keeps so many of each class.
    pub fn new(room: usize) -> Self {
        Kept { rows: BTreeMap::new(), room }
    }

    /// Takes one; `all` keeps it in any case.
    pub fn push(&mut self, row: Row, all: bool) {
        let rows = self.rows.entry(row.class).or_default();
        if all || rows.len() < self.room {
            rows.push(row);
        }
    }
}

/// What there is to tell.
pub struct Told<'t> {
    pub hosts: &'t Hosts,
    pub sum: &'t Sum,
    pub kept: &'t Kept,
}

impl Told<'_> {
    /// A host's name for a person.
    pub fn host(&self, host: usize) -> String {
        printable(self.hosts.name(host))
    }

    /// The last line of JSON.
    pub fn summary(&self) -> Json {
        let hosts: Vec<Json> = (0..self.hosts.names.len()).map(|host| self.host(host).into()).collect();
        let classes = Class::ALL.into_iter().map(|class| (class.as_str(), self.sum.classes[class as usize]));
        let matrix: Vec<Json> = self.sum.matrix.iter().map(|row| row.clone().into()).collect();
        let pushes = (0..self.hosts.backends).map(|host| {
            let counts = DECISIONS.iter().zip(self.sum.pushes[host]);
            let counts = counts.map(|(decision, count)| (decision.words().join(", "), count));
            Object::new().bytes("backend", self.hosts.name(host)).with("lines", json::counts(counts)).done()
        });
        let pushes: Vec<Json> = pushes.collect();
        Object::schema("drift")
            .with("kind", "summary")
            .with("names", self.sum.names)
            .with("rows", self.sum.rows())
            .with("classes", json::counts(classes.filter(|(_, count)| *count > 0)))
            .with("hosts", hosts)
            .with("matrix", matrix)
            .with("push", pushes)
            .with("wiped", self.sum.wiped())
            .done()
    }

    /// Everything for a person.
    pub fn print(&self, all: bool, out: &mut Out) -> Result<(), Failure> {
        let (names, rows) = (count(self.sum.names, "name"), count(self.sum.rows(), "disagreement"));
        let lists = count(self.hosts.names.len() as u64, "list");
        out.line(&format!("{names} in {lists}, {rows}"))?;
        if self.sum.rows() == 0 {
            return Ok(());
        }
        self.print_matrix(out)?;
        self.print_pushes(out)?;
        for (class, rows) in &self.kept.rows {
            let number = self.sum.classes[*class as usize];
            out.line(&format!("\n{}: {number}: {}", class.as_str(), class.meaning()))?;
            let shown = if all { rows.len() } else { NAMED };
            rows.iter().take(shown).try_for_each(|row| self.print_row(row, out))?;
            if number > rows.len().min(shown) as u64 {
                out.line(&format!("  and {} more: --all shows them", number - rows.len().min(shown) as u64))?;
            }
        }
        Ok(())
    }

    fn print_matrix(&self, out: &mut Out) -> Result<(), Failure> {
        out.line("\nwho disagrees with whom, in names:")?;
        let hosts = self.hosts.names.len();
        if hosts > DRAWN {
            for a in 0..hosts {
                for b in (a..hosts).filter(|b| self.sum.matrix[a][*b] > 0) {
                    out.line(&format!("  {} and {}: {}", self.host(a), self.host(b), self.sum.matrix[a][b]))?;
                }
            }
            return Ok(());
        }
        let width = (0..hosts).map(|host| self.host(host).chars().count()).max().unwrap_or_default();
        let cells =
            |row: &dyn Fn(usize) -> String| (0..hosts).map(|host| format!("{:>7}", row(host))).collect::<String>();
        out.line(&format!("  {:width$}    {}", "", cells(&|host| format!("[{}]", host + 1))))?;
        for a in 0..hosts {
            let number = |b: usize| match self.sum.matrix[a][b] {
                0 => ".".to_owned(),
                number => number.to_string(),
            };
            out.line(&format!("  {:width$} [{}]{}", self.host(a), a + 1, cells(&number)))?;
        }
        Ok(())
    }

    fn print_pushes(&self, out: &mut Out) -> Result<(), Failure> {
        out.line("\nwhat ctl_mboxlist -m would do, backend by backend:")?;
        for host in 0..self.hosts.backends {
            let counts = DECISIONS.iter().zip(self.sum.pushes[host]).filter(|(_, count)| *count > 0);
            let counts = counts.map(|(decision, count)| {
                let wipes = if decision.wipes() { " (with all messages)" } else { "" };
                format!("{count} {}{wipes}", decision.words().join(" and "))
            });
            let counts: Vec<String> = counts.collect();
            let counts = if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") };
            out.line(&format!("  {}: {counts}", self.host(host)))?;
        }
        Ok(())
    }

    fn print_row(&self, row: &Row, out: &mut Out) -> Result<(), Failure> {
        let between: Vec<String> = row.between.iter().map(|host| self.host(*host)).collect();
        out.line(&format!("  {}: {}", printable(&row.name), between.join(", ")))?;
        for claim in &row.evidence {
            out.line(&format!("    {}", claim_line(claim)))?;
        }
        for push in &row.pushes {
            let wipes = if push.decision.wipes() { ", with all messages" } else { "" };
            let words = push.decision.words().join(" and ");
            out.line(&format!("    ctl_mboxlist -m on {}: {words}{wipes}", self.host(push.host)))?;
        }
        row.mends.iter().try_for_each(|mend| out.line(&format!("    mend: {}", mend_line(mend))))
    }
}

/// What mends a disagreement, in one line; TABs of an ACL stay TABs, to be copied.
pub fn mend_line(mend: &Mend) -> String {
    match mend {
        Mend::Mupdate(line) => {
            let parts: Vec<String> = line.split(|byte| *byte == b'\t').map(printable).collect();
            format!("MUPDATE {}", parts.join("\t"))
        }
        Mend::Words(words) => printable(words.as_bytes()),
    }
}

/// Prints the lines that were put aside, and the summary behind them.
pub fn lines(lines: Option<BufWriter<File>>, told: &Told<'_>, out: &mut Out) -> Result<(), Failure> {
    let Some(lines) = lines else { return out.json(&told.summary()) };
    let mut file = lines.into_inner().map_err(|error| Failure::output(error.into_error()))?;
    file.seek(SeekFrom::Start(0)).map_err(Failure::output)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = file.read(&mut buffer).map_err(Failure::output)?;
        match buffer.get(..count) {
            Some([]) | None => break,
            Some(bytes) => out.bytes(bytes).map_err(Failure::output)?,
        }
    }
    out.json(&told.summary())
}
