//! Mailbox entries of every Cyrus era, whatever container holds them.
//!
//! A record is read in three steps. [`decode()`] says what its key and value are, borrowed from their bytes. [`check()`]
//! reports what can be said against it alone, and [`Survey::push`] counts it; [`examine`] does all three. When all records are read, the survey tells
//! era, role and hazards, and [`cross_check`] reports where records contradict each other.

pub mod acl;
pub mod check;
pub mod counts;
pub mod cross;
mod culprits;
pub mod decode;
pub mod dialect;
pub mod entry;
pub mod era;
mod index;
pub mod key;
mod lineage;
pub mod mbtype;
pub mod name;
mod ordinary;
pub mod rights;
pub mod role;
pub mod rules;
pub mod straight;
mod sums;
pub mod survey;

pub use acl::{Acl, AclForm, AclPair};
pub use check::{Context, check, examine};
pub use counts::Counts;
pub use cross::cross_check;
pub use decode::{Decoded, Fault, Style, decode, encode, encode_as, family_of};
pub use dialect::Grammar;
pub use dialect::history::{Former, write as write_history};
pub(crate) use dialect::number::{digits_len, number};
pub use entry::{Entry, Family, FieldKey, Under, UnknownField};
pub use era::{Era, EraGuess};
pub use key::{Key, KeyFamily, KeyStyle, Scope};
pub use lineage::Lineage;
pub use mbtype::{Flag, Flags, Kind, MbType, Numbering};
pub use name::{Form, Name};
pub use rights::Rights;
pub use role::{Hazard, Role, RoleGuess};
pub use sums::each_right;
pub use survey::Survey;
