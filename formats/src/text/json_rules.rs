//! What verify asks of the entries of a JSON dump, beyond their being found.

use bstr::ByteSlice;
use serde::de::IgnoredAny;

use super::item::{Item, What};
use super::verify::describe;
use super::{json, json_plain, rules};
use crate::finding::{Finding, Sink};

/// Checks one entry.
pub(super) fn item(item: &Item<'_>, sink: &mut Sink<'_>) {
    let What::Record { key, value, .. } = &item.what else { return };
    let mut report = |rule, what: String| sink(Finding::new(rule, item.span, describe(item, what)));
    if key.is_empty() {
        report(&rules::NO_NAME, "the name is empty".to_owned());
    }
    if let Some(fields) = json_plain::parse(value) {
        if let Some(name) = fields.name.as_ref().filter(|name| *name != key) {
            report(&rules::JSON_NAME, format!("the name inside is {}", name.as_bstr()));
        }
        return;
    }
    let strict = serde_json::from_slice::<IgnoredAny>(value);
    let fields = json::parse(value);
    if let Err(error) = &strict {
        report(&rules::JSON_OBJECT, format!("the object is not JSON: {error}"));
    }
    let fields = match fields {
        Ok(fields) => fields,
        Err(error) if strict.is_ok() => return report(&rules::JSON_OBJECT, error.to_string()),
        Err(_) => return,
    };
    if let Some(name) = fields.name.as_ref().filter(|name| *name != key) {
        report(&rules::JSON_NAME, format!("the name inside is {}", name.as_bstr()));
    }
    if fields.plain_numbers {
        report(&rules::JSON_NUMBER, "a number stands there without quotes".to_owned());
    }
    for (name, _) in &fields.unknown {
        report(&rules::JSON_MEMBER, format!("the member {} is unknown, or not of its kind", name.as_bstr()));
    }
}
