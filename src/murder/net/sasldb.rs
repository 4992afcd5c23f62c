//! Passwords in a `sasldb2`, the Berkeley DB file that `saslpasswd2` writes (Cyrus SASL, `sasldb/allockey.c`): its keys are
//! `USER NUL REALM NUL PROPERTY`, and the property `userPassword` is the password itself.

use std::path::Path;

use crate::failure::Failure;
use crate::formats::container::{self, Depth, Format, KeyOrder};
use crate::formats::finding::Severity;

const PROPERTY: &[u8] = b"userPassword";

/// The passwords of these users of a realm, as they stand in `path` now; others in it are passed over.
///
/// # Errors
/// When it can't be read, is no such file, is damaged, or lacks one of the users.
pub fn passwords(path: &Path, realm: &str, users: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let wrong = |what: String, next: &str| Failure::file(path, what, next);
    let next = "name a sasldb2 of saslpasswd2";
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string(), next))?;
    if container::detect(&bytes).format != Some(Format::Berkeley) {
        return Err(wrong("is no Berkeley DB file".into(), next));
    }
    let database = container::open(&bytes, Format::Berkeley);
    let mut sound = true;
    database.verify(Depth::Structure, &mut |finding| sound &= finding.severity() < Severity::Error);
    if !sound {
        return Err(wrong("is damaged".into(), "look at it with `coroner verify --as berkeley`"));
    }
    let mut found = Vec::new();
    database.view(KeyOrder::Unsigned, 1).walk(0, &mut |record| {
        let mut parts = record.key.split(|&byte| byte == 0);
        let key = (parts.next(), parts.next(), parts.next());
        let (Some(user), Some(of), Some(PROPERTY)) = key else { return true };
        let wanted = users.iter().find(|wanted| wanted.as_bytes() == user).filter(|_| of == realm.as_bytes());
        let password = std::str::from_utf8(record.value.split(|&byte| byte == 0).next().unwrap_or_default());
        found.extend(wanted.cloned().zip(password.ok().map(str::to_owned)));
        true
    });
    match users.iter().find(|user| !found.iter().any(|(found, _)| found == *user)) {
        Some(missing) => {
            let what = format!("has no password of {missing} in the realm {realm}");
            Err(wrong(what, "name users that are in it with --admins, and its realm with --server-name"))
        }
        None => Ok(found),
    }
}
