//! The ledger of conflicts: what each source claims of a mailbox and whose entry was kept; and the decisions of somebody who read it.
//!
//! A ledger has a JSON object a line. Its `keep` may be changed to another source's name, to `base`, or to `nobody`; given back,
//! each line fits only the claims that it was made on.

use std::collections::HashMap;

use bstr::ByteSlice;
use serde_json::Value as Json;

use super::claim::Claim;
use super::settle::{Keep, Settled};
use crate::formats::record::Numbering;
use crate::render::json::{self, Object};

/// What the base is called among the sources.
pub const BASE: &str = "base";
/// What is kept when the mailbox is not to be listed.
pub const NOBODY: &str = "nobody";

/// Something to be settled, and how it was.
#[derive(Clone, Debug)]
pub struct Dispute {
    /// Internal name of the mailbox.
    pub name: Vec<u8>,
    /// What it is, and what settled it.
    pub settled: Settled,
    /// Whose entry was kept: a backend's name, [`BASE`] or [`NOBODY`].
    pub kept: Vec<u8>,
    /// What each source says, as in the ledger.
    pub claims: Vec<Json>,
}

impl Dispute {
    /// Its line in the ledger.
    pub fn document(&self) -> Json {
        let class = self.settled.class.map(|class| class.as_str());
        Object::schema("merge")
            .bytes("name", &self.name)
            .with_some("class", class)
            .with("conflict", self.settled.conflict)
            .bytes("keep", &self.kept)
            .with("by", self.settled.by.as_str())
            .with("claims", self.claims.clone())
            .done()
    }
}

/// What a source says of a mailbox.
pub fn claim(claim: &Claim<'_>, from: &[u8]) -> Json {
    let object = Object::new().bytes("from", from).with("says", claim.standing.as_str());
    let Some(entry) = &claim.entry else { return object.done() };
    let letters = entry.mbtype.letters(Numbering::New);
    let object = object
        .bytes("mbtype", &letters)
        .bytes_some("server", entry.server.as_deref())
        .bytes_some("partition", entry.partition.as_deref())
        .bytes("acl", &entry.acl.to_text())
        .bytes_some("uniqueid", entry.uniqueid.as_deref());
    object.with_some("mtime", entry.mtime.map(json::time)).done()
}

/// One decision.
#[derive(Clone, Debug)]
pub struct Decision {
    keep: Vec<u8>,
    claims: Option<Json>,
}

/// What somebody decided, by internal name.
#[derive(Clone, Debug, Default)]
pub struct Decisions {
    by_name: HashMap<Vec<u8>, Decision>,
}

impl Decisions {
    /// Reads a ledger.
    ///
    /// # Errors
    /// The number of the first line that is no line of a ledger, from 1, and what is wrong with it.
    pub fn read(text: &[u8]) -> Result<Self, (usize, String)> {
        let mut by_name = HashMap::new();
        for (line, number) in text.lines().zip(1..) {
            if line.trim().is_empty() {
                continue;
            }
            let wrong = |what: &str| (number, what.to_owned());
            let object: Json = serde_json::from_slice(line).map_err(|error| (number, error.to_string()))?;
            if object.get("schema").and_then(Json::as_str) != Some("coroner/merge/1") {
                return Err(wrong("no line of a ledger: its schema is not coroner/merge/1"));
            }
            let name = member(&object, "name").ok_or_else(|| wrong("it has no name"))?;
            let keep = member(&object, "keep").ok_or_else(|| wrong("it does not say whom to keep"))?;
            let decision = Decision { keep, claims: object.get("claims").cloned() };
            if by_name.insert(name, decision).is_some() {
                return Err(wrong("a second decision about the same mailbox"));
            }
        }
        Ok(Decisions { by_name })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// The decision about a mailbox, if there is one.
    pub fn get(&self, name: &[u8]) -> Option<&Decision> {
        self.by_name.get(name)
    }

    /// The names that decisions are about.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.by_name.keys().map(Vec::as_slice)
    }
}

impl Decision {
    /// Whose entry is to be kept; `None` if the claims are not those that it was made on, or nobody of that name claims anything.
    pub fn keep(&self, claims: &[Json]) -> Option<Keep> {
        let fits = match &self.claims {
            Some(Json::Array(known)) => known[..] == *claims,
            Some(_) => false,
            None => true,
        };
        let from = |claim: &Json| member(claim, "from").is_some_and(|from| from == self.keep);
        match &self.keep[..] {
            _ if !fits => None,
            keep if keep == NOBODY.as_bytes() => Some(Keep::Nobody),
            keep => {
                let found = claims.iter().position(from)?;
                Some(if keep == BASE.as_bytes() { Keep::Base } else { Keep::Claim(found) })
            }
        }
    }
}

/// A member that holds bytes: by `raw` where text can't.
fn member(object: &Json, name: &str) -> Option<Vec<u8>> {
    let text = object.get(name)?.as_str()?;
    match object.get("raw").and_then(|raw| raw.get(name)).and_then(Json::as_str) {
        // Whoever changed the text did not change what stands beside it.
        Some(raw) => {
            let bytes = data_encoding::BASE64.decode(raw.as_bytes()).ok()?;
            if json::text(&bytes).0 == text { Some(bytes) } else { Some(text.as_bytes().to_vec()) }
        }
        None => Some(text.as_bytes().to_vec()),
    }
}
