//! The skiplist room.
