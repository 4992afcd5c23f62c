//! A drift as one page for a browser, which needs nothing but itself.

use coroner::ops::drift::DECISIONS;
use coroner::ops::drift::row::Class;
use coroner::render::json::{self, Object};
use serde_json::Value as Json;

use super::report::{Told, mend_line};

/// Disagreements of a class that the page holds.
pub const ROWS: usize = 5000;

/// The page; what is to be shown stands in it as JSON.
const PAGE: &str = include_str!("page.html");

/// The place of the data in the page.
const MARK: &str = "{{DATA}}";

/// The whole page.
pub fn page(told: &Told<'_>) -> String {
    let rows = told.kept.rows.values().flatten().map(|row| {
        let claims: Vec<Json> =
            row.evidence.iter().map(|claim| super::super::merge::claim_line(claim).into()).collect();
        let pushes = row.pushes.iter().map(|push| {
            let line = format!("{}: {}", told.host(push.host), push.decision.words().join(" and "));
            Object::new().with("line", line).with("wipes", push.decision.wipes()).done()
        });
        let pushes: Vec<Json> = pushes.collect();
        let mends: Vec<Json> = row.mends.iter().map(|mend| mend_line(mend).into()).collect();
        Object::new()
            .with("name", coroner::render::text::printable(&row.name))
            .with("class", row.class as usize)
            .with("between", row.between.clone())
            .with("claims", claims)
            .with("pushes", pushes)
            .with("mends", mends)
            .done()
    });
    let rows: Vec<Json> = rows.collect();
    let classes = Class::ALL.into_iter().map(|class| {
        let count = told.sum.classes[class as usize];
        Object::new().with("word", class.as_str()).with("meaning", class.meaning()).with("count", count).done()
    });
    let classes: Vec<Json> = classes.collect();
    let hosts = (0..told.hosts.names.len()).map(|host| {
        let kind = match host {
            host if host < told.hosts.backends => "backend",
            host if host == told.hosts.master() => "master",
            _ => "frontend",
        };
        let pushes: Vec<Json> = told.sum.pushes[host].iter().map(|count| (*count).into()).collect();
        Object::new().with("name", told.host(host)).with("kind", kind).with("pushes", pushes).done()
    });
    let hosts: Vec<Json> = hosts.collect();
    let decisions: Vec<Json> = DECISIONS.iter().map(|decision| decision.words().join(" and ").into()).collect();
    let matrix: Vec<Json> = told.sum.matrix.iter().map(|row| row.clone().into()).collect();
    let data = Object::new()
        .with("names", told.sum.names)
        .with("total", told.sum.rows())
        .with("wiped", told.sum.wiped())
        .with("classes", classes)
        .with("hosts", hosts)
        .with("decisions", decisions)
        .with("matrix", matrix)
        .with("rows", rows)
        .done();
    // Nothing that a list holds may end the element that it stands in.
    let data = json::line(&data).replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    PAGE.replace(MARK, &data)
}
