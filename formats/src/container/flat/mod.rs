//! The flat room.
