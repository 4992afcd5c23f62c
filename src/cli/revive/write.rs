//! Writing what revives a murder.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use coroner::failure::Failure;
use coroner::ops::drift::{Drift, Source};
use coroner::ops::push::Decision;
use coroner::ops::watch::Watch;
use coroner::plan::safe_file::SafeFile;
use coroner::plan::safe_folder::SafeFolder;

use super::super::args::Common;
use super::super::lists::{self, Opened};
use super::super::merge;
use super::super::out::Out;
use super::super::{Done, Outcome};
use super::Args;
use super::survivors::{Part, Survivor};

/// Writes everything into a new folder.
pub fn all(
    args: &Args,
    folder: &Path,
    survivors: &[Survivor],
    plan: &[String],
    common: &Common,
    out: &mut Out,
) -> Done {
    let failed = |error: io::Error| Failure::file(folder, error, "name a folder that does not exist yet");
    let safe = SafeFolder::create(folder).map_err(failed)?;
    let inner = |name: &str| safe.path().join(name);
    let of = |part: Part| survivors.iter().filter(move |survivor| survivor.part == part);
    let named = |survivor: &Survivor| {
        let path = survivor.path.as_os_str().as_encoded_bytes();
        OsString::from_vec([survivor.host_bytes(), b"=", path].concat())
    };
    let backends: Vec<OsString> = of(Part::Backend).map(named).collect();
    let base = of(Part::Base).map(|survivor| survivor.path.clone()).next();
    let merged = |name: &str, ledger: Option<PathBuf>, role| {
        let plain = merge::Args::plain(backends.clone(), base.clone(), inner(name), args.to, ledger, role);
        plain.moving_to(folder.join(name))
    };
    let ledger = inner("conflicts.jsonl");
    let mut worst = merge::run(&merged("master.db", Some(ledger), merge::RoleName::Master), common, out)?;
    for frontend in survivors.iter().filter(|survivor| survivor.is_frontend()) {
        let list = merged(&format!("frontend-{}.db", frontend.host()), None, merge::RoleName::Frontend);
        worst = worst.max(merge::run(&list, common, &mut Out::nowhere()?)?);
    }
    for (host, lines) in pushes(&inner("master.db"), survivors, common)? {
        save(&inner(&format!("push-{host}.txt")), &lines)?;
    }
    save(&inner("PLAN.md"), plan)?;
    safe.appear().map_err(failed)?;
    out.line(&format!("{}: everything is written; PLAN.md says what to do with it", folder.display()))?;
    Ok(worst.max(Outcome::Clean))
}

/// What each backend's `ctl_mboxlist -m -w` will print against the new master.
fn pushes(master: &Path, survivors: &[Survivor], common: &Common) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let backends: Vec<&Survivor> = survivors.iter().filter(|survivor| survivor.part == Part::Backend).collect();
    let mut opened = Vec::new();
    for backend in &backends {
        opened.push(Opened::new(Some(backend.host_bytes().to_vec()), &backend.path, common)?);
    }
    opened.push(Opened::new(None, master, &Common { format: None, ..common.clone() })?);
    let databases = lists::databases(&opened)?;
    let (readings, _) = lists::readings(&opened, &databases)?;
    let origins = lists::origins(&readings);
    let sources = opened.iter().zip(readings.iter().zip(origins)).map(|(list, (reading, origin))| {
        let len = list.source.len();
        Source { name: list.name.clone().unwrap_or_default(), reading, origin, len }
    });
    let sources: Vec<Source<'_, '_, '_>> = sources.collect();
    let mut drift = Drift::new(&sources, backends.len());
    let fresh = || vec![(Vec::new(), Vec::new()); backends.len()];
    let found = std::cell::RefCell::new(fresh());
    drift.run(&Watch::new(), || *found.borrow_mut() = fresh(), &mut |row| {
        for push in &row.pushes {
            let mut found = found.borrow_mut();
            let Some((removals, others)) = found.get_mut(push.host) else { continue };
            for words in push.decision.words() {
                let line = format!("{words}: {}", String::from_utf8_lossy(&row.name));
                let removal = Decision::RemoveFromMupdate.words().contains(words);
                if removal { removals.push(line) } else { others.push(line) }
            }
        }
        Ok::<(), Failure>(())
    })?;
    let found = found.into_inner().into_iter().zip(&backends);
    // Cyrus removes in the reverse order of the master's list, and first of all.
    let lines = |(removals, others): (Vec<String>, Vec<String>)| removals.into_iter().rev().chain(others).collect();
    Ok(found.map(|(found, backend)| (backend.host(), lines(found))).collect())
}

fn save(path: &Path, lines: &[String]) -> Result<(), Failure> {
    let mut file = SafeFile::create(path, false)?;
    let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    file.write_all(text.as_bytes()).map_err(|error| Failure::file(path, error, "free some space"))?;
    Ok(file.finish(|_| Ok(()))?)
}
