//! The doors of a murder's hosts, with as much of the hosts as they need.
#![allow(unused_imports, dead_code, reason = "coroner has uses for all of it")]

#[path = "../../../src/murder/door/mod.rs"]
pub mod door;
pub mod host;
