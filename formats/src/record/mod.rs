//! Mailbox entries of every Cyrus era, whatever container holds them.

pub mod acl;
pub mod decode;
pub mod dialect;
pub mod entry;
pub mod key;
pub mod mbtype;
pub mod name;
pub mod rules;

pub use acl::{Acl, AclForm, AclPair};
pub use decode::{Decoded, Fault, Style, decode, encode, encode_as, family_of};
pub use entry::{Entry, Family, FieldKey, Under, UnknownField};
pub use key::{Key, KeyFamily, KeyStyle, Scope};
pub use mbtype::{Flag, Flags, Kind, MbType, Numbering};
pub use name::{Form, Name};
