//! What survived: the files of a folder, and whose lists they are.

use std::cmp::Reverse;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use coroner::failure::Failure;
use coroner::input::Source;
use coroner::ops::reading::Reading;
use coroner::ops::revive::{Witness, server_of};
use coroner::render::text::printable;

use super::super::args::Common;
use super::super::open;

/// The file that says whose lists there are.
const MANIFEST: &str = "revive.toml";

/// What a survivor is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// A backend's list.
    Backend,
    /// The master's or frontend's list that settles locations.
    Base,
    /// Another one of these.
    Frontend,
    /// A copy of a list that there is a better one of.
    Older,
}

/// A file that is of use.
pub struct Survivor {
    /// Where it is.
    pub path: PathBuf,
    host: Vec<u8>,
    role: Option<String>,
    /// What it is used for.
    pub part: Part,
    /// What kind of list it is.
    pub witness: Witness,
    /// How its host is known.
    pub evidence: String,
}

impl Survivor {
    /// The file's name for a person.
    pub fn name(&self) -> String {
        printable(self.path.file_name().unwrap_or_default().as_encoded_bytes())
    }

    /// The host's name for a person, and as part of a file's name.
    pub fn host(&self) -> String {
        printable(&self.host).replace('/', "_")
    }

    /// The host's name.
    pub fn host_bytes(&self) -> &[u8] {
        &self.host
    }

    /// Whether it is a frontend's list: told so, or by its name.
    pub fn is_frontend(&self) -> bool {
        let named = || self.host.starts_with(b"fe") || self.host.starts_with(b"front");
        let told = self.role.as_deref().map(|role| role == "frontend");
        matches!(self.part, Part::Base | Part::Frontend) && told.unwrap_or_else(named)
    }
}

/// Whose list a file is said to be.
#[derive(Default)]
struct Told {
    host: Option<Vec<u8>>,
    role: Option<String>,
}

/// A file that is left aside, and why.
pub type Aside = (String, String);

/// Looks at the files of a folder, or at those that its manifest names.
pub fn find(folder: &Path, common: &Common) -> Result<(Vec<Survivor>, Vec<Aside>), Failure> {
    let (mut found, mut aside) = (Vec::new(), Vec::new());
    let mut sources: Vec<(PathBuf, Told, Source)> = Vec::new();
    for (path, told) in files(folder)? {
        match open(&path, common) {
            Ok(source) if source.is_empty() => aside.push((name(&path), "zero bytes".to_owned())),
            Ok(source) => sources.push((path, told, source)),
            Err(Failure::File { what, .. }) => aside.push((name(&path), what)),
            Err(failure) => aside.push((name(&path), failure.to_string())),
        }
    }
    let databases: Vec<_> = sources.iter().filter_map(|(.., source)| source.database()).collect();
    let readings = sources.iter().zip(&databases).map(|((.., source), database)| Reading::new(source, &**database));
    let readings: Vec<Reading<'_, '_>> = readings.collect::<Result<_, _>>()?;
    let witnesses: Vec<Witness> = readings.iter().map(Witness::of).collect();
    let elsewhere = |number: &usize| witnesses.get(*number).is_some_and(Witness::is_elsewhere);
    let base = (0..witnesses.len()).filter(elsewhere).max_by_key(|number| witnesses[*number].worth());
    let lookup = base.map(|base| {
        let order = sources[base].2.order(&*databases[base]);
        (readings[base].lookup(order), witnesses[base].account)
    });
    for (number, (path, told, _)) in sources.iter().enumerate() {
        let (witness, reading) = (&witnesses[number], &readings[number]);
        let is_backend = match told.role.as_deref() {
            Some(role) => role == "backend",
            None => !witness.is_elsewhere(),
        };
        let elected = lookup.as_ref().filter(|_| is_backend && told.host.is_none());
        let elected = elected.and_then(|(lookup, account)| server_of(reading, witness, lookup, account));
        let (host, evidence) = match (&told.host, elected) {
            (Some(host), _) => (host.clone(), "host: revive.toml".to_owned()),
            (None, Some(server)) => {
                (server, "host: by its mailboxes in the best master's or frontend's list".to_owned())
            }
            (None, None) => (stem(path), "host: guessed from the file's name".to_owned()),
        };
        let part = match is_backend {
            true => Part::Backend,
            false if base == Some(number) => Part::Base,
            false => Part::Frontend,
        };
        let (path, role, witness) = (path.clone(), told.role.clone(), witness.clone());
        found.push(Survivor { path, host, role, part, witness, evidence });
    }
    found.sort_by_key(|survivor| (survivor.host.clone(), Reverse(survivor.witness.worth())));
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for survivor in found.iter_mut().filter(|survivor| survivor.part == Part::Backend) {
        match seen.contains(&survivor.host) {
            true => survivor.part = Part::Older,
            false => seen.push(survivor.host.clone()),
        }
    }
    Ok((found, aside))
}

/// The files to look at, and what is told of them.
fn files(folder: &Path) -> Result<Vec<(PathBuf, Told)>, Failure> {
    let manifest = folder.join(MANIFEST);
    if let Ok(text) = fs::read_to_string(&manifest) {
        return told(folder, &manifest, &text);
    }
    let failed = |error| Failure::file(folder, error, "name a folder with what survived");
    let mut found = Vec::new();
    for item in fs::read_dir(folder).map_err(failed)? {
        let path = item.map_err(failed)?.path();
        if path.is_file() && !path.file_name().unwrap_or_default().as_encoded_bytes().starts_with(b".") {
            found.push((path, Told::default()));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// The files that a manifest names.
fn told(folder: &Path, manifest: &Path, text: &str) -> Result<Vec<(PathBuf, Told)>, Failure> {
    let next = "give [[witness]] tables with file, host and role: see `coroner revive --help`";
    let wrong = |what: String| Failure::file(manifest, what, next);
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| wrong(error.message().to_owned()))?;
    let witnesses = table.get("witness").and_then(toml::Value::as_array);
    let witnesses = witnesses.ok_or_else(|| wrong("no [[witness]] in it".into()))?;
    let one = |witness: &toml::Value| {
        let word = |name: &str| witness.get(name).and_then(toml::Value::as_str).map(str::to_owned);
        let file = word("file").ok_or_else(|| wrong("a [[witness]] without file".into()))?;
        let role = word("role");
        if let Some(role) = role.as_deref().filter(|role| !["backend", "master", "frontend"].contains(role)) {
            return Err(wrong(format!("role {role:?}: it is backend, master or frontend")));
        }
        Ok((folder.join(file), Told { host: word("host").map(String::into_bytes), role }))
    };
    witnesses.iter().map(one).collect()
}

fn name(path: &Path) -> String {
    printable(path.file_name().unwrap_or_default().as_encoded_bytes())
}

/// A file's name up to its first dot: all there is to guess a host from.
fn stem(path: &Path) -> Vec<u8> {
    let name = path.file_name().map(OsStr::as_encoded_bytes).unwrap_or_default();
    name.split(|byte| *byte == b'.').next().unwrap_or_default().to_vec()
}
