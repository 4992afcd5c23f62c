//! What coroner promises of any input, one function a fuzz target.
//!
//! The fuzz targets call these with what libFuzzer makes up; `formats/tests/regressions.rs` calls them with the inputs
//! in `corpus/regressions/`, so that a finding once fixed stays fixed on any toolchain.

mod container;
mod doors;
mod mupdate;
mod murder;
mod record;
pub mod reseal;
#[allow(unused_imports, dead_code, reason = "coroner has uses for all of it")]
#[path = "../../src/murder/wire/mod.rs"]
pub mod wire;
mod written;

use coroner_formats::container::Format::{
    Berkeley, Flat, Json, Lmdb, Show, Skiplist, Sql, Text, Twom, Twoskip, Zeroskip,
};

/// A fuzz target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Targets that are of coroner itself, not of its formats: their promises stand in files of their own, beside this one.
pub const OF_COMMANDS: &[&str] = &["decisions", "plan"];

macro_rules! targets {
    ($($(#[$doc:meta])* $name:ident = $body:expr;)+) => {
        $($(#[$doc])* pub fn $name(bytes: &[u8]) {
            let body: fn(&[u8]) = $body;
            body(bytes);
        })+
        /// Every target.
        pub const TARGETS: &[Target] = &[$((stringify!($name), $name)),+];
    };
}

targets! {
    /// What a file is.
    detect = container::detect;
    /// Tiles of a skiplist.
    skiplist_tiles = |bytes| container::tiles(bytes, Skiplist);
    /// Live records of a skiplist.
    skiplist_view = |bytes| container::view(bytes, Skiplist);
    /// Verification of a skiplist.
    skiplist_verify = |bytes| container::verify(bytes, Skiplist);
    /// Carving a skiplist.
    skiplist_carve = |bytes| container::carve(bytes, Skiplist);
    /// Transactions of a skiplist.
    skiplist_log = |bytes| container::log(bytes, Skiplist);
    /// What Cyrus makes of a skiplist.
    skiplist_as_cyrus = |bytes| container::as_cyrus(bytes, Skiplist);
    /// Tiles of a Berkeley DB file.
    berkeley_tiles = |bytes| container::tiles(bytes, Berkeley);
    /// Live records of a Berkeley DB file.
    berkeley_view = |bytes| container::view(bytes, Berkeley);
    /// Verification of a Berkeley DB file.
    berkeley_verify = |bytes| container::verify(bytes, Berkeley);
    /// Carving a Berkeley DB file.
    berkeley_carve = |bytes| container::carve(bytes, Berkeley);
    /// Tiles of a zeroskip data file.
    zeroskip_tiles = |bytes| container::tiles(bytes, Zeroskip);
    /// Live records of a zeroskip data file.
    zeroskip_view = |bytes| container::view(bytes, Zeroskip);
    /// Verification of a zeroskip data file.
    zeroskip_verify = |bytes| container::verify(bytes, Zeroskip);
    /// Carving a zeroskip data file.
    zeroskip_carve = |bytes| container::carve(bytes, Zeroskip);
    /// Transactions of a zeroskip data file.
    zeroskip_log = |bytes| container::log(bytes, Zeroskip);
    /// Tiles of an LMDB file.
    lmdb_tiles = |bytes| container::tiles(bytes, Lmdb);
    /// Live records of an LMDB file.
    lmdb_view = |bytes| container::view(bytes, Lmdb);
    /// Verification of an LMDB file.
    lmdb_verify = |bytes| container::verify(bytes, Lmdb);
    /// Carving an LMDB file.
    lmdb_carve = |bytes| container::carve(bytes, Lmdb);
    /// The last transaction of an LMDB file.
    lmdb_log = |bytes| container::log(bytes, Lmdb);
    /// Tiles of an SQLite file.
    sql_tiles = |bytes| container::tiles(bytes, Sql);
    /// Live records of an SQLite file.
    sql_view = |bytes| container::view(bytes, Sql);
    /// Verification of an SQLite file.
    sql_verify = |bytes| container::verify(bytes, Sql);
    /// Carving an SQLite file.
    sql_carve = |bytes| container::carve(bytes, Sql);
    /// Tiles of a twoskip file.
    twoskip_tiles = |bytes| sealed(bytes, reseal::twoskip, |bytes| container::tiles(bytes, Twoskip));
    /// Live records of a twoskip file.
    twoskip_view = |bytes| sealed(bytes, reseal::twoskip, |bytes| container::view(bytes, Twoskip));
    /// Verification of a twoskip file.
    twoskip_verify = |bytes| sealed(bytes, reseal::twoskip, |bytes| container::verify(bytes, Twoskip));
    /// Carving a twoskip file.
    twoskip_carve = |bytes| sealed(bytes, reseal::twoskip, |bytes| container::carve(bytes, Twoskip));
    /// Transactions of a twoskip file.
    twoskip_log = |bytes| sealed(bytes, reseal::twoskip, |bytes| container::log(bytes, Twoskip));
    /// What Cyrus makes of a twoskip file.
    twoskip_as_cyrus = |bytes| sealed(bytes, reseal::twoskip, |bytes| container::as_cyrus(bytes, Twoskip));
    /// Tiles of a twom file.
    twom_tiles = |bytes| sealed(bytes, reseal::twom, |bytes| container::tiles(bytes, Twom));
    /// Live records of a twom file.
    twom_view = |bytes| sealed(bytes, reseal::twom, |bytes| container::view(bytes, Twom));
    /// Verification of a twom file.
    twom_verify = |bytes| sealed(bytes, reseal::twom, |bytes| container::verify(bytes, Twom));
    /// Carving a twom file.
    twom_carve = |bytes| sealed(bytes, reseal::twom, |bytes| container::carve(bytes, Twom));
    /// Transactions of a twom file.
    twom_log = |bytes| sealed(bytes, reseal::twom, |bytes| container::log(bytes, Twom));
    /// What Cyrus makes of a twom file.
    twom_as_cyrus = |bytes| sealed(bytes, reseal::twom, |bytes| container::as_cyrus(bytes, Twom));
    /// Tiles of a flat file.
    flat_tiles = |bytes| container::tiles(bytes, Flat);
    /// Live records of a flat file.
    flat_view = |bytes| container::view(bytes, Flat);
    /// Verification of a flat file.
    flat_verify = |bytes| container::verify(bytes, Flat);
    /// Carving a flat file.
    flat_carve = |bytes| container::carve(bytes, Flat);
    /// What Cyrus makes of a flat file.
    flat_as_cyrus = |bytes| container::as_cyrus(bytes, Flat);
    /// A dump as `cyr_dbtool show` prints it, through every door.
    show_doors = |bytes| container::dump(bytes, Show);
    /// A dump of 3.6 and later, through every door.
    json_doors = |bytes| container::dump(bytes, Json);
    /// A dump of 2.0 to 3.4, through every door.
    text_doors = |bytes| container::dump(bytes, Text);
    /// A file of arbitrary records, written and read again.
    writer = written::writer;
    /// Transactions appended to such a file, and killed.
    append = written::append;
    /// A record: key, TAB, value.
    record = record::record;
    /// A name, an access control list or a mailbox type.
    record_parts = record::parts;
    /// What a MUPDATE client or server says.
    mupdate_wire = mupdate::wire;
    /// What an IMAP client or server says.
    imap_door = doors::imap;
    /// What an LMTP client or server says.
    lmtp_door = doors::lmtp;
}

/// The input as it is, and once more with its check sums made right: few mutations survive them otherwise.
fn sealed(bytes: &[u8], reseal: fn(&[u8]) -> Vec<u8>, property: fn(&[u8])) {
    property(bytes);
    let resealed = reseal(bytes);
    if resealed != bytes {
        property(&resealed);
    }
}
