//! Plans as JSON: the document that `PLAN.md` beside this file describes.

use std::fmt;
use std::path::{Path, PathBuf};

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value as Json};

use super::{Bound, Change, Plan};
use crate::formats::container::{Format, KeyOrder};
use crate::render::json::{self, Object};

/// What every plan's `schema` says.
pub const SCHEMA: &str = "coroner/plan/1";

/// Why a text is no plan.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlanError {
    /// It is no JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// It is JSON, but no plan.
    #[error("not a plan: {0}")]
    NoPlan(String),
}

fn wrong<T>(what: impl Into<String>) -> Result<T, PlanError> {
    Err(PlanError::NoPlan(what.into()))
}

impl Plan {
    /// The plan as JSON, a change a line.
    pub fn to_json(&self) -> String {
        let source = Object::new()
            .bytes("path", self.source.path.as_os_str().as_encoded_bytes())
            .with("len", self.source.len)
            .with("blake3", HEXLOWER_PERMISSIVE.encode(&self.source.blake3))
            .with("format", self.source.format.as_str())
            .with("order", self.source.order.map(KeyOrder::as_str))
            .done();
        let head = [
            ("schema", SCHEMA.into()),
            ("made_by", self.made_by.as_str().into()),
            ("made", json::time(self.made)),
            ("source", source),
            ("order", self.order.as_str().into()),
        ];
        let mut text = String::from("{\n");
        for (name, value) in head {
            text.push_str(&format!("\"{name}\":{},\n", json::line(&value)));
        }
        text.push_str("\"changes\":[");
        for (index, change) in self.changes.iter().enumerate() {
            text.push_str(if index == 0 { "\n" } else { ",\n" });
            text.push_str(&json::line(&change.object()));
        }
        text.push_str("\n]}\n");
        text
    }

    /// Reads a plan.
    ///
    /// # Errors
    /// Says what is missing or of the wrong kind, and in which change.
    pub fn from_json(text: &[u8]) -> Result<Plan, PlanError> {
        let Members { plan, changes } = serde_json::from_slice(text).map_err(|error| {
            // What is no JSON is told from JSON that says something else.
            match error.is_data() {
                true => PlanError::NoPlan(error.to_string()),
                false => PlanError::Json(error.to_string()),
            }
        })?;
        if plan.get("schema").and_then(Json::as_str) != Some(SCHEMA) {
            return wrong(format!("its schema is not {SCHEMA}"));
        }
        let Some(Json::Object(source)) = plan.get("source") else { return wrong("it names no source") };
        let Some(changes) = changes else { return wrong("it has no list of changes") };
        let made = plan.get("made").and_then(|made| made.get("seconds")).and_then(Json::as_u64);
        Ok(Plan {
            made_by: string(&plan, "made_by")?,
            made: made.ok_or_else(|| PlanError::NoPlan("it has no time".into()))?,
            source: bound(source)?,
            order: order(&plan)?.ok_or_else(|| PlanError::NoPlan("it has no order".into()))?,
            changes,
        })
    }
}

/// A plan's members. Of its changes one at a time is held as JSON: there can be millions.
struct Members {
    plan: Map<String, Json>,
    changes: Option<Vec<Change>>,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Members { plan: Map::new(), changes: None };
        while let Some(name) = map.next_key::<String>()? {
            if name == "changes" {
                members.changes = Some(map.next_value::<Changes>()?.0);
            } else {
                members.plan.insert(name, map.next_value()?);
            }
        }
        Ok(members)
    }
}

struct Changes(Vec<Change>);

impl<'de> Deserialize<'de> for Changes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ChangesVisitor)
    }
}

struct ChangesVisitor;

impl<'de> Visitor<'de> for ChangesVisitor {
    type Value = Changes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of changes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Changes, A::Error> {
        let mut changes = Vec::new();
        while let Some(change) = seq.next_element::<Json>()? {
            let number = changes.len() + 1;
            let change = Change::from_object(&change)
                .map_err(|what| A::Error::custom(format_args!("change {number}: {what}")))?;
            changes.push(change);
        }
        Ok(Changes(changes))
    }
}

impl Change {
    /// The change as it stands in a plan.
    pub fn object(&self) -> Json {
        fn value(object: Object, name: &str, value: Option<&[u8]>) -> Object {
            match value {
                Some(bytes) => object.bytes(name, bytes),
                None => object.with(name, Json::Null),
            }
        }
        let object = Object::new().with("rule", self.rule.as_str()).bytes("key", &self.key);
        let object = value(object, "from", self.from.as_deref());
        value(object, "to", self.to.as_deref()).with("evidence", self.evidence.as_str()).done()
    }

    fn from_object(json: &Json) -> Result<Change, String> {
        let Json::Object(members) = json else { return Err("is no object".into()) };
        let key = bytes(members, "key")?.ok_or("has no key")?;
        let (from, to) = (bytes(members, "from")?, bytes(members, "to")?);
        if from == to {
            return Err("changes nothing".into());
        }
        let text = |name: &str| members.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        Ok(Change { rule: text("rule"), key, from, to, evidence: text("evidence") })
    }
}

/// A member that holds bytes of a file: its text, or what `raw` says beside it; `None` for null.
fn bytes(members: &Map<String, Json>, name: &str) -> Result<Option<Vec<u8>>, String> {
    let raw = members.get("raw").and_then(|raw| raw.get(name));
    match (members.get(name), raw) {
        (Some(Json::Null), None) => Ok(None),
        (Some(Json::String(text)), None) => Ok(Some(text.clone().into_bytes())),
        (Some(Json::String(text)), Some(Json::String(raw))) => {
            let bytes = BASE64.decode(raw.as_bytes()).map_err(|_| format!("raw.{name} is not base64"))?;
            if json::text(&bytes).0 != *text {
                return Err(format!("{name} and raw.{name} say different things"));
            }
            Ok(Some(bytes))
        }
        (None, _) => Err(format!("has no {name}")),
        _ => Err(format!("{name} is neither text nor null")),
    }
}

fn string(members: &Map<String, Json>, name: &str) -> Result<String, PlanError> {
    match members.get(name).and_then(Json::as_str) {
        Some(text) => Ok(text.to_owned()),
        None => wrong(format!("it has no {name}")),
    }
}

/// The order a member names; `None` for null.
fn order(members: &Map<String, Json>) -> Result<Option<KeyOrder>, PlanError> {
    if members.get("order") == Some(&Json::Null) {
        return Ok(None);
    }
    let name = string(members, "order")?;
    let known = KeyOrder::ALL.into_iter().find(|order| order.as_str() == name);
    known.map(Some).ok_or_else(|| PlanError::NoPlan(format!("there is no order {name:?}")))
}

fn bound(members: &Map<String, Json>) -> Result<Bound, PlanError> {
    let format = string(members, "format")?;
    let Some(format) = Format::ALL.into_iter().find(|known| known.as_str() == format) else {
        return wrong(format!("there is no format {format:?}"));
    };
    let digest = HEXLOWER_PERMISSIVE.decode(string(members, "blake3")?.as_bytes()).unwrap_or_default();
    let Ok(blake3) = digest.try_into() else { return wrong("its source's blake3 is no digest") };
    let Some(len) = members.get("len").and_then(Json::as_u64) else { return wrong("its source has no len") };
    let path = bytes(members, "path").map_err(PlanError::NoPlan)?.unwrap_or_default();
    Ok(Bound { path: path_of(path), len, blake3, format, order: order(members)? })
}

/// A path of these bytes.
fn path_of(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// The path as a saved plan names it: from the root, so that it is found from any folder.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
