//! The scenarios that come with coroner.

use super::scenario::{Scenario, Wrong};

/// Names and texts.
const BOOK: &[(&str, &str)] = &[
    ("master-down/imap", include_str!("book/master-down/imap.toml")),
    ("master-down/delivery", include_str!("book/master-down/delivery.toml")),
    ("master-down/delete", include_str!("book/master-down/delete.toml")),
    ("master-down/create", include_str!("book/master-down/create.toml")),
    ("master-down/rename", include_str!("book/master-down/rename.toml")),
    ("master-down/setacl", include_str!("book/master-down/setacl.toml")),
    ("master-back/frontend", include_str!("book/master-back/frontend.toml")),
    ("master-back/backend", include_str!("book/master-back/backend.toml")),
    ("master-back/siblings", include_str!("book/master-back/siblings.toml")),
    ("recover/dump", include_str!("book/recover/dump.toml")),
    ("recover/frontend-copy", include_str!("book/recover/frontend-copy.toml")),
    ("recover/hard", include_str!("book/recover/hard.toml")),
    ("recover/hard-wrong-order", include_str!("book/recover/hard-wrong-order.toml")),
    ("conflict/acl", include_str!("book/conflict/acl.toml")),
    ("conflict/moving", include_str!("book/conflict/moving.toml")),
    ("conflict/reserved", include_str!("book/conflict/reserved.toml")),
    ("conflict/two-owners", include_str!("book/conflict/two-owners.toml")),
    ("crash/create-at-every-step", include_str!("book/crash/create-at-every-step.toml")),
    ("crash/delete-at-every-step", include_str!("book/crash/delete-at-every-step.toml")),
    ("crash/rename-at-every-step", include_str!("book/crash/rename-at-every-step.toml")),
    ("crash/transfer-at-every-step", include_str!("book/crash/transfer-at-every-step.toml")),
    ("master-down/delete-immediate", include_str!("book/master-down/delete-immediate.toml")),
    ("partition/backend", include_str!("book/partition/backend.toml")),
    ("partition/frontend", include_str!("book/partition/frontend.toml")),
    ("partition/half-open", include_str!("book/partition/half-open.toml")),
    ("partition/hung-master", include_str!("book/partition/hung-master.toml")),
    ("partition/slow", include_str!("book/partition/slow.toml")),
];

/// All scenarios, in the order of the manual's page.
///
/// # Errors
/// What is wrong with one of them; a test shows that nothing is.
pub fn all() -> Result<Vec<Scenario>, Wrong> {
    BOOK.iter().map(|(name, text)| Scenario::parse(name, text)).collect()
}
